"""Values in the node: clicked, dragged, typed."""

import json

import pytest
from nodeflow_editor.canvas.value_field import ValueField
from nodeflow_editor.chooser import Chooser
from nodeflow_editor.long_text import LongText
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QGuiApplication, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, Wire, write
from nodeflow.edits import RenameNode, SetGraph
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType
from tests.editor.test_gestures import CONTROL, LEFT, NONE, SHIFT, Hand

INT, FLOAT, TEXT = PortType("int"), PortType("float"), PortType("str")
NOTHING = PortType("none")
SEED = PortType("int", limits=(("minimum", 0), ("maximum", 2**53 - 1)))
STEPS = PortType("int", limits=(("minimum", 1), ("maximum", 1000)))
SHARE = PortType("float", limits=(("minimum", 0.0), ("maximum", 1.0)))
METHOD = PortType("choice", values=("ddim", "ddpm", "euler"))
SCHEMA = {
    "type": "object",
    "properties": {"rank": {"type": "integer", "minimum": 1}, "name": {"type": "string", "description": "of it"}},
    "required": ["rank"],
}
FORM = PortType("form", "m:Form", schema=json.dumps(SCHEMA))
INPUTS = (
    Port("image", PortType("class", "nodeflow.values:Image")),
    Port("steps", STEPS, default=25, help="More steps take longer."),
    Port("radius", FLOAT, default=1.0),
    Port("amount", SHARE, default=0.5, widget="slider"),
    Port("exact", PortType("bool"), default=False),
    Port("method", METHOD, default="ddim"),
    Port("seed", SEED, default=0, widget="seed"),
    Port("skip", PortType("union", items=(INT, NOTHING)), default=None),
    Port("name", TEXT, default=""),
    Port("prompt", TEXT, default="", widget="multiline"),
    Port("path", PortType("path"), True, widget="file"),
    Port("model", TEXT, True, widget="model"),
    Port("colour", TEXT, default="#808080", widget="colour"),
    Port("sizes", PortType("list", items=(INT,)), default=[1, 2]),
    Port("form", FORM, default={"rank": 4}),
)
ALL = NodeSpec("t.all", 3, "test", "All of them", "Does everything.", INPUTS, (Port("out", FLOAT),), "m:all")
OTHER = NodeSpec(
    "t.other", 1, "test", "Other", "",
    (Port("steps", STEPS, default=10), Port("radius", INT, default=1),
     Port("many", STEPS, default=20, widget="slider")),
    (Port("out", INT),), "m:other",
)  # fmt: skip
CATALOG = Catalog.of(ALL, OTHER)


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    made = Window(CATALOG, Settings(tmp_path / "settings.json"))
    qtbot.addWidget(made)
    made.resize(1300, 900)
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    return made


class ValueHand(Hand):
    """A hand that finds values."""

    def value(self, port: str, node: str = "all", share: float = 0.4) -> tuple[float, float]:
        item = self.scene.nodes[node]
        row = item.measures.row(port)
        assert row is not None
        assert row.value is not None
        left, top, wide, high = row.value
        return item.x() + left + wide * share, item.y() + top + high / 2

    def mark(self, port: str) -> tuple[float, float]:
        return self.value(port, share=0.95)

    def pull(self, port: str, pixels: float, *, keys=NONE, drop: bool = True, node: str = "all") -> None:
        x, y = self.value(port, node)
        spot, viewport = self.spot((x, y)), self.view.viewport()
        QTest.mousePress(viewport, LEFT, keys, spot)
        for part in (0.3, 0.7, 1.0):
            place = QPointF(spot) + QPointF(round(pixels * part), 0)
            kind, here = QEvent.Type.MouseMove, viewport.mapToGlobal(place)
            QGuiApplication.sendEvent(viewport, QMouseEvent(kind, place, here, Qt.MouseButton.NoButton, LEFT, keys))
        if drop:
            QTest.mouseRelease(viewport, LEFT, keys, self.spot((x + pixels, y)))

    def double(self, place: tuple[float, float]) -> None:
        self.click(place)
        QTest.mouseDClick(self.view.viewport(), LEFT, NONE, self.spot(place))
        QTest.mouseRelease(self.view.viewport(), LEFT, NONE, self.spot(place))

    def field(self) -> QLineEdit | LongText:
        found = [
            field for kind in (QLineEdit, LongText) for field in self.view.viewport().findChildren(kind)
            if field.isVisible()
        ]  # fmt: skip
        assert 1 == len(found)
        return found[0]

    def closed(self) -> bool:
        return not [line for line in self.view.viewport().findChildren(QLineEdit) if line.isVisible()]

    def type(self, port: str, text: str, key=Qt.Key.Key_Return) -> None:
        self.click(self.value(port))
        QTest.keyClicks(self.field(), text)
        QTest.keyClick(self.field(), key)

    def refusal(self) -> str:
        (found,) = [field for field in self.view.children() if isinstance(field, ValueField) and not field.over]
        return found.why.text() if found.why.isVisible() else ""


