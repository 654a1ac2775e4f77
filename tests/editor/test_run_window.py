"""Graphs run from the window: by key, with a real worker."""

import os
import signal
from pathlib import Path

import pytest
from graphs_for_tests import document
from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.problems import Problems
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.run_status import RunStatus
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from nodeflow.document import NodeEntry
from nodeflow.edits import AddNode, MoveNodes, RemoveNode, RenameNode, SetInput, SetMode

CONTROL, ALT, SHIFT = (
    Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ShiftModifier,
)  # fmt: skip
SOON = 60_000


class Ends:
    """The ends of runs, by number."""

    def __init__(self, window, qtbot):
        self.qtbot, self.told = qtbot, {}
        RunPart.of(window).runner.ended.connect(lambda run, end: self.told.__setitem__(run, end))

    def wait(self, count=1):
        self.qtbot.waitUntil(lambda: len(self.told) >= count, timeout=SOON)
        return list(self.told.values())[count - 1]


@pytest.fixture
def window(run_window):
    return run_window()


@pytest.fixture
def ends(window, qtbot):
    return Ends(window, qtbot)


def press_run(window, keys=CONTROL):
    QTest.keyClick(window.page.view, Qt.Key.Key_Return, keys)


def look(window, node):
    return window.page.scene.look(node)


def test_ctrl_enter_runs_the_graph_and_marks_its_nodes(window, ends):
    nodes = {"a": ("rough.slow", {"x": 11}), "b": ("rough.number", {"x": "$a"})}
    window.open_document(document(nodes, {"x": "b"}))
    press_run(window)
    assert 0 == ends.wait()["failed"]
    assert [Run.DONE, Run.DONE] == [look(window, node).run for node in "ab"]
    assert "0.1 s" == look(window, "a").note
    assert window.statusBar().currentMessage().startswith("done in ")
    press_run(window)
    assert 0 == ends.wait(2)["failed"]
    assert Run.REUSED is look(window, "b").run
    assert Run.IDLE is look(window, "a").run  # nobody asked for it


def test_run_to_the_chosen_node_computes_nothing_else(window, ends):
    nodes = {"a": ("rough.slow", {"x": 21}), "b": ("rough.slow", {"x": 22}), "c": ("rough.number", {"x": "$b"})}
    window.open_document(document(nodes, {"x": "a", "y": "c"}))
    window.page.scene.select(["b"])
    press_run(window, CONTROL | SHIFT)
    assert 1 == ends.wait()["ran"]
    assert [Run.IDLE, Run.DONE, Run.IDLE] == [look(window, node).run for node in "abc"]


def test_a_node_that_computes_shows_its_progress_and_how_long(window, ends, qtbot):
    window.open_document(document({"d": ("showing.develops", {"steps": 40, "pause": 0.05})}, {"n": "d"}))
    press_run(window)
    qtbot.waitUntil(lambda: look(window, "d").note.endswith(" s left"), timeout=SOON)
    assert Run.RUNNING is look(window, "d").run
    assert 0.0 < look(window, "d").progress < 1.0
    status = next(part for part in window.parts if isinstance(part, RunStatus))
    qtbot.waitUntil(lambda: "0 of 1 nodes, about" in status.label.text(), timeout=SOON)
    assert status.bar.isVisible()
    assert "% · " in window.windowTitle()
    qtbot.waitUntil(lambda: look(window, "d").picture is not None, timeout=SOON)
    ends.wait()
    qtbot.waitUntil(lambda: not status.bar.isVisible(), timeout=SOON)
    assert "%" not in window.windowTitle()
    assert look(window, "d").note.endswith(" s")
    assert look(window, "d").picture is not None


def test_an_edit_makes_results_old_and_undo_makes_them_new_again(window, ends, qtbot):
    nodes = {"a": ("rough.number", {"x": 1}), "b": ("rough.number", {"x": "$a"}), "c": ("rough.number", {"x": 3})}
    page = window.open_document(document(nodes, {"x": "b", "y": "c"}))
    press_run(window)
    ends.wait()
    page.model.do(SetInput("a", "x", 2), "Set")
    qtbot.waitUntil(lambda: look(window, "b").old, timeout=SOON)
    assert [True, True, False] == [look(window, node).old for node in "abc"]
    page.model.do(MoveNodes({"c": [900, 0]}), "Move")
    page.model.undo.undo()
    page.model.undo.undo()
    qtbot.waitUntil(lambda: not look(window, "b").old, timeout=SOON)
    assert [Run.DONE] * 3 == [look(window, node).run for node in "abc"]


