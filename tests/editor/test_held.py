"""What is held while something else happens: a gesture that the graph changes under, a title being typed, a choice."""

import pytest
from nodeflow_editor.canvas.inline import LineField
from nodeflow_editor.canvas.resting import Resting
from nodeflow_editor.marks import dotted
from nodeflow_editor.window import Window
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.edits import MoveNodes, RemoveNode, RenameNode, SetInput
from tests.editor.test_gestures import LEFT, MIDDLE, NONE, SHIFT, Hand, hand, window  # noqa: F401

CONTROL, RIGHT = Qt.KeyboardModifier.ControlModifier, Qt.MouseButton.RightButton
FRAME = {"title": "Frame", "box": [0, 200, 240, 160]}


def let_go(hand: Hand, place: tuple[float, float]) -> None:  # noqa: F811
    QTest.mouseMove(hand.view.viewport(), hand.spot(place))
    QGuiApplication.processEvents()
    QTest.mouseRelease(hand.view.viewport(), LEFT, NONE, hand.spot(place))


def places(hand: Hand) -> dict[str, tuple[float, float]]:  # noqa: F811
    return {node: (item.x(), item.y()) for node, item in hand.scene.nodes.items()}


def test_a_node_that_goes_while_it_is_dragged_ends_the_drag(hand: Hand) -> None:  # noqa: F811
    hand.drag(hand.title("mask"), (300, 250), drop=False)
    QTest.keyClick(hand.view, Qt.Key.Key_Delete)
    assert isinstance(hand.view.tool, Resting)
    let_go(hand, (400, 300))
    assert ["Remove node"] == [hand.model.undo.text(at) for at in range(hand.model.undo.count())]


def test_an_undo_while_nodes_are_dragged_puts_them_where_the_graph_says(hand: Hand) -> None:  # noqa: F811
    hand.model.do(MoveNodes({"loose": [320, 400]}), "Move")
    hand.scene.select(["mask", "loose"])
    hand.drag(hand.title("mask"), (300, 250), drop=False)
    assert places(hand)["mask"] != (0.0, 200.0)
    QTest.keyClick(hand.view, Qt.Key.Key_Z, CONTROL)
    assert ((0.0, 200.0), (304.0, 304.0)) == (places(hand)["mask"], places(hand)["loose"])
    let_go(hand, (400, 300))
    assert 0 == hand.model.undo.index()


def test_a_value_that_changes_while_nodes_are_dragged_leaves_the_drag_alone(hand: Hand) -> None:  # noqa: F811
    hand.drag(hand.title("mask"), (300, 250), drop=False)
    hand.model.do(SetInput("blur", "radius", 3.0), "Set")
    let_go(hand, (300, 250))
    assert ["Set", "Move node"] == [hand.model.undo.text(at) for at in range(hand.model.undo.count())]


def test_a_wire_in_hand_is_let_go_when_its_node_is_gone(hand: Hand, qtbot) -> None:  # noqa: F811
    hand.drag(hand.port("mask.out"), (300, 250), drop=False)
    with qtbot.assertNotEmitted(hand.view.palette_wanted):
        hand.model.do(RemoveNode("mask"), "Remove")
        let_go(hand, (300, 250))
    assert hand.scene.fits is None


def test_a_dot_whose_wire_is_cut_meanwhile_is_let_go(hand: Hand) -> None:  # noqa: F811
    x, y = (hand.port("load.out")[at] / 2 + hand.port("blur.image")[at] / 2 for at in (0, 1))
    QTest.mousePress(hand.view.viewport(), LEFT, CONTROL, hand.spot((x, y)))
    hand.model.do(RemoveNode("load"), "Remove")
    let_go(hand, (x, y + 40))
    assert "dots" not in hand.model.graph.view


def test_a_second_button_neither_ends_a_drag_nor_begins_another(hand: Hand) -> None:  # noqa: F811
    port = hand.view.viewport()
    hand.drag(hand.title("mask"), (300, 250), drop=False)
    tool = hand.view.tool
    QTest.mousePress(port, MIDDLE, NONE, hand.spot((300, 250)))
    QTest.mouseRelease(port, MIDDLE, NONE, hand.spot((300, 250)))
    assert hand.view.tool is tool
    assert 0 == hand.model.undo.count()
    let_go(hand, (300, 250))
    assert "Move node" == hand.model.undo.text(0)


@pytest.mark.parametrize("key", [Qt.Key.Key_X, Qt.Key.Key_Space])
def test_a_key_that_is_held_while_the_keys_go_elsewhere_is_held_no_more(hand: Hand, key) -> None:  # noqa: F811
    QTest.keyPress(hand.view, key)
    assert not isinstance(hand.view.tool, Resting)
    hand.view.clearFocus()
    assert isinstance(hand.view.tool, Resting)


