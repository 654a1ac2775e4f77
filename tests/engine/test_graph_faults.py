"""Every fault of a graph: found before anything runs, all at once, each with its place and cure."""

import time

import pytest
from graphs_for_tests import CATALOG, built, cures, faults

from nodeflow.catalog import Catalog, Plugin
from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.errors import GraphError
from nodeflow.faults import MAX_PROBLEMS
from nodeflow.graph import build

THING = {"x": ("thing",)}


def test_an_unknown_type_offers_the_nearest():
    assert ['a: there is no node type "t.numbr"'] == faults({"a": ("numbr",)})
    assert ['did you mean "t.number"?'] == cures({"a": ("numbr",)})
    told = 'install the plugin that has it ("zzzzzzzzzzzzzzz"), or did you mean "t.number"?'
    assert [told] == cures({"a": ("zzzzzzzzzzzzzzz.number",)})


def test_an_unknown_type_of_an_absent_or_broken_plugin_is_told_apart():
    told = 'install the plugin that has it ("nobody"); `nodeflow nodes` lists those there are'
    assert [told] == cures({"a": ("nobody.does_things",)})
    broken = Catalog({}, (Plugin("bad", "bad", "bad", "1", "", "ImportError: x"),))
    assert ['its plugin "bad" is broken: see `nodeflow plugins`'] == cures({"a": ("bad.thing",)}, catalog=broken)


def test_an_unknown_input_offers_the_nearest_or_lists_what_there_is():
    assert ["a.xx: t.number has no such input"] == faults({"a": ("number", {"xx": 1})})
    assert ['did you mean "bias"?'] == cures({"a": ("total", {"xs": [1], "biass": 1})})
    assert ["inputs of t.total: xs, bias"] == cures({"a": ("total", {"xs": [1], "q": 1})})
    assert ["inputs of t.small: none"] == cures({"a": ("small", {"q": 1})})


def test_a_missing_input_says_how_to_give_it():
    assert ["a.a: is missing"] == faults({"a": ("add",)})
    assert ["type a value in, or wire one"] == cures({"a": ("add",)})
    assert ["wire a node that gives Thing"] == cures({"a": ("use",)})


