"""Pictures that are pasted or dragged onto the canvas get a node that loads them."""

from pathlib import Path

import pytest
from nodeflow_editor import pasting
from nodeflow_editor.commands.viewing import viewer_of
from nodeflow_editor.files import Files
from nodeflow_editor.history_dock import HistoryDock
from nodeflow_editor.run.history import History
from nodeflow_editor.run.thumbnails import thumbnail
from nodeflow_editor.viewer import taking
from nodeflow_editor.viewer.panel import Viewer
from nodeflow_editor.window import Window
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, QSize, Qt, QUrl
from PySide6.QtGui import QColor, QCursor, QGuiApplication, QImage, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from nodeflow.document import Document, write
from tests.editor.test_drop import GRAPH, drop, files, png, window  # noqa: F401 # a fixture

LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


def picture(colour: str = "#3366cc", wide: int = 40, high: int = 30) -> QImage:
    made = QImage(wide, high, QImage.Format.Format_ARGB32)
    made.fill(QColor(colour))
    return made


def paste(window: Window) -> None:  # noqa: F811
    QTest.keyClick(window.page.view.viewport(), Qt.Key.Key_V, CONTROL)


def paths(window: Window) -> list[str]:  # noqa: F811
    return [entry.inputs["path"] for entry in window.page.model.graph.nodes.values()]


@pytest.fixture
def page(window, monkeypatch):  # noqa: F811
    made = Files.of(window).new(Document())
    made.setFocus()
    spot = made.view.viewport().mapToGlobal(QPoint(300, 200))
    monkeypatch.setattr(QCursor, "pos", lambda: spot)
    return made


# --- the clipboard


def test_a_copied_picture_is_kept_as_a_file_and_loaded_by_a_node_at_the_mouse(window, page) -> None:  # noqa: F811
    QGuiApplication.clipboard().setImage(picture())
    paste(window)
    (path,) = paths(window)
    assert pasting.folder() == Path(path).parent
    assert QSize(40, 30) == QImage(path).size()
    assert QColor("#3366cc") == QImage(path).pixelColor(20, 15)
    assert str(path) in window.statusBar().currentMessage()
    x, y = page.model.graph.view["nodes"]["load"]
    where = page.view.at(QPoint(300, 200))
    assert abs(x - where.x()) <= 8
    assert abs(y - where.y()) <= 8
    assert {"load"} == page.scene.selection
    assert "Paste picture" == page.model.undo.undoText()
    QTest.keyClick(page.view.viewport(), Qt.Key.Key_Z, CONTROL)
    assert [] == paths(window)
    assert Path(path).is_file()  # another graph may name it, and redo needs it


def test_runs_may_read_what_was_pasted(window, page) -> None:  # noqa: F811
    QGuiApplication.clipboard().setImage(picture())
    paste(window)
    assert str(pasting.folder()) in window.settings.get("read", [])


def test_the_same_picture_is_written_once_and_one_that_was_painted_in_stays(window, page) -> None:  # noqa: F811
    QGuiApplication.clipboard().setImage(picture())
    paste(window)
    paste(window)
    one, other = paths(window)
    assert one == other
    picture("red").save(one)
    painted = Path(one).read_bytes()
    paste(window)
    assert 3 == len(paths(window))
    assert one != paths(window)[-1]
    assert painted == Path(one).read_bytes()
    assert QColor("#3366cc") == QImage(paths(window)[-1]).pixelColor(20, 15)


def test_where_nothing_can_be_written_no_node_is_made_and_it_is_told(window, page) -> None:  # noqa: F811
    folder = pasting.folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")
    QGuiApplication.clipboard().setImage(picture())
    paste(window)
    assert [] == paths(window)
    assert "the picture was not taken" in window.statusBar().currentMessage()


def test_copied_files_act_as_dropped_ones(window, page, tmp_path) -> None:  # noqa: F811
    carrying = png(tmp_path / "cat.png", b"nodeflow\0" + write(GRAPH).encode())
    QGuiApplication.clipboard().setMimeData(files(png(tmp_path / "dog.png"), carrying))
    paste(window)
    assert {"Untitled", "cat"} == {found.name for found in window.pages()}
    assert [str(tmp_path / "dog.png")] == [entry.inputs["path"] for entry in page.model.graph.nodes.values()]
    assert "Paste image" == page.model.undo.undoText()


def test_a_picture_with_the_address_it_came_from_is_pasted_as_a_picture(window, page) -> None:  # noqa: F811
    data = QMimeData()
    data.setImageData(picture())
    data.setUrls([QUrl("https://example.org/cat.png")])
    data.setHtml('<img src="https://example.org/cat.png">')
    QGuiApplication.clipboard().setMimeData(data)
    paste(window)
    assert 1 == len(paths(window))


def test_the_text_of_nodes_goes_before_a_picture_of_it(window, page) -> None:  # noqa: F811
    data = QMimeData()
    data.setText(write(GRAPH))
    data.setImageData(picture())
    QGuiApplication.clipboard().setMimeData(data)
    paste(window)
    assert ["a"] == list(page.model.graph.nodes)


def test_an_empty_clipboard_is_told(window, page) -> None:  # noqa: F811
    QGuiApplication.clipboard().clear()
    paste(window)
    assert "the clipboard holds no nodes and no picture" == window.statusBar().currentMessage()


# --- the mouse


