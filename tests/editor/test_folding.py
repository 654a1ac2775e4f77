"""Nodes folded to their header: drawn so, and the same in all else."""

import pytest
from nodeflow_editor.canvas.metrics import HEADER
from nodeflow_editor.canvas.portal_item import PortalItem
from nodeflow_editor.folding import FOLDED, is_folded
from nodeflow_editor.hover import told_at
from nodeflow_editor.pieces import copied, pasted
from nodeflow_editor.problems import Problems
from nodeflow_editor.problems_dock import ProblemsDock
from nodeflow_editor.window import Window
from nodeflow_editor.wire_view import as_portals
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from nodeflow.document import Wire, parse, write
from nodeflow.edits import RemoveNode, RenameNode
from tests.editor.test_gestures import CONTROL, LEFT, NONE, Hand, hand, window  # noqa: F401 # fixtures

H = Qt.Key.Key_H


@pytest.fixture
def folded(hand: Hand) -> Hand:  # noqa: F811
    """ "blend" takes both its inputs, and is folded by its key."""
    hand.drag(hand.port("load.out"), hand.port("blend.other"))
    hand.scene.select(["blend"])
    QTest.keyClick(hand.view.viewport(), H)
    return hand


def ends(hand: Hand, node: str) -> set[tuple[float, float]]:  # noqa: F811
    return {item.curves[-1][-1] for item in hand.scene.wires_at([node]) if item.link.node == node}


