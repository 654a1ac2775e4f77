"""Stopping a run: within a node's steps, between nodes, from another thread; and going on afterwards."""

import threading

import plain_nodes
import pytest
from graphs_for_tests import built, ended

from nodeflow.events import Ended, Finished, Previewed, Stepped
from nodeflow.nodes import spec_of
from nodeflow.runner import Engine
from nodeflow.session import Cancel, Permissions, RunContext

LOOP = {"a": ("loop", {"steps": 1_000_000, "pause": 0.0005}), "b": ("add", {"a": "$a"})}


def test_a_cancel_takes_effect_at_the_next_step_and_the_engine_runs_again(calls):
    engine, cancel = Engine(device="cpu"), Cancel()
    told = []
    for event in engine.run(built(LOOP, {"out": "b"}), cancel=cancel):
        told.append(event)
        if isinstance(event, Stepped):
            cancel.press()
    assert (True, 0, 0, {}) == (told[-1].cancelled, told[-1].ran, told[-1].failed, told[-1].outputs)
    assert calls["step"] < 1_000_000
    assert {"out": 3} == ended({"a": ("loop",)}, {"out": "a"}, engine).outputs


def test_a_cancel_from_another_thread(calls):
    cancel = Cancel()
    plain_nodes.GATE.clear()
    threading.Thread(target=lambda: (plain_nodes.GATE.wait(), cancel.press())).start()
    last = list(Engine(device="cpu").run(built(LOOP, {"out": "b"}), cancel=cancel))[-1]
    assert last.cancelled


def test_a_cancel_between_nodes_keeps_what_is_done():
    engine, cancel = Engine(device="cpu"), Cancel()
    nodes = {"a": ("number", {"x": 8}), "b": ("add", {"a": "$a"}), "c": ("add", {"a": "$b"})}
    told = []
    for event in engine.run(built(nodes, {"first": "a", "last": "c"}), cancel=cancel):
        told.append(event)
        if isinstance(event, Finished):
            cancel.press()
    assert (True, 1, {"first": 8}) == (told[-1].cancelled, told[-1].ran, told[-1].outputs)


def test_a_cancel_before_the_run_runs_nothing():
    cancel = Cancel()
    cancel.press()
    (began, last) = Engine(device="cpu").run(built(LOOP, {"out": "b"}), cancel=cancel)
    assert (2, True, 0) == (began.nodes, last.cancelled, last.ran)


def context(said, watched=False, cancel=None):
    return RunContext(
        "n", emit=said.append, cancel=cancel or Cancel(), permissions=Permissions(), load=lambda model: model,
        watched=watched,
    )  # fmt: skip


def test_previews_are_drawn_only_if_somebody_looks():
    for watched, drawn in ((False, 0), (True, 1)):
        said, pictures = [], []
        list(context(said, watched).steps(range(100), preview=lambda: pictures.append(1)))  # noqa: B023
        assert (drawn, drawn) == (len(pictures), sum(isinstance(event, Previewed) for event in said))


def test_steps_say_how_far_and_how_long():
    said = []
    assert [0, 1, 2] == list(context(said).steps(iter(range(3)), total=3))
    assert [(0, 3), (3, 3)] == [(event.step, event.total) for event in said]
    assert (None, 0.0) == (said[0].left, said[-1].left)


def test_more_steps_than_were_foretold_never_have_negative_time_left(monkeypatch):
    monkeypatch.setattr("nodeflow.session.REPORT", 0.0)
    said = []
    list(context(said).steps(range(4), total=2))
    assert min(event.left for event in said[1:]) >= 0


def test_a_node_that_is_called_as_a_function_needs_no_run():
    assert 3 == plain_nodes.loop()
    assert spec_of(plain_nodes.loop, "t").context


@pytest.mark.parametrize("items", [[], range(0)])
def test_a_loop_of_no_steps_reports_once(items):
    said = []
    assert [] == list(context(said).steps(items))
    assert [0] == [event.step for event in said]
    assert not isinstance(said[0], Ended)
