"""The viewer: what is seen of a picture, of two, of a very large one, of none."""

from pathlib import Path

import pytest
from nodeflow_editor.commands.viewing import came, key_of, viewer_of
from nodeflow_editor.viewer.panel import Viewer
from nodeflow_editor.viewer.pixels import Channel, difference, seen
from nodeflow_editor.viewer.source import Source
from nodeflow_editor.window import Window
from PySide6.QtCore import QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QWheelEvent
from PySide6.QtTest import QTest

from tests.editor.test_gestures import CONTROL, NONE, Hand, hand, window  # noqa: F401 # fixtures

LEFT = Qt.MouseButton.LeftButton


def picture(wide: int, high: int, colour: str = "#3366cc") -> QImage:
    made = QImage(wide, high, QImage.Format.Format_RGB32)
    made.fill(QColor(colour))
    return made


def ramp(wide: int = 64, high: int = 64) -> QImage:
    """Each pixel its own colour: red across, green down."""
    made = QImage(wide, high, QImage.Format.Format_ARGB32)
    for y in range(high):
        for x in range(wide):
            made.setPixelColor(x, y, QColor(4 * x % 256, 4 * y % 256, 128, 255 - x % 200))
    return made


@pytest.fixture
def viewer(qtbot) -> Viewer:
    made = Viewer()
    qtbot.addWidget(made)
    made.resize(700, 560)
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    yield made
    made.close_pictures()
    made.pool.waitForDone()


def grabbed(viewer: Viewer, x: int, y: int) -> QColor:
    """The colour on the screen over the pixel x, y of the picture."""
    sight = viewer.sight
    spot = (QPointF(x + 0.5, y + 0.5) - sight.corner) * sight.scale
    return sight.grab().toImage().pixelColor(int(spot.x()), int(spot.y()))


# --- pixels


def test_each_channel_is_shown_in_grey_as_it_is() -> None:
    image = ramp()
    for channel, wanted in ((Channel.RED, 40), (Channel.GREEN, 80), (Channel.BLUE, 128), (Channel.ALPHA, 245)):
        assert wanted == seen(image, channel).pixelColor(10, 20).red()
    grey = QImage(2, 1, QImage.Format.Format_RGB32)
    grey.fill(QColor(77, 77, 77))
    assert 77 == seen(grey, Channel.LUMA).pixelColor(0, 0).red()
    assert round(0.7152 * 255) == pytest.approx(
        seen(picture(2, 2, "#00ff00"), Channel.LUMA).pixelColor(0, 0).red(), abs=1
    )


def test_a_stop_doubles_linear_light_and_leaves_alpha() -> None:
    image = QImage(1, 1, QImage.Format.Format_RGBA8888)
    image.fill(QColor(100, 50, 200, 90))
    lit = seen(image, Channel.COLOUR, 1.0).pixelColor(0, 0)

    def linear(value: int) -> float:
        return ((value / 255 + 0.055) / 1.055) ** 2.4

    assert 2 * linear(100) == pytest.approx(linear(lit.red()), rel=0.01)
    assert 2 * linear(50) == pytest.approx(linear(lit.green()), rel=0.02)
    assert (255, 90) == (lit.blue(), lit.alpha())
    back = seen(seen(image, Channel.COLOUR, -1.0), Channel.COLOUR, 1.0).pixelColor(0, 0)
    assert (100, 50) == pytest.approx((back.red(), back.green()), abs=2)


def test_a_difference_is_that_of_each_channel_times_the_gain() -> None:
    apart = difference(picture(3, 2, "#102030"), picture(3, 2, "#122010"), 4.0)
    assert (8, 0, 128) == apart.pixelColor(1, 1).getRgb()[:3]
    assert 255 == difference(picture(1, 1, "#ffffff"), picture(1, 1, "#000000"), 9.0).pixelColor(0, 0).red()


# --- on the screen


def test_the_wheel_zooms_around_the_mouse(viewer: Viewer) -> None:
    viewer.show("a", "A", ramp())
    sight, spot = viewer.sight, QPointF(200, 150)
    before, scale = sight.place(spot), sight.scale
    QGuiApplication.sendEvent(sight, QWheelEvent(
        spot, sight.mapToGlobal(spot), QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton, NONE,
        Qt.ScrollPhase.NoScrollPhase, False,
    ))  # fmt: skip
    assert scale * 2**0.5 == pytest.approx(sight.scale)
    assert (before - sight.place(spot)).manhattanLength() < 1e-6


