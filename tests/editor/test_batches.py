"""Pictures that come together: side by side in the node, one at a time in the viewer, and none of them hidden."""

from pathlib import Path

import pytest
from graphs_for_tests import document
from nodeflow_editor.batches import Batch, Grid, sheet
from nodeflow_editor.canvas import hits
from nodeflow_editor.canvas.node_paint import fitted
from nodeflow_editor.commands.viewing import came, key_of, viewer_of
from nodeflow_editor.viewer.panel import Viewer
from nodeflow_editor.window import Window
from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage
from PySide6.QtTest import QTest

from nodeflow.edits import SetInput
from tests.editor.test_gestures import NONE, Hand, hand  # noqa: F401 # a fixture
from tests.editor.test_run_window import SOON, ends, look, press_run, window  # noqa: F401 # fixtures
from tests.editor.test_viewer import CONTROL, LEFT, grabbed, picture, viewer  # noqa: F401 # a fixture

COLOURS = ("#800000", "#008000", "#000080", "#808000")
SHIFT = Qt.KeyboardModifier.ShiftModifier


def pictures(count: int = 4, wide: int = 64, high: int = 64) -> tuple[QImage, ...]:
    return tuple(picture(wide, high, COLOURS[at % 4]) for at in range(count))


# --- side by side


@pytest.mark.parametrize(
    ("count", "proportion", "expected"),
    [(2, 1.0, (2, 1)), (3, 1.0, (2, 2)), (4, 1.0, (2, 2)), (12, 1.0, (4, 3)), (16, 1.0, (4, 4)), (4, 3.0, (4, 1)),
     (4, 0.25, (1, 4)), (5, 1.0, (3, 2)), (1, 7.0, (1, 1))],
)  # fmt: skip
def test_pictures_stand_as_large_as_they_can(count: int, proportion: float, expected: tuple[int, int]) -> None:
    grid = Grid.of(count, proportion)
    assert expected == (grid.columns, grid.rows)
    box = QRectF(10, 20, 300, 200)
    for at in range(count):
        middle = grid.cell(at, box).center()
        assert at == grid.at(middle.x(), middle.y(), box)
    assert grid.at(9, 30, box) is None


def test_no_picture_is_where_the_last_row_is_not_full() -> None:
    assert Grid.of(3, 1.0).at(0.9, 0.9, QRectF(0, 0, 1, 1)) is None


def test_a_sheet_has_all_of_them_none_larger_than_it_is() -> None:
    made = sheet(pictures(), Grid.of(4, 1.0), 1000)
    assert (128, 128) == made.size().toTuple()
    found = [made.pixelColor(x, y).name() for y in (32, 96) for x in (32, 96)]
    assert list(COLOURS) == found
    assert (100, 50) == sheet(pictures(2), Grid.of(2, 1.0), 100).size().toTuple()


# --- in the viewer


@pytest.fixture
def batch(viewer: Viewer) -> Viewer:  # noqa: F811
    viewer.show("n", "decode", pictures())
    viewer.sight.setFocus()
    return viewer


def shown(viewer: Viewer) -> str:  # noqa: F811
    return grabbed(viewer, 30, 30).name()


def test_left_and_right_lead_through_a_batch_and_around(batch: Viewer) -> None:
    found = [(shown(batch), batch.steps.place.text())]
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Left):
        QTest.keyClick(batch.sight, key)
        found.append((shown(batch), batch.steps.place.text()))
    assert [(COLOURS[at], f"{at + 1} of 4") for at in (0, 1, 2, 1, 0, 3)] == found
    QTest.mouseClick(batch.steps.after, LEFT)
    assert COLOURS[0] == shown(batch)
    assert "1 of 4" in batch.about.text()


def test_a_picture_alone_has_no_steps_and_its_arrows_pan(viewer: Viewer) -> None:  # noqa: F811
    viewer.show("a", "A", picture(400, 400))
    assert not viewer.steps.isVisible()
    viewer.sight.zoom(2.0)
    before = viewer.sight.corner.x()
    QTest.keyClick(viewer.sight, Qt.Key.Key_Right)
    assert before < viewer.sight.corner.x()