@pytest.fixture
def hand(window) -> ValueHand:
    nodes = {"all": NodeEntry("t.all", 3), "other": NodeEntry("t.other")}
    made = ValueHand(window, Document(nodes=nodes, view={"nodes": {"all": [200, -152], "other": [600, 0]}}))
    made.view.centerOn(400, 100)
    QGuiApplication.processEvents()
    return made


def popup(kind):
    QGuiApplication.processEvents()
    found = QApplication.activePopupWidget()
    assert isinstance(found, kind)
    return found


def test_a_drag_along_a_number_changes_it_as_one_step(hand: ValueHand) -> None:
    hand.pull("steps", 30)
    assert 35 == hand.inputs("all")["steps"]
    assert 1 == hand.model.undo.count()
    hand.model.undo.undo()
    assert {} == dict(hand.inputs("all"))


def test_shift_is_fine_and_ctrl_is_coarse(hand: ValueHand) -> None:
    hand.pull("radius", 30, keys=SHIFT)
    fine = hand.inputs("all")["radius"] - 1.0
    hand.model.undo.undo()
    hand.pull("radius", 30, keys=CONTROL)
    coarse = hand.inputs("all")["radius"] - 1.0
    assert fine == pytest.approx(0.01)
    assert coarse == pytest.approx(1.0)


def test_a_drag_stays_within_the_limits(hand: ValueHand) -> None:
    hand.pull("steps", -400)
    assert 1 == hand.inputs("all")["steps"]
    hand.pull("amount", 900)
    assert 1.0 == hand.inputs("all")["amount"]


def test_a_sliders_fill_follows_the_mouse(hand: ValueHand) -> None:
    row = hand.scene.nodes["all"].measures.row("amount")
    hand.pull("amount", row.value[2] / 4)
    assert hand.inputs("all")["amount"] == pytest.approx(0.75, abs=0.02)


def test_a_slider_of_a_thousand_whole_numbers_leaps_over_none(hand: ValueHand) -> None:
    hand.pull("many", 30, node="other")
    assert 30 == hand.inputs("other")["many"]


def test_escape_in_a_drag_leaves_the_number_and_no_step(hand: ValueHand) -> None:
    hand.pull("steps", 60, drop=False)
    assert 45 == hand.scene.entry("all").inputs["steps"]
    assert {} == dict(hand.inputs("all"))
    QTest.keyClick(hand.view, Qt.Key.Key_Escape)
    assert {} == dict(hand.scene.entry("all").inputs)
    assert 0 == hand.model.undo.count()


def test_a_drag_from_a_text_moves_the_node(hand: ValueHand) -> None:
    hand.pull("name", 80)
    assert [280, -152] == hand.model.graph.view["nodes"]["all"]


def test_a_click_opens_a_field_and_enter_takes_it(hand: ValueHand) -> None:
    hand.type("steps", "40")
    assert 40 == hand.inputs("all")["steps"]
    assert hand.view.hasFocus()
    hand.type("steps", "*2")
    assert 80 == hand.inputs("all")["steps"]
    assert 2 == hand.model.undo.count()


def test_a_click_elsewhere_takes_what_was_typed(hand: ValueHand) -> None:
    hand.click(hand.value("steps"))
    QTest.keyClicks(hand.field(), "7")
    hand.click((550, 350))
    assert 7 == hand.inputs("all")["steps"]
    assert hand.closed()


