"""Gestures on the canvas, with the mouse and the keys that people use."""

import pytest
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, Wire, write
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType

IMAGE, MASK = PortType("class", "nodeflow.values:Image"), PortType("class", "nodeflow.values:Mask")
IMAGES, NUMBER = PortType("list", items=(IMAGE,)), PortType("float")


def spec(name: str, inputs: list[Port], outputs: list[Port]) -> NodeSpec:
    return NodeSpec(f"t.{name}", 1, "test", name.title(), "", tuple(inputs), tuple(outputs), f"m:{name}")


CATALOG = Catalog.of(
    spec("load", [Port("path", PortType("str"), default="")], [Port("out", IMAGE)]),
    spec("mask", [], [Port("out", MASK)]),
    spec("blur", [Port("image", IMAGE, True), Port("radius", NUMBER, default=1.0)], [Port("out", IMAGE)]),
    spec("blend", [Port("one", IMAGE, True), Port("other", IMAGE)], [Port("out", IMAGE)]),
    spec("grid", [Port("images", IMAGES, True)], [Port("out", IMAGE)]),
)
LEFT, MIDDLE, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.NoModifier
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class Hand:
    """A hand on the mouse: places are the scene's."""

    def __init__(self, window: Window, document: Document) -> None:
        self.page = window.open_document(document)
        self.model, self.scene, self.view = self.page.model, self.page.scene, self.page.view
        self.view.zoom(1.0)
        self.view.centerOn(300, 150)
        QGuiApplication.processEvents()

    def spot(self, place: tuple[float, float]) -> QPoint:
        return self.view.mapFromScene(QPointF(*place))

    def port(self, name: str) -> tuple[float, float]:
        node, _, port = name.partition(".")
        out = port in self.scene.nodes[node].measures.outputs
        place = self.scene.port_at(node, port, out=out)
        assert place is not None
        return place

    def title(self, node: str) -> tuple[float, float]:
        item = self.scene.nodes[node]
        return item.x() + 60, item.y() + 12

    def drag(self, start, end, *, button=LEFT, keys=NONE, drop: bool = True) -> None:
        port = self.view.viewport()
        begin, finish = self.spot(start), self.spot(end)
        QTest.mousePress(port, button, keys, begin)
        for part in (0.3, 0.7, 1.0):
            QTest.mouseMove(port, begin + (finish - begin) * part)
            QGuiApplication.processEvents()
        if drop:
            QTest.mouseRelease(port, button, keys, finish)

    def click(self, place, *, keys=NONE, button=LEFT) -> None:
        QTest.mouseClick(self.view.viewport(), button, keys, self.spot(place))

    def inputs(self, node: str):
        return self.model.graph.nodes[node].inputs


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    made = Window(CATALOG, Settings(tmp_path / "settings.json"))
    qtbot.addWidget(made)
    made.resize(1300, 900)
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    return made


@pytest.fixture
def hand(window) -> Hand:
    nodes = {
        "load": NodeEntry("t.load"),
        "blur": NodeEntry("t.blur", 1, {"image": Wire("load")}),
        "blend": NodeEntry("t.blend", 1, {"one": Wire("blur")}),
        "mask": NodeEntry("t.mask"),
        "loose": NodeEntry("t.blur"),
    }
    places = {"load": [0, 0], "blur": [304, 0], "blend": [608, 0], "mask": [0, 200], "loose": [304, 304]}
    return Hand(window, Document(nodes=nodes, view={"nodes": places}))


def test_a_wire_is_drawn_from_an_output_to_an_input(hand: Hand) -> None:
    hand.drag(hand.port("load.out"), hand.port("blend.other"))
    assert Wire("load") == hand.inputs("blend")["other"]


def test_a_wire_may_be_drawn_from_the_input_backwards(hand: Hand) -> None:
    hand.drag(hand.port("blend.other"), hand.port("load.out"))
    assert Wire("load") == hand.inputs("blend")["other"]


def test_a_wire_dropped_on_a_node_takes_the_port_that_fits(hand: Hand) -> None:
    hand.drag(hand.port("load.out"), hand.title("loose"))
    assert Wire("load") == hand.inputs("loose")["image"]


