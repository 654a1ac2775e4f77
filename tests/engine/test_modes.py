"""Muted and bypassed nodes: what still runs, what is left out and why, and what is let through."""

import time
from collections.abc import Mapping

import pytest
from graphs_for_tests import CATALOG, built, document, finished
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import documents

from nodeflow.document import Document, NodeEntry, Wire, parse, write
from nodeflow.edits import Group, SetMode
from nodeflow.errors import GraphError
from nodeflow.graph import build
from nodeflow.runner import Engine

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def moded(nodes, outputs=None, modes=None, folder=None, **more):
    """The graph with nodes muted or bypassed: {"a": "muted"}."""
    text = document(nodes, outputs, **more)
    edited = Group(tuple(SetMode(name, mode) for name, mode in (modes or {}).items())).change(text)
    return build(edited, CATALOG, folder=folder)


def outputs(graph):
    return dict(list(Engine(device="cpu").run(graph))[-1].outputs)


# --- muted


def test_a_muted_node_and_all_that_cannot_do_without_it_are_left_out():
    nodes = {"n": ("number", {"x": 1}), "a": ("add", {"a": "$n"}), "b": ("add", {"a": "$a"}), "c": ("number", {"x": 7})}
    graph = moded(nodes, {"b": "b", "c": "c"}, {"a": "muted"})
    assert {"n", "c"} == set(graph.steps)
    assert {"a": '"a" is muted', "b": '"a" is muted'} == graph.absent.nodes
    assert {"b": '"a" is muted'} == graph.absent.outputs
    assert {"c": 7} == outputs(graph)


def test_an_optional_input_goes_without_and_a_list_loses_the_item():
    nodes = {
        "n": ("number", {"x": 5}), "m": ("number", {"x": 9}),
        "a": ("add", {"a": "$n", "b": "$m"}), "t": ("total", {"xs": ["$n", "$m", 3]}),
    }  # fmt: skip
    assert {"a": 5, "t": 8} == outputs(moded(nodes, {"a": "a", "t": "t"}, {"m": "muted"}))


def test_a_list_of_which_nothing_is_left_is_missing():
    nodes = {"m": ("number",), "t": ("total", {"xs": ["$m", "$m"]}), "u": ("total", {"xs": []})}
    graph = moded(nodes, {"t": "t", "u": "u"}, {"m": "muted"})
    assert {"u": 0} == outputs(graph)
    assert {"t": '"m" is muted'} == graph.absent.outputs


def test_the_faults_of_nodes_that_do_not_run_hinder_nobody():
    nodes = {"n": ("number", {"x": 2}), "bad": ("add", {"a": "text", "nothing": 1}), "gone": ("no.type", {"x": "$n"}),
             "sub": ("graph:absent.json", {"x": "$n"}), "after": ("add", {"a": "$bad"})}  # fmt: skip
    modes = {"bad": "muted", "gone": "bypassed", "sub": "bypassed"}
    assert {"n": 2} == outputs(moded(nodes, {"n": "n", "after": "after"}, modes))
    with pytest.raises(GraphError) as caught:
        moded(nodes, {"n": "n"})
    assert {"bad", "gone", "sub"} == {problem.node for problem in caught.value.problems}


def test_a_graph_whose_outputs_are_all_left_out_computes_nothing(calls):
    nodes = {"n": ("number",), "m": ("add", {"a": "$n"})}
    told = list(Engine(device="cpu").run(moded(nodes, {"m": "m"}, {"m": "muted"})))
    assert ([], {"m": '"m" is muted'}) == (finished(told), told[0].left_out)


def test_a_run_until_such_a_node_says_why_it_cannot():
    nodes = {"n": ("number",), "m": ("add", {"a": "$n"}), "o": ("add", {"a": "$m"})}
    graph = moded(nodes, {"o": "o"}, {"m": "muted"})
    with pytest.raises(GraphError, match='"o" does not run: "m" is muted'):
        Engine(device="cpu").run(graph, until="o")
    told = list(Engine(device="cpu").run(graph, until="n"))
    assert (["n"], {}) == (finished(told), told[0].left_out)