def test_what_is_out_of_limits_is_refused_and_the_field_stays(hand: ValueHand) -> None:
    hand.type("steps", "2000")
    assert {} == dict(hand.inputs("all"))
    assert "expected at most 1000, found 2000" in hand.refusal()
    assert hand.field().property("invalid")
    QTest.keyClick(hand.field(), Qt.Key.Key_A, CONTROL)
    QTest.keyClicks(hand.field(), "200")
    assert "" == hand.refusal()
    QTest.keyClick(hand.field(), Qt.Key.Key_Return)
    assert 200 == hand.inputs("all")["steps"]


def test_escape_leaves_the_value(hand: ValueHand) -> None:
    hand.type("steps", "2000", Qt.Key.Key_Escape)
    assert hand.closed()
    assert 0 == hand.model.undo.count()


def test_a_field_left_as_it_was_changes_nothing(hand: ValueHand) -> None:
    hand.type("radius", "1")
    assert 0 == hand.model.undo.count()


def test_saving_takes_what_is_being_typed(hand: ValueHand, window: Window) -> None:
    hand.click(hand.value("steps"))
    QTest.keyClicks(hand.field(), "9")
    window.actions_table.made["edit.select_all"].trigger()
    assert 9 == hand.inputs("all")["steps"]


def test_the_field_goes_with_the_graph_and_closes_when_its_node_goes(hand: ValueHand, window: Window) -> None:
    hand.click(hand.value("steps"))
    before = hand.field().pos()
    hand.view.pan(40, 30)
    assert QPoint(40, 30) == hand.field().pos() - before
    hand.model.do(RenameNode("all", "everything"), "Rename")
    assert hand.closed()


def test_what_is_typed_goes_to_its_own_graph_when_another_tab_is_opened(hand: ValueHand, window: Window) -> None:
    hand.click(hand.value("steps"))
    QTest.keyClicks(hand.field(), "9")
    window.open_document(Document(nodes={"all": NodeEntry("t.all")}))
    QGuiApplication.processEvents()
    assert 9 == hand.inputs("all")["steps"]


def test_the_field_closes_when_another_level_is_shown(hand: ValueHand) -> None:
    hand.model.do(SetGraph("inner", Document(nodes={"all": NodeEntry("t.all")})), "Define")
    hand.click(hand.value("steps"))
    QTest.keyClicks(hand.field(), "9")
    hand.model.enter(("inner",))
    assert hand.closed()
    assert {} == dict(hand.inputs("all"))


def test_tab_goes_to_the_next_value_and_shift_tab_back(hand: ValueHand) -> None:
    hand.click(hand.value("steps"))
    QTest.keyClicks(hand.field(), "9")
    QTest.keyClick(hand.field(), Qt.Key.Key_Tab)
    assert "radius" == hand.field().accessibleName()
    QTest.keyClick(hand.field(), Qt.Key.Key_Tab)
    QTest.keyClick(hand.field(), Qt.Key.Key_Tab)
    assert "seed" == hand.field().accessibleName()
    QTest.keyClick(hand.field(), Qt.Key.Key_Backtab, SHIFT)
    assert "amount" == hand.field().accessibleName()
    assert {"steps": 9} == dict(hand.inputs("all"))
    assert set(hand.scene.nodes) == {"all", "other"}