def test_a_picture_that_the_last_run_did_not_make_anew_is_old_when_it_is_of_another_graph(window, ends, qtbot):
    nodes = {"p": ("showing.paints", {"grey": 0.2}), "c": ("showing.covers", {"image": "$p"})}
    page = window.open_document(document(nodes, {"mask": "c"}))
    for count, grey in enumerate((0.2, 0.6, 0.2), 1):  # the last finds the mask of the first
        page.model.do(SetInput("p", "grey", grey), "Set")
        press_run(window)
        ends.wait(count)
    assert Run.REUSED is look(window, "c").run
    qtbot.waitUntil(lambda: look(window, "p").old, timeout=SOON)  # pictures come one by one, the newest first
    assert not look(window, "c").old
    page.model.do(SetInput("p", "grey", 0.6), "Set")
    qtbot.waitUntil(lambda: look(window, "c").old, timeout=SOON)
    assert not look(window, "p").old


def test_an_output_that_could_not_be_written_is_told_at_the_end(window, ends, qtbot, tmp_path):
    page = window.open_document(document({"p": ("showing.paints", {"grey": 0.4})}, {"picture": "p"}))
    press_run(window)
    ends.wait()
    (file,) = (tmp_path / "outputs").glob("*.png")
    file.unlink()
    file.mkdir()
    press_run(window)
    ends.wait(2)
    assert "1 output could not be written" == window.statusBar().currentMessage()
    assert any(f"{file.stem}: " in fault.message for fault in Problems.of_window(window).of(page))
    assert window.docks["problems"].isVisible()


def test_a_run_holds_no_page_that_was_closed(window, ends):
    page = window.open_document(document({"n": ("rough.number", {"x": 8})}, {"x": "n"}))
    press_run(window)
    ends.wait()
    window.close_page(page)
    assert all(going.page is None for going in RunPart.of(window)._runs.values())


def test_marks_survive_the_undo_of_a_removal(window, ends):
    page = window.open_document(document({"a": ("rough.number", {"x": 1})}, {"x": "a"}))
    press_run(window)
    ends.wait()
    page.model.do(AddNode("b", NodeEntry("rough.number")), "Add")
    page.model.do(RemoveNode("b"), "Remove")
    page.model.undo.undo()
    page.model.undo.undo()
    assert Run.DONE is look(window, "a").run


def test_marks_faults_and_pictures_follow_a_renamed_node_and_are_not_old(window, ends, qtbot):
    nodes = {"a": ("rough.slow", {"x": 1}), "bad": ("rough.hungry",)}
    page = window.open_document(document(nodes, {"x": "a", "y": "bad"}))
    press_run(window)
    assert 1 == ends.wait()["failed"]
    page.model.do(RenameNode("a", "first"), "Rename")
    page.model.do(RenameNode("bad", "worse"), "Rename")
    qtbot.wait(300)  # marks are judged anew a little after each edit
    assert [(Run.DONE, False), (Run.FAILED, False)] == [
        (look(window, node).run, look(window, node).old) for node in ("first", "worse")
    ]
    assert look(window, "worse").faults
    assert ["worse"] == [fault.node for fault in problems(window) if fault.ran]
    page.model.undo.undo()
    assert Run.FAILED is look(window, "bad").run
    assert look(window, "bad").faults


def test_a_node_renamed_while_it_computes_has_its_marks_and_picture_under_its_new_name(window, ends, qtbot):
    page = window.open_document(document({"d": ("showing.develops", {"steps": 41, "pause": 0.05})}, {"n": "d"}))
    press_run(window)
    qtbot.waitUntil(lambda: look(window, "d").run is Run.RUNNING, timeout=SOON)
    page.model.do(RenameNode("d", "e"), "Rename")
    assert Run.RUNNING is look(window, "e").run
    before = look(window, "e").progress
    qtbot.waitUntil(lambda: look(window, "e").progress != before, timeout=SOON)
    assert 0 == ends.wait()["failed"]
    assert (Run.DONE, False) == (look(window, "e").run, look(window, "e").old)
    assert look(window, "e").picture is not None
    page.model.undo.undo()
    assert (Run.DONE, False) == (look(window, "d").run, look(window, "d").old)
    assert look(window, "d").picture is not None


