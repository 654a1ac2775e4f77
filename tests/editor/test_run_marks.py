"""What a run has said, judged without a window: how far it is, how nodes look, which results are old."""

import pytest
from graphs_for_tests import document
from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.run_marks import PageRun, Renaming, Told, members, outdated, owner, shown, source, span, ways

from nodeflow.document import Document, NodeEntry
from nodeflow.edits import MoveNodes, RenameNode, SetInput, SetMode, Within

CHAIN = {"a": ("number", {}), "b": ("add", {"a": "$a"}), "c": ("add", {"a": "$b"}), "d": ("add", {"a": "$a"})}
PARENTS = {"a": (), "b": ("a",), "c": ("b",)}
INNER = document({"x": ("number", {"value": 1}), "y": ("add", {"a": "$x"})}, {"out": "y"}, parameters={"v": "x.value"})
TWICE = document({"n": ("number", {}), "up": ("graph:in", {"v": "$n"}), "again": ("graph:in", {"v": 3})},
                 graphs={"in": {"nodeflow": 1, "nodes": {"x": {"type": "t.number"}, "y": {"type": "t.add"}},
                                "outputs": {"out": "y"}, "parameters": {"v": "x.value"}}})  # fmt: skip


def run(**seconds):
    return PageRun(1, document(CHAIN), PARENTS, ("c",), seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (0.84, "0.8 s"), (9.9, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"),
     (7800, "2 h 10 min")],
)  # fmt: skip
def test_times_are_told_as_people_say_them(seconds, text):
    assert text == span(seconds)


def test_a_result_that_was_there_makes_what_led_to_it_needless():
    going = run()
    assert {"a", "b", "c"} == set(going.ahead())
    going.end("b", Run.REUSED)
    assert ["c"] == going.ahead()
    assert (1, 2) == (going.progress(0).done, going.progress(0).all)


def test_time_left_is_that_of_the_loop_and_of_what_comes_after_by_its_last_run():
    going = run(b=2.0, c=3.0)
    going.end("a", Run.DONE, 1.0)
    going.start("b", 10.0)
    going.step("b", 1, 4, 4.5)
    found = going.progress(11.5)
    assert 7.5 == found.left
    assert (1.0 + 1.5) / (2.5 + 7.5) == pytest.approx(found.share)


def test_nothing_is_said_of_the_time_left_while_a_node_runs_that_nobody_has_seen_run():
    going = run()
    going.start("a", 0.0)
    assert going.progress(2.0).left is None
    assert 0.0 == going.progress(2.0).share


def test_quick_nodes_at_the_beginning_do_not_move_the_bar_to_the_end():
    going = run()
    going.end("a", Run.DONE, 0.1)
    assert 0.0 == going.progress(1.0).share
    assert 1 / 9 == pytest.approx(going.progress(3.0).share)
    going.start("b", 3.0)
    going.step("b", 1, 10, 9.0)
    assert 1 / 9 < going.progress(4.0).share <= 0.2


def test_what_led_to_a_result_that_was_there_waits_no_more():
    going = run()
    for node in PARENTS:
        going.of(node)
    going.end("b", Run.REUSED)
    assert ["a"] == going.needless()
    assert {"b", "c"} == set(going.told)


def test_a_bar_does_not_go_back():
    going = run(c=0.0)
    going.end("a", Run.DONE, 1.0)
    going.start("b", 1.0)
    going.step("b", 9, 10, 0.5)
    before = going.progress(5.5).share
    going.step("b", 9, 10, 60.0)
    after = going.progress(5.6).share
    assert 0.8 < before < after < before + 0.001
    assert 1.0 == pytest.approx(going.progress(1e6).share, abs=1e-3)


def test_a_bar_that_was_judged_by_the_number_of_nodes_does_not_go_back_when_it_is_judged_by_time():
    going = run()
    going.end("a", Run.DONE, 0.1)
    going.end("b", Run.DONE, 0.1)
    told = [going.progress(3.0).share]
    going.start("c", 3.0)
    for second in range(1, 60):
        going.step("c", second, 60, 60.0 - second)
        told.append(going.progress(3.0 + second).share)
    assert told == sorted(told)
    assert 0.9 < told[-1] < 1.0


def test_a_node_of_several_loops_stays_as_far_as_it_was():
    going = run()
    going.start("a", 0.0)
    going.step("a", 9, 10, 1.0)
    going.step("a", 1, 10, 9.0)
    assert (0.9, 9.0) == (going.of("a").share, going.of("a").left)


def test_what_waits_when_a_run_ends_is_not_marked_any_more():
    going = run()
    for node in PARENTS:
        going.of(node)
    going.end("a", Run.DONE, 0.2)
    going.start("b", 0.0)
    going.close()
    assert {"a"} == set(going.told)


