"""Pictures of runs: those that the command line makes, whole in the viewer, and never an earlier one for a later."""

import subprocess
import sys
from pathlib import Path

from graphs_for_tests import document
from nodeflow_editor.batches import Batch
from nodeflow_editor.commands.viewing import key_of, viewer_of
from nodeflow_editor.files import Files
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from nodeflow.catalog import open_catalog
from nodeflow.edits import SetInput
from tests.editor.test_run_window import CONTROL, SHIFT, SOON, ends, look, press_run, window  # noqa: F401 # fixtures

ROOT = Path(__file__).parents[2]
GRAPH = ROOT / "graphs" / "text_to_image.json"
NODEFLOW = (sys.executable, "-P", "-m", "nodeflow.cli")


def test_text_to_image_is_the_same_from_the_window_and_from_the_command_line(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("NODEFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)
    settings = Settings(tmp_path / "settings.json")
    settings.set("out", str(tmp_path / "window"))
    settings.set("device", "cpu")
    window = Window(open_catalog(), settings)  # noqa: F811
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    page = Files.of(window).open(GRAPH)
    part, ends, shown = RunPart.of(window), [], []  # noqa: F811
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


def test_the_viewer_has_the_picture_of_an_output_whole_and_says_of_others_that_they_are_small(window, ends, qtbot):  # noqa: F811
    nodes = {"p": ("showing.paints", {"width": 1024, "height": 64}), "c": ("showing.covers", {"image": "$p"})}
    page = window.open_document(document(nodes, {"picture": "p"}))
    viewer = viewer_of(window)
    press_run(window)
    ends.wait()
    qtbot.waitUntil(lambda: look(window, "p").picture is not None, timeout=SOON)
    viewer.turn(key_of(page, "p"))
    qtbot.waitUntil(lambda: viewer.sight.source.whole() is not None, timeout=SOON)
    assert (1024, 64) == viewer.sight.source.whole().size().toTuple()
    assert "preview" not in viewer.about.text()
    window.page.scene.select(["c"])
    press_run(window, CONTROL | SHIFT)
    qtbot.waitUntil(lambda: viewer.keys().count(key_of(page, "c")) == 1, timeout=SOON)
    viewer.turn(key_of(page, "c"))
    assert "512 × 32, a preview of 1024 × 64" in viewer.about.text()


def test_a_picture_that_comes_late_does_not_take_the_place_of_a_later_runs(window, ends, qtbot):  # noqa: F811
    page = window.open_document(document({"p": ("showing.paints", {"grey": 0.2})}, {"picture": "p"}))
    for count, grey in enumerate((0.2, 0.6), 1):
        page.model.do(SetInput("p", "grey", grey), "Set")
        press_run(window)
        ends.wait(count)
    first, second = sorted(ends.told)
    qtbot.waitUntil(lambda: look(window, "p").picture is not None, timeout=SOON)
    late, size = QImage(4, 4, QImage.Format.Format_RGB888), QSize(4, 4)
    late.fill(0xFF0000)
    RunPart.of(window).runner.previewed.emit(first, "p", Batch.of(late), size)
    assert late != look(window, "p").picture
    RunPart.of(window).runner.previewed.emit(second, "p", Batch.of(late), size)
    assert late == look(window, "p").picture