def test_a_wire_dropped_on_a_taken_input_replaces_what_was_there(hand: Hand) -> None:
    hand.drag(hand.port("load.out"), hand.port("blend.one"))
    assert Wire("load") == hand.inputs("blend")["one"]
    assert 1 == hand.model.undo.count()


def test_a_wire_that_does_not_fit_is_not_drawn_and_the_reason_is_told(hand: Hand, qtbot) -> None:
    told: list[str] = []
    hand.view.told.connect(told.append)
    hand.drag(hand.port("mask.out"), hand.port("blend.other"))
    assert "other" not in hand.inputs("blend")
    assert any("expected Image but the wire gives Mask" in text for text in told)


def test_what_does_not_fit_is_dimmed_while_the_wire_is_in_hand(hand: Hand) -> None:
    hand.drag(hand.port("load.out"), (280, 500), drop=False)
    assert {"blur", "blend", "loose"} == set(hand.scene.fits or ())
    QTest.keyClick(hand.view, Qt.Key.Key_Escape)
    assert hand.scene.fits is None


def test_a_wire_let_go_over_the_canvas_asks_for_a_node(hand: Hand, qtbot) -> None:
    with qtbot.waitSignal(hand.view.palette_wanted) as asked:
        hand.drag(hand.port("load.out"), (280, 500))
    assert "load" == asked.args[1].node


def test_a_wire_lifted_off_its_input_and_dropped_on_nothing_is_cut(hand: Hand) -> None:
    hand.drag(hand.port("blend.one"), (500, 500))
    assert "one" not in hand.inputs("blend")


def test_a_wire_lifted_off_its_input_goes_to_another_in_one_step(hand: Hand) -> None:
    before = write(hand.model.document)
    hand.drag(hand.port("blend.one"), hand.port("blend.other"))
    assert {"other": Wire("blur")} == dict(hand.inputs("blend"))
    hand.model.undo.undo()
    assert before == write(hand.model.document)


def test_x_and_a_line_cut_the_wires_they_cross(hand: Hand) -> None:
    hand.view.setFocus()
    QTest.keyPress(hand.view, Qt.Key.Key_X)
    hand.drag((268, -80), (268, 120))
    QTest.keyRelease(hand.view, Qt.Key.Key_X)
    assert "image" not in hand.inputs("blur")
    assert "one" in hand.inputs("blend")


def test_ctrl_and_a_click_on_a_wire_make_a_dot_and_on_the_dot_take_it_away(hand: Hand) -> None:
    curve = hand.scene.wires[next(iter(hand.model.links(["blur"])))].curves[0]
    middle = (curve[0][0] + curve[-1][0]) / 2, (curve[0][1] + curve[-1][1]) / 2
    hand.click(middle, keys=CONTROL)
    (dot,) = hand.model.graph.view["dots"]["blur.image"]
    hand.drag(tuple(dot), (dot[0], dot[1] + 80))
    ((x, y),) = hand.model.graph.view["dots"]["blur.image"]
    assert y == dot[1] + 80
    hand.click((x, y), keys=CONTROL)
    assert {} == hand.model.graph.view["dots"]


def test_a_drag_moves_the_chosen_nodes_as_one_step_and_keeps_them_chosen(hand: Hand) -> None:
    hand.scene.select(["load", "blur"])
    hand.drag(hand.title("load"), (60 + 80, 12 + 160))
    assert {"load": [80, 160], "blur": [384, 160]} == {
        node: hand.model.graph.view["nodes"][node] for node in ("load", "blur")
    }
    hand.model.undo.undo()
    assert [0, 0] == hand.model.graph.view["nodes"]["load"]
    assert (0.0, 0.0) == hand.scene.nodes["load"].box()[:2]
    assert {"load", "blur"} == hand.scene.selection


def test_escape_ends_a_drag_without_a_trace(hand: Hand) -> None:
    hand.drag(hand.title("load"), (200, 200), drop=False)
    QTest.keyClick(hand.view, Qt.Key.Key_Escape)
    assert (0.0, 0.0) == hand.scene.nodes["load"].box()[:2]
    assert 0 == hand.model.undo.count()


