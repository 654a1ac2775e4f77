"""Colours that nodes, frames and notes are given: kept in the view, and never in the way of reading."""

import pytest
from nodeflow_editor.colours import coloured, of_nodes, shared
from nodeflow_editor.theme import DARK, HUES, LIGHT, TINT, hue, tinted
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from nodeflow.document import Document, NodeEntry, Wire, write
from tests.editor.test_gestures import CATALOG, Hand, window  # noqa: F401 # the fixture

NODES = {"load": NodeEntry("t.load"), "blur": NodeEntry("t.blur", inputs={"image": Wire("load")})}
VIEW = {
    "nodes": {"load": [0, 0], "blur": [320, 0]},
    "frames": [{"title": "All", "box": [-40, -80, 700, 400]}],
    "notes": [{"text": "a", "box": [0, 160, 200, 80]}],
}


@pytest.fixture
def hand(window) -> Hand:  # noqa: F811
    return Hand(window, Document(nodes=NODES, view=VIEW))


def choose(window: Window, name: str) -> None:  # noqa: F811
    window.actions_table.made["node.colour"].trigger()
    QGuiApplication.processEvents()
    menu = QGuiApplication.instance().activePopupWidget()
    assert isinstance(menu, QMenu)
    number = ("", *HUES).index(name)
    QTest.keyClick(menu, Qt.Key(Qt.Key.Key_0 + number))
    QGuiApplication.processEvents()


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    bright, dark = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda palette: palette.name)
@pytest.mark.parametrize("name", HUES)
def test_texts_keep_their_contrast_on_every_colour(palette, name: str) -> None:
    for ground in (palette.node, palette.frame):
        made = tinted(ground, hue(name, palette), TINT)
        assert contrast(palette.text, made) >= 7
        assert contrast(palette.dim, made) >= 4.5
    assert contrast(palette.accent, tinted(palette.node, hue(name, palette))) >= 4.4  # underlined as well


def test_chosen_nodes_and_notes_get_a_colour_in_one_step(hand, window) -> None:  # noqa: F811
    hand.scene.select(["load", "blur"], notes=[0])
    choose(window, "green")
    graph = hand.model.graph
    assert {"load": "green", "blur": "green"} == of_nodes(graph)
    assert "green" == graph.view["notes"][0]["colour"]
    assert "Colour 2 nodes and 1 note" == hand.model.undo.undoText()
    hand.model.undo.undo()
    assert VIEW == hand.model.graph.view
    hand.model.undo.redo()
    hand.scene.select(["load"])
    choose(window, "")
    assert {"blur": "green"} == of_nodes(hand.model.graph)


def test_a_frame_gets_a_colour_and_keeps_what_others_wrote(hand, window) -> None:  # noqa: F811
    hand.scene.select_frame(0)
    choose(window, "blue")
    assert {"title": "All", "box": [-40, -80, 700, 400], "colour": "blue"} == hand.model.graph.view["frames"][0]
    choose(window, "")
    assert VIEW["frames"] == hand.model.graph.view["frames"]


def test_a_file_is_the_same_bytes_after_a_colour_was_given_and_taken_away() -> None:
    graph = Document(nodes=NODES, view={"nodes": VIEW["nodes"]})
    given = coloured(graph, "red", ["load"]).change(graph)
    assert "red" == shared(given, ["load"])
    assert shared(given, ["load", "blur"]) is None
    assert write(graph) == write(coloured(given, "", ["load"]).change(given))


def test_a_colour_is_seen_from_near_and_from_afar_in_both_palettes(hand, window) -> None:  # noqa: F811
    window.do(coloured(hand.model.graph, "sky", ["load"]), "Colour node")
    for palette in (DARK, LIGHT):
        window.dress(palette)
        for scale, wanted in ((1.0, tinted(palette.node, hue("sky", palette))), (0.15, hue("sky", palette))):
            hand.view.zoom(scale)
            hand.view.centerOn(300, 100)
            for _ in range(4):
                QGuiApplication.processEvents()
            item = hand.scene.nodes["load"]
            spot = hand.spot((item.x() + 200, item.y() + item.measures.height - 5))
            assert wanted == hand.view.viewport().grab().toImage().pixelColor(spot).name()


def test_colours_go_where_their_nodes_go(hand, window) -> None:  # noqa: F811
    from nodeflow.edits import RenameNode

    window.do(coloured(hand.model.graph, "pink", ["blur"]), "Colour node")
    window.do(RenameNode("blur", "soft"), "Rename node")
    assert {"soft": "pink"} == of_nodes(hand.model.graph)
    hand.scene.select(["soft"])
    window.actions_table.made["edit.duplicate"].trigger()
    assert {"soft": "pink", "soft_2": "pink"} == of_nodes(hand.model.graph)
    hand.scene.select(["soft", "soft_2"])
    window.actions_table.made["edit.remove"].trigger()
    assert {} == of_nodes(hand.model.graph)


@pytest.mark.parametrize("value", ["no such colour", 5, ["red"], None])
def test_a_colour_that_nobody_knows_is_shown_as_none_and_kept(window, value) -> None:  # noqa: F811
    graph = Document(nodes=NODES, view={**VIEW, "colours": {"load": value, "gone": "red"}})
    hand = Hand(window, graph)
    assert "" == hand.scene.nodes["load"].dyed()
    hand.view.viewport().grab()
    assert graph.view["colours"] == hand.model.graph.view["colours"]
