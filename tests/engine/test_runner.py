"""Which nodes run, in which order, what comes out, and what a failure costs."""

import gc
import json
import threading
import time

import plain_nodes
import pytest
from graphs_for_tests import built, ended, events, failure, finished, value

from nodeflow import errors
from nodeflow.errors import GraphError
from nodeflow.events import Began, Ended, Failed, Finished, Made, Started
from nodeflow.runner import Engine, run

CHAIN = 5_000


def chain(length):
    nodes = {"n0": ("number", {"x": 1})}
    nodes |= {f"n{i}": ("add", {"a": f"$n{i - 1}", "b": 1}) for i in range(1, length)}
    return nodes


def test_the_events_of_a_run_in_order():
    told = events({"a": ("number", {"x": 2}), "b": ("add", {"a": "$a", "b": 3})}, {"sum": "b"})
    assert [Began, Started, Finished, Started, Finished, Made, Ended] == [type(event) for event in told]
    assert ["a", "a", "b", "b"] == [event.node for event in told[1:-2]]
    assert ({"sum": 5}, 2, 0, 0, False) == (
        told[-1].outputs, told[-1].ran, told[-1].reused, told[-1].failed, told[-1].cancelled,
    )  # fmt: skip


def test_every_event_has_a_json_form():
    told = events({"a": ("loop",), "b": ("w.boom",), "c": ("pair",)}, {"a": "a", "b": "b", "c": "c.second"})
    lines = [json.loads(json.dumps(event.as_json())) for event in told]
    assert {"began", "started", "stepped", "finished", "failed", "made", "ended"} == {line["event"] for line in lines}
    assert {"a", "c"} == set(lines[-1]["names"])


def test_only_the_outputs_and_what_they_need_run(calls):
    nodes = {"a": ("number",), "b": ("add", {"a": "$a"}), "idle": ("real",), "c": ("add", {"a": "$b"})}
    assert ["a", "b"] == finished(events(nodes, {"out": "b"}))
    assert 0 == calls["real"]


def test_nodes_with_an_effect_run_though_nobody_takes_from_them(calls):
    nodes = {"a": ("number",), "s": ("sink", {"x": "$a"}), "o": ("real",), "idle": ("listed",)}
    assert {"a", "s", "o"} == set(finished(events(nodes, {"out": "o"})))


def test_a_graph_without_outputs_and_effects_runs_to_its_ends():
    nodes = {"a": ("number",), "b": ("add", {"a": "$a"}), "c": ("real",)}
    assert {"a", "b", "c"} == set(finished(events(nodes)))


def test_until_runs_one_node_and_what_it_needs(calls):
    nodes = {"a": ("number",), "b": ("add", {"a": "$a"}), "c": ("add", {"a": "$b"}), "s": ("sink", {"x": "$a"})}
    assert ["a", "b"] == finished(events(nodes, {"out": "c", "early": "a"}, until="b"))
    assert {"early": 0} == ended(nodes, {"out": "c", "early": "a"}, until="b").outputs


def test_until_of_an_unknown_node_is_refused():
    with pytest.raises(GraphError, match='there is no node "z"'):
        events({"a": ("number",)}, until="z")


def test_one_source_of_two_outputs_runs_once(calls):
    nodes = {"a": ("number",), "b": ("add", {"a": "$a"}), "c": ("add", {"a": "$a", "b": 1})}
    assert {"b": 0, "c": 1, "same": 0} == ended(nodes, {"b": "b", "c": "c", "same": "b"}).outputs
    assert (1, 2) == (calls["number"], calls["add"])


def test_an_output_that_is_another_ones_ancestor_comes_out_too():
    for outputs in ({"a": "a", "b": "b"}, {"b": "b", "a": "a"}):
        assert {"a": 1, "b": 3} == ended(
            {"b": ("add", {"a": "$a", "b": 2}), "a": ("number", {"x": 1})}, outputs
        ).outputs


def test_a_failing_output_does_not_stop_a_good_one():
    nodes = {"bad": ("w.boom",), "below": ("add", {"a": "$bad"}), "good": ("number", {"x": 4})}
    for outputs in ({"x": "below", "y": "good"}, {"y": "good", "x": "below"}):
        last = ended(nodes, outputs)
        assert ({"y": 4}, 1, 1) == (last.outputs, last.failed, last.ran)