# --- bypassed


def test_a_bypassed_node_lets_its_first_fitting_input_through():
    nodes = {"r": ("text", {"value": "no int"}), "n": ("number", {"x": 4}), "m": ("number", {"x": 6}),
             "any": ("add", {"b": "$m", "a": "$n"}), "out": ("add", {"a": "$any", "b": 10})}  # fmt: skip
    assert {"out": 14} == outputs(moded(nodes, {"out": "out"}, {"any": "bypassed"}))  # by port, not as the file lists


def test_an_input_that_does_not_fit_is_passed_over():
    nodes = {"s": ("text", {"value": "three"}), "n": ("number", {"x": 4}),
             "mix": ("pick", {"a": "$s", "b": "$n"}), "out": ("add", {"a": "$mix"})}  # fmt: skip
    assert {"out": 4} == outputs(moded(nodes, {"out": "out"}, {"mix": "bypassed"}))


def test_a_list_gives_its_first_item_and_an_output_of_the_graph_follows():
    nodes = {"n": ("number", {"x": 4}), "m": ("number", {"x": 6}), "t": ("total", {"xs": [1, "$m", "$n"]})}
    graph = moded(nodes, {"t": "t"}, {"t": "bypassed"})
    assert ({"t": 6}, {"t": ("m", "out")}) == (outputs(graph), graph.outputs)


def test_bypassed_nodes_in_a_row_and_behind_a_muted_one():
    nodes = {"n": ("number", {"x": 4}), "m": ("number", {"x": 6}), "a": ("add", {"a": "$m", "b": "$n"}),
             "b": ("add", {"a": "$a"}), "c": ("add", {"a": "$b"}), "out": ("add", {"a": "$c", "b": 1})}  # fmt: skip
    bypassed = dict.fromkeys("abc", "bypassed")
    assert {"out": 7} == outputs(moded(nodes, {"out": "out"}, bypassed))
    assert {"out": 5} == outputs(moded(nodes, {"out": "out"}, {**bypassed, "m": "muted"}))


def test_a_bypassed_node_with_nothing_that_fits_acts_as_a_muted_one():
    nodes = {"s": ("text", {"value": "x"}), "a": ("pick", {"a": "$s"}), "b": ("add", {"a": "$a"}),
             "c": ("maybe", {"x": "$a"})}  # fmt: skip
    graph = moded(nodes, {"b": "b", "c": "c"}, {"a": "bypassed"})
    assert {"c": None} == outputs(graph)
    reason = '"a" is bypassed, and nothing that is wired into it fits its output "out"'
    assert {"b": reason} == graph.absent.outputs


def test_a_circle_through_a_bypassed_node_is_no_circle_of_the_run():
    nodes = {"n": ("number", {"x": 3}), "a": ("add", {"a": "$n", "b": "$b"}), "b": ("add", {"a": "$a"})}
    assert {"b": 3} == outputs(moded(nodes, {"b": "b"}, {"a": "bypassed"}))


def test_100_000_bypassed_nodes_in_a_row_are_led_through_in_time():
    nodes = {"n0": NodeEntry("t.number", 1, {"x": 3})}
    nodes |= {f"n{at}": NodeEntry("t.add", 1, {"a": Wire(f"n{at - 1}")}, mode="bypassed") for at in range(1, 100_000)}
    graph = build(Document(nodes=dict(reversed(nodes.items())), outputs={"x": "n99999"}), CATALOG)
    assert {"x": ("n0", "out")} == graph.outputs


@pytest.mark.parametrize("step", [1, -1])
def test_a_circle_of_100_000_nodes_that_all_need_a_muted_one_is_judged_in_time(step):
    count = 100_000
    nodes = {f"n{at}": NodeEntry("t.add", 1, {"a": Wire(f"n{(at + step) % count}")}) for at in range(count)}
    nodes["n0"] = NodeEntry("t.add", 1, {"a": Wire(f"n{step % count}")}, mode="muted")
    began = time.monotonic()
    graph = build(Document(nodes=nodes, outputs={"x": "n7"}), CATALOG)
    assert time.monotonic() - began < 60
    assert ({}, count) == (dict(graph.steps), len(graph.absent.nodes))
    assert '"n0" is muted' == graph.absent.nodes["n7"]


