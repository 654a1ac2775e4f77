"""The form of the chosen nodes."""

import pytest
from nodeflow_editor.form.editors import Choose, Editor, Slider, TextEditor, Toggle
from nodeflow_editor.form.panel import FormPanel
from nodeflow_editor.form.row_widget import RowWidget
from nodeflow_editor.long_text import LongText
from nodeflow_editor.window import Window
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QColorDialog, QLineEdit, QToolButton

from nodeflow.document import Document, NodeEntry, Wire, write
from nodeflow.edits import SetInput
from tests.editor.test_gestures import CONTROL, LEFT, NONE
from tests.editor.test_values import CATALOG, FORM, ValueHand, popup, window  # noqa: F401 # fixture


class FormHand(ValueHand):
    """A hand that finds rows of the form."""

    def __init__(self, window: Window, document: Document) -> None:  # noqa: F811
        super().__init__(window, document)
        self.window = window
        for name, dock in window.docks.items():
            dock.setVisible(name == "form")
        panel = window.docks["form"].widget()
        assert isinstance(panel, FormPanel)
        self.panel = panel
        self.settle()

    def settle(self) -> None:
        for _ in range(6):
            QGuiApplication.processEvents()

    def choose(self, *nodes: str) -> None:
        self.scene.select(nodes)
        self.settle()

    def row(self, name: str, inner: str = "") -> RowWidget:
        self.settle()
        (found,) = [made for made in self.panel.shown if (made.row.name, made.row.inner) == (name, inner)]
        return found

    def editor(self, name: str, inner: str = "") -> Editor:
        found = self.row(name, inner).editor
        assert found is not None
        return found

    def line(self, name: str, inner: str = "") -> QLineEdit | LongText:
        found = self.editor(name, inner)
        assert isinstance(found, TextEditor)
        return found.field

    def type_row(self, name: str, text: str, inner: str = "") -> None:
        line = self.line(name, inner)
        line.setFocus()
        line.selectAll()
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key.Key_Return)
        self.settle()


@pytest.fixture
def hand(window: Window) -> FormHand:  # noqa: F811
    nodes = {
        "all": NodeEntry("t.all", 3, {"steps": 40, "radius": Wire("source")}),
        "second": NodeEntry("t.all", 3, {"steps": 50}),
        "source": NodeEntry("t.other"),
    }
    places = {"all": [200, -200], "second": [600, -200], "source": [-100, 0]}
    made = FormHand(window, Document(nodes=nodes, view={"nodes": places}))
    made.choose("all")
    return made


def test_it_shows_title_id_type_version_and_help(hand: FormHand) -> None:
    assert "All of them" == hand.panel.head.title.text()
    assert "all" == hand.panel.head.name.text()
    assert "t.all · version 3" == hand.panel.head.kind.text()
    assert "Does everything." == hand.panel.head.help.text()


def test_each_input_has_a_row_with_its_help_and_where_its_value_comes_from(hand: FormHand) -> None:
    inputs = [made.row.name for made in hand.panel.shown if not made.row.inner]
    assert [port.name for port in hand.model.face("all").inputs] == inputs
    row = hand.row("steps")
    assert "More steps take longer." == row.name.whatsThis()
    assert "More steps take longer." in row.name.toolTip()
    assert ("given in the file", True) == (row.name.accessibleDescription(), row.back.isVisible())
    default = hand.row("exact")
    assert ("default", False) == (default.name.accessibleDescription(), default.back.isVisible())
    assert "path •" == hand.row("path").name.text()
    assert "missing" == hand.row("path").name.accessibleDescription()


def test_a_number_is_typed_or_changed_and_undo_is_followed(hand: FormHand) -> None:
    hand.type_row("steps", "60")
    assert 60 == hand.inputs("all")["steps"]
    hand.type_row("steps", "/2")
    assert 30 == hand.inputs("all")["steps"]
    assert "30" == hand.line("steps").text()
    QTest.keyClick(hand.line("steps"), Qt.Key.Key_Z, CONTROL)
    assert "60" == hand.line("steps").text()
    assert 60 == hand.inputs("all")["steps"]
    hand.model.undo.undo()
    assert "40" == hand.line("steps").text()