def test_pixels_are_hard_from_twice_their_size_and_smooth_below(viewer: Viewer) -> None:
    image = QImage(40, 40, QImage.Format.Format_RGB32)
    for x in range(40):
        for y in range(40):
            image.setPixelColor(x, y, QColor("white" if x % 2 else "black"))
    viewer.show("a", "A", image)
    viewer.sight.zoom(8.0)
    assert {0, 255} == {grabbed(viewer, x, 20).red() for x in range(10, 20)}
    viewer.sight.zoom(1.4)
    line = viewer.sight.grab().toImage()
    middle = line.height() // 2
    tones = {line.pixelColor(x, middle).red() for x in range(line.width() // 2 - 15, line.width() // 2 + 15)}
    assert len(tones - {0, 255}) > 3


def test_what_is_transparent_shows_the_checkerboard(viewer: Viewer) -> None:
    image = QImage(64, 64, QImage.Format.Format_ARGB32)
    image.fill(QColor(0, 0, 0, 0))
    viewer.show("a", "A", image)
    viewer.sight.zoom(1.0)
    shown = viewer.sight.grab().toImage()
    middle = shown.rect().center()
    tones = {shown.pixelColor(middle + QPoint(x, 0)).name() for x in range(32)}
    assert 2 == len(tones)


def test_a_drag_and_arrow_keys_pan_and_f_fits(viewer: Viewer, qtbot) -> None:
    viewer.show("a", "A", ramp(400, 400))
    sight = viewer.sight
    sight.zoom(2.0)
    before = QPointF(sight.corner)
    QTest.mousePress(sight, LEFT, NONE, QPoint(300, 200))
    QTest.mouseMove(sight, QPoint(260, 180))
    QTest.mouseRelease(sight, LEFT, NONE, QPoint(260, 180))
    assert (20.0, 10.0) == (sight.corner.x() - before.x(), sight.corner.y() - before.y())
    sight.setFocus()
    QTest.keyClick(sight, Qt.Key.Key_Right)
    assert 50.0 == sight.corner.x() - before.x()
    QTest.keyClick(sight, Qt.Key.Key_F)
    assert sight.fitted
    QTest.keyClick(sight, Qt.Key.Key_Home)
    assert (1.0, False) == (sight.scale, sight.fitted)


def test_the_pixel_under_the_mouse_is_told_in_both_ranges(viewer: Viewer, qtbot) -> None:
    viewer.show("a", "A", ramp())
    sight = viewer.sight
    QTest.qWait(20)  # until the dock has its size, and the picture its place
    spot = ((QPointF(10.5, 20.5) - sight.corner) * sight.scale).toPoint()
    QTest.mouseMove(sight, QPoint(1, 1))  # a mouse that is there already does not move
    QTest.mouseMove(sight, spot)
    told = "10, 20   R 40 G 80 B 128 A 245   0.1569 0.3137 0.5020 0.9608"
    qtbot.waitUntil(lambda: viewer.readout.text().startswith(told))
    QTest.mouseMove(sight, QPoint(1, 1))
    qtbot.waitUntil(lambda: viewer.readout.text() == "")


def test_keys_choose_the_channel(viewer: Viewer) -> None:
    viewer.show("a", "A", picture(64, 64, "#ff8000"))
    viewer.sight.setFocus()
    for key, tone in ((Qt.Key.Key_R, 255), (Qt.Key.Key_G, 128), (Qt.Key.Key_B, 0)):
        QTest.keyClick(viewer.sight, key)
        assert QColor(tone, tone, tone) == grabbed(viewer, 30, 30)
    QTest.keyClick(viewer.sight, Qt.Key.Key_C)
    assert QColor("#ff8000") == grabbed(viewer, 30, 30)


def test_exposure_brightens_what_is_in_sight(viewer: Viewer) -> None:
    viewer.show("a", "A", picture(64, 64, "#404040"))
    viewer.exposure.setValue(20)
    assert grabbed(viewer, 30, 30).red() > 110
    QTest.mouseDClick(viewer.exposure, LEFT)
    assert QColor("#404040") == grabbed(viewer, 30, 30)


# --- several, and where they come from


def test_the_newest_of_a_key_replaces_the_one_before_and_keeps_the_place(viewer: Viewer) -> None:
    viewer.show("node", "sample", picture(64, 64, "#111111"))
    viewer.sight.zoom(3.0, QPointF(10, 10))
    before = QPointF(viewer.sight.corner)
    viewer.keep("node", "sample", picture(64, 64, "#222222"))
    assert (1, 3.0, before) == (viewer.strip.count(), viewer.sight.scale, viewer.sight.corner)
    assert "#222222" == grabbed(viewer, 20, 20).name()


def test_a_file_that_is_written_anew_keeps_the_place_too(viewer: Viewer, tmp_path: Path, qtbot) -> None:
    for number, colour in enumerate(("#111111", "#222222")):
        picture(64, 64, colour).save(str(tmp_path / "a.png"))
        viewer.keep("out", "image", tmp_path / "a.png")
        qtbot.waitUntil(lambda: viewer.sight.source.whole() is not None)
        if number == 0:
            viewer.sight.zoom(5.0, QPointF(10, 10))
    assert 5.0 == viewer.sight.scale
    assert "#222222" == grabbed(viewer, 20, 20).name()
    viewer.keep("out", "image", picture(128, 32))
    assert viewer.sight.fitted


def test_pictures_that_are_let_go_leave_nothing_behind(viewer: Viewer, tmp_path: Path, qtbot) -> None:
    picture(900, 900).save(str(tmp_path / "a.png"))
    for number in range(60):
        viewer.keep(f"n{number % 3}", "n", picture(700, 700))
        viewer.keep("file", "file", tmp_path / "a.png")
        viewer.turn("file")
    qtbot.waitUntil(lambda: len(viewer.findChildren(Source)) <= 4)


def test_a_picture_that_is_only_kept_does_not_take_the_place_of_the_one_in_front(viewer: Viewer) -> None:
    viewer.show("a", "A", picture(64, 64, "#111111"))
    viewer.keep("b", "B", picture(64, 64, "#222222"))
    assert "a" == viewer.current
    viewer.sight.setFocus()
    QTest.keyClick(viewer.sight, Qt.Key.Key_PageUp)
    assert "b" == viewer.current


def test_only_so_many_pictures_are_kept(viewer: Viewer) -> None:
    for number in range(40):
        viewer.show(f"n{number}", str(number), picture(8, 8))
    assert 30 == viewer.strip.count() == len(viewer.keys())
    assert ["n10", "n39"] == [viewer.keys()[0], viewer.keys()[-1]]


def test_copy_and_save_give_the_picture_itself(viewer: Viewer, tmp_path: Path, qtbot) -> None:
    image = ramp()
    viewer.show("a", "A", image)
    viewer.channel.setCurrentIndex(1)
    viewer.sight.setFocus()
    QTest.keyClick(viewer.sight, Qt.Key.Key_C, CONTROL)
    assert image.convertToFormat(QImage.Format.Format_RGB32) == QGuiApplication.clipboard().image().convertToFormat(
        QImage.Format.Format_RGB32
    )
    with qtbot.waitSignal(viewer.told):
        viewer.save(tmp_path / "saved")
    assert image == QImage(str(tmp_path / "saved.png")).convertToFormat(QImage.Format.Format_ARGB32)


def test_a_file_that_is_saved_again_is_copied_with_what_it_carries(viewer: Viewer, tmp_path: Path, qtbot) -> None:
    image = ramp()
    image.setText("nodeflow", "a graph")
    image.save(str(tmp_path / "a.png"))
    viewer.show("a", "A", tmp_path / "a.png")
    qtbot.waitUntil(lambda: viewer.sight.source is not None and viewer.sight.source.whole() is not None)
    with qtbot.waitSignal(viewer.told):
        viewer.save(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with qtbot.waitSignal(viewer.told) as told:
        viewer.save(tmp_path / "none" / "c.png")
    assert "was not written" in told.args[0]
    assert not (tmp_path / "none").exists()


def test_a_save_that_fails_leaves_what_was_there(viewer: Viewer, tmp_path: Path, qtbot) -> None:
    (tmp_path / "kept.tga").write_bytes(b"there before")
    viewer.show("a", "A", ramp())
    with qtbot.waitSignal(viewer.told) as told:
        viewer.save(tmp_path / "kept.tga")
    assert "kept.tga was not written: Unsupported image format" in told.args[0]
    assert b"there before" == (tmp_path / "kept.tga").read_bytes()
    assert ["kept.tga"] == [path.name for path in tmp_path.iterdir() if path.is_file()]


def test_a_picture_that_was_made_small_says_so_and_how_it_is_had_whole(viewer: Viewer, tmp_path: Path, qtbot) -> None:
    viewer.show("n", "decode", picture(512, 256), QSize(2048, 1024))
    assert "512 × 256, a preview of 2048 × 1024" in viewer.about.text()
    with qtbot.waitSignal(viewer.told) as told:
        viewer.save(tmp_path / "small.png")
    assert "a preview, made small; as an output of the graph it comes whole" in told.args[0]
    viewer.show("n", "decode", picture(440, 220), QSize())
    assert "440 × 220, a preview   " in viewer.about.text()
    viewer.show("n", "decode", picture(512, 256))
    assert "preview" not in viewer.about.text()


@pytest.mark.parametrize("kind", ["absent", "empty", "text", "cut", "folder"])
def test_a_file_that_is_no_picture_says_so_and_the_next_one_shows(viewer: Viewer, tmp_path, qtbot, kind: str) -> None:
    file, told = tmp_path / "x.png", []
    viewer.told.connect(told.append)
    if kind == "folder":
        file.mkdir()
    elif kind != "absent":
        ramp().save(str(file))
        file.write_bytes({"empty": b"", "text": b"no picture", "cut": file.read_bytes()[:60]}[kind])
    viewer.show("x", "x", file)
    qtbot.waitUntil(lambda: bool(told))
    assert told[0].startswith("x.png cannot be shown: ")
    assert len(told[0]) > len("x.png cannot be shown: ")
    viewer.sight.grab()
    viewer.show("a", "A", picture(64, 64, "#123456"))
    assert "#123456" == grabbed(viewer, 20, 20).name()


def test_where_there_is_little_room_the_picture_has_it(viewer: Viewer) -> None:
    viewer.show("a", "A", picture(64, 64))
    parts = (viewer.strip, viewer.bar, viewer.readout, viewer.about, viewer.sight)
    seen = []
    for high in (560, 300, 220, 150):
        viewer.setMinimumHeight(100)  # as in its dock
        viewer.resize(340, high)
        seen.append([part.isVisible() for part in parts])
        boxes = [part.geometry() for part in parts if part.isVisible()]
        assert not any(one.intersects(other) for at, one in enumerate(boxes) for other in boxes[:at])
    assert [[True] * 5, [False] + [True] * 4, [False, False, True, True, True], [False] * 3 + [True, True]] == seen


# --- in the window


def test_a_double_click_on_a_nodes_picture_opens_it_here(hand: Hand, window: Window, qtbot) -> None:  # noqa: F811
    viewer = viewer_of(window)
    assert viewer is not None
    hand.scene.look("blur").picture = picture(100, 80, "#224466")
    hand.scene.looked("blur")
    came(window, hand.page, "blur", picture(1000, 800, "#224466"))
    item = hand.scene.nodes["blur"]
    assert item.measures.picture is not None
    x, y, wide, high = item.measures.picture
    QTest.mouseDClick(hand.view.viewport(), LEFT, NONE, hand.spot((item.x() + x + wide / 2, item.y() + y + high / 2)))
    assert key_of(hand.page, "blur") == viewer.current
    assert viewer.isVisible()
    assert viewer.sight.source is not None
    assert 1000 == viewer.sight.source.size.width()


def test_the_picture_of_the_chosen_node_is_shown_and_outlives_undo(hand: Hand, window: Window) -> None:  # noqa: F811
    viewer = viewer_of(window)
    assert viewer is not None
    window.docks["viewer"].show()
    for node, colour in (("blur", "#111111"), ("blend", "#222222")):
        hand.scene.look(node).picture = picture(64, 64, colour)
        came(window, hand.page, node, picture(64, 64, colour))
    hand.click(hand.title("blend"))
    assert key_of(hand.page, "blend") == viewer.current
    hand.scene.select(["blur"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Delete)
    hand.model.undo.undo()
    assert hand.scene.look("blur").picture is not None
    hand.scene.select(["blur"])
    QTest.keyClick(hand.view, Qt.Key.Key_V)
    assert key_of(hand.page, "blur") == viewer.current
    hand.scene.select(["load"])
    QTest.keyClick(hand.view, Qt.Key.Key_V)
    assert "no picture" in window.statusBar().currentMessage()