@pytest.fixture
def held(monkeypatch) -> list[QMimeData]:
    """What was put into the mouse's hand; Qt's own drag waits for a real mouse."""
    found: list[QMimeData] = []

    class Drag:
        def __init__(self, widget: QWidget) -> None:
            self.widget = widget

        def setMimeData(self, data: QMimeData) -> None:  # Qt's
            found.append(data)

        def setPixmap(self, pixmap) -> None:
            assert max(pixmap.width(), pixmap.height()) == taking.SIDE

        def setHotSpot(self, spot) -> None:
            """Where it hangs."""

        def exec(self, actions) -> None:
            assert actions is Qt.DropAction.CopyAction

    monkeypatch.setattr(taking, "QDrag", Drag)
    return found


def drag(widget: QWidget, start: QPoint, keys=NO_KEY) -> None:
    """A press, a way of 40 pixels, and a release."""
    QTest.mousePress(widget, LEFT, keys, start)
    for by in (8, 16, 40):
        place = QPointF(start) + QPointF(by, 0)
        kind, here = QEvent.Type.MouseMove, widget.mapToGlobal(place)
        QApplication.sendEvent(widget, QMouseEvent(kind, place, here, Qt.MouseButton.NoButton, LEFT, keys))
    QTest.mouseRelease(widget, LEFT, keys, start + QPoint(40, 0))


def shown(window: Window, key: str, what: object) -> Viewer:  # noqa: F811
    viewer = viewer_of(window)
    assert viewer is not None
    for name, dock in window.docks.items():
        dock.setVisible(name == "viewer")  # in a low one there is no strip
    viewer.show(key, key, what)
    QApplication.processEvents()
    return viewer


def test_a_picture_of_a_file_is_loaded_even_if_it_carries_a_graph(window, page, held, tmp_path, qtbot) -> None:  # noqa: F811
    file = png(tmp_path / "cat.png", b"nodeflow\0" + write(GRAPH).encode())
    viewer = shown(window, "cat", file)
    qtbot.waitUntil(lambda: viewer.sight.source is not None and not viewer.sight.source.reading)
    drag(viewer.sight, viewer.sight.rect().center())
    (data,) = held
    assert [str(file)] == [url.toLocalFile() for url in data.urls()]  # other programs get the file
    assert not drop(window, data)  # beside the canvas nothing is meant
    assert drop(page.view.viewport(), data, QPointF(300, 200))
    assert [str(file)] == paths(window)
    assert 1 == window.tabs.count()


def test_a_preview_becomes_a_file_where_it_is_dropped_and_is_said_to_be_small(window, page, held) -> None:  # noqa: F811
    viewer = viewer_of(window)
    shown(window, "step", picture())
    viewer.show("step", "step", picture(), QSize(400, 300))
    drag(viewer.sight, viewer.sight.rect().center())
    assert drop(page.view.viewport(), held[0], QPointF(300, 200))
    (path,) = paths(window)
    assert pasting.folder() == Path(path).parent
    assert f"kept as {path}: a preview, made small" in window.statusBar().currentMessage()


def test_a_picture_that_is_zoomed_is_panned_and_taken_with_ctrl(window, page, held) -> None:  # noqa: F811
    viewer = shown(window, "a", picture(wide=900, high=900))
    viewer.sight.zoom(1.0)
    before = QPointF(viewer.sight.corner)
    drag(viewer.sight, viewer.sight.rect().center())
    assert [] == held
    assert before != viewer.sight.corner
    before = QPointF(viewer.sight.corner)
    drag(viewer.sight, viewer.sight.rect().center(), CONTROL)
    assert 1 == len(held)
    assert before == viewer.sight.corner
    QTest.mouseMove(viewer.sight, QPoint(20, 20))  # the button was let go elsewhere
    assert before == viewer.sight.corner


def test_one_of_the_strip_is_taken(window, page, held, tmp_path, qtbot) -> None:  # noqa: F811
    shown(window, "b", picture("red"))
    viewer = shown(window, "a", png(tmp_path / "a.png"))
    strip = viewer.strip
    qtbot.waitUntil(lambda: viewer.sight.source is not None and not viewer.sight.source.reading)
    drag(strip.viewport(), strip.visualItemRect(strip.item(1)).center())
    assert QColor("red") == held[0].imageData().pixelColor(3, 3)
    assert not held[0].hasUrls()


def test_a_file_that_is_gone_is_told(window, page, held, tmp_path) -> None:  # noqa: F811
    viewer = shown(window, "a", picture())
    file = png(tmp_path / "a.png")
    viewer.show("a", "a", file)
    file.unlink()
    drag(viewer.sight, viewer.sight.rect().center())
    assert [] == held
    assert "no picture to take" in window.statusBar().currentMessage()


def test_pictures_of_the_history_are_taken_as_files(run_window, held, tmp_path) -> None:
    kept = History(thumbnail=thumbnail)
    for name in ("first", "second"):
        picture().save(str(tmp_path / f"{name}.png"))
        kept.add(name, "image", [str(tmp_path / f"{name}.png")], write(GRAPH))
    window = run_window()  # noqa: F811
    window.docks["history"].show()
    window.docks["history"].raise_()
    QApplication.processEvents()
    dock = next(part for part in window.findChildren(HistoryDock))
    wanted = []
    window.picture_wanted.connect(lambda *what: wanted.append(what))
    drag(dock.view.viewport(), dock.view.visualRect(dock.model.index(1)).center())
    assert [str(tmp_path / "first.png")] == [url.toLocalFile() for url in held[0].urls()]
    assert held[0].hasFormat(pasting.OWN)
    assert [] == wanted  # it is not shown as well