def test_a_graph_on_the_clipboard_that_cannot_be_pasted_says_why(hand: Hand, window: Window) -> None:  # noqa: F811
    told = {}
    for text in ("a red fox", '{"nodeflow": 1, "nodes": {"a": {"type": 3}}}'):
        QGuiApplication.clipboard().setText(text)
        QTest.keyClick(hand.view, Qt.Key.Key_V, CONTROL)
        told[text] = window.statusBar().currentMessage()
    no_graph, faulty = told.values()
    assert "the clipboard holds no nodes and no picture" == no_graph
    assert faulty.startswith('not pasted: node "a": "type" must be a text')
    assert 0 == hand.model.undo.count()


def test_f2_brings_the_title_into_sight(hand: Hand) -> None:  # noqa: F811
    hand.scene.select(["load"])
    hand.view.look_at(hand.scene.nodes["load"].pos() + QPointF(5000.0, 3000.0))
    QTest.keyClick(hand.view, Qt.Key.Key_F2)
    (field,) = hand.view.findChildren(LineField)
    assert hand.view.viewport().rect().contains(field.geometry())


def test_shift_and_a_click_on_a_value_are_about_which_nodes_are_chosen(hand: Hand) -> None:  # noqa: F811
    item = hand.scene.nodes["blur"]
    left, top, wide, high = item.measures.row("radius").value
    place = item.x() + left + wide / 2, item.y() + top + high / 2
    hand.scene.select(["load"])
    hand.click(place, keys=SHIFT)
    assert {"load", "blur"} == hand.scene.selection
    hand.click(place, keys=SHIFT)
    assert {"load"} == hand.scene.selection


def test_shift_and_a_click_take_a_chosen_node_out_of_the_choice(hand: Hand) -> None:  # noqa: F811
    hand.scene.select(["load", "blur"])
    hand.click(hand.title("load"), keys=SHIFT)
    assert {"blur"} == hand.scene.selection
    hand.click(hand.title("load"), keys=SHIFT)
    assert {"load", "blur"} == hand.scene.selection


@pytest.fixture
def framed(window: Window) -> Hand:  # noqa: F811
    return Hand(window, Document(nodes={"a": NodeEntry("t.load")}, view={"nodes": {"a": [0, 0]}, "frames": [FRAME]}))


def test_a_chosen_frame_is_removed_by_its_key_and_kept_by_a_click_elsewhere(framed: Hand) -> None:
    framed.click((60, 215))
    framed.click((500, 60))
    assert set() == framed.scene.frame_selection
    QTest.keyClick(framed.view, Qt.Key.Key_Delete)
    assert [FRAME] == framed.model.graph.view["frames"]
    framed.click((60, 215))
    QTest.keyClick(framed.view, Qt.Key.Key_Delete)
    assert [] == framed.model.graph.view["frames"]


def test_a_chosen_frame_is_renamed_by_its_key(framed: Hand) -> None:
    framed.click((60, 215))
    QTest.keyClick(framed.view, Qt.Key.Key_F2)
    (field,) = framed.view.findChildren(LineField)
    field.setText("Loading")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert "Loading" == framed.model.graph.view["frames"][0]["title"]


def offered(hand: Hand, window: Window, place) -> list[str]:  # noqa: F811
    hand.click(place, button=RIGHT)
    menu = next(menu for menu in window.findChildren(QMenu) if menu.isVisible())
    found = [action.text() for action in menu.actions() if action.text()]
    menu.close()
    return found


def test_the_menu_is_that_of_what_is_under_the_mouse_whatever_is_chosen(framed: Hand, window: Window) -> None:  # noqa: F811
    framed.scene.select(["a"])
    assert "Add node…" in offered(framed, window, (500, 60))
    assert ["Rename", "Colour…", "Remove"] == offered(framed, window, (60, 215))
    assert {0} == framed.scene.frame_selection
    assert "Mute" in offered(framed, window, framed.title("a"))
    assert {"a"} == framed.scene.selection


def test_an_id_being_typed_is_taken_before_a_save(hand: Hand, tmp_path) -> None:  # noqa: F811
    hand.model.file = tmp_path / "graph.json"
    hand.scene.select(["mask"])
    QTest.keyClick(hand.view, Qt.Key.Key_F2)
    (field,) = hand.view.findChildren(LineField)
    field.setText("cover")
    QTest.keyClick(field, Qt.Key.Key_S, CONTROL)
    assert '"cover"' in hand.model.file.read_text("utf-8")