@pytest.mark.parametrize(
    ("kind", "inputs", "told"),
    [
        ("number", {"x": 3.9}, "a.x: expected int, found 3.9"),
        ("number", {"x": True}, "a.x: expected int, found true"),
        ("number", {"x": "3"}, 'a.x: expected int, found "3"'),
        ("number", {"x": None}, "a.x: expected int, found null"),
        ("number", {"x": [1]}, "a.x: expected int, found [1]"),
        ("pick", {"which": "c"}, 'a.which: expected "a" | "b", found "c"'),
        ("kinds", {"side": "LEFT"}, 'a.side: expected "left" | "right", found "LEFT"'),
        ("kinds", {"shape": {"width": 0}}, "a.shape: width: 0 is less than the minimum of 1"),
        ("kinds", {"shape": {}}, "a.shape: 'width' is a required property"),
        ("kinds", {"path": 3}, "a.path: expected path, found 3"),
        ("limited", {"x": 0}, "a.x: expected at least 1, found 0"),
        ("limited", {"x": 11}, "a.x: expected at most 10, found 11"),
        ("limited", {"y": 4}, "a.y: expected at least 5, found 4"),
        ("total", {"xs": [1, "2"]}, 'a.xs: item 1: expected int, found "2"'),
        ("total", {"xs": 1}, "a.xs: expected list[int], found 1"),
        ("use", {"thing": 1}, "a.thing: expected a wire of Thing, found a value"),
        ("use", {"thing": [1]}, "a.thing: expected a wire of Thing, found a value"),
        ("use", {"thing": None}, "a.thing: expected a wire of Thing, found a value"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(kind, inputs, told):
    assert [told] == faults({"a": (kind, inputs)})


def test_a_value_that_may_be_absent_may_be_null():
    assert [] == faults({"a": ("maybe", {"x": None}), **THING, "u": ("use", {"thing": "$x", "spare": None})})


def test_a_wire_from_nowhere():
    nodes = {"number": ("number",), "a": ("add", {"a": "$numbr"})}
    assert ['a.a: the wire comes from "numbr", which does not exist'] == faults(nodes)
    assert ['did you mean "number"?'] == cures(nodes)


def test_a_wire_from_an_output_that_is_not_there():
    nodes = {"p": ("pair",), "a": ("add", {"a": "$p.third", "b": "$p"})}
    assert ['a.a: "p" has no output "third"', 'a.b: "p" has no output "out"'] == faults(nodes)
    assert 'it has "p.first", "p.second"' == cures(nodes)[0]


def test_a_wire_of_another_type_names_both():
    nodes = {"p": ("pair",), **THING, "a": ("add", {"a": "$p.second", "b": "$x"}), "u": ("use", {"thing": "$p.first"})}
    assert [
        'a.a: expected int but "p.second" gives str',
        'a.b: expected int but "x" gives Thing',
        'u.thing: expected Thing but "p.first" gives int',
    ] == faults(nodes)


def test_a_wire_that_may_give_nothing_is_told():
    assert ['a.a: expected int but "m" may give nothing'] == faults({"m": ("maybe",), "a": ("add", {"a": "$m"})})


def test_a_subclass_fits_and_its_base_class_does_not():
    assert [] == faults({"s": ("small",), "u": ("use", {"thing": "$s"})})


def test_a_list_mixes_wires_and_values_each_judged():
    nodes = {"n": ("number",), **THING, "l": ("listed",), "t": ("total", {"xs": ["$n", 2, "3", "$x", "$l", "$nobody"]})}
    assert [
        't.xs: expected int, found "3"',
        't.xs: expected int but "x" gives Thing',
        't.xs: expected int but "l" gives list[int]',
        't.xs: the wire comes from "nobody", which does not exist',
    ] == faults(nodes)
    assert [] == faults({"l": ("listed",), "t": ("total", {"xs": "$l"}), "n": ("total", {"xs": ["$t", 1]})})


def test_a_list_of_wires_into_one_value_is_refused():
    assert ["a.a: expected one int, found a list"] == faults({"n": ("number",), "a": ("add", {"a": ["$n"]})})


def test_wires_into_an_input_that_takes_anything():
    assert [] == faults({"n": ("number",), "a": ("anything", {"x": "$n"}), "b": ("anything", {"x": ["$n", "$a"]})})


def test_a_cycle_is_named_node_by_node():
    nodes = {"a": ("add", {"a": "$c"}), "b": ("add", {"a": "$a"}), "c": ("add", {"a": "$b"}), "d": ("add", {"a": "$c"})}
    assert ["a: a cycle: a -> b -> c -> a"] == faults(nodes)
    assert ["take one of these wires away"] == cures(nodes)


def test_a_node_that_feeds_itself():
    assert ["a: a cycle: a -> a"] == faults({"a": ("add", {"a": "$a"})})


def test_two_cycles_are_both_named():
    nodes = {"a": ("add", {"a": "$b"}), "b": ("add", {"a": "$a"}), "c": ("add", {"a": "$c"})}
    assert ["a: a cycle: a -> b -> a", "c: a cycle: c -> c"] == faults(nodes)


def test_a_cycle_of_10000_is_cut_short_and_found_in_time():
    count = 10_000
    nodes = {f"n{i}": NodeEntry("t.add", 1, {"a": Wire(f"n{(i - 1) % count}")}) for i in range(count)}
    began = time.process_time()
    with pytest.raises(GraphError) as caught:
        build(Document(nodes=nodes), CATALOG)
    assert "... 9961 more ..." in str(caught.value)
    assert time.process_time() - began < 10


def test_all_faults_are_told_at_once_in_the_order_of_the_file():
    nodes = {
        "z": ("nothing_like_it",), "b": ("add", {"a": "x", "q": 1}), "a": ("use",), "n": ("number", {"x": 1.5}),
        "c": ("add", {"a": "$c"}),
    }  # fmt: skip
    assert ["z", "b.a", "b.q", "a.thing", "n.x", "c"] == [told.partition(":")[0] for told in faults(nodes)]


def test_an_output_that_leads_nowhere():
    nodes = {"p": ("pair",), "q": ("pair",)}
    assert ['p: output "x" asks for "out", which it does not have'] == faults(nodes, {"x": "p"})
    assert ['it has "p.first", "p.second"'] == cures(nodes, {"x": "p.third"})


def test_the_file_and_the_place_stand_before_the_message():
    with pytest.raises(GraphError) as caught:
        built({"a": ("number", {"x": "1"})}, file="graphs/cat.json")
    assert 'graphs/cat.json: node "a", input "x": expected int, found "1"' == str(caught.value)


def test_a_node_of_a_newer_version_is_refused():
    document = Document(nodes={"a": NodeEntry("t.fresh", 4, {})})
    with pytest.raises(GraphError, match=r"made with version 4 of t\.fresh; version 3 is installed"):
        build(document, CATALOG)


def test_former_ids_and_renamed_inputs_still_mean_the_node():
    graph = built({"a": ("aged", {"was": 4}), "b": ("gone.old", {"now": 5})})
    assert [("t.fresh", {"now": 4}), ("t.fresh", {"now": 5})] == [(s.spec.id, s.inputs) for s in graph.steps.values()]


def test_faults_of_a_node_under_its_former_id():
    assert ["a.wrong: t.fresh has no such input"] == faults({"a": ("aged", {"wrong": 4})})
    assert ["a.now: expected int, found null"] == faults({"a": ("gone.old", {"was": None})})


@pytest.mark.parametrize(
    "entry",
    [NodeEntry("unknown.type"), NodeEntry("t.add", 1, {"a": Wire("nobody")}), NodeEntry("t.number", 1, {"y": 1})],
)
def test_a_file_of_20000_faults_is_answered_in_time_and_bounded(entry):
    nodes = {f"n{i}": NodeEntry(f"{entry.type}{i}" if entry.type.startswith("u") else entry.type, 1, entry.inputs)
             for i in range(20_000)}  # fmt: skip
    began = time.process_time()
    with pytest.raises(GraphError) as caught:
        build(Document(nodes=nodes), CATALOG)
    assert time.process_time() - began < 8
    assert MAX_PROBLEMS + 1 == len(caught.value.problems)
    assert "and 19,000 more problems" == caught.value.problems[-1].message


def test_the_order_of_a_graph_is_that_of_its_wires():
    graph = built({"c": ("add", {"a": "$b"}), "b": ("add", {"a": "$a"}), "a": ("number",)})
    assert ["a", "b", "c"] == list(graph.steps)
    assert (("b",), ()) == (graph.steps["c"].parents(), graph.steps["a"].parents())
