"""Frames as they are seen: beneath the wires, and from afar as well."""

import pytest
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QGuiApplication, QImage

from nodeflow.document import Document, NodeEntry, Wire
from tests.editor.test_gestures import CATALOG

FRAME = {"title": "Painting", "box": [-40, -60, 900, 500]}
NODES = {"load": NodeEntry("t.load"), "blur": NodeEntry("t.blur", inputs={"image": Wire("load")})}
PLACES = {"load": [0, 0], "blur": [560, 0]}


@pytest.fixture
def show(qtbot, tmp_path):
    """The canvas of a graph as it is on the screen, at a scale around a place."""
    window = Window(CATALOG, Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1300, 900)
    window.show()
    qtbot.waitExposed(window)

    def shown(frames: list, scale: float) -> tuple[Window, QImage]:
        page = window.open_document(Document(nodes=NODES, view={"nodes": PLACES, "frames": frames}))
        page.view.zoom(scale)
        page.view.centerOn(400, 200)
        QGuiApplication.processEvents()
        return window, page.view.viewport().grab().toImage()

    return shown


def test_a_wire_is_as_thick_over_a_frame_as_beside_one(show) -> None:
    def thickness(frames: list) -> int:
        """Pixels across the wire, halfway between the two nodes, that are rather its colour than the ground's."""
        window, image = show(frames, 1.0)
        view, scene = window.page.view, window.page.scene
        (wire,) = scene.wires.values()
        box: QRectF = wire.sceneBoundingRect()
        spot = view.mapFromScene(box.center())
        ground = QColor(window.look.frame if frames else window.look.canvas)
        column = [image.pixelColor(spot.x(), y) for y in range(spot.y() - 24, spot.y() + 24)]
        return sum(abs(found.blue() - ground.blue()) > 60 for found in column)

    assert thickness([]) > 1
    assert thickness([]) == thickness([FRAME])


def test_frames_are_seen_from_afar_with_their_titles_above_them(show) -> None:
    window, image = show([FRAME], 0.15)
    view = window.page.view
    assert view.scene() is window.page.scene.far
    inside, above = view.mapFromScene(400, 380), view.mapFromScene(-40, -60)
    assert window.look.frame == image.pixelColor(inside).name()
    letters = {image.pixelColor(above.x() + x, above.y() - y).name() for x in range(60) for y in range(4, 14)}
    assert window.look.text in letters


def test_a_frame_too_small_to_be_read_has_no_title(show) -> None:
    window, image = show([FRAME], 0.03)
    view = window.page.view
    above = view.mapFromScene(-40, -60)
    around = {image.pixelColor(above.x() + x, above.y() - y).name() for x in range(40) for y in range(2, 16)}
    assert window.look.text not in around


def test_frames_grow_around_the_nodes_that_a_layout_moves_in_the_same_step(show) -> None:
    nodes = {f"n{at}": NodeEntry("t.blur", inputs={"image": Wire(f"n{at - 1}")} if at else {}) for at in range(4)}
    places = {name: [10 * at, 20 * at] for at, name in enumerate(nodes)}
    inner, outer = {"title": "in", "box": [-20, -60, 300, 300]}, {"title": "out", "box": [-60, -120, 420, 420]}
    elsewhere = {"title": "away", "box": [0, 2000, 100, 100]}
    window, _ = show([FRAME], 1.0)
    page = window.open_document(Document(nodes=nodes, view={"nodes": places, "frames": [outer, elsewhere, inner]}))
    page.scene.select(nodes)
    before = page.model.document
    window.actions_table.made["arrange.layout"].trigger()
    large, away, small = (QRectF(*frame["box"]) for frame in page.model.graph.view["frames"])
    assert small.contains(page.scene.bounds(nodes))
    assert large.contains(small)
    assert elsewhere["box"] == [away.x(), away.y(), away.width(), away.height()]
    page.model.undo.undo()
    assert before == page.model.document