def test_a_node_dropped_on_a_wire_inserts_itself(hand: Hand) -> None:
    start = hand.title("loose")
    hand.drag(start, (start[0] + 152, start[1] - 304))
    assert Wire("loose") == hand.inputs("blend")["one"]
    assert Wire("blur") == hand.inputs("loose")["image"]
    hand.model.undo.undo()
    assert Wire("blur") == hand.inputs("blend")["one"]
    assert [304, 304] == hand.model.graph.view["nodes"]["loose"]


def test_a_box_chooses_what_it_touches_and_shift_adds(hand: Hand) -> None:
    hand.drag((-40, -40), (300, 90))
    assert {"load"} == hand.scene.selection
    hand.drag((-40, 180), (40, 240), keys=SHIFT)
    assert {"load", "mask"} == hand.scene.selection
    hand.click((500, 600))
    assert set() == hand.scene.selection


def test_the_middle_button_and_space_pan(hand: Hand) -> None:
    before = hand.view.at(QPointF(0, 0))
    hand.drag((100, 500), (150, 520), button=MIDDLE)
    moved = hand.view.at(QPointF(0, 0)) - before
    assert (-50, -20) == (round(moved.x()), round(moved.y()))


def test_the_wheel_zooms_around_the_mouse_and_changes_no_value(hand: Hand, qtbot) -> None:
    from PySide6.QtGui import QWheelEvent

    spot = QPointF(hand.spot((304 + 180, 60)))
    before, fixed = write(hand.model.document), hand.view.at(spot)
    event = QWheelEvent(
        spot, hand.view.viewport().mapToGlobal(spot), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, NONE,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QGuiApplication.sendEvent(hand.view.viewport(), event)
    assert hand.view.scale_now > 1.1
    after = hand.view.at(spot)
    assert abs(after.x() - fixed.x()) < 1.5
    assert abs(after.y() - fixed.y()) < 1.5
    assert before == write(hand.model.document)


def test_a_frame_goes_round_the_chosen_nodes_and_its_title_moves_them(hand: Hand) -> None:
    hand.scene.select(["load", "blur"])
    QTest.keyClick(hand.view, Qt.Key.Key_G, CONTROL)
    (frame,) = hand.model.graph.view["frames"]
    x, y, wide, high = frame["box"]
    assert x < 0
    assert wide > 304 + 232
    hand.drag((x + 100, y + 10), (x + 100 + 80, y + 10 + 160))
    assert [80, 160] == hand.model.graph.view["nodes"]["load"]
    assert [0, 200] == hand.model.graph.view["nodes"]["mask"]
    assert [x + 80, y + 160, wide, high] == hand.model.graph.view["frames"][0]["box"]
    hand.model.undo.undo()
    assert [0, 0] == hand.model.graph.view["nodes"]["load"]


def test_copy_and_paste_are_text_and_ctrl_d_keeps_the_wires_in(hand: Hand) -> None:
    hand.scene.select(["blur"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_C, CONTROL)
    assert '"t.blur"' in QGuiApplication.clipboard().text()
    QTest.keyClick(hand.view, Qt.Key.Key_V, CONTROL)
    assert {} == dict(hand.inputs("blur_2"))
    hand.scene.select(["blur"])
    QTest.keyClick(hand.view, Qt.Key.Key_D, CONTROL)
    assert Wire("load") == hand.inputs("blur_3")["image"]
    assert {"blur_3"} == hand.scene.selection


def test_delete_removes_the_chosen_nodes_and_undo_brings_wires_back(hand: Hand) -> None:
    before = write(hand.model.document)
    hand.scene.select(["blur"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Delete)
    assert "blur" not in hand.model.graph.nodes
    assert "one" not in hand.inputs("blend")
    assert 0 == len(hand.scene.wires)
    hand.model.undo.undo()
    assert before == write(hand.model.document)
    assert 2 == len(hand.scene.wires)


def test_layout_puts_columns_by_need(hand: Hand) -> None:
    hand.scene.select(["load", "blur", "blend"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_L, CONTROL)
    places = hand.model.graph.view["nodes"]
    assert places["load"][0] < places["blur"][0] < places["blend"][0]


def test_arrow_keys_move_by_a_line_of_the_grid_and_merge(hand: Hand) -> None:
    hand.scene.select(["load"])
    hand.view.setFocus()
    for _ in range(3):
        QTest.keyClick(hand.view, Qt.Key.Key_Right)
    assert [24, 0] == hand.model.graph.view["nodes"]["load"]
    assert 1 == hand.model.undo.count()


def test_only_the_selections_wires_are_drawn_when_asked(hand: Hand, window: Window) -> None:
    window.actions_table.made["view.selection_wires"].trigger()
    assert not any(item.isVisible() for item in hand.scene.wires.values())
    hand.scene.select(["load"])
    assert ["blur"] == [link.node for link, item in hand.scene.wires.items() if item.isVisible()]


def field(hand: Hand) -> QLineEdit:
    (found,) = [line for line in hand.view.viewport().findChildren(QLineEdit) if line.isVisible()]
    return found


def test_mute_and_bypass_are_one_step_and_their_own_inverse(hand: Hand) -> None:
    hand.scene.select(["load", "blur"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_M, CONTROL)
    assert ["muted", "muted", ""] == [hand.model.graph.nodes[node].mode for node in ("load", "blur", "blend")]
    QTest.keyClick(hand.view, Qt.Key.Key_B, CONTROL)
    assert ["bypassed", "bypassed"] == [hand.model.graph.nodes[node].mode for node in ("load", "blur")]
    QTest.keyClick(hand.view, Qt.Key.Key_B, CONTROL)
    assert ["", ""] == [hand.model.graph.nodes[node].mode for node in ("load", "blur")]
    assert 3 == hand.model.undo.count()


def test_f2_renames_a_node_and_wires_follow(hand: Hand) -> None:
    hand.scene.select(["load"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_F2)
    QTest.keyClicks(field(hand), "photo")
    QTest.keyClick(field(hand), Qt.Key.Key_Return)
    assert Wire("photo") == hand.inputs("blur")["image"]
    assert {"photo"} == hand.scene.selection


def test_a_name_that_is_taken_is_refused_with_the_reason(hand: Hand, window: Window) -> None:
    hand.scene.select(["load"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_F2)
    QTest.keyClicks(field(hand), "blur")
    QTest.keyClick(field(hand), Qt.Key.Key_Return)
    assert "load" in hand.model.graph.nodes
    assert "there is a node" in window.statusBar().currentMessage()


def test_escape_leaves_a_name_as_it_was(hand: Hand) -> None:
    hand.scene.select(["load"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_F2)
    QTest.keyClicks(field(hand), "photo")
    QTest.keyClick(field(hand), Qt.Key.Key_Escape)
    assert "load" in hand.model.graph.nodes
    assert 0 == hand.model.undo.count()


def test_dissolving_a_node_joins_what_it_stood_between(hand: Hand) -> None:
    hand.scene.select(["blur"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Delete, CONTROL)
    assert "blur" not in hand.model.graph.nodes
    assert Wire("load") == hand.inputs("blend")["one"]


def test_a_frame_gets_its_title_at_once(hand: Hand) -> None:
    hand.scene.select(["load"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_G, CONTROL)
    QTest.keyClicks(field(hand), "Sources")
    QTest.keyClick(field(hand), Qt.Key.Key_Return)
    assert "Sources" == hand.model.graph.view["frames"][0]["title"]


def test_what_was_undone_can_be_done_again_by_key_at_once(hand: Hand) -> None:
    for _ in range(2):
        hand.drag(hand.title("mask"), (hand.title("mask")[0] + 80, hand.title("mask")[1]))
    undo, redo = (Qt.Key.Key_Z, CONTROL), (Qt.Key.Key_Z, CONTROL | SHIFT)
    places = []
    for key in (undo, redo, undo, undo, redo, redo):
        QTest.keyClick(hand.view.viewport(), *key)
        places.append(hand.scene.nodes["mask"].x())
    assert [80, 160, 80, 0, 80, 160] == places
