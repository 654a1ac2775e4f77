"""The history in its dock."""

import pytest
from graphs_for_tests import document
from nodeflow_editor.closing import Closing
from nodeflow_editor.commands.viewing import viewer_of
from nodeflow_editor.history_dock import SIDE, HistoryDock
from nodeflow_editor.run.history import History
from nodeflow_editor.run.thumbnails import thumbnail
from nodeflow_editor.run_part import RunPart
from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest

from nodeflow.document import parse, write
from nodeflow.edits import RemoveNode
from tests.editor.test_docks import LEFT, NONE, SOON, number, part, show, window  # noqa: F401 # a fixture


@pytest.fixture
def history(run_window, tmp_path):
    """Three pictures; the file of the oldest is gone."""
    kept = History(thumbnail=thumbnail)
    for name, colour in (("first", "red"), ("second", "green"), ("third", "blue")):
        picture = QImage(40, 20, QImage.Format.Format_RGB32)
        picture.fill(colour)
        picture.save(str(tmp_path / f"{name}.png"))
        kept.add(name, "image", [str(tmp_path / f"{name}.png")], write(number(name)))
    (tmp_path / "first.png").unlink()
    window = run_window()  # noqa: F811
    show(window, "history")
    return part(window, HistoryDock)


def drawn(dock, row):
    """The colour in the middle of a small picture, which is a square whatever it shows."""
    image = dock.model.index(row).data(Qt.ItemDataRole.DecorationRole).pixmap(SIDE, SIDE).toImage()
    assert (SIDE, SIDE) == image.deviceIndependentSize().toTuple()
    colour = image.pixelColor(image.width() // 2, image.height() // 2)
    tones = {"red": colour.red(), "green": colour.green(), "blue": colour.blue()}
    return max(tones, key=tones.get) if colour.alpha() else "nothing"


def spot(dock, row):
    return dock.view.visualRect(dock.model.index(row)).center()


def test_pictures_stand_newest_first_and_a_click_shows_one(history):
    texts = [history.model.index(row).data() for row in range(3)]
    assert ["third", "second", "first"] == [text.split("\n")[0] for text in texts]
    assert "file is gone" in texts[2]
    assert "blue" == drawn(history, 0)
    wanted = []
    history._window.picture_wanted.connect(lambda *what: wanted.append(what))
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 1))
    assert ["second"] == [title for _, title, _ in wanted]
    assert ["second.png"] == [path.name for path in wanted[0][2]]
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 2))
    assert 1 == len(wanted)
    assert "the file of this picture is gone" in history._window.statusBar().currentMessage()


def test_a_double_click_opens_the_graph_even_if_the_picture_is_gone(history):
    window = history._window  # noqa: F811
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 2))
    QTest.mouseDClick(history.view.viewport(), LEFT, NONE, spot(history, 2))
    assert number("first") == window.page.model.document
    assert "first" == window.page.name


def test_a_graph_from_the_history_is_asked_about_only_once_it_is_changed(history):
    window = history._window  # noqa: F811
    history.open_graph(history.model.pictures[0])
    page = window.page
    assert not page.changed
    (node,) = page.model.graph.nodes
    page.model.do(RemoveNode(node), "Remove")
    Closing.of(window).close(page)
    assert page.bars.named("close") is not None
    page.model.undo.undo()
    Closing.of(window).close(page)
    assert page not in list(window.pages())