def test_what_only_a_failed_node_would_have_fed_does_not_run(calls):
    nodes = {"bad": ("w.boom",), "other": ("number",), "sum": ("total", {"xs": ["$bad", "$other"]})}
    assert [] == finished(events(nodes, {"out": "sum"}))
    assert 0 == calls["number"]


def test_a_failing_sink_fails_once_and_others_run():
    nodes = {
        "bad": ("w.boom",),
        "s": ("sink", {"x": "$bad"}),
        "u": ("sink", {"x": "$bad", "name": "u"}),
        "v": ("sink", {"x": 1}),
    }
    told = events(nodes)
    assert ["bad"] == [event.node for event in told if isinstance(event, Failed)]
    assert ["v"] == finished(told)


def test_a_failure_names_node_message_and_place():
    told = failure({"a": ("w.boom",)}, "a")
    assert ("a", "said\nin two lines", None) == (told.node, told.message, told.port)
    assert "wrong_nodes.py" in told.trace
    assert told.trace.endswith("ValueError: said\nin two lines\n")


def test_a_chain_of_5000_runs_and_is_reused_at_once(calls):
    engine = Engine(device="cpu")
    assert CHAIN == ended(chain(CHAIN), {"out": f"n{CHAIN - 1}"}, engine).outputs["out"]
    again = ended(chain(CHAIN), {"out": f"n{CHAIN - 1}"}, engine)
    assert (0, 1) == (again.ran, again.reused)


def test_a_chain_of_5000_below_a_node_that_must_ask_runs():
    nodes = chain(CHAIN) | {"n0": ("content",)}
    last = ended(nodes, {"out": f"n{CHAIN - 1}"})
    assert (CHAIN - 1, CHAIN) == (last.outputs["out"], last.ran)


def test_a_diamond_of_depth_60_takes_linear_time(calls):
    nodes = {"n0": ("number", {"x": 1})} | {
        f"n{i}": ("add", {"a": f"$n{i - 1}", "b": f"$n{i - 1}"}) for i in range(1, 60)
    }
    assert 2**59 == value(nodes, "n59")
    assert 59 == calls["add"]
    asked = nodes | {"n0": ("content", {"bias": 1})}
    assert 2**59 == value(asked, "n59")


def test_a_result_is_let_go_when_its_last_user_is_done():
    engine = Engine(device="cpu")
    engine.cache.memory_bytes = 0
    nodes = {}
    for i in range(5):
        nodes |= {f"h{i}": ("heavy", {"x": i}), f"l{i}": ("lift", {"x": f"$h{i}"})}
    nodes["sum"] = ("total", {"xs": [f"$l{i}" for i in range(5)]})
    gc.collect()
    assert 5 == ended(nodes, {"out": "sum"}, engine).outputs["out"]
    assert [] == plain_nodes.LIVE


def test_a_result_whose_other_user_is_never_computed_is_let_go():
    engine = Engine(device="cpu")
    nodes = {"h": ("heavy",), "l": ("lift", {"x": "$h"}), "spare": ("lift", {"x": "$h"}), "b": ("w.boom",)}
    nodes["sum"] = ("total", {"xs": ["$b", "$spare"]})
    engine.cache.memory_bytes = 0
    for told in engine.run(built(nodes, {"one": "l", "two": "sum"})):
        if isinstance(told, Ended):
            assert [] == plain_nodes.LIVE


def test_closing_the_iterator_stops_the_node(calls):
    told = Engine(device="cpu").run(built({"a": ("loop", {"steps": 100_000, "pause": 0.001})}, {"out": "a"}))
    next(event for event in told if isinstance(event, Started))
    next(told)
    told.close()
    deadline = time.monotonic() + 5
    while any(thread.name == "nodeflow-node" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert calls["step"] < 100_000


def test_run_gives_outputs_or_raises_the_first_failure():
    assert {"out": 3} == run(built({"a": ("number", {"x": 3})}, {"out": "a"}))
    with pytest.raises(errors.RunError, match='node "a": said'):
        run(built({"a": ("w.boom",)}, {"out": "a"}))


def test_a_cached_result_of_another_number_of_outputs_is_computed_again(calls):
    engine = Engine(device="cpu")
    first = ended({"a": ("pair",)}, {"out": "a.second"}, engine)
    engine.cache.put(first.names["out"], (1,), 0)
    assert {"out": "<1>"} == ended({"a": ("pair",)}, {"out": "a.second"}, engine).outputs
    assert 2 == calls["pair"]
