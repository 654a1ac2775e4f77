"""The graph from afar: what is chosen or dragged is drawn over a picture of the rest."""

import pytest
from nodeflow_editor.canvas import far
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.edits import RemoveNode
from tests.editor.test_gestures import Hand, window  # noqa: F401

NODES = {"load": NodeEntry("t.load"), "blur": NodeEntry("t.blur", inputs={"image": Wire("load")})}
PLACES = {"load": [0, 0], "blur": [1200, 0]}


@pytest.fixture(params=[0.08, 0.18], ids=["one picture", "cell by cell"])
def hand(request, window: Window) -> Hand:  # noqa: F811
    made = Hand(window, Document(nodes=NODES, view={"nodes": PLACES}))
    made.view.zoom(request.param)
    made.view.centerOn(600, 300)
    QGuiApplication.processEvents()
    assert made.view.scene() is made.scene.far
    return made


def colour(hand: Hand, place: tuple[float, float]) -> str:
    QGuiApplication.processEvents()
    return hand.view.viewport().grab().toImage().pixelColor(hand.spot(place)).name()


def test_a_drag_gathers_the_graph_once_when_it_ends(hand: Hand, window: Window, monkeypatch) -> None:  # noqa: F811
    gathered = []
    whole = far.FarItem._gather
    monkeypatch.setattr(far.FarItem, "_gather", lambda item: gathered.append(1) or whole(item))
    blur = (1316.0, 40.0)
    hand.drag(blur, (1316, 840), drop=False)
    assert window.look.selected == colour(hand, (1316, 840)), "it goes with the mouse"
    assert window.look.canvas == colour(hand, blur), "it has left its place"
    assert not gathered
    QTest.mouseRelease(
        hand.view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, hand.spot((1316, 840))
    )
    assert window.look.selected == colour(hand, (1316, 840))
    assert window.look.canvas == colour(hand, blur)
    assert [1] == gathered


def test_a_drag_given_up_leaves_the_node_where_it_was(hand: Hand, window: Window) -> None:  # noqa: F811
    hand.drag((1316, 40), (1316, 840), drop=False)
    QTest.keyClick(hand.view, Qt.Key.Key_Escape)
    assert window.look.selected == colour(hand, (1316, 40))
    assert window.look.canvas == colour(hand, (1316, 840))


def test_another_choice_is_seen_without_drawing_the_rest_anew(hand: Hand, window: Window, monkeypatch) -> None:  # noqa: F811
    plain = colour(hand, (116, 40))
    monkeypatch.setattr(far.FarItem, "_painted", lambda *_: pytest.fail("drawn anew"))
    hand.scene.select(["load"])
    assert window.look.selected == colour(hand, (116, 40))
    hand.scene.select([])
    assert plain == colour(hand, (116, 40))


def test_a_chosen_node_that_is_removed_leaves_nothing(hand: Hand, window: Window) -> None:  # noqa: F811
    hand.drag((1316, 40), (1316, 840))
    hand.model.do(RemoveNode("blur"), "Remove")
    assert window.look.canvas == colour(hand, (1316, 840))
