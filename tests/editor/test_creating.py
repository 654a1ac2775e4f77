"""The list of node types, by keys and mouse."""

import pytest
from nodeflow_editor.chooser import Chooser
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from nodeflow.document import Wire
from tests.editor.test_gestures import NONE, SHIFT, Hand, hand, window  # noqa: F401 # fixtures


def chooser() -> Chooser:
    found = [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, Chooser) and widget.isVisible()]
    assert 1 == len(found)
    return found[0]


def typed(text: str, key: Qt.Key = Qt.Key.Key_Return, keys: Qt.KeyboardModifier = NONE) -> None:
    opened = chooser()
    QTest.keyClicks(opened.line, text)
    QTest.keyClick(opened.line, key, keys)
    QGuiApplication.processEvents()


def test_tab_a_few_letters_and_enter_make_a_node(hand: Hand) -> None:  # noqa: F811
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Tab)
    typed("gri")
    assert "t.grid" == hand.model.graph.nodes["grid"].type
    assert {"grid"} == hand.scene.selection
    assert 1 == hand.model.undo.count()


def test_a_double_click_on_nothing_offers_nodes_where_it_was(hand: Hand) -> None:  # noqa: F811
    QTest.mouseDClick(hand.view.viewport(), Qt.MouseButton.LeftButton, pos=hand.spot((400, 520)))
    typed("load")
    x, y = hand.model.graph.view["nodes"]["load_2"]
    assert abs(x - 400) <= 8
    assert abs(y - 520) <= 24


def test_shift_and_enter_wire_the_chosen_node_to_the_new_one(hand: Hand) -> None:  # noqa: F811
    hand.scene.select(["blend"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_A, SHIFT)
    typed("blur", keys=SHIFT)
    assert Wire("blend") == hand.inputs("blur_2")["image"]


def test_a_wire_let_go_offers_only_what_fits_and_wires_it(hand: Hand) -> None:  # noqa: F811
    hand.drag(hand.port("load.out"), (280, 520))
    titles = {choice.title for choice in chooser().lines.choices}
    assert {"Blur", "Blend", "Grid"} == titles
    typed("grid")
    assert [Wire("load")] == hand.inputs("grid")["images"] or Wire("load") == hand.inputs("grid")["images"]


def test_escape_leaves_everything_as_it_was(hand: Hand) -> None:  # noqa: F811
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Tab)
    typed("grid", Qt.Key.Key_Escape)
    assert 0 == hand.model.undo.count()
    assert hand.view.hasFocus()


def test_arrows_choose_another_line(hand: Hand) -> None:  # noqa: F811
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Tab)
    opened = chooser()
    QTest.keyClicks(opened.line, "bl")
    QTest.keyClick(opened.line, Qt.Key.Key_Down)
    second = opened.lines.choices[1].key
    QTest.keyClick(opened.line, Qt.Key.Key_Return)
    assert second in {entry.type for entry in hand.model.graph.nodes.values()}


def test_what_one_uses_comes_first_next_time(hand: Hand, window) -> None:  # noqa: F811
    for _ in range(3):
        hand.view.setFocus()
        QTest.keyClick(hand.view, Qt.Key.Key_Tab)
        typed("mask")
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Tab)
    assert "t.mask" == chooser().lines.choices[0].key
    typed("", Qt.Key.Key_Escape)


def test_find_goes_to_a_node_by_its_type(hand: Hand) -> None:  # noqa: F811
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    typed("t.mask")
    assert {"mask"} == hand.scene.selection


def test_the_command_palette_does_what_it_is_told(hand: Hand) -> None:  # noqa: F811
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | SHIFT)
    typed("select all")
    assert set(hand.scene.nodes) == hand.scene.selection


def test_the_command_palette_knows_of_what_cannot_be_done_now_and_says_so(hand: Hand, window) -> None:  # noqa: F811
    hand.scene.select(())
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | SHIFT)
    assert "not now" not in [choice.note for choice in chooser().lines.choices]
    chooser().line.setText("align left")
    assert ["not now"] == [choice.note for choice in chooser().lines.choices if choice.title == "Align left"]
    QTest.keyClick(chooser().line, Qt.Key.Key_Return)
    assert "Align left: not now" in window.statusBar().currentMessage()
    assert 0 == hand.model.undo.count()


def test_the_menu_of_a_node_runs_to_it_and_edits_its_values(hand: Hand) -> None:  # noqa: F811
    hand.click(hand.title("blur"), button=Qt.MouseButton.RightButton)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    offered = {action.text(): action.isEnabled() for action in menu.actions()}
    assert offered["Run to the chosen node"]
    assert offered["Edit values"]
    assert {"blur"} == hand.scene.selection
    menu.close()


def test_a_list_that_is_long_has_one_scroll_bar(hand: Hand) -> None:  # noqa: F811
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | SHIFT)
    opened = chooser()
    QGuiApplication.processEvents()
    assert opened.view.verticalScrollBar().isVisible()
    assert not opened.view.horizontalScrollBar().isVisible()
    opened.close()


@pytest.mark.parametrize("text", ["x" * 5000, "𝕏 ̈\u200b", "((((", "%s%n"])
def test_odd_text_finds_nothing_and_harms_nothing(hand: Hand, text: str) -> None:  # noqa: F811
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Tab)
    opened = chooser()
    opened.line.setText(text)
    QTest.keyClick(opened.line, Qt.Key.Key_Return)
    assert 0 == hand.model.undo.count()
    opened.close()
