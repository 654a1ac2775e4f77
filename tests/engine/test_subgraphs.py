"""Graphs as nodes: within a file, in other files, deep, recursive, hostile."""

import os
import time

import pytest
from graphs_for_tests import CATALOG, built, cures, document, faults, graph_text

from nodeflow import subgraphs
from nodeflow.document import parse, read
from nodeflow.errors import GraphError
from nodeflow.graph import build
from nodeflow.runner import run

TWICE = {
    "parameters": {"x": "n.x"},
    "outputs": {"sum": "s"},
    "nodes": {
        "n": {"type": "t.number", "inputs": {"x": 7}},
        "s": {"type": "t.add", "inputs": {"a": {"$from": "n"}, "b": {"$from": "n"}}},
    },
}


def file_of(path, nodes, outputs=None, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(graph_text(nodes, outputs, **more))


def test_a_graph_within_the_file_stands_for_its_nodes():
    nodes = {"a": ("graph:twice", {"x": 3}), "b": ("add", {"a": "$a", "b": "$a.sum"})}
    graph = built(nodes, {"out": "b", "inner": "a.sum"}, graphs={"twice": TWICE})
    assert {"a/n", "a/s", "b"} == set(graph.steps)
    assert {"out": ("b", "out"), "inner": ("a/s", "out")} == graph.outputs


def test_parameters_take_values_and_wires(tmp_path):
    file_of(tmp_path / "twice.json", {"n": ("add", {"a": 1}), "s": ("add", {"a": "$n", "b": "$n"})}, {"sum": "s"},
            parameters={"x": "n.b"})  # fmt: skip
    file_of(tmp_path / "main.json", {"k": ("number", {"x": 10}), "a": ("graph:twice.json", {"x": "$k"})}, {"out": "a"})
    graph = build(read(tmp_path / "main.json"), CATALOG, folder=tmp_path)
    assert {"out": 22} == run(graph)


def test_graphs_in_graphs_in_folders_name_files_from_where_they_are(tmp_path):
    file_of(tmp_path / "sub" / "inner.json", {"n": ("number", {"x": 5})}, {"x": "n"})
    file_of(tmp_path / "sub" / "outer.json", {"i": ("graph:inner.json",)}, {"x": "i"})
    assert [] == faults({"a": ("graph:sub/outer.json",), "b": ("add", {"a": "$a"})}, folder=tmp_path)


def test_two_files_may_each_have_a_graph_of_the_same_name_within(tmp_path):
    file_of(tmp_path / "other.json", {"c": ("graph:core",)}, {"x": "c"}, graphs={"core": TWICE})
    core = {"nodes": {"o": {"type": "graph:other.json"}}, "outputs": {"x": "o"}}
    assert [] == faults({"a": ("graph:core",)}, {"out": "a"}, graphs={"core": core}, folder=tmp_path)


def test_a_graph_within_a_graph_of_the_same_name():
    outer = {"nodes": {"i": {"type": "graph:up"}}, "outputs": {"x": "i"}, "graphs": {"up": TWICE}}
    assert [] == faults({"a": ("graph:up",)}, {"out": "a"}, graphs={"up": outer})


def test_a_parameter_that_is_not_there_offers_the_nearest():
    nodes = {"a": ("graph:g", {"promt": 1})}
    inner = {"parameters": {"prompt": "n.x"}, "nodes": {"n": {"type": "t.number"}}}
    assert ['a.promt: the graph has no parameter "promt"'] == faults(nodes, graphs={"g": inner})
    assert ['did you mean "prompt"?'] == cures(nodes, graphs={"g": inner})


def test_a_parameter_that_leads_to_no_input_is_told():
    nodes = {"a": ("number", {"x": 1}), "b": ("graph:g",), "c": ("nobody.does_things",)}
    inner = {"parameters": {"x": "n.x", "y": "n.yy"}, "nodes": {"n": {"type": "t.number"}}}
    wrong = {"p": "a.xs", "q": "b.xx", "r": "b.y", "good": "a.x", "deep": "b.x", "absent": "c.x"}
    told = [told for told in faults(nodes, graphs={"g": inner}, parameters=wrong) if "parameter" in told]
    assert [
        ': parameter "p" leads to "a.xs": t.number has no input "xs"',
        ': parameter "q" leads to "b.xx": the graph has no parameter "xx"',
        ': parameter "r" leads to "b/n.yy": t.number has no input "yy"',
    ] == told
    assert ['did you mean "x"?'] == cures({"a": nodes["a"]}, parameters={"p": "a.xs"})


def test_an_output_that_the_graph_does_not_have():
    nodes = {"a": ("graph:twice",), "b": ("add", {"a": "$a.nothing"})}
    assert ['b.a: the graph at "a" has no output "nothing"'] == faults(nodes, graphs={"twice": TWICE})


def test_a_file_that_is_missing_names_it(tmp_path):
    nodes = {"a": ("graph:gone.json",)}
    assert [f'a: there is no graph "gone.json": looked for gone.json in {tmp_path}'] == faults(nodes, folder=tmp_path)
    assert ["a file's name is taken from the folder of the file that uses it"] == cures(nodes, folder=tmp_path)
    file_of(tmp_path / "goen.json", {"n": ("number", {"x": 5})}, {"x": "n"})
    assert ['did you mean "goen.json"?'] == cures(nodes, folder=tmp_path)
    assert ['did you mean "gone"?'] == cures({"a": ("graph:gonn",)}, folder=tmp_path, graphs={"gone": TWICE})


def test_a_file_that_a_subgraph_names_is_looked_for_beside_the_subgraph_and_the_message_says_where(tmp_path):
    file_of(tmp_path / "inner.json", {"n": ("number", {"x": 5})}, {"x": "n"})
    file_of(tmp_path / "sub" / "outer.json", {"i": ("graph:inner.json",)}, {"x": "i"})
    told = f'a/i: there is no graph "inner.json": looked for inner.json in {tmp_path / "sub"}'
    assert [told] == faults({"a": ("graph:sub/outer.json",)}, folder=tmp_path)


def test_a_fault_of_a_graph_that_is_used_many_times_is_told_once():
    wrong = {"nodes": {"n": {"type": "t.number", "inputs": {"x": "1"}}, "s": {"type": "t.nothing"},
                       "w": {"type": "t.add", "inputs": {"a": {"$from": "gone"}, "b": 1}}}}  # fmt: skip
    pair = {"nodes": {name: {"type": "graph:wrong"} for name in ("a", "b")}, "graphs": {"wrong": wrong}}
    nodes = {f"p{i}": ("graph:pair",) for i in range(4)}
    assert [
        'p0/a/n.x: expected int, found "1" (and in 7 other places)',
        'p0/a/s: there is no node type "t.nothing" (and in 7 other places)',
        'p0/a/w.a: the wire comes from "p0/a/gone", which does not exist (and in 7 other places)',
    ] == faults(nodes, graphs={"pair": pair})
    nodes = {"a": ("graph:wrong",), "b": ("graph:wrong",), "n": ("number", {"x": "1"})}
    assert 4 == len(faults(nodes, graphs={"wrong": wrong}))


def test_the_same_fault_in_different_graphs_is_told_of_each():
    one, other = ({"nodes": {"n": {"type": "t.number", "inputs": {"x": "1"}}}} for _ in range(2))
    assert 2 == len(faults({"a": ("graph:one",), "b": ("graph:other",)}, graphs={"one": one, "other": other}))


@pytest.mark.parametrize("name", ["", ".", "a\0b", "x" * 5_000])
def test_a_name_that_is_no_file_is_a_fault(name, tmp_path):
    assert 1 == len(faults({"a": (f"graph:{name}",)}, folder=tmp_path))


def test_a_circle_of_links_is_a_fault(tmp_path):
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    assert 1 == len(faults({"a": ("graph:loop.json",)}, folder=tmp_path))


def test_a_graph_outside_the_folder_is_not_read(tmp_path):
    file_of(tmp_path / "secret.json", {"n": ("number",)}, {"x": "n"})
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "link.json").symlink_to(tmp_path / "secret.json")
    for name in ("../secret.json", "link.json", str(tmp_path / "secret.json"), "/etc/passwd"):
        assert [f'a: "{name}" lies outside the folder of this graph'] == faults(
            {"a": (f"graph:{name}",)}, folder=inside
        )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_graph(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    began = time.monotonic()
    assert 1 == len(faults({"a": ("graph:pipe.json",)}, folder=tmp_path))
    assert time.monotonic() - began < 1


def test_a_file_that_contains_itself_is_named(tmp_path):
    file_of(tmp_path / "a.json", {"b": ("graph:b.json",)})
    file_of(tmp_path / "b.json", {"a": ("graph:a.json",)})
    (told,) = faults({"x": ("graph:a.json",)}, folder=tmp_path)
    assert "x/b/a: the graph contains itself: a.json -> b.json -> a.json" == told


def nested(folder, depth, nodes, innermost):
    """Files g0.json to gN.json, each with several nodes that stand for the next."""
    for level in range(depth):
        file_of(folder / f"g{level}.json", {f"n{i}": (f"graph:g{level + 1}.json",) for i in range(nodes)})
    file_of(folder / f"g{depth}.json", innermost)
    return {"a": ("graph:g0.json",)}


def test_thirty_levels_run_and_forty_are_refused(tmp_path):
    assert [] == faults(nested(tmp_path, 30, 1, {"n": ("number",)}), folder=tmp_path)
    (told,) = faults(nested(tmp_path, 40, 1, {"n": ("number",)}), folder=tmp_path)
    assert told.endswith("graphs stand within graphs more than 32 deep")


@pytest.mark.parametrize("innermost", [{"n": ("number",)}, {}], ids=["of nodes", "of nothing"])
def test_graphs_that_multiply_are_bounded(innermost, tmp_path, monkeypatch):
    monkeypatch.setattr(subgraphs, "MAX_NODES", 10_000)
    began = time.process_time()
    told = faults(nested(tmp_path, 28, 2, innermost), folder=tmp_path)
    assert [": the graph grows beyond 10,000 nodes when its subgraphs are put in place"] == told
    assert time.process_time() - began < 5


def test_a_cycle_through_a_graph_is_named_by_its_inner_nodes():
    nodes = {"a": ("graph:twice", {"x": "$b"}), "b": ("add", {"a": "$a"})}
    (told,) = faults(nodes, graphs={"twice": TWICE})
    assert "a cycle" in told
    assert "a/s" in told


def test_a_graph_that_hands_its_own_output_on_in_a_circle():
    nodes = {"a": ("graph:g", {"x": "$a"})}
    inner = {"parameters": {"x": "i.x"}, "outputs": {"o": "i.o"}, "nodes": {"i": {"type": "graph:twice"}},
             "graphs": {"twice": TWICE}}  # fmt: skip
    assert 1 <= len(faults(nodes, graphs={"g": inner}))


def test_faults_within_a_graph_have_the_path_of_the_node():
    inner = {"nodes": {"n": {"type": "t.number", "inputs": {"x": "1"}}}}
    assert ['a/n.x: expected int, found "1"'] == faults({"a": ("graph:g",)}, graphs={"g": inner})


def test_a_document_with_a_graph_keeps_its_text():
    text = graph_text({"a": ("graph:twice", {"x": 3})}, graphs={"twice": TWICE})
    assert parse(text) == document({"a": ("graph:twice", {"x": 3})}, graphs={"twice": TWICE})
    with pytest.raises(GraphError):
        parse(text.replace('"n.x"', '"gone.x"'))
