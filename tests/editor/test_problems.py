"""Graphs are checked as they are edited: what is wrong stands on nodes, in the list and in the status bar."""

import time

import pytest
from graphs_for_tests import document
from nodeflow_editor import problems as module
from nodeflow_editor.faults import Fault, counted, of_failure
from nodeflow_editor.hover import told_at
from nodeflow_editor.problems import Problems
from nodeflow_editor.problems_dock import ProblemsDock, place
from nodeflow_editor.run_status import RunStatus
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.edits import MoveNodes, RemoveNode, SetInput
from nodeflow.errors import GraphError
from nodeflow.graph import build

NODES = {"a": ("rough.number", {"x": 1}), "b": ("rough.number", {"x": "$a"}), "c": ("rough.save", {"x": "$b"})}
INNER = {"nodeflow": 1, "nodes": {"s": {"type": "rough.number", "inputs": {"x": "no"}}}, "outputs": {"out": "s"}}


@pytest.fixture
def window(run_window):
    return run_window()


@pytest.fixture
def dock(window):
    found = next(part for part in window.parts if isinstance(part, ProblemsDock))
    found.show()
    return found


def faults(window):
    return Problems.of_window(window).of(window.page)


def wait_for(qtbot, window, count):
    qtbot.waitUntil(lambda: len(faults(window)) == count, timeout=10_000)


def test_an_edit_that_is_wrong_is_told_at_its_node_and_input(window, qtbot):
    page = window.open_document(document(NODES))
    page.model.do(SetInput("a", "x", "one"), "Set")
    wait_for(qtbot, window, 1)
    assert {"x": 'expected int, found "one"'} == page.scene.look("a").faults
    status = next(part for part in window.parts if isinstance(part, RunStatus))
    assert (True, "1 problem") == (status.count.isVisible(), status.count.text())
    page.model.undo.undo()
    wait_for(qtbot, window, 0)
    assert {} == page.scene.look("a").faults
    assert not status.count.isVisible()


def test_the_faults_are_those_that_check_tells(window, qtbot):
    wrong = document({**NODES, "d": ("rough.absent",), "e": ("rough.save",)})
    page = window.open_document(wrong)
    with pytest.raises(GraphError) as told:
        build(wrong, window.catalog)
    wait_for(qtbot, window, len(told.value.problems))
    assert {(one.node, one.port, one.message, one.cure) for one in told.value.problems} == {
        (one.node, one.port, one.message, one.cure) for one in faults(window)
    }
    assert "is missing" in page.scene.look("e").faults["x"]


def test_a_node_that_is_moved_is_not_checked_again(window, qtbot, monkeypatch):
    page = window.open_document(document(NODES))
    qtbot.waitUntil(lambda: Problems.of_window(window)._known[page].checked.document is not None, timeout=5_000)
    monkeypatch.setattr(module, "checked", lambda *_: pytest.fail("it was"))
    page.model.do(MoveNodes({"a": [7, 7]}), "Move")
    qtbot.wait(2 * module.QUIET)
    assert page.model.document is Problems.of_window(window)._known[page].checked.document


def test_faults_within_a_graph_stand_on_its_node_and_on_their_own_within(window, qtbot, dock):
    page = window.open_document(document({"up": ("graph:in",)}, graphs={"in": INNER}))
    wait_for(qtbot, window, 1)
    assert page.scene.look("up").faults[""].startswith("up/s: expected int")
    dock.jump(faults(window)[0], stay=True)
    assert ("in",) == page.model.level
    assert {"s"} == page.scene.selection
    assert page.scene.look("s").faults["x"].startswith("expected int")


def test_a_click_leads_to_the_node_and_marks_the_port(window, qtbot, dock):
    page = window.open_document(document(NODES))
    page.model.do(SetInput("b", "x", "one"), "Set")
    wait_for(qtbot, window, 1)
    assert "Problems (1)" == dock.dock.windowTitle()
    qtbot.waitUntil(lambda: dock.list.topLevelItemCount() == 1, timeout=5_000)
    spot = dock.list.visualItemRect(dock.list.topLevelItem(0)).center()
    QTest.mouseClick(dock.list.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)
    assert {"b"} == page.scene.selection
    assert {"b": {"in:x"}} == page.scene.fits
    assert page.view.viewport().rect().contains(page.view.mapFromScene(page.scene.nodes["b"].frame().center()))
    qtbot.waitUntil(lambda: page.scene.fits is None, timeout=5_000)


def test_enter_in_the_list_leads_to_the_node_and_the_keys_to_the_canvas(window, qtbot, dock):
    page = window.open_document(document({**NODES, "d": ("rough.save", {"x": "one"})}))
    wait_for(qtbot, window, 1)
    qtbot.waitUntil(lambda: dock.list.topLevelItemCount() == 1, timeout=5_000)
    dock.list.setFocus()
    QTest.keyClick(dock.list, Qt.Key.Key_Down)
    dock.list.setCurrentItem(dock.list.topLevelItem(0))
    assert "d · x" in dock.details.toPlainText()
    QTest.keyClick(dock.list, Qt.Key.Key_Return)
    assert {"d"} == page.scene.selection
    assert page.view.hasFocus()