def test_a_key_folds_a_node_to_its_header_and_undo_unfolds_it(folded: Hand) -> None:
    item = folded.scene.nodes["blend"]
    assert (HEADER, ()) == (item.measures.height, item.measures.rows)
    assert {"blend": True} == folded.model.graph.view[FOLDED]
    assert {(item.x(), item.y() + HEADER / 2)} == ends(folded, "blend")  # both wires come to the middle of its side
    assert {"blend"} == folded.scene.selection
    QTest.keyClick(folded.view.viewport(), Qt.Key.Key_Z, CONTROL)
    assert item.measures.height > HEADER
    assert 2 == len(ends(folded, "blend"))
    assert FOLDED not in folded.model.graph.view
    QTest.keyClick(folded.view.viewport(), Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert HEADER == item.measures.height
    QTest.keyClick(folded.view.viewport(), H)
    assert item.measures.height > HEADER


def test_several_are_folded_unless_all_are(folded: Hand) -> None:
    folded.scene.select(["blend", "load", "blur"])
    QTest.keyClick(folded.view.viewport(), H)
    assert {"blend": True, "load": True, "blur": True} == folded.model.graph.view[FOLDED]
    QTest.keyClick(folded.view.viewport(), H)
    assert FOLDED not in folded.model.graph.view


def test_what_the_graph_computes_is_the_same(folded: Hand) -> None:
    before = folded.model.graph.nodes
    QTest.keyClick(folded.view.viewport(), H)
    assert before is folded.model.graph.nodes


def test_a_wire_dropped_on_a_folded_node_takes_the_port_that_fits_and_one_alone_is_lifted(hand: Hand) -> None:  # noqa: F811
    hand.scene.select(["blend"])
    QTest.keyClick(hand.view.viewport(), H)
    hand.drag(hand.port("load.out"), hand.title("blend"))
    assert Wire("load") == hand.inputs("blend")["other"]
    item = hand.scene.nodes["blend"]
    side = item.x(), item.y() + HEADER / 2
    hand.drag(side, (side[0], side[1] + 200))  # two wires are there: none is meant, the node is moved
    assert {"one", "other"} == set(hand.inputs("blend"))
    QTest.keyClick(hand.view.viewport(), Qt.Key.Key_Z, CONTROL)
    QTest.keyClick(hand.view.viewport(), Qt.Key.Key_Z, CONTROL)
    assert {"one"} == set(hand.inputs("blend"))
    hand.drag(side, (side[0] - 60, side[1] + 300))
    assert {} == dict(hand.inputs("blend"))


def test_the_output_of_a_folded_node_is_wired_on(hand: Hand) -> None:  # noqa: F811
    hand.scene.select(["load"])
    QTest.keyClick(hand.view.viewport(), H)
    item = hand.scene.nodes["load"]
    hand.drag((item.x() + item.measures.width, item.y() + HEADER / 2), hand.port("loose.image"))
    assert Wire("load") == hand.inputs("loose")["image"]


def test_a_fold_goes_where_its_node_goes(folded: Hand) -> None:
    folded.model.do(RenameNode("blend", "mix"), "Rename")
    assert {"mix": True} == folded.model.graph.view[FOLDED]
    assert HEADER == folded.scene.nodes["mix"].measures.height
    made = pasted(folded.model.graph, copied(folded.model.graph, ["mix"]))
    folded.model.do(made.edit, "Paste")
    assert is_folded(folded.model.graph, made.nodes[0])
    assert HEADER == folded.scene.nodes[made.nodes[0]].measures.height
    folded.model.do(RemoveNode("mix"), "Remove")
    assert {made.nodes[0]: True} == folded.model.graph.view[FOLDED]
    folded.model.undo.undo()
    assert HEADER == folded.scene.nodes["mix"].measures.height


def test_a_file_that_says_nonsense_of_folds_is_drawn(hand: Hand, window: Window) -> None:  # noqa: F811
    text = write(hand.model.document).replace(
        '"view": {', '"view": {\n    "folded": {"load": 3, "nobody": true, "blur": true},'
    )
    made = window.open_document(parse(text))
    assert {"blur"} == {node for node, item in made.scene.nodes.items() if item.measures.folded is not None}
    made.scene.select(["load"])
    QTest.keyClick(made.view.viewport(), H)
    assert HEADER == made.scene.nodes["load"].measures.height


def test_a_picture_that_comes_to_a_folded_node_is_not_shown_until_it_is_unfolded(folded: Hand) -> None:
    folded.scene.look("blend").picture = QImage(64, 64, QImage.Format.Format_RGB32)
    folded.scene.looked("blend")
    item = folded.scene.nodes["blend"]
    assert (HEADER, None) == (item.measures.height, item.measures.picture)
    QTest.keyClick(folded.view.viewport(), H)
    assert item.measures.picture is not None


def test_the_sign_of_a_fault_stands_in_the_header(folded: Hand) -> None:
    before = folded.view.grab().toImage()
    folded.scene.look("blend").faults = {"one": "wrong"}
    folded.scene.looked("blend")
    assert before != folded.view.grab().toImage()
    assert "wrong" in told_at(folded.page, *folded.title("blend"))


def test_problems_lead_to_a_folded_node(folded: Hand, window: Window, qtbot) -> None:  # noqa: F811
    dock = window.findChild(ProblemsDock)
    assert dock is not None
    folded.model.do(RemoveNode("blur"), "Remove")
    qtbot.waitUntil(lambda: bool(folded.scene.look("blend").faults))
    folded.scene.select(())
    fault = next(fault for fault in Problems.of_window(window).of(folded.page) if fault.node == "blend")
    dock.jump(fault, stay=False)
    assert {"blend"} == folded.scene.selection


def test_values_of_a_folded_node_are_said_to_be_hidden(folded: Hand, window: Window) -> None:  # noqa: F811
    QTest.keyClick(folded.view.viewport(), Qt.Key.Key_Return)
    assert "blend is folded" in window.statusBar().currentMessage()
    window.tell("")
    QTest.keyClick(folded.view.viewport(), Qt.Key.Key_F4)
    assert "blend is folded" in window.statusBar().currentMessage()


def test_laying_out_takes_the_folded_height(folded: Hand) -> None:
    folded.scene.select(["load", "mask", "loose"])
    QTest.keyClick(folded.view.viewport(), H)
    QTest.keyClick(folded.view.viewport(), Qt.Key.Key_L, CONTROL)
    tops = sorted(folded.scene.nodes[node].y() for node in ("load", "mask", "loose"))
    assert tops[1] - tops[0] < 3 * HEADER


def test_portals_into_a_folded_node_stand_below_one_another(folded: Hand) -> None:
    links = list(folded.model.links(["blend"]))
    folded.model.do(as_portals(folded.model.graph, [link.key for link in links], on=True), "Portals")
    boxes = [folded.scene.wires[link].box for link in links]
    assert all(isinstance(folded.scene.wires[link], PortalItem) for link in links)
    assert not boxes[0].intersects(boxes[1])
    folded.model.do(as_portals(folded.model.graph, [links[0].key], on=False), "Lines")
    item = folded.scene.nodes["blend"]
    assert item.y() + HEADER / 2 == folded.scene.wires[links[1]].box.center().y()  # the one left moves up


def test_from_afar_a_folded_node_is_a_low_plate(folded: Hand) -> None:
    item = folded.scene.nodes["blend"]
    folded.view.zoom(0.1)
    assert HEADER == item.frame().height()
    folded.click((item.x() + 20, item.y() + 10), button=LEFT, keys=NONE)
    assert {"blend"} == folded.scene.selection


def test_a_fault_of_a_folded_node_is_seen_from_some_way_off(folded: Hand) -> None:
    folded.scene.look("blend").faults = {"one": "wrong"}
    folded.scene.looked("blend")
    folded.scene.select(())
    folded.view.zoom(0.4)
    item = folded.scene.nodes["blend"]
    spot = folded.spot((item.x() + 100, item.y() + HEADER - 4))
    shown = folded.view.viewport().grab().toImage().pixelColor(spot)
    assert folded.scene.pens.colour["bad"].name() == shown.name()