def test_undo_in_a_field_that_is_being_typed_in_is_the_fields_own(hand: FormHand) -> None:
    line = hand.line("steps")
    line.setFocus()
    QTest.keyClicks(line, "1")
    QTest.keyClick(line, Qt.Key.Key_Z, CONTROL)
    assert "40" == line.text()
    assert 0 == hand.model.undo.count()


def test_arrows_step_a_number(hand: FormHand) -> None:
    line = hand.line("steps")
    line.setFocus()
    QTest.keyClick(line, Qt.Key.Key_Up)
    QTest.keyClick(line, Qt.Key.Key_PageUp)
    assert 51 == hand.inputs("all")["steps"]
    assert [200, -200] == hand.model.graph.view["nodes"]["all"]


def test_what_is_refused_stays_marked_with_the_engines_sentence(hand: FormHand) -> None:
    hand.type_row("steps", "2000")
    assert 40 == hand.inputs("all")["steps"]
    assert "✕ expected at most 1000, found 2000" == hand.row("steps").why.text()
    assert "2000" == hand.line("steps").text()
    assert hand.line("steps").property("invalid")
    QTest.keyClick(hand.line("steps"), Qt.Key.Key_Escape)
    assert "40" == hand.line("steps").text()
    assert not hand.row("steps").why.isVisible()
    assert not hand.line("steps").property("invalid")


def test_reset_takes_the_value_out_of_the_file(hand: FormHand) -> None:
    QTest.mouseClick(hand.row("steps").back, LEFT)
    assert "steps" not in hand.inputs("all")
    assert "25" == hand.line("steps").text()
    hand.model.undo.undo()
    assert "40" == hand.line("steps").text()


def test_a_wired_input_says_from_where_and_leads_there(hand: FormHand) -> None:
    row = hand.row("radius")
    (button,) = row.goes
    assert "← from source" == button.text()
    QTest.mouseClick(button, LEFT)
    assert {"source"} == hand.scene.selection
    hand.choose("all")
    QTest.mouseClick(hand.row("radius").back, LEFT)
    assert "radius" not in hand.inputs("all")
    assert "1" == hand.line("radius").text()


