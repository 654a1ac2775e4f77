"""The viewer with two pictures: turned between, side by side, and how far apart they are."""

from pathlib import Path

import pytest
from nodeflow_editor.viewer.panel import Viewer
from nodeflow_editor.viewer.sight import Mode
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage
from PySide6.QtTest import QTest

from tests.editor.test_gestures import CONTROL, NONE
from tests.editor.test_viewer import LEFT, grabbed, picture, viewer  # noqa: F401 # a fixture


def over(viewer: Viewer, x: float, y: float) -> None:  # noqa: F811
    """Moves the mouse over that place of A."""
    spot = (QPointF(x, y) - viewer.sight.corner) * viewer.sight.scale
    viewer.sight.hovered.emit(spot)


def test_the_pixel_that_is_told_is_of_the_picture_that_is_seen_there(viewer: Viewer) -> None:  # noqa: F811
    other = picture(128, 128, "#000080")
    other.setPixelColor(21, 41, QColor("#00ff00"))
    viewer.show("b", "B", other)
    viewer.pin()
    viewer.show("a", "A", picture(64, 64, "#800000"))
    over(viewer, 10.6, 20.6)
    assert viewer.readout.text().startswith("10, 20   R 128 G 0 B 0")
    viewer.flip()  # the mouse has not moved
    assert viewer.readout.text().startswith("21, 41   R 0 G 255 B 0")
    assert "128 × 128" in viewer.about.text()
    assert f"{viewer.sight.scale / 2:.0%}" in viewer.about.text()
    viewer.flip()
    viewer.toggle(Mode.WIPE)
    over(viewer, 10.6, 20.6)
    assert viewer.readout.text().startswith("10, 20   R 128")
    over(viewer, 60.2, 20.6)
    assert viewer.readout.text().startswith("120, 41   R 0 G 0 B 128")
    viewer.toggle(Mode.DIFFERENCE)
    assert "A 60, 20   R 128 G 0 B 0 A 255      B 120, 41   R 0 G 0 B 128 A 255" == viewer.readout.text()


@pytest.fixture
def pair(viewer: Viewer) -> Viewer:  # noqa: F811
    viewer.show("b", "B", picture(64, 64, "#000080"))
    viewer.sight.setFocus()
    QTest.keyClick(viewer.sight, Qt.Key.Key_P)
    viewer.show("a", "A", picture(64, 64, "#800000"))
    viewer.sight.setFocus()
    return viewer


def test_tab_and_1_and_2_turn_between_the_picture_and_the_pinned_one(pair: Viewer) -> None:
    red, blue = QColor("#800000"), QColor("#000080")
    shown = []
    for key in (Qt.Key.Key_Tab, Qt.Key.Key_Tab, Qt.Key.Key_2, Qt.Key.Key_1):
        QTest.keyClick(pair.sight, key)
        shown.append(grabbed(pair, 30, 30))
    assert [blue, red, blue, red] == shown
    assert pair.sight.hasFocus()


def test_the_wipe_shows_both_and_its_divider_is_dragged(pair: Viewer) -> None:
    QTest.keyClick(pair.sight, Qt.Key.Key_W)
    sight = pair.sight
    assert (QColor("#800000"), QColor("#000080")) == (grabbed(pair, 10, 30), grabbed(pair, 54, 30))
    middle = QPoint(sight.width() // 2, 100)
    QTest.mousePress(sight, LEFT, NONE, middle)
    QTest.mouseMove(sight, QPoint(sight.width() - 4, 100))
    QTest.mouseRelease(sight, LEFT, NONE, QPoint(sight.width() - 4, 100))
    assert QColor("#800000") == grabbed(pair, 54, 30)
    before = sight.divider
    QTest.keyClick(sight, Qt.Key.Key_Left, CONTROL)
    assert before - 0.02 == pytest.approx(sight.divider)


def test_the_difference_takes_a_gain_and_unpinning_ends_it(pair: Viewer) -> None:
    QTest.keyClick(pair.sight, Qt.Key.Key_D)
    assert QColor(128, 0, 128) == grabbed(pair, 30, 30)
    pair.gain.setValue(2)
    assert QColor(255, 0, 255) == grabbed(pair, 30, 30)
    QTest.keyClick(pair.sight, Qt.Key.Key_P)
    assert Mode.ONE is pair.sight.mode
    assert QColor("#800000") == grabbed(pair, 30, 30)


def test_a_pinned_picture_of_another_size_is_laid_over_the_whole_of_the_first(viewer: Viewer) -> None:  # noqa: F811
    viewer.show("b", "B", picture(32, 32, "#000080"))
    viewer.pin()
    viewer.show("a", "A", picture(128, 128, "#800000"))
    viewer.flip()
    assert {"#000080"} == {grabbed(viewer, x, y).name() for x in (2, 125) for y in (2, 125)}


def test_b_is_what_is_copied_and_saved_where_it_is_looked_at(pair: Viewer, tmp_path: Path, qtbot) -> None:
    pair.flip()
    with qtbot.waitSignal(pair.told):
        pair.save(tmp_path / "b.png")
    assert "#000080" == QImage(str(tmp_path / "b.png")).pixelColor(3, 3).name()
    pair.copy()
    assert "#000080" == QGuiApplication.clipboard().image().pixelColor(3, 3).name()