def test_shift_and_arrows_pan_a_picture_of_a_batch_and_steps_keep_the_place(batch: Viewer) -> None:
    batch.sight.zoom(20.0)
    before = QPointF(batch.sight.corner)
    QTest.keyClick(batch.sight, Qt.Key.Key_Right, SHIFT)
    assert before.x() < batch.sight.corner.x()
    before = QPointF(batch.sight.corner)
    QTest.keyClick(batch.sight, Qt.Key.Key_Right)
    assert (before, 20.0) == (batch.sight.corner, batch.sight.scale)


def test_all_are_seen_side_by_side_and_a_click_leads_into_one(batch: Viewer, qtbot) -> None:
    QTest.keyClick(batch.sight, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: batch.sight.source.whole() is not None, timeout=SOON)
    assert [COLOURS[0], COLOURS[3]] == [grabbed(batch, x, x).name() for x in (32, 96)]
    assert "all 4" == batch.steps.place.text()
    sight = batch.sight
    spot = ((QPointF(96, 32) - sight.corner) * sight.scale).toPoint()
    QTest.mouseClick(sight, LEFT, NONE, spot)
    assert (COLOURS[1], "2 of 4") == (shown(batch), batch.steps.place.text())
    QTest.mouseDClick(sight, LEFT, NONE, spot)  # the second click of a double click
    assert sight.fitted
    QTest.mouseClick(batch.steps.all, LEFT)
    assert "all 4" == batch.steps.place.text()
    QTest.keyClick(sight, Qt.Key.Key_Right)
    assert "1 of 4" == batch.steps.place.text()


def test_copy_and_save_take_the_picture_in_sight(batch: Viewer, tmp_path: Path, qtbot) -> None:
    QTest.keyClick(batch.sight, Qt.Key.Key_Right)
    QTest.keyClick(batch.sight, Qt.Key.Key_C, CONTROL)
    assert COLOURS[1] == QGuiApplication.clipboard().image().pixelColor(5, 5).name()
    with qtbot.waitSignal(batch.told):
        batch.save(tmp_path / "second.png")
    assert COLOURS[1] == QImage(str(tmp_path / "second.png")).pixelColor(5, 5).name()
    QTest.keyClick(batch.sight, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: batch.sight.source.whole() is not None, timeout=SOON)
    with qtbot.waitSignal(batch.told) as told:
        batch.copy()
    assert "4 pictures side by side" in told.args[0]
    assert (128, 128) == QGuiApplication.clipboard().image().size().toTuple()


def test_files_of_a_batch_are_stepped_through_and_copied_as_they_are(viewer: Viewer, tmp_path: Path, qtbot) -> None:  # noqa: F811
    paths = [tmp_path / f"{at}.png" for at in range(4)]
    for path, image in zip(paths, pictures(), strict=True):
        image.setText("nodeflow", path.name)
        image.save(str(path))
    viewer.show("out", "image", paths)
    viewer.sight.setFocus()
    QTest.keyClick(viewer.sight, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: viewer.sight.source.whole() is not None, timeout=SOON)
    assert COLOURS[3] == shown(viewer)
    with qtbot.waitSignal(viewer.told):
        viewer.save(tmp_path / "copy.png")
    assert paths[3].read_bytes() == (tmp_path / "copy.png").read_bytes()
    QTest.keyClick(viewer.sight, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: viewer.sight.source.whole() is not None, timeout=SOON)
    assert [COLOURS[0], COLOURS[3]] == [grabbed(viewer, x, x).name() for x in (32, 96)]