def test_a_node_that_stands_for_a_graph_counts_its_nodes():
    parts = {"up/x": Told(Run.DONE, seconds=1.0), "up/y": Told(Run.RUNNING, share=0.5)}
    seen = shown(parts, False, True, 2, 0.0)
    assert (Run.RUNNING, 0.75, "1 of 2") == (seen.run, seen.progress, seen.note)
    parts["up/y"] = Told(Run.DONE, seconds=0.5)
    assert (Run.DONE, "1.5 s") == (shown(parts, False, False, 2, 0.0).run, shown(parts, False, False, 2, 0.0).note)
    parts["up/x"] = Told(Run.FAILED)
    assert Run.FAILED is shown(parts, False, True, 2, 0.0).run
    assert 2 == members("graph:in", TWICE, lambda _: None)


def test_a_node_at_work_tells_the_time_left_or_how_long_it_works():
    assert "7 s left" == shown({"a": Told(Run.RUNNING, left=7.2)}, True, True, 1, 0.0).note
    assert "3 s" == shown({"a": Told(Run.RUNNING, began=1.0)}, True, True, 1, 4.9).note
    assert "" == shown({"a": Told(Run.RUNNING, began=1.0)}, True, True, 1, 1.9).note


def test_paths_lead_to_the_nodes_on_show():
    assert ("",) == ways(TWICE, ())
    assert ("up/", "again/") == ways(TWICE, ("in",))
    assert "up" == owner("up/x", ways(TWICE, ()))
    assert "x" == owner("again/x", ways(TWICE, ("in",)))
    assert owner("n", ways(TWICE, ("in",))) is None


def test_what_makes_an_output_of_a_graph_is_found_within_it():
    inner = Document(nodes={"a": NodeEntry("t.x"), "b": NodeEntry("t.x")}, outputs={"one": "a", "two": "b.out"})
    graph = Document(nodes={"up": NodeEntry("graph:g"), "n": NodeEntry("t.x"), "far": NodeEntry("graph:f.json")},
                     graphs={"g": inner})  # fmt: skip
    files = {"f.json": Document(nodes={"deep": NodeEntry("graph:g")}, outputs={"x": "deep.two"}, graphs={"g": inner})}
    asked = (("n", "out"), ("up", "two"), ("up", "one"), ("up", ""), ("far", "x"))
    found = [source(node, graph, files.get, port) for node, port in asked]
    assert ["n", "up/b", "up/a", "up/a", "far/deep/b"] == found
    assert "far" == source("far", graph, lambda _: None)


def test_a_changed_node_makes_its_result_and_all_that_follow_old():
    before = document(CHAIN)
    assert {"b", "c"} == outdated(before, SetInput("b", "b", 4).change(before))
    assert {"d"} == outdated(before, SetMode("d", "muted").change(before))
    assert set() == outdated(before, MoveNodes({"a": [5, 5]}).change(before))
    back = SetInput("b", "b", 4).apply(before)
    assert set() == outdated(before, back[1].change(back[0]))


def test_a_changed_graph_makes_the_nodes_that_stand_for_it_old():
    after = Within("in", SetInput("x", "value", 9)).change(TWICE)
    assert {"up", "again"} == outdated(TWICE, after)
    assert {"x"} == outdated(TWICE, after, ("in",))
    assert set() == outdated(TWICE, Within("in", MoveNodes({"x": [1, 1]})).change(TWICE))


def test_within_a_graph_all_is_old_if_whatever_stands_for_it_is():
    after = SetInput("again", "v", 4).change(TWICE)
    assert {"again"} == outdated(TWICE, after)
    assert set() == outdated(TWICE, after, ("in",))  # "up" is as it was
    assert {"x", "y"} == outdated(TWICE, SetInput("n", "value", 4).change(after), ("in",))


def test_a_renamed_node_has_no_result():
    before = document(CHAIN)
    assert {"e", "c"} <= outdated(before, RenameNode("b", "e").change(before))


def test_what_is_told_of_a_node_is_known_by_its_new_id():
    going = run(b=2.0)
    going.end("a", Run.DONE, 1.0)
    going.rename(Renaming((), {"a": "first", "b": "second"}, ("",)))
    going.start(going.now("b"), 1.0)
    assert {"first": Run.DONE, "second": Run.RUNNING} == {node: told.run for node, told in going.told.items()}
    assert ["c", "second"] == sorted(going.ahead())
    going.rename(Renaming((), {"second": "third"}, ("",)))
    assert ["first", "third", "c"] == [going.now(node) for node in "abc"]
    now = document(CHAIN)
    for edit in (RenameNode("a", "first"), RenameNode("b", "third"), SetInput("c", "b", 3)):
        now = edit.change(now)
    assert {"c"} == outdated(going.document, now), "what was renamed is not old for that"


def test_paths_through_a_renamed_graph_node_and_within_a_graph_follow():
    outer = Renaming((), {"up": "top"}, ("",))
    assert ["top/x", "top", "upper", "again/up"] == [outer.path(path) for path in ("up/x", "up", "upper", "again/up")]
    inner = Renaming(("in",), {"x": "z"}, ways(TWICE, ("in",)))
    assert ["up/z", "again/z", "x", "up/y"] == [inner.path(path) for path in ("up/x", "again/x", "x", "up/y")]


def test_a_state_in_which_another_node_had_the_id_stays_as_it_was():
    before = document(CHAIN)
    assert before is Renaming((), {"a": "b"}, ("",)).document(before)
    assert before is Renaming((), {"gone": "new"}, ("",)).document(before)
