"""docs/graphs.md and README: the graph that is shown is one, and what `nodeflow check` says is what it says."""

import json
import re
from pathlib import Path

import pytest

from nodeflow.cli import call
from nodeflow.document import parse, write

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/graphs.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
FAULTY = {
    "nodeflow": 1,
    "outputs": {"image": "soft"},
    "nodes": {
        "paint": {"type": "image.colur", "version": 1},
        "soft": {"type": "image.blur", "version": 1, "inputs": {"image": {"$from": "paint"}, "sigma": -1.0}},
    },
}


def test_the_page_begins_with_a_graph_that_is_sound_and_as_it_would_be_saved(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0]
    assert text == write(parse(text))
    file = tmp_path / "ball.json"
    file.write_text(text, "utf-8")
    assert 0 == call(["check", str(file)]), capfd.readouterr().err
    for key in json.loads(text):
        assert f"| `{key}` |" in PAGE


def test_the_readme_shows_what_a_check_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cat.json").write_text(json.dumps(FAULTY), "utf-8")
    assert 2 == call(["check", "cat.json"])
    shown = README.split("$ nodeflow check cat.json\n")[1].split("```")[0]
    assert shown == capfd.readouterr().err