def test_a_newer_batch_is_looked_at_where_the_one_before_was(batch: Viewer) -> None:
    QTest.keyClick(batch.sight, Qt.Key.Key_Left)
    batch.keep("n", "decode", tuple(reversed(pictures())))
    assert (COLOURS[0], "4 of 4") == (shown(batch), batch.steps.place.text())
    batch.keep("n", "decode", pictures(2))
    assert (COLOURS[1], "2 of 2") == (shown(batch), batch.steps.place.text())
    batch.keep("n", "decode", picture(64, 64, "#123456"))
    assert ("#123456", False) == (shown(batch), batch.steps.isVisible())


def test_of_a_batch_too_large_the_first_are_shown_and_it_is_said(viewer: Viewer) -> None:  # noqa: F811
    viewer.show("n", "decode", pictures(4), QSize(1024, 1024), 300)
    assert "1 of 300, of which the first 4 are here" == viewer.steps.place.text()


def test_two_pictures_of_a_batch_are_compared(batch: Viewer) -> None:
    QTest.keyClick(batch.sight, Qt.Key.Key_P)
    QTest.keyClick(batch.sight, Qt.Key.Key_Right)
    QTest.keyClick(batch.sight, Qt.Key.Key_D)
    assert QColor(128, 128, 0) == grabbed(batch, 30, 30)


def test_b_stays_what_it_was_when_its_node_gives_another_picture(viewer: Viewer) -> None:  # noqa: F811
    viewer.show("n", "decode", picture(64, 64, COLOURS[0]))
    viewer.pin()
    viewer.keep("n", "decode", picture(64, 64, COLOURS[1]))
    assert COLOURS[1] == shown(viewer)
    viewer.flip()
    assert COLOURS[0] == shown(viewer)
    viewer.pin()
    assert COLOURS[1] == shown(viewer)


# --- in a node


def test_a_node_shows_a_batch_side_by_side_and_a_click_has_the_viewer_show_one(window: Window, ends, qtbot) -> None:  # noqa: F811
    nodes = {"p": ("showing.paints", {"width": 64, "height": 64, "grey": 1.0, "count": 20}),
             "c": ("showing.covers", {"image": "$p"})}  # fmt: skip
    page, seen = window.open_document(document(nodes, {"picture": "p", "mask": "c"})), viewer_of(window)
    window.docks["viewer"].show()
    press_run(window)
    ends.wait()
    qtbot.waitUntil(lambda: look(window, "p").picture is not None, timeout=SOON)
    found = look(window, "p")
    assert (20, Grid(4, 4, 16), 1.0) == (found.count, found.grid, found.proportion)
    item = page.scene.nodes["p"]
    assert item.measures.picture is not None
    place = fitted(item.measures.picture, found).translated(item.pos())
    for at in (0, 5, 15):
        middle = found.grid.cell(at, place).center()
        assert at == hits.cell_at(page.scene, middle.x(), middle.y())
        QTest.mouseClick(page.view.viewport(), LEFT, NONE, page.view.mapFromScene(middle))
        assert f"{at + 1} of 20" == seen.steps.place.text()
    qtbot.waitUntil(lambda: seen.sight.source.whole() is not None, timeout=SOON)
    assert 15 * 255 // 19 == seen.sight.source.whole().pixelColor(9, 9).red()
    assert key_of(page, "p") == seen.current
    page.model.do(SetInput("p", "count", 1), "Set")
    press_run(window)
    ends.wait(2)
    qtbot.waitUntil(lambda: look(window, "p").grid is None, timeout=SOON)
    assert hits.cell_at(page.scene, middle.x(), middle.y()) is None


def test_a_preview_of_a_batch_leads_to_all_of_it(hand: Hand, window: Window) -> None:  # noqa: F811
    seen = viewer_of(window)
    came(window, hand.page, "blur", Batch(pictures(4), 4), QSize(512, 512))
    seen.turn(key_of(hand.page, "blur"), 2)
    assert "3 of 4   64 × 64, a preview of 512 × 512" in seen.about.text()
    assert seen.strip.count() == 1
    assert QPoint(0, 0) == seen.strip.visualItemRect(seen.strip.item(0)).topLeft()
