"""What is remembered between starts: by several editors, without holding up the window."""

import json
import threading
from pathlib import Path

import pytest
from nodeflow_editor import settings as settings_module
from nodeflow_editor.settings import Settings


def test_values_are_there_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "home" / "editor.json"
    kept = Settings(path)
    kept.set("theme", "light")
    kept.set("used", {"a": 1})
    again = Settings(path)
    assert ("light", {"a": 1}, 7) == (again.get("theme", ""), again.get("used", {}), again.get("absent", 7))


def test_two_editors_leave_each_others_values_alone(tmp_path: Path) -> None:
    one, other = Settings(tmp_path / "e.json"), Settings(tmp_path / "e.json")
    one.set("keys", {"edit.copy": ["F9"]})
    other.set("session", {"tabs": []})
    other.set("theme", "light")
    again = Settings(tmp_path / "e.json")
    assert ({"edit.copy": ["F9"]}, "light") == (again.get("keys", {}), again.get("theme", ""))


def test_to_set_a_value_does_not_wait_for_the_disk_and_the_last_one_counts(tmp_path: Path, monkeypatch) -> None:
    held, written, write = threading.Event(), [], settings_module.write_whole

    def slow(path, text):
        held.wait(30)
        written.append(json.loads(text))
        write(path, text)

    monkeypatch.setattr(settings_module, "write_whole", slow)
    kept = Settings(tmp_path / "e.json")
    for number in range(100):
        kept.set("place", number)
    assert [] == written
    held.set()
    assert 99 == Settings(tmp_path / "e.json").get("place", 0)
    assert len(written) <= 2


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "\x00", "[" * 100_000])
def test_a_damaged_file_counts_as_empty_and_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.json").write_text(text)
    kept = Settings(tmp_path / "e.json")
    assert "dark" == kept.get("theme", "dark")
    kept.set("theme", "light")
    assert "light" == Settings(tmp_path / "e.json").get("theme", "dark")


def test_what_cannot_be_written_is_known_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Settings(tmp_path / "file" / "e.json")
    kept.set("theme", "light")
    assert "light" == kept.get("theme", "dark")