def test_nodes_of_graphs_show_on_the_node_that_stands_for_them_and_within(window, ends):
    inner = {"nodeflow": 1, "nodes": {"s": {"type": "rough.slow", "inputs": {"x": 31}},
                                      "t": {"type": "rough.number", "inputs": {"x": {"$from": "s"}}}},
             "outputs": {"out": "t"}}  # fmt: skip
    page = window.open_document(document({"up": ("graph:in",)}, {"x": "up"}, graphs={"in": inner}))
    press_run(window)
    assert 2 == ends.wait()["ran"]
    assert Run.DONE is look(window, "up").run
    page.model.enter(("in",))
    assert [Run.DONE, Run.DONE] == [look(window, node).run for node in "st"]
    page.model.enter(())
    assert Run.DONE is look(window, "up").run
    page.scene.select(["up"])
    press_run(window, CONTROL | SHIFT)
    assert 0 == ends.wait(2)["failed"]


def test_a_seed_that_is_next_counts_up_with_each_run_as_a_step_of_undo(run_window, qtbot):
    from nodeflow_editor import seeds

    from nodeflow.catalog import Catalog
    from nodeflow.spec import NodeSpec, Port
    from nodeflow.types import PortType

    window = run_window()
    ends = Ends(window, qtbot)
    number = window.catalog.get("rough.number")
    seeded = NodeSpec(number.id, 1, "rough", "Number", "", (Port("x", PortType("int"), default=0, widget="seed"),),
                      number.outputs, number.function)  # fmt: skip
    window.catalog = Catalog.of(seeded)
    page = window.open_document(document({"a": ("rough.number", {"x": 5})}, {"x": "a"}))
    page.model.do(seeds.kept(page.model.graph, [("a", "x")], "next"), "Next")
    given = []
    RunPart.of(window).runner.delivered.connect(lambda run, output, paths, value: given.append(value))
    changes = []
    page.model.document_changed.connect(lambda: changes.append(1))
    RunPart.of(window).submit(page, times=3)
    assert [1] == changes  # what follows changes of the graph does so once for a hundred runs
    ends.wait(3)
    qtbot.waitUntil(lambda: len(given) == 3, timeout=SOON)
    assert [6, 7, 8] == given
    page.model.undo.undo()
    assert 5 == page.model.graph.nodes["a"].inputs["x"]


def test_an_untitled_graph_writes_to_the_folder_of_settings(run_window, qtbot, tmp_path):
    window = run_window(out=str(tmp_path / "pictures"))
    ends = Ends(window, qtbot)
    window.open_document(document({"p": ("showing.paints", {"grey": 0.3})}, {"image": "p"}))
    press_run(window)
    assert 0 == ends.wait()["failed"]
    assert 1 == len(list((tmp_path / "pictures").glob("graph-*.png")))


# --- faults


def problems(window):
    return Problems.of_window(window).of(window.page)


@pytest.mark.parametrize("how", ["segfault", "exit"])
def test_a_node_that_ends_the_worker_is_named_and_the_window_runs_on(how, window, ends, qtbot):
    page = window.open_document(document({"bad": ("rough.ends", {"how": how})}, {"x": "bad"}))
    press_run(window)
    ends.wait()
    assert Run.FAILED is look(window, "bad").run
    assert "the process that ran it ended" in look(window, "bad").faults[""]
    (fault,) = problems(window)
    assert ("bad", "error") == (fault.node, fault.severity)
    assert '"bad": the process that ran it ended' in window.statusBar().currentMessage()
    assert window.docks["problems"].isVisible()
    page.model.do(SetInput("bad", "how", "no"), "Set")
    qtbot.waitUntil(lambda: look(window, "bad").faults == {}, timeout=SOON)
    press_run(window)
    assert 0 == ends.wait(2)["failed"]
    assert [] == problems(window)


def test_a_worker_killed_from_outside_is_told_and_the_next_run_goes_on(window, ends, qtbot):
    window.open_document(document({"l": ("rough.loops",)}, {"x": "l"}))
    press_run(window)
    qtbot.waitUntil(lambda: look(window, "l").run is Run.RUNNING, timeout=SOON)
    good = window.open_document(document({"n": ("rough.number", {"x": 4})}, {"x": "n"}))
    press_run(window)
    os.kill(RunPart.of(window).runner._work._process._process.pid, signal.SIGKILL)
    assert [1, 0] == [ends.wait(1)["failed"], ends.wait(2)["failed"]]
    assert Run.DONE is good.scene.look("n").run


def test_a_failed_node_has_its_message_and_trace_in_the_list(window, ends):
    window.open_document(document({"h": ("rough.hungry",)}, {"x": "h"}))
    press_run(window)
    assert 1 == ends.wait()["failed"]
    (fault,) = problems(window)
    assert ("h", True) == (fault.node, fault.message.startswith("MemoryError"))
    assert "Traceback" in fault.trace
    assert Run.FAILED is look(window, "h").run