def test_switches_lists_and_sliders(hand: FormHand) -> None:
    toggle, choose, slider = hand.editor("exact"), hand.editor("method"), hand.editor("amount")
    assert isinstance(toggle, Toggle)
    toggle.check.setFocus()
    QTest.keyClick(toggle.check, Qt.Key.Key_Space)
    assert hand.inputs("all")["exact"] is True
    assert isinstance(choose, Choose)
    choose.list.setFocus()
    QTest.keyClick(choose.list, Qt.Key.Key_Down)
    assert "ddpm" == hand.inputs("all")["method"]
    assert isinstance(slider, Slider)
    before = hand.model.undo.count()
    QTest.mousePress(slider.bar, LEFT, NONE, QPoint(slider.bar.width() // 2, slider.bar.height() // 2))
    for part in (0.6, 0.7, 0.9):
        QTest.mouseMove(slider.bar, QPoint(round(slider.bar.width() * part), slider.bar.height() // 2))
        hand.settle()
    QTest.mouseRelease(slider.bar, LEFT, NONE, QPoint(round(slider.bar.width() * 0.9), slider.bar.height() // 2))
    assert hand.inputs("all")["amount"] > 0.7
    assert before + 1 == hand.model.undo.count()
    hand.model.undo.undo()
    assert "amount" not in hand.inputs("all")


def test_the_wheel_changes_no_value(hand: FormHand) -> None:
    before = write(hand.model.document)
    for name in ("method", "amount", "steps"):
        hand.panel.area.ensureWidgetVisible(hand.row(name))
        hand.settle()
        widget = hand.editor(name)
        place = widget.mapTo(hand.window, QPoint(15, widget.height() // 2))
        QTest.wheelEvent(hand.window.windowHandle(), QPointF(place), QPoint(0, 240))
        hand.settle()
    assert before == write(hand.model.document)


def test_several_nodes_show_what_they_share_and_are_set_in_one_step(hand: FormHand) -> None:
    hand.choose("all", "second")
    assert "2 nodes" == hand.panel.head.title.text()
    assert "All of them × 2" == hand.panel.head.kind.text()
    assert ("", "several") == (hand.line("steps").text(), hand.line("steps").placeholderText())
    before = hand.model.undo.count()
    hand.type_row("steps", "*2")
    assert [80, 100] == [hand.inputs(node)["steps"] for node in ("all", "second")]
    hand.type_row("steps", "70")
    assert [70, 70] == [hand.inputs(node)["steps"] for node in ("all", "second")]
    assert "70" == hand.line("steps").text()
    assert before + 2 == hand.model.undo.count()
    QTest.mouseClick(hand.row("steps").back, LEFT)
    assert ["steps" in hand.inputs(node) for node in ("all", "second")] == [False, False]


def test_of_several_nodes_one_refusal_sets_none(hand: FormHand) -> None:
    hand.model.do(SetInput("second", "steps", 600), "Set")
    hand.choose("all", "second")
    hand.type_row("steps", "*2")
    assert [40, 600] == [hand.inputs(node)["steps"] for node in ("all", "second")]
    assert "✕ second: expected at most 1000, found 1200" == hand.row("steps").why.text()


def test_nodes_of_other_types_share_only_inputs_of_the_same_name_and_type(hand: FormHand) -> None:
    hand.choose("all", "source")
    assert ["steps"] == [made.row.name for made in hand.panel.shown]


def test_a_mixed_switch_is_neither_and_the_first_click_turns_all_on(hand: FormHand) -> None:
    hand.model.do(SetInput("second", "exact", True), "Set")
    hand.choose("all", "second")
    toggle = hand.editor("exact")
    assert isinstance(toggle, Toggle)
    assert Qt.CheckState.PartiallyChecked == toggle.check.checkState()
    toggle.check.setFocus()
    QTest.keyClick(toggle.check, Qt.Key.Key_Space)
    assert [True, True] == [hand.inputs(node)["exact"] for node in ("all", "second")]


def test_the_id_renames_the_node_and_wires_follow(hand: FormHand) -> None:
    hand.choose("source")
    name = hand.panel.head.name
    name.setFocus()
    name.selectAll()
    QTest.keyClicks(name, "photo")
    QTest.keyClick(name, Qt.Key.Key_Return)
    assert Wire("photo") == hand.inputs("all")["radius"]
    assert {"photo"} == hand.scene.selection


def test_an_id_that_is_taken_is_refused(hand: FormHand) -> None:
    name = hand.panel.head.name
    name.setFocus()
    name.selectAll()
    QTest.keyClicks(name, "second")
    QTest.keyClick(name, Qt.Key.Key_Return)
    assert name.property("invalid")
    assert "there is a node" in hand.window.statusBar().currentMessage()
    QTest.keyClick(name, Qt.Key.Key_Escape)
    assert "all" == name.text()
    assert "all" in hand.model.graph.nodes


def test_faults_stand_at_their_rows(hand: FormHand, qtbot) -> None:
    hand.model.do(SetInput("all", "steps", 2000), "Set")
    qtbot.waitUntil(lambda: "expected at most 1000, found 2000" in hand.row("steps").why.text())
    hand.model.undo.undo()
    qtbot.waitUntil(lambda: not hand.row("steps").why.isVisible())


def test_a_fault_of_the_node_itself_stands_at_the_top(hand: FormHand) -> None:
    hand.scene.look("all").faults = {"": "this node is wrong"}
    hand.panel.refresh()
    assert "✕ this node is wrong" == hand.panel.head.why.text()


def test_what_is_typed_is_meant_for_the_nodes_that_were_chosen(hand: FormHand) -> None:
    line = hand.line("steps")
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, "77")
    hand.choose("second")
    assert 77 == hand.inputs("all")["steps"]
    assert 50 == hand.inputs("second")["steps"]
    assert "50" == hand.line("steps").text()


def test_what_is_typed_goes_to_its_own_graph_when_another_tab_is_opened(hand: FormHand) -> None:
    line = hand.line("steps")
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, "77")
    hand.window.open_document(Document(nodes={"all": NodeEntry("t.all")}))
    hand.settle()
    assert 77 == hand.inputs("all")["steps"]


def test_what_was_refused_is_not_shown_for_another_node(hand: FormHand) -> None:
    hand.model.do(SetInput("second", "steps", 40), "Set")
    hand.type_row("steps", "2000")
    hand.choose("second")
    assert "40" == hand.line("steps").text()
    assert not hand.line("steps").property("invalid")
    assert not hand.row("steps").why.isVisible()


def test_an_action_takes_what_is_typed(hand: FormHand) -> None:
    line = hand.line("steps")
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, "78")
    hand.window.actions_table.made["view.fit"].trigger()
    assert 78 == hand.inputs("all")["steps"]


def test_plain_keys_are_the_forms(hand: FormHand) -> None:
    hand.window.actions_table.made["form.focus"].trigger()
    focus = QApplication.focusWidget()
    assert focus is hand.line("steps")
    QTest.keyClick(focus, Qt.Key.Key_Tab)
    second = QApplication.focusWidget()
    assert second is not focus
    assert hand.panel.isAncestorOf(second)
    check = hand.editor("exact").focusProxy()
    check.setFocus()
    QTest.keyClick(check, Qt.Key.Key_Delete)
    QTest.keyClick(check, Qt.Key.Key_Left)
    assert "all" in hand.model.graph.nodes
    assert [200, -200] == hand.model.graph.view["nodes"]["all"]
    focus.setFocus()
    QTest.keyClick(focus, Qt.Key.Key_Escape)
    assert hand.view.hasFocus()


def test_every_field_and_button_has_a_name_for_those_who_hear_it(hand: FormHand) -> None:
    for made in hand.panel.shown:
        widgets = [*made.goes, made.back, *([made.editor.focusProxy()] if made.editor is not None else [])]
        assert all(widget.accessibleName() for widget in widgets)
        assert all(button.accessibleName() for button in made.findChildren(QToolButton))


def test_a_seed_is_drawn_and_says_what_each_run_does(hand: FormHand) -> None:
    editor = hand.editor("seed")
    assert isinstance(editor, TextEditor)
    QTest.mouseClick(editor.mark, LEFT)
    assert hand.inputs("all")["seed"] != 0
    assert editor.then is not None
    editor.then.setFocus()
    QTest.keyClick(editor.then, Qt.Key.Key_Down)
    assert {"all.seed": "random"} == hand.model.graph.view["seeds"]
    hand.settle()
    hand.model.undo.undo()
    hand.settle()
    assert "fixed" == editor.then.currentText()


def test_a_colour_is_chosen_in_a_dialog(hand: FormHand) -> None:
    editor = hand.editor("colour")
    assert isinstance(editor, TextEditor)
    QTest.mouseClick(editor.mark, LEFT)
    (dialog,) = hand.window.findChildren(QColorDialog)
    dialog.setCurrentColor("#00ff00")
    dialog.accept()
    assert "#00ff00" == hand.inputs("all")["colour"]


def test_a_form_has_a_row_for_each_field(hand: FormHand) -> None:
    hand.type_row("form", "0", "rank")
    assert "form" not in hand.inputs("all")
    assert "expected at least 1, found 0" in hand.row("form", "rank").why.text()
    hand.type_row("form", "8", "rank")
    hand.type_row("form", "fine", "name")
    assert {"rank": 8, "name": "fine"} == hand.inputs("all")["form"]
    assert '{"rank": 8, "name": "fine"}' == hand.line("form").text()
    QTest.mouseClick(hand.row("form", "name").back, LEFT)
    assert {"rank": 8} == hand.inputs("all")["form"]


def test_an_absent_node_and_an_empty_choice_are_told(hand: FormHand) -> None:
    from nodeflow.edits import AddNode

    hand.model.do(AddNode("lost", NodeEntry("gone.type", 2, {"a": 1})), "Add")
    hand.choose("lost")
    assert "no installed plugin" in hand.panel.head.help.text()
    hand.choose()
    assert "Choose a node to see its inputs." == hand.panel.hint.text()
    assert [] == hand.panel.shown


def test_another_tab_shows_its_own_nodes(hand: FormHand) -> None:
    other = hand.window.open_document(Document(nodes={"x": NodeEntry("t.other")}))
    other.scene.select(["x"])
    hand.settle()
    assert "Other" == hand.panel.head.title.text()
    hand.window.close_page(other)
    hand.settle()
    assert "All of them" == hand.panel.head.title.text()