# --- within subgraphs


INNER = {
    "nodeflow": 1,
    "parameters": {"first": "low.a", "second": "high.b"},
    "outputs": {"low": "low", "high": "high"},
    "nodes": {
        "low": {"type": "t.add", "inputs": {"b": 100}},
        "high": {"type": "t.add", "inputs": {"a": {"$from": "low"}}},
    },
}
NODES = {"n": ("number", {"x": 1}), "m": ("number", {"x": 2}), "g": ("graph:inner", {"second": "$m", "first": "$n"}),
         "x": ("add", {"a": "$g.high", "b": 1000})}  # fmt: skip


def test_a_graph_as_a_node_is_muted_whole():
    graph = moded(NODES, {"x": "x", "n": "n", "g": "g.low"}, {"g": "muted"}, graphs={"inner": INNER})
    assert {"n": 1} == outputs(graph)
    assert {"x": '"g" is muted', "g": '"g" is muted'} == graph.absent.outputs


def test_a_graph_as_a_node_is_bypassed_by_the_order_of_its_parameters():
    graph = moded(NODES, {"x": "x", "g": "g.low"}, {"g": "bypassed"}, graphs={"inner": INNER})
    assert {"x": 1001, "g": 1} == outputs(graph)
    assert {"n", "x"} == set(graph.needed(graph.targets()))


def test_a_graph_within_a_bypassed_graph_says_what_its_outputs_are():
    outer = {"nodeflow": 1, "parameters": {"x": "g.first"}, "outputs": {"y": "g.high"},
             "nodes": {"g": {"type": "graph:inner"}}, "graphs": {"inner": INNER}}  # fmt: skip
    nodes = {"n": ("number", {"x": 5}), "o": ("graph:outer", {"x": "$n"}), "a": ("add", {"a": "$o"})}
    assert {"a": 105} == outputs(moded(nodes, {"a": "a"}, graphs={"outer": outer}))
    assert {"a": 5} == outputs(moded(nodes, {"a": "a"}, {"o": "bypassed"}, graphs={"outer": outer}))


def test_a_node_is_muted_or_bypassed_within_a_graph():
    for mode, expected in (("muted", {}), ("bypassed", {"x": 1003, "g": 1})):
        low = {**INNER["nodes"]["low"], "mode": mode}
        inner = {**INNER, "nodes": {**INNER["nodes"], "low": low}}
        graph = moded(NODES, {"x": "x", "g": "g.low"}, graphs={"inner": inner})
        assert expected == outputs(graph)
        assert {"g/low": f'"g/low" is {mode}'}.items() <= graph.absent.nodes.items()


def test_a_parameter_may_lead_to_a_node_that_does_not_run():
    nodes = {"n": ("number", {"x": 2}), "m": ("number", {"x": 3})}
    assert {"n": 2} == outputs(moded(nodes, {"n": "n"}, {"m": "muted"}, parameters={"x": "m.x"}))


# --- the file


def test_the_file_says_it_between_version_and_inputs():
    text = '{"nodeflow": 1, "nodes": {"a": {"type": "t.add", "inputs": {"a": 1}, "mode": "muted", "note": "later"}}}'
    entry = parse(text).nodes["a"]
    assert ("muted", {"note": "later"}) == (entry.mode, entry.extra)
    expected = '"a": {"type": "t.add", "version": 1, "mode": "muted", "inputs": {"a": 1}, "note": "later"}'
    assert expected in write(parse(text))
    assert "mode" not in write(SetMode("a", "").change(parse(text)))


