"""Five seconds: the whole way once, from a file to a picture and back to its graph."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image as Picture

GRAPH = {
    "nodeflow": 1,
    "title": "Tiny",
    "parameters": {"colour": "paint.colour"},
    "outputs": {"image": "soft"},
    "nodes": {
        "paint": {"type": "image.colour", "version": 1, "inputs": {"colour": "#3366cc", "width": 8, "height": 8}},
        "soft": {"type": "image.blur", "version": 1, "inputs": {"image": {"$from": "paint"}, "sigma": 1.0}},
    },
}


def nodeflow(*arguments: str, folder: Path) -> str:
    command = [sys.executable, "-m", "nodeflow.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_graph_becomes_a_picture_that_carries_the_graph(tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(GRAPH), "utf-8")
    assert "tiny.json" in nodeflow("check", "tiny.json", folder=tmp_path)
    told = nodeflow("run", "tiny.json", "--set", "colour=#cc6633", "--out", "out", "--json", folder=tmp_path)
    delivered = next(event for line in told.splitlines() if (event := json.loads(line))["event"] == "delivered")
    with Picture.open(tmp_path / delivered["paths"][0]) as picture:
        assert (0xCC, 0x66, 0x33) == picture.getpixel((4, 4))
        assert "#cc6633" == json.loads(picture.info["nodeflow"])["nodes"]["paint"]["inputs"]["colour"]
    again = nodeflow("run", delivered["paths"][0], "--out", "out", folder=tmp_path)
    assert Path(delivered["paths"][0]).name in again
