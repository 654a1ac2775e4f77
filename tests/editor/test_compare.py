"""Two states of a graph compared, in words and on the canvas."""

from pathlib import Path

import pytest
from nodeflow_editor.canvas.looks import Mark
from nodeflow_editor.commands import compare as comparing_commands
from nodeflow_editor.compare_dock import Compare
from nodeflow_editor.comparing import compared, marks
from nodeflow_editor.theme import DARK
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from nodeflow.document import Document, NodeEntry, Wire, save
from nodeflow.edits import AddNode, MoveNodes, RemoveNode, SetGraph, SetInput, SetParameter, Within
from tests.editor.test_gestures import NONE, Hand, hand, window  # noqa: F401 # fixtures


@pytest.fixture
def dock(window: Window) -> Compare:  # noqa: F811
    found = window.docks["compare"].widget()
    assert isinstance(found, Compare)
    return found


def saved(hand: Hand, path: Path) -> Path:  # noqa: F811
    save(hand.model.document, path)
    hand.model.file = path
    return path


def lines(dock: Compare) -> list[str]:
    return [dock.list.item(row).text() for row in range(dock.list.count())]


def test_differences_are_told_in_words_with_their_nodes() -> None:
    inner = Document(nodes={"x": NodeEntry("t.number")})
    old = Document(nodes={"a": NodeEntry("t.a"), "b": NodeEntry("t.b", 1, {"n": 1})}, graphs={"g": inner},
                   view={"nodes": {"b": [0, 0]}})  # fmt: skip
    new = old
    for edit in (
        RemoveNode("a"), AddNode("c", NodeEntry("t.c")), SetInput("b", "n", 2), SetParameter("n", "b.n"),
        MoveNodes({"b": [1, 2]}), Within("g", SetInput("x", "value", 3)), SetGraph("h", inner),
    ):  # fmt: skip
        new = edit.change(new)
    found = compared(old, new)
    assert [
        ("-", 'removes "a"', ""), ("+", 'adds "c" (t.c)', "c"), ("~", "sets b.n to 2", "b"),
        ("~", 'leads parameter "n" to b.n', "b"), ("~", 'in graph "g": sets x.value to 3', "x"),
        ("~", 'defines graph "h"', ""), ("~", 'moves "b"', "b"),
    ] == [(each.sign, each.text, each.node) for each in found]  # fmt: skip
    assert {"b": Mark.CHANGED, "c": Mark.ADDED} == marks(found, ())
    assert {"x": Mark.CHANGED} == marks(found, ("g",))


def test_a_graph_is_compared_with_its_file_and_follows_changes(hand: Hand, window, dock, tmp_path, qtbot) -> None:  # noqa: F811
    saved(hand, tmp_path / "a.json")
    hand.model.do(SetInput("blur", "radius", 3.0), "Set")
    window.actions_table.refresh()
    window.actions_table.made["graph.compare_saved"].trigger()
    assert window.docks["compare"].isVisible()
    assert ["~  sets blur.radius to 3.0"] == lines(dock)
    assert "1 difference" in dock.about.text()
    hand.model.do(AddNode("new", NodeEntry("t.mask")), "Add")
    qtbot.waitUntil(lambda: 2 == dock.list.count())
    assert {"blur": Mark.CHANGED, "new": Mark.ADDED} == hand.scene.marks
    hand.model.undo.undo()
    hand.model.undo.undo()
    qtbot.waitUntil(lambda: 0 == dock.list.count())
    assert "no difference" in dock.about.text()


def test_changed_nodes_are_marked_on_the_canvas_by_sign_and_colour(hand: Hand, window, dock, tmp_path) -> None:  # noqa: F811
    saved(hand, tmp_path / "a.json")
    hand.model.do(SetInput("blur", "radius", 3.0), "Set")
    window.docks["compare"].show()

    def edge() -> set[str]:
        QGuiApplication.processEvents()
        hand.view.centerOn(hand.scene.nodes["blur"])
        item, image = hand.scene.nodes["blur"], hand.view.grab().toImage()
        return {image.pixelColor(hand.spot((item.x() + 120, item.y() - away))).name() for away in range(5)}

    assert DARK.warning not in edge()
    window.actions_table.made["graph.compare_saved"].trigger()
    assert DARK.warning in edge()
    dock.end()
    assert DARK.warning not in edge()
    assert 0 == dock.list.count()


def test_a_click_and_enter_go_to_the_node_also_in_a_graph_within(hand: Hand, window, dock, tmp_path, qtbot) -> None:  # noqa: F811
    inner = Document(outputs={"out": "x"}, nodes={"x": NodeEntry("t.load")})
    hand.model.do(SetGraph("g", inner), "Graph")
    hand.model.do(AddNode("sub", NodeEntry("graph:g")), "Add")
    saved(hand, tmp_path / "a.json")
    hand.model.do(Within("g", SetInput("x", "path", "a.png")), "Set")
    hand.model.do(SetInput("loose", "image", Wire("load")), "Wire")
    comparing_commands.against(window, tmp_path / "a.json", "its file")
    assert 2 == dock.list.count()
    spots = [dock.list.visualItemRect(dock.list.item(row)).center() for row in range(2)]
    QTest.mouseClick(dock.list.viewport(), Qt.MouseButton.LeftButton, NONE, spots[0])
    assert {"loose"} == hand.scene.selection
    dock.list.setFocus()
    dock.list.setCurrentRow(1)
    QTest.keyClick(dock.list, Qt.Key.Key_Return)
    assert ("g",) == hand.model.level
    assert {"x"} == hand.scene.selection
    assert {"x": Mark.CHANGED} == hand.scene.marks


def test_what_is_no_graph_is_told_and_nothing_is_compared(hand: Hand, window: Window, dock, tmp_path) -> None:  # noqa: F811
    (tmp_path / "b.json").write_text("{]")
    comparing_commands.against(window, tmp_path / "b.json", "b.json")
    assert "b.json" in window.statusBar().currentMessage()
    assert dock.comparison is None


def test_closing_the_tab_ends_the_comparison(hand: Hand, window: Window, dock, tmp_path) -> None:  # noqa: F811
    saved(hand, tmp_path / "a.json")
    comparing_commands.against(window, tmp_path / "a.json", "its file")
    assert dock.comparison is not None
    window.close_page(hand.page)
    assert dock.comparison is None
