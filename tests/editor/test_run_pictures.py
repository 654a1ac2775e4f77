"""The window makes the pictures that the command line makes."""

import subprocess
import sys
from pathlib import Path

from nodeflow_editor.files import Files
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from nodeflow.catalog import open_catalog

ROOT = Path(__file__).parents[2]
GRAPH = ROOT / "graphs" / "text_to_image.json"
NODEFLOW = (sys.executable, "-P", "-m", "nodeflow.cli")


def test_text_to_image_is_the_same_from_the_window_and_from_the_command_line(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("NODEFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)
    settings = Settings(tmp_path / "settings.json")
    settings.set("out", str(tmp_path / "window"))
    settings.set("device", "cpu")
    window = Window(open_catalog(), settings)
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    page = Files.of(window).open(GRAPH)
    part, ends, shown = RunPart.of(window), [], []
    part.runner.ended.connect(lambda _run, end: ends.append(end))
    part.runner.previewed.connect(lambda _run, node, _image: shown.append(node))
    QTest.keyClick(page.view, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: bool(ends), timeout=240_000)
    assert (0, False) == (ends[0]["failed"], ends[0]["cancelled"])
    assert "sample" in shown
    qtbot.waitUntil(lambda: page.scene.look("decode").picture is not None, timeout=10_000)
    (made,) = (tmp_path / "window").glob("*.png")
    part.close()

    command = (*NODEFLOW, "run", str(GRAPH), "--out", str(tmp_path / "line"), "--device", "cpu", "--no-cache")
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    (other,) = (tmp_path / "line").glob("*.png")
    assert made.name == other.name
    assert QImage(str(made)) == QImage(str(other))
    assert made.read_bytes() == other.read_bytes()