def test_a_picture_is_copied_and_removed(history, tmp_path):
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 0))
    QTest.keyClick(history.view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert (40, 20) == QGuiApplication.clipboard().image().size().toTuple()
    QTest.keyClick(history.view, Qt.Key.Key_Delete)
    assert ["second", "first"] == [picture.title for picture in history.model.pictures]
    assert (tmp_path / "third.png").is_file()


def test_a_batch_is_one_of_the_history_which_tells_how_many_it_has_and_shows_them_all(window, qtbot):  # noqa: F811
    show(window, "history")
    dock, viewer = part(window, HistoryDock), viewer_of(window)
    nodes = {"p": ("showing.paints", {"grey": 1.0, "width": 12, "count": 3})}
    RunPart.of(window).submit(window.open_document(document(nodes, {"image": "p"}, title="Greys")))
    qtbot.waitUntil(lambda: dock.model.rowCount() == 1, timeout=SOON)
    assert dock.model.index(0).data().endswith(" · 3 pictures")
    dock.show(dock.model.pictures[0])
    QTest.keyClick(viewer.sight, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: viewer.sight.source.whole() is not None, timeout=SOON)
    assert 255 == viewer.sight.source.whole().pixelColor(3, 3).red()
    assert "3 of 3" == viewer.steps.place.text()


def test_a_delivered_picture_appears_at_once(window, qtbot):  # noqa: F811
    show(window, "history")
    dock = part(window, HistoryDock)
    graph = document({"p": ("showing.paints", {"grey": 0.7, "width": 12})}, {"image": "p"}, title="Grey")
    RunPart.of(window).submit(window.open_document(graph))
    qtbot.waitUntil(lambda: dock.model.rowCount() == 1, timeout=SOON)
    assert "Grey" == dock.model.pictures[0].title
    assert graph == parse(dock._history.graph_of(dock.model.pictures[0]))


def test_what_is_chosen_in_the_history_stays_while_pictures_come_and_go(history, tmp_path, qtbot):
    show(history._window, "history")
    for row in (1, 2):
        history.view.selectionModel().select(history.model.index(row), QItemSelectionModel.SelectionFlag.Select)
    kept = history._history
    kept.add("fourth", "image", [str(tmp_path / "fourth.png")], "{}")
    history.model.refresh()
    assert ["fourth", "third", "second", "first"] == [found.title for found in history.model.pictures]
    assert ["second", "first"] == [found.title for found in history.chosen()]
    kept.remove([history.model.pictures[1]])
    history.model.refresh()
    assert ["second", "first"] == [found.title for found in history.chosen()]
    kept.clear()
    history.model.refresh()
    assert 0 == history.model.rowCount()


def test_a_picture_whose_small_one_comes_later_is_drawn_then(history, tmp_path):
    kept = history._history
    late = kept.add("late", "image", [str(tmp_path / "late.png")], "{}")  # no file yet, so nothing to draw
    history.model.refresh()
    assert "nothing" == drawn(history, 0)
    small = kept._folder / f"{history.model.pictures[1].id}.image"
    (kept._folder / f"{late.id}.image").write_bytes(small.read_bytes())
    assert "blue" == drawn(history, 0)


def test_a_large_picture_keeps_to_its_cell_and_its_name_stands_below(history, tmp_path, qtbot):
    picture = QImage(600, 600, QImage.Format.Format_RGB32)
    picture.fill("red")
    picture.save(str(tmp_path / "large.png"))
    history._history.add("large", "image", [str(tmp_path / "large.png")], "{}")
    history.model.refresh()
    history.dock.setFloating(True)
    history.dock.resize(500, 500)
    qtbot.waitUntil(lambda: history.view.viewport().height() > 300, timeout=SOON)
    history.view.scrollToTop()
    shot, cell = history.view.viewport().grab().toImage(), history.view.visualRect(history.model.index(0))
    red = [y for y in range(cell.top(), cell.bottom()) if shot.pixelColor(cell.center().x(), y).saturation() > 200]
    assert SIDE - 4 <= len(red) <= SIDE
    below = {shot.pixel(x, y) for y in range(max(red) + 2, cell.bottom()) for x in range(cell.left(), cell.right())}
    assert len(below) > 1  # something is written there


def test_what_is_typed_leaves_the_pictures_that_have_it(history, qtbot, tmp_path):
    def found():
        return [picture.title for picture in history.model.pictures]

    history.view.setFocus()
    QTest.keyClick(history.view, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert history.find.hasFocus()
    QTest.keyClicks(history.find, "Second")
    qtbot.waitUntil(lambda: ["second"] == found(), timeout=SOON)
    history._history.add("second again", "image", [str(tmp_path / "again.png")], "{}")
    history.search()
    qtbot.waitUntil(lambda: ["second again", "second"] == found(), timeout=SOON)
    QTest.keyClick(history.find, Qt.Key.Key_Down)
    assert history.view.hasFocus()
    history.find.setFocus()
    QTest.keyClick(history.find, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: 4 == len(found()), timeout=SOON)
    assert history.view.hasFocus()


def test_a_click_leaves_the_history_in_sight_beside_the_picture(history):
    """Or the second click of a double click would fall on the viewer."""
    window = history._window  # noqa: F811
    window.actions_table.made["window.arrange"].trigger()
    window.docks["history"].raise_()
    QGuiApplication.processEvents()
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 1))
    QGuiApplication.processEvents()
    assert not history.view.visibleRegion().isEmpty()
    assert not window.docks["viewer"].visibleRegion().isEmpty()