def test_enter_on_the_canvas_edits_the_chosen_node(hand: ValueHand) -> None:
    hand.scene.select(["other"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Return)
    assert "steps" == hand.field().accessibleName()


def test_a_click_turns_a_switch_and_a_second_turns_it_back(hand: ValueHand) -> None:
    hand.click(hand.value("exact"))
    assert hand.inputs("all")["exact"] is True
    hand.double(hand.value("exact"))
    assert hand.inputs("all")["exact"] is True
    assert 3 == hand.model.undo.count()


def test_a_choice_opens_a_menu_that_is_searched_by_typing(hand: ValueHand) -> None:
    hand.click(hand.value("method"))
    menu = popup(QMenu)
    assert ["ddim", "ddpm", "euler"] == [action.text() for action in menu.actions()]
    assert ["ddim"] == [action.text() for action in menu.actions() if action.isChecked()]
    QTest.keyClicks(menu, "eu")
    QTest.keyClick(menu, Qt.Key.Key_Return)
    assert "euler" == hand.inputs("all")["method"]


def test_many_choices_are_searched(qtbot, tmp_path) -> None:
    many = PortType("choice", values=tuple(f"method {number}" for number in range(60)))
    spec = NodeSpec("t.many", 1, "test", "Many", "", (Port("method", many, default="method 3"),), (), "m:many")
    window = Window(Catalog.of(spec), Settings(tmp_path / "s.json"))
    qtbot.addWidget(window)
    window.resize(900, 600)
    window.show()
    qtbot.waitExposed(window)
    hand = ValueHand(window, Document(nodes={"all": NodeEntry("t.many")}, view={"nodes": {"all": [200, 100]}}))
    hand.click(hand.value("method"))
    chooser = popup(Chooser)
    assert "✓ method 3" in [choice.title for choice in chooser.lines.choices]
    QTest.keyClicks(chooser.line, "method 42")
    QTest.keyClick(chooser.line, Qt.Key.Key_Return)
    assert "method 42" == hand.inputs("all")["method"]


def test_a_wire_dropped_on_a_value_makes_it_an_input(hand: ValueHand) -> None:
    hand.drag(hand.port("other.out"), hand.value("skip"))
    assert {"skip": Wire("other")} == dict(hand.inputs("all"))


def test_from_afar_where_values_are_not_drawn_a_drag_moves_the_node(hand: ValueHand) -> None:
    hand.view.zoom(0.4)
    hand.pull("steps", 80)
    assert [400, -152] == hand.model.graph.view["nodes"]["all"]
    assert {} == dict(hand.inputs("all"))


def test_shift_and_a_click_on_a_value_choose_its_node_as_well(hand: ValueHand) -> None:
    hand.scene.select(["other"])
    hand.click(hand.value("steps"), keys=SHIFT)
    assert {"all", "other"} == hand.scene.selection
    assert hand.closed()


def test_the_wheel_over_a_value_zooms_and_changes_nothing(hand: ValueHand, window: Window) -> None:
    before = write(hand.model.document)
    for open_first in (False, True):
        if open_first:
            hand.click(hand.value("radius"))
        scale, spot = hand.view.scale_now, hand.spot(hand.value("radius"))
        place = hand.view.viewport().mapTo(window, spot)
        QTest.wheelEvent(window.windowHandle(), QPointF(place), QPoint(0, 120))
        QGuiApplication.processEvents()
        assert hand.view.scale_now > scale
    assert before == write(hand.model.document)


def test_a_double_click_on_a_value_never_enters_a_subgraph(qtbot, window: Window) -> None:
    inner = Document(nodes={"o": NodeEntry("t.other")}, parameters={"steps": "o.steps"}, outputs={"out": "o"})
    document = Document(nodes={"all": NodeEntry("graph:inner")}, graphs={"inner": inner},
                        view={"nodes": {"all": [200, 100]}})  # fmt: skip
    hand = ValueHand(window, document)
    entered: list[str] = []
    hand.view.entered.connect(entered.append)
    hand.double(hand.value("steps"))
    assert [] == entered
    assert "steps" == hand.field().accessibleName()


def test_a_values_menu_resets_it(hand: ValueHand, window: Window) -> None:
    hand.type("steps", "40")
    hand.click(hand.value("steps"), button=Qt.MouseButton.RightButton)
    menu = popup(QMenu)
    next(action for action in menu.actions() if action.text() == "Reset to default").trigger()
    menu.close()
    assert "steps" not in hand.inputs("all")


def test_a_values_menu_exposes_it_once(hand: ValueHand, window: Window) -> None:
    def exposing() -> QAction:
        hand.click(hand.value("steps"), button=Qt.MouseButton.RightButton)
        found = popup(QMenu)
        action = next(each for each in found.actions() if each.text() == "Expose as a parameter of the graph")
        found.close()
        return action

    exposing().trigger()
    assert {"steps": "all.steps"} == hand.model.graph.parameters
    assert not exposing().isEnabled()