def test_a_renamed_node_stays_chosen_through_undo_and_keeps_its_look(hand: Hand) -> None:  # noqa: F811
    hand.scene.select(["blur", "mask"])
    look = hand.scene.look("blur")
    hand.model.do(RenameNode("blur", "soft"), "Rename")
    assert {"soft", "mask"} == hand.scene.selection
    assert hand.scene.look("soft") is look
    hand.model.undo.undo()
    assert {"blur", "mask"} == hand.scene.selection
    assert hand.scene.look("blur") is look


def test_a_renamed_node_stays_where_it_stands_though_the_file_gives_no_place(window: Window) -> None:  # noqa: F811
    nodes = {"a": NodeEntry("t.load"), "b": NodeEntry("t.blur", 1, {"image": Wire("a")})}
    hand = Hand(window, Document(nodes=nodes))  # noqa: F811
    before = places(hand)["b"]
    hand.model.do(RenameNode("b", "c"), "Rename")
    assert before == places(hand)["c"] != (0.0, 0.0)


def test_dots_between_nodes_that_move_together_go_along(hand: Hand) -> None:  # noqa: F811
    model, canvas = hand.model, hand.scene
    model.do(dotted(model.graph, "blur.image", [(270.0, 60.0)]), "Dot")
    model.do(dotted(model.graph, "blend.one", [(570.0, 60.0)]), "Dot")
    canvas.select(["load", "blur"])
    link = next(link for link in canvas.wires if link.node == "blur")
    x, y = hand.title("load")
    hand.drag((x, y), (x + 80, y + 40), drop=False)
    assert ((350.0, 100.0),) == canvas.wires[link].dots, "it is seen while they are dragged"
    let_go(hand, (x + 80, y + 40))
    assert {"blur.image": [[350, 100]], "blend.one": [[570, 60]]} == model.graph.view["dots"]
    QTest.keyClick(hand.view, Qt.Key.Key_Right)
    QTest.keyClick(hand.view, Qt.Key.Key_Right)
    assert [[366, 100]] == model.graph.view["dots"]["blur.image"]
    model.undo.undo()
    model.undo.undo()
    assert {"blur.image": [[270, 60]], "blend.one": [[570, 60]]} == model.graph.view["dots"]
    assert ((270.0, 60.0),) == canvas.wires[link].dots


def test_a_drag_that_is_given_up_puts_dots_back(hand: Hand) -> None:  # noqa: F811
    hand.model.do(dotted(hand.model.graph, "blur.image", [(270.0, 60.0)]), "Dot")
    hand.scene.select(["load", "blur"])
    hand.drag(hand.title("load"), (300, 250), drop=False)
    QTest.keyClick(hand.view, Qt.Key.Key_Escape)
    assert ((270.0, 60.0),) == next(item for link, item in hand.scene.wires.items() if link.node == "blur").dots


def test_what_is_brought_into_sight_is_told(hand: Hand, qtbot) -> None:  # noqa: F811
    with qtbot.waitSignal(hand.view.moved):
        hand.view.fit(hand.scene.bounds(["mask"]))
    middles = []
    hand.view.moved.connect(lambda: middles.append(hand.view.at(hand.view.viewport().rect().center())))
    hand.view.fit(hand.scene.bounds(["load"]))
    assert hand.view.at(hand.view.viewport().rect().center()) == middles[-1], "the map and open fields know where it is"


def test_dissolving_keeps_the_place_among_several_and_leads_over_a_chain(window: Window) -> None:  # noqa: F811
    nodes = {
        "a": NodeEntry("t.load"),
        "b": NodeEntry("t.load"),
        "n": NodeEntry("t.blur", 1, {"image": Wire("a")}),
        "m": NodeEntry("t.blur", 1, {"image": Wire("n")}),
        "grid": NodeEntry("t.grid", 1, {"images": [Wire("m"), Wire("b"), Wire("n")]}),
        "masked": NodeEntry("t.blend", 1, {"one": Wire("m")}),
    }
    hand = Hand(window, Document(nodes=nodes, outputs={"result": "m"}))  # noqa: F811
    hand.scene.select(["n", "m"])
    QTest.keyClick(hand.view, Qt.Key.Key_Delete, CONTROL)
    assert {"a", "b", "grid", "masked"} == set(hand.model.graph.nodes)
    assert [Wire("a"), Wire("b")] == hand.inputs("grid")["images"]
    assert Wire("a") == hand.inputs("masked")["one"]
    assert {"result": "a"} == hand.model.graph.outputs
    hand.model.undo.undo()
    hand.scene.select(["n"])
    QTest.keyClick(hand.view, Qt.Key.Key_Delete, CONTROL)
    assert [Wire("m"), Wire("b"), Wire("a")] == hand.inputs("grid")["images"]