@pytest.mark.parametrize("mode", ['"mute"', '""', "true", "null", '["muted"]', '{"a": 1}'])
def test_an_unknown_mode_is_refused_with_those_that_there_are(mode):
    with pytest.raises(GraphError) as caught:
        parse(f'{{"nodeflow": 1, "nodes": {{"a": {{"type": "t.add", "mode": {mode}}}}}}}')
    (problem,) = caught.value.problems
    assert ("a", f'"mode" must be "muted" or "bypassed", but is {mode}') == (problem.node, problem.message)
    assert "a node that runs has none" == problem.cure


def test_a_mode_misspelt_as_a_key_is_a_slip():
    with pytest.raises(GraphError, match='did you mean "mode"'):
        parse('{"nodeflow": 1, "nodes": {"a": {"type": "t.add", "modes": "muted"}}}')


# --- any graph


def by_meaning(document: Document, name: str, known: dict[str, int | None]) -> int | None:
    """What a node's output carries by the words of the manual; None for nothing."""
    if name in known:
        return known[name]
    entry = document.nodes[name]
    known[name] = None

    def of(value):
        return by_meaning(document, value.node, known) if isinstance(value, Wire) else value

    ports = {"number": ("x",), "add": ("a", "b"), "total": ("xs", "bias")}[entry.type.removeprefix("t.")]
    given = {port: entry.inputs[port] for port in ports if port in entry.inputs}
    if entry.mode == "bypassed":
        items = [item for value in given.values() for item in (value if isinstance(value, list) else [value])]
        let = (of(item) for item in items if isinstance(item, Wire))
        known[name] = next((value for value in let if value is not None), None)
    elif entry.mode == "":
        known[name] = _sum(entry.type, given, of)
    return known[name]


def _sum(kind, given, of):
    total = 0
    for port, value in given.items():
        left = [found for item in (value if isinstance(value, list) else [value]) if (found := of(item)) is not None]
        lost = not left and value != []
        if lost and (kind, port) in (("t.add", "a"), ("t.total", "xs")):
            return None
        total += sum(left)
    return total


@st.composite
def moded_documents(draw) -> Document:
    plain = draw(documents())
    modes = st.sampled_from(["", "", "muted", "bypassed"])
    return Group(tuple(SetMode(name, draw(modes)) for name in plain.nodes)).change(plain)


@QUICK
@given(moded_documents())
def test_a_run_gives_what_the_manual_says(document):
    known: dict[str, int | None] = {}
    expected = {name: value for name in document.nodes if (value := by_meaning(document, name, known)) is not None}
    graph = build(document, CATALOG)
    assert expected == outputs(graph)
    assert set(document.outputs) == expected.keys() | graph.absent.outputs.keys()


@QUICK
@given(moded_documents())
def test_a_file_with_modes_is_read_and_written_to_the_same_bytes(document):
    text = write(document)
    assert (document, text) == (parse(text), write(parse(text)))


@QUICK
@given(moded_documents(), st.data())
def test_a_mode_is_set_and_taken_back_to_the_byte(document, data):
    before = write(document)
    name = data.draw(st.sampled_from(sorted(document.nodes)))
    after, back = SetMode(name, data.draw(st.sampled_from(["", "muted", "bypassed"]))).apply(document)
    assert before == write(back.apply(after)[0])


@QUICK
@given(documents())
def test_what_does_not_run_changes_no_name_of_what_does(document):
    plain = dict(build(document, CATALOG).steps)
    extra = NodeEntry("t.number", 1, {"x": 1}, mode="muted")
    more = Document(nodes={**document.nodes, "extra": extra}, outputs=document.outputs)
    first, second = (_names(each) for each in (document, more))
    assert plain.keys() == build(more, CATALOG).steps.keys()
    assert first == second


def _names(document: Document) -> Mapping[str, str]:
    return list(Engine(device="cpu").run(build(document, CATALOG)))[-1].names


def test_no_mode_no_difference():
    graph = built({"n": ("number",)}, {"n": "n"})
    assert ({}, {}) == (graph.absent.nodes, graph.absent.outputs)