def test_cancel_stops_a_loop_and_takes_its_mark_away(window, ends, qtbot):
    window.open_document(document({"l": ("rough.loops",)}, {"x": "l"}))
    press_run(window)
    qtbot.waitUntil(lambda: look(window, "l").run is Run.RUNNING, timeout=SOON)
    press_run(window, CONTROL | ALT)
    assert ends.wait()["cancelled"]
    assert Run.IDLE is look(window, "l").run
    assert "stopped" == window.statusBar().currentMessage()


def test_a_node_that_does_not_stop_is_ended_with_its_worker_and_named(window, ends, qtbot):
    window.open_document(document({"l": ("rough.loops", {"steps": False})}, {"x": "l"}))
    press_run(window)
    qtbot.waitUntil(lambda: look(window, "l").run is Run.RUNNING, timeout=SOON)
    press_run(window, CONTROL | ALT)
    status = next(part for part in window.parts if isinstance(part, RunStatus))
    qtbot.waitUntil(lambda: status.label.text().startswith("stopping…"), timeout=SOON)
    press_run(window, CONTROL | ALT)  # impatient: at once
    assert "l" == ends.wait()["killed"]
    assert '"l" did not stop by itself' in window.statusBar().currentMessage()


def test_a_graph_with_faults_is_not_run_and_its_problems_are_shown(window, ends):
    window.open_document(document({"n": ("rough.number", {"x": "1"})}, {"x": "n"}))
    press_run(window)
    assert window.statusBar().currentMessage().startswith("not run: the graph has a problem. n · x: expected")
    assert window.docks["problems"].isVisible()
    assert () == RunPart.of(window).runner.queue.entries()
    assert {} == ends.told


def test_what_a_worker_refuses_is_listed(window, ends, tmp_path):
    (tmp_path / "file").write_text("")
    window.settings.set("out", str(tmp_path / "file"))
    window.open_document(document({"n": ("rough.number",)}, {"x": "n"}))
    press_run(window)
    assert ends.wait()["refused"]
    (fault,) = problems(window)
    assert "cannot write to" in fault.message


def test_no_worker_means_that_runs_wait_and_a_restart_tries_again(window, ends, qtbot, monkeypatch):
    part = RunPart.of(window)
    start, part.runner._work._start = part.runner._work._start, lambda said: (_ for _ in ()).throw(OSError("no room"))
    window.open_document(document({"n": ("rough.number",)}, {"x": "n"}))
    press_run(window)
    status = next(part for part in window.parts if isinstance(part, RunStatus))
    qtbot.waitUntil(lambda: status.label.text() == "1 waiting: no worker can be started", timeout=SOON)
    assert "cannot be started" in problems(window)[0].message
    part.runner._work._start = start
    window.actions_table.made["run.restart"].trigger()
    assert 0 == ends.wait()["failed"]
    assert [] == problems(window)


# --- what is left behind


def test_models_stay_warm_and_nothing_is_left_when_the_window_closes(window, ends, qtbot, tmp_path):
    shared = set(Path("/dev/shm").glob("*")) if Path("/dev/shm").is_dir() else set()
    window.open_document(document({"p": ("showing.paints",)}, {"image": "p"}))
    press_run(window)
    ends.wait()
    work = RunPart.of(window).runner._work
    pid = work._process._process.pid
    window.page.model.do(SetInput("p", "grey", 0.9), "Set")
    press_run(window)
    ends.wait(2)
    assert pid == work._process._process.pid
    window.page.model.undo.setClean()
    window.close()
    assert not Path(f"/proc/{pid}").exists()
    if shared:
        assert set(Path("/dev/shm").glob("*")) <= shared
    queue = tmp_path / "editor-home" / "state" / "queue"
    assert [] == list(queue.iterdir())


def test_where_nothing_is_to_be_run_it_says_so_and_why(window, ends):
    window.open_document(document({}))
    press_run(window)
    assert "nothing to run: the graph has no nodes" == window.statusBar().currentMessage()
    page = window.open_document(document({"a": ("rough.number",), "b": ("rough.number", {"x": "$a"})}, {"x": "b"}))
    page.model.do(SetMode("b", "muted"), "Mute")
    press_run(window)
    assert 'nothing to run: "b" is muted' == window.statusBar().currentMessage()
    assert {} == ends.told
    assert () == tuple(RunPart.of(window).runner.queue.entries())
