"""Which keys do what, how they are changed, and how the window is walked without a mouse."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest
from nodeflow_editor import focus
from nodeflow_editor.actions import Action, assigned, readable, spelled
from nodeflow_editor.commands.go import keys_of
from nodeflow_editor.gestures import GESTURES, reserved
from nodeflow_editor.keys import Keys, markdown, sheet
from nodeflow_editor.keys_sheet import KeysSheet, columns
from nodeflow_editor.keys_window import KeysWindow
from nodeflow_editor.neighbours import beyond, farthest, nearest
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import ACTIONS, Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit

from tests.editor.test_gestures import CATALOG, CONTROL, SHIFT, Hand, hand, window  # noqa: F401 # fixtures

ROOT = Path(__file__).parents[2]
TABLE = (
    Action("a.one", "One", "Edit", lambda _: None, ("Ctrl+1", "F")),
    Action("a.two", "Two", "Edit", lambda _: None, ("Ctrl+2",)),
    Action("a.bare", "Bare", "", lambda _: None),
)


class Kept:
    """Keys over a small table, and what was kept of them."""

    def __init__(self, chosen: object = None) -> None:
        self.last: dict[str, list[str]] = {}
        self.keys = Keys(TABLE, chosen, self._keep)

    def _keep(self, chosen: dict[str, list[str]]) -> None:
        self.last = chosen


def test_no_two_actions_of_the_table_have_one_key_and_none_has_the_canvases() -> None:
    count = Counter(spelled(key) for action in ACTIONS for key in action.keys)
    assert {} == {key: times for key, times in count.items() if times > 1}
    assert set() == count.keys() & {spelled(key) for key in reserved()}


def test_every_key_of_the_table_is_one_and_every_action_has_an_id_and_a_title_of_its_own() -> None:
    assert [] == [(action.id, key) for action in ACTIONS for key in action.keys if spelled(key) != key]
    assert len(ACTIONS) == len({action.id for action in ACTIONS})
    titles = Counter((action.menu, action.title) for action in ACTIONS)
    assert {} == {title: times for title, times in titles.items() if times > 1}


def test_a_new_key_is_kept_and_what_had_it_loses_it() -> None:
    kept = Kept()
    kept.keys.give("a.bare", "ctrl+2")
    assert ("Ctrl+2",) == kept.keys.of("a.bare")
    assert () == kept.keys.of("a.two")
    assert {"a.bare": ["Ctrl+2"]} == kept.last
    assert kept.keys.of("a.bare") == Kept(kept.last).keys.of("a.bare")


def test_who_has_a_key_is_told() -> None:
    keys = Kept().keys
    assert "a.two" == keys.holder("Ctrl+2").id
    assert keys.holder("Ctrl+2", besides="a.two") is None
    assert keys.holder("Ctrl+3") is None
    assert "" == keys.holder("X").id


@pytest.mark.parametrize("key", ["", "Ctrl+", "Nonsense", "X", "Space", "Esc", "Return"])
def test_no_key_and_the_canvases_keys_are_refused(key: str) -> None:
    kept = Kept()
    with pytest.raises(ValueError, match=r"is no key|the canvas needs"):
        kept.keys.give("a.bare", key)
    assert {} == kept.last


def test_a_reset_gives_the_tables_keys_back_and_takes_them_from_others() -> None:
    kept = Kept()
    kept.keys.give("a.bare", "Ctrl+2")
    kept.keys.give("a.two", "Ctrl+9")
    kept.keys.reset("a.two")
    assert ("Ctrl+2",) == kept.keys.of("a.two")
    assert () == kept.keys.of("a.bare")
    kept.keys.reset_all()
    assert {} == kept.last
    assert all(kept.keys.is_own(action.id) for action in TABLE)


def test_to_take_a_key_away_and_give_it_again_leaves_nothing_to_keep() -> None:
    kept = Kept()
    kept.keys.take("a.two", "Ctrl+2")
    assert {"a.two": []} == kept.last
    kept.keys.give("a.two", "Ctrl+2")
    assert {} == kept.last


def test_keys_of_what_is_not_there_now_are_not_lost() -> None:
    kept = Kept({"plugin.gone": ["Ctrl+7"]})
    kept.keys.give("a.bare", "F9")
    assert {"plugin.gone": ["Ctrl+7"], "a.bare": ["F9"]} == kept.last


@pytest.mark.parametrize("chosen", [None, 5, [], {"a.one": 5}, {"a.one": [7]}, {"a.one": "F"}, {5: ["F"]}])
def test_settings_that_hold_no_keys_change_none(chosen: object) -> None:
    assert ("Ctrl+1", "F") == assigned(TABLE, readable(chosen))["a.one"]


def test_one_key_typed_into_settings_for_two_actions_is_one_actions() -> None:
    found = assigned(TABLE, readable({"a.one": ["F9"], "a.two": ["F9", "bogus"]}))
    assert {"a.one": ("F9",), "a.two": (), "a.bare": ()} == found


def test_a_window_opens_whatever_stands_in_settings_and_heeds_what_can_be_read(qtbot, tmp_path) -> None:
    settings = Settings(tmp_path / "settings.json")
    settings.set("keys", {"edit.copy": 3, "edit.paste": ["Ctrl+Shift+F9"]})
    made = Window(CATALOG, settings)
    qtbot.addWidget(made)
    assert "Ctrl+C" == made.actions_table.made["edit.copy"].shortcut().toString()
    assert "Ctrl+Shift+F9" == made.actions_table.made["edit.paste"].shortcut().toString()


def opened(window: Window) -> KeysWindow:  # noqa: F811
    window.actions_table.made["help.change_keys"].trigger()
    return window.findChild(KeysWindow)


def test_a_key_typed_in_the_window_holds_at_once_and_after_a_restart(hand: Hand, window: Window, qtbot) -> None:  # noqa: F811
    dialog = opened(window)
    QTest.keyClicks(dialog.search, "select all")
    assert "edit.select_all" == dialog.chosen
    QTest.keyClick(dialog.field, Qt.Key.Key_L, CONTROL)
    assert "belongs to “Lay out”" in dialog.verdict.text()
    QTest.mouseClick(dialog.give, Qt.MouseButton.LeftButton)
    dialog.close()
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_L, CONTROL)
    assert set(hand.scene.nodes) == hand.scene.selection
    again = Settings(window.settings.path).get("keys", {})
    assert {"edit.select_all": ["Ctrl+A", "Ctrl+L"]} == again


def test_the_window_of_keys_finds_an_action_by_its_key(hand: Hand, window: Window) -> None:  # noqa: F811
    dialog = opened(window)
    dialog.search.setText("ctrl+z")
    assert "edit.undo" == dialog.chosen
    dialog.search.setText("nothing like it at all")
    assert "" == dialog.chosen
    assert not dialog.give.isEnabled()
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_a_key_of_the_canvas_cannot_be_given_away(hand: Hand, window: Window) -> None:  # noqa: F811
    dialog = opened(window)
    dialog.choose("edit.copy")
    QTest.keyClick(dialog.field, Qt.Key.Key_X)
    assert "cannot be had" in dialog.verdict.text()
    assert not dialog.give.isEnabled()


def test_reset_all_brings_the_tables_keys_back(hand: Hand, window: Window) -> None:  # noqa: F811
    dialog = opened(window)
    dialog.choose("edit.copy")
    QTest.mouseClick(dialog.clear, Qt.MouseButton.LeftButton)
    assert "" == window.actions_table.made["edit.copy"].shortcut().toString()
    QTest.mouseClick(dialog.reset_all, Qt.MouseButton.LeftButton)
    assert "Ctrl+C" == window.actions_table.made["edit.copy"].shortcut().toString()
    assert {} == window.settings.get("keys", {})


def test_the_sheet_shows_every_action_that_has_a_key_and_every_gesture(hand: Hand, window: Window) -> None:  # noqa: F811
    window.actions_table.made["help.keys"].trigger()
    shown = window.findChild(KeysSheet)
    texts = {label.text() for label in shown.findChildren(QLabel)}
    assert {action.title.rstrip("…") for action in ACTIONS if action.keys} <= texts
    assert {gesture.how for gesture in GESTURES} <= texts
    QTest.mouseClick(shown.copy, Qt.MouseButton.LeftButton)
    assert markdown(sheet(keys_of(window))) == QGuiApplication.clipboard().text()
    QTest.keyClick(shown, Qt.Key.Key_Escape)
    assert not shown.isVisible()


def test_columns_hold_all_groups_in_their_order() -> None:
    groups = sheet(Kept().keys)
    assert list(groups) == [group for column in columns(groups) for group in column]
    assert all(columns(sheet(Keys(ACTIONS, {}, lambda _: None))))


def test_the_page_of_keys_is_what_the_table_says() -> None:
    path = ROOT / "docs" / "editor_keys.py"
    form = importlib.util.spec_from_file_location("editor_keys", path)
    module = importlib.util.module_from_spec(form)
    form.loader.exec_module(module)
    assert module.page() == module.PAGE.read_text("utf-8"), "run `python docs/editor_keys.py`"


BOXES = {"middle": (0, 0, 100, 50), "right": (300, 10, 100, 50), "far": (600, 0, 100, 50), "below": (20, 200, 100, 50)}


def test_the_next_node_in_a_direction_is_the_one_straight_ahead() -> None:
    assert "right" == beyond(BOXES, "middle", "right")
    assert "far" == beyond(BOXES, "right", "right")
    assert "below" == beyond(BOXES, "middle", "down")
    assert "middle" == beyond(BOXES, "below", "up")
    assert beyond(BOXES, "far", "right") is None
    assert "far" == farthest(BOXES, "right")
    assert "below" == nearest(BOXES, (80, 180))
    assert nearest({}, (0, 0)) is None


def test_ctrl_and_arrows_go_from_node_to_node_and_shift_takes_more(hand: Hand, window: Window) -> None:  # noqa: F811
    hand.scene.select(["load"])
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Right, CONTROL)
    assert {"blur"} == hand.scene.selection
    assert "Blur (blur); image from load" == window.statusBar().currentMessage()
    assert window.statusBar().currentMessage() == hand.view.accessibleDescription()
    QTest.keyClick(hand.view, Qt.Key.Key_Right, CONTROL | SHIFT)
    assert {"blur", "blend"} == hand.scene.selection
    QTest.keyClick(hand.view, Qt.Key.Key_Right, CONTROL)
    assert {"blur", "blend"} == hand.scene.selection
    assert "no node stands further right" == window.statusBar().currentMessage()


def test_with_nothing_chosen_the_first_step_goes_to_the_middle_of_what_is_in_sight(hand: Hand) -> None:  # noqa: F811
    hand.view.centerOn(304 + 116, 40)
    hand.view.setFocus()
    QTest.keyClick(hand.view, Qt.Key.Key_Left, CONTROL)
    assert {"blur"} == hand.scene.selection


def test_f6_and_shift_f6_go_through_the_canvas_and_every_dock_and_come_back(hand: Hand, window: Window) -> None:  # noqa: F811
    hand.view.setFocus()
    known = focus.areas(window)
    assert {dock for dock in window.docks.values() if not dock.isHidden()} <= set(known)
    for steps, keys in ((known[1:] + known[:1], Qt.KeyboardModifier.NoModifier), (known[:0:-1] + known[:1], SHIFT)):
        for area in steps:
            QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_F6, keys)
            holder = QApplication.focusWidget()
            assert area is holder or area.isAncestorOf(holder), (area.objectName(), holder)
    assert hand.view.hasFocus()


def test_tab_goes_from_field_to_field_in_a_dock_and_letters_stay_in_it(hand: Hand, window: Window) -> None:  # noqa: F811
    from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

    inner = QWidget()
    box = QVBoxLayout(inner)
    line, button = QLineEdit(), QPushButton("Do")
    box.addWidget(line)
    box.addWidget(button)
    window.add_dock("test", "Test", inner, Qt.DockWidgetArea.LeftDockWidgetArea)
    hand.scene.select(["load"])
    QGuiApplication.processEvents()
    line.setFocus()
    assert line.hasFocus()
    QTest.keyClick(line, Qt.Key.Key_Tab)
    assert button.hasFocus()
    QTest.keyClick(button, Qt.Key.Key_Right)
    QTest.keyClick(button, Qt.Key.Key_Delete)
    assert [0, 0] == hand.model.graph.view["nodes"]["load"]
    assert 0 == hand.model.undo.count()


def test_the_canvas_shows_by_a_ring_that_keys_go_to_it_but_not_after_a_click(hand: Hand, window: Window) -> None:  # noqa: F811
    hand.click((500, 600))
    assert not hand.view.property("ring")
    window.tabs.tabBar().setFocus()
    window.actions_table.made["go.canvas"].trigger()
    assert hand.view.hasFocus()
    assert hand.view.property("ring")
    window.tabs.tabBar().setFocus()
    assert not hand.view.property("ring")


def test_keys_that_act_on_the_graph_do_not_ring_the_canvas_and_a_press_ends_it(hand: Hand, window: Window) -> None:  # noqa: F811
    hand.click((500, 600))
    for key in (Qt.Key.Key_Control, Qt.Key.Key_Delete, Qt.Key.Key_F):
        QTest.keyClick(hand.view, key)
    assert not hand.view.property("ring")
    window.actions_table.made["go.next"].trigger()
    window.actions_table.made["go.canvas"].trigger()
    assert hand.view.property("ring")
    hand.click((500, 600))
    assert not hand.view.property("ring")
