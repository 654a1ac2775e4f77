"""Which folders runs of the editor may read."""

from pathlib import Path

from nodeflow_editor.settings import Settings
from nodeflow_editor.trust import MOST, readable, trust


def test_a_run_reads_the_working_folder_and_the_graphs_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(tmp_path / "settings.json")
    assert [str(tmp_path), str(tmp_path / "graphs")] == readable(settings, tmp_path / "graphs")


def test_what_was_named_in_person_is_remembered_over_starts_and_bounded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(tmp_path / "settings.json")
    trust(settings, tmp_path / "photos" / "cat.png")
    trust(settings, tmp_path / "photos" / "dog.png")
    again = Settings(tmp_path / "settings.json")
    assert [str(tmp_path), str(tmp_path / "photos")] == readable(again, tmp_path)
    for number in range(MOST + 5):
        trust(again, tmp_path / f"f{number}" / "x.png")
    assert MOST + 1 == len(readable(again, tmp_path))
    assert str(tmp_path / f"f{MOST + 4}") == readable(again, tmp_path)[-1]


def test_settings_that_are_garbage_allow_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(tmp_path / "settings.json")
    settings.set("read", [1, None, {"a": 1}])
    assert [str(tmp_path)] == readable(settings, tmp_path)
