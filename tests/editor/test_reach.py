"""Everything in the window has a name for those who hear the screen, and can be reached by keys."""

import pytest
from nodeflow_editor import focus
from nodeflow_editor.settings import Settings
from nodeflow_editor.style import dress
from nodeflow_editor.theme import DARK
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QGraphicsView,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
    QTabBar,
    QTextEdit,
    QWidget,
)

from nodeflow.document import Document, NodeEntry, Wire
from tests.editor.test_gestures import CATALOG

USED = (QAbstractButton, QLineEdit, QPlainTextEdit, QTextEdit, QComboBox, QAbstractSpinBox, QAbstractItemView,
        QAbstractSlider, QGraphicsView)  # fmt: skip
PARTS = (QComboBox, QAbstractSpinBox, QLineEdit, QTabBar)
"""Widgets of Qt's that have others within, which go by their name."""


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    made = Window(CATALOG, Settings(tmp_path / "settings.json"))
    qtbot.addWidget(made)
    made.resize(1480, 920)
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    nodes = {"load": NodeEntry("t.load"), "blur": NodeEntry("t.blur", 1, {"image": Wire("load")})}
    page = made.open_document(Document(nodes=nodes, view={"nodes": {"load": [0, 0], "blur": [304, 0]}}))
    page.scene.select(["blur"])
    for dock in made.docks.values():
        dock.show()
    QGuiApplication.processEvents()
    return made


def used(window: Window) -> list[QWidget]:
    """What people press, type in or choose from."""
    found = []
    for widget in window.findChildren(QWidget):
        parents, parent = [], widget.parentWidget()
        while parent is not None:
            parents.append(parent)
            parent = parent.parentWidget()
        own = not widget.objectName().startswith("qt_") and not isinstance(widget, QScrollBar | QHeaderView)
        own = own and not widget.isHidden()
        if isinstance(widget, USED) and own and not any(isinstance(parent, PARTS) for parent in parents):
            found.append(widget)
    return found


def test_all_that_is_used_has_a_name_in_words(window: Window) -> None:
    names = {
        widget: QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name) for widget in used(window)
    }
    assert len(names) > 20
    assert [] == [
        (type(widget).__name__, widget.parentWidget().objectName(), name)
        for widget, name in names.items()
        if not any(sign.isalnum() for sign in name)
    ]


def test_every_dock_has_a_title_and_takes_the_keys_by_f6_wherever_it_stands(window: Window) -> None:
    reached = set()
    window.page.view.setFocus()
    for _ in range(len(focus.areas(window))):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_F6)
        reached |= {name for name, dock in window.docks.items() if dock.isAncestorOf(QApplication.focusWidget())}
    assert set(window.docks) == reached
    assert window.page.view.hasFocus()
    assert all(dock.windowTitle() for dock in window.docks.values())


def test_a_dock_that_floats_is_reached_as_well_and_keeps_its_plain_keys(window: Window) -> None:
    dock = window.docks["form"]
    dock.setFloating(True)
    QGuiApplication.processEvents()
    assert dock in focus.areas(window)
    line = next(line for line in dock.findChildren(QLineEdit) if line.isVisible())
    line.setFocus()
    before = len(window.page.model.graph.nodes)
    QTest.keyClick(line, Qt.Key.Key_Tab)
    assert before == len(window.page.model.graph.nodes)
    assert [] == [widget for widget in QApplication.topLevelWidgets() if widget.objectName() == "chooser"]


def test_every_action_is_found_in_the_menus_or_has_a_key_and_says_what_it_is(window: Window) -> None:
    table = window.actions_table
    assert [] == [name for name, action in table.known.items() if not action.menu and not action.keys]
    assert all(made.text().strip() for made in table.made.values())


def test_docks_that_share_a_place_have_no_second_title_and_get_theirs_back_alone(window: Window) -> None:
    one, other = window.docks["form"], window.docks["graph"]
    window.docks["history"].hide()
    assert other in window.tabifiedDockWidgets(one)
    assert one.titleBarWidget() is not None
    one.setFloating(True)
    QTest.qWait(20)
    assert one.titleBarWidget() is None
    assert other.titleBarWidget() is None
    one.setFloating(False)
    QTest.qWait(20)
    assert one.titleBarWidget() is not None


def test_nodes_that_wait_for_their_picture_get_it_frame_by_frame(window: Window, monkeypatch) -> None:
    from nodeflow_editor.canvas import pace

    nodes = {f"n{at}": NodeEntry("t.blur") for at in range(30)}
    places = {f"n{at}": [at % 6 * 300, at // 6 * 120] for at in range(30)}
    page = window.open_document(Document(nodes=nodes, view={"nodes": places}))
    monkeypatch.setattr(pace, "HURRY", 1e-4)  # one picture a frame
    page.view.zoom(0.6)
    page.view.centerOn(page.scene.bounds().center())
    for _ in range(200):
        QGuiApplication.processEvents()
    assert [] == [node for node in nodes if page.scene.shots.get(node, 0.6) is None]


@pytest.mark.parametrize("name", ["problems", "queue", "output", "compare", "plugins"])
def test_a_window_of_800_by_500_is_never_made_larger_by_a_dock_below(window: Window, qtbot, name: str) -> None:
    dress(QApplication.instance(), DARK)  # as it is used: the style has widths of its own
    window.resize(800, 500)
    window.docks[name].show()
    window.docks[name].raise_()
    qtbot.wait(50)
    assert (800, 500) == (window.width(), window.height())
    least = window.minimumSizeHint()
    assert (least.width() <= 800, least.height() <= 500) == (True, True), least