def test_a_fault_of_a_node_that_is_gone_leads_nowhere(window, dock):
    window.open_document(document(NODES))
    dock.jump(Fault("gone", node="z"), stay=True)
    assert 'there is no node "z" any more' == window.statusBar().currentMessage()


def test_the_list_follows_the_tab_in_front(window, qtbot, dock):
    good = window.open_document(document(NODES))
    window.open_document(document({"d": ("rough.save",)}))
    wait_for(qtbot, window, 1)
    window.tabs.setCurrentWidget(good)
    assert "Problems" == dock.dock.windowTitle()
    assert 0 == dock.list.topLevelItemCount()


def test_a_page_closed_while_it_is_checked_is_forgotten(window, qtbot):
    page = window.open_document(document(NODES))
    Problems.of_window(window)._tick(page)
    window.close_page(page)
    qtbot.wait(100)
    assert Problems.of_window(window).marks(page) is None


def test_what_could_not_be_read_of_a_file_is_listed_too(window, qtbot):
    from nodeflow.errors import Problem

    page = window.open_document(document(NODES))
    page.take_faults((Problem("no such thing", node="a"),))
    wait_for(qtbot, window, 1)
    assert {"": "no such thing"} == page.scene.look("a").faults


def test_checks_of_5000_nodes_do_not_hold_up_the_window(window, qtbot):
    nodes = {f"n{at}": NodeEntry("rough.number", 1, {"x": Wire(f"n{at - 1}") if at else 1}) for at in range(5_000)}
    places = {f"n{at}": [at % 70 * 300, at // 70 * 200] for at in range(5_000)}
    page = window.open_document(Document(nodes=nodes, view={"nodes": places}))
    page.view.zoom(1.0)
    problems = Problems.of_window(window)
    qtbot.waitUntil(lambda: problems._known[page].checked.document is not None, timeout=30_000)
    page.model.do(SetInput("n0", "x", "one"), "Set")
    spent = 0.0
    began = time.monotonic()
    while not faults(window):
        assert time.monotonic() - began < 30
        before = time.thread_time()
        qtbot.wait(1)
        spent = max(spent, time.thread_time() - before)
    assert spent < 0.1  # of this thread alone; 45 ms a check are the other's


def test_a_failure_gives_its_cure_apart():
    fault = of_failure("it ended\n    use less", "a", "x", "trace")
    assert ("it ended", "use less", "a · x", "it ended — use less") == (
        fault.message, fault.cure, fault.place, fault.sentence
    )  # fmt: skip
    places = of_failure("no model; looked in\n    /a b\n    /c\n    put it there", None, None, "")
    assert "no model; looked in — /a b; /c; put it there" == places.sentence


def test_counts_name_what_there_is():
    assert "" == counted([])
    assert "2 problems, 1 note" == counted([Fault("a"), Fault("b"), Fault("c", severity="note")])


def test_a_path_leads_as_deep_as_graphs_are_in_the_file(window):
    page = window.open_document(document({"up": ("graph:in",), "far": ("graph:x.json",)}, graphs={"in": INNER}))
    assert (("in",), "s") == place(page, "up/s")
    assert ((), "far") == place(page, "far/deep/s")


def test_a_removed_node_takes_its_fault_along(window, qtbot):
    page = window.open_document(document({"d": ("rough.save",)}))
    wait_for(qtbot, window, 1)
    page.model.do(RemoveNode("d"), "Remove")
    wait_for(qtbot, window, 0)


def test_the_list_stays_where_it_was_scrolled_when_it_is_the_same(window, qtbot, dock):
    page = window.open_document(document({f"d{at}": ("rough.save",) for at in range(60)}))
    wait_for(qtbot, window, 60)
    qtbot.waitUntil(lambda: dock.list.topLevelItemCount() == 60, timeout=5_000)
    dock.list.verticalScrollBar().setValue(30)
    page.model.do(MoveNodes({"d0": [3, 3]}), "Move")
    qtbot.wait(2 * module.QUIET)
    assert 30 == dock.list.verticalScrollBar().value()
    assert QPoint(0, 0) != dock.list.visualItemRect(dock.list.topLevelItem(0)).topLeft()


def test_the_mouse_at_rest_is_told_what_is_wrong_there(window, qtbot):
    page = window.open_document(document({"d": ("rough.save", {"x": "one"}), "e": ("rough.gone",)}))
    wait_for(qtbot, window, 2)
    item = page.scene.nodes["d"]
    row = item.measures.row("x")
    assert '✕ expected int, found "one"\nx: int' == told_at(page, item.x() + 30, item.y() + row.y + 5)
    assert told_at(page, item.x() + 30, item.y() + 8).startswith('✕ expected int, found "one"\nWrites a number.')
    absent = page.scene.nodes["e"]
    assert 'no installed plugin has "rough.gone"' in told_at(page, absent.x() + 30, absent.y() + 8)
    assert told_at(page, *page.scene.port_at("d", "out", out=True)).startswith("out: SavedFile")
    assert "" == told_at(page, -900.0, -900.0)
