"""Nodes put into a graph of their own, and taken out again: a run computes the same."""

import random
from dataclasses import replace

import pytest

pytest.importorskip("PySide6", reason="the extra `editor` is not installed")

from nodeflow_editor.canvas.metrics import HEADER, ROW, Box
from nodeflow_editor.interface import (
    exposed_input,
    exposed_output,
    opened_output,
    renamed_output,
    renamed_parameter,
    reordered_parameters,
)  # fmt: skip
from nodeflow_editor.subgraphing import dissolved, gathered, regraphed

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, Wire, parse, with_values, write
from nodeflow.edits import Edit
from nodeflow.errors import GraphError
from nodeflow.graph import Graph, build
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType

NUMBER, NUMBERS = PortType("float"), PortType("list", items=(PortType("float"),))


def spec(name: str, inputs: list[Port], outputs: list[Port]) -> NodeSpec:
    return NodeSpec(f"t.{name}", 1, "test", name.title(), "", tuple(inputs), tuple(outputs), f"m:{name}")


CATALOG = Catalog.of(
    spec("number", [Port("value", NUMBER, default=0.0)], [Port("out", NUMBER)]),
    spec("add", [Port("one", NUMBER, default=1.0), Port("other", NUMBER, default=2.0)],
         [Port("sum", NUMBER), Port("parts", NUMBER)]),
    spec("mean", [Port("numbers", NUMBERS, True)], [Port("out", NUMBER)]),
)  # fmt: skip


def chain() -> Document:
    nodes = {
        "one": NodeEntry("t.number", 1, {"value": 3.0}),
        "two": NodeEntry("t.number", 1, {"value": 5.0}),
        "sum": NodeEntry("t.add", 1, {"one": Wire("one"), "other": Wire("two")}),
        "more": NodeEntry("t.add", 1, {"one": Wire("sum", "sum"), "other": 7.0}),
        "mean": NodeEntry("t.mean", 1, {"numbers": [Wire("sum", "parts"), Wire("more", "sum"), Wire("one")]}),
    }
    places = {"one": [0, 0], "two": [0, 160], "sum": [304, 0], "more": [608, 0], "mean": [912, 0]}
    return Document(
        parameters={"first": "one.value", "last": "more.other"}, outputs={"all": "mean", "sum": "sum.sum"},
        nodes=nodes, view={"nodes": places, "dots": {"sum.one": [[280, 40]], "more.one": [[560, 40]],
                                                     "mean.numbers.1": [[880, 80]]}},
    )  # fmt: skip


def boxes(graph: Document) -> dict[str, Box]:
    return {node: (float(x), float(y), 232.0, 90.0) for node, (x, y) in graph.view.get("nodes", {}).items()}


def leads_back(document: Document, edit: Edit) -> Document:
    """The document after an edit whose inverse brings the same bytes, and which writes a file that reads."""
    after, back = edit.apply(document)
    assert write(document) == write(back.change(after))
    assert after == parse(write(after))
    return after


def steps(document: Document) -> list[str]:
    """What a run would do: each step by its type and inputs, wires by the step that they come from; not by names."""
    graph: Graph = build(document, CATALOG)
    seen: dict[str, str] = {}

    def said(value: object) -> object:
        if isinstance(value, list):
            return [said(item) for item in value]
        return f"<{seen[value.node]}>.{value.output}" if isinstance(value, Wire) else value

    for name, step in graph.steps.items():
        seen[name] = repr((step.spec.id, sorted((port, said(value)) for port, value in step.inputs.items())))
    outputs = sorted((name, seen[node], output) for name, (node, output) in graph.outputs.items())
    return [*sorted(seen.values()), repr(outputs)]


def test_a_graph_made_of_nodes_computes_the_same_and_undoes_to_the_byte() -> None:
    before = chain()
    made = gathered(before, ["sum", "more"], boxes(before))
    after = leads_back(before, made.edit)
    assert ("subgraph",) == made.nodes
    assert steps(before) == steps(after)
    inner = after.graphs["subgraph"]
    assert {"one": "sum.one", "other": "sum.other", "other_2": "more.other"} == dict(inner.parameters)
    assert {"parts": "sum.parts", "sum": "more.sum", "sum_2": "sum.sum"} == dict(inner.outputs)
    assert ["one", "two", "subgraph", "mean"] == list(after.nodes)
    assert {"first": "one.value", "last": "subgraph.other_2"} == dict(after.parameters)
    assert "subgraph.sum_2" == after.outputs["sum"]


@pytest.mark.parametrize("crowd", [{}, {"mean": (350.0, -60.0)}, {"one": (300.0, -200.0), "mean": (520.0, 20.0)}])
def test_the_new_node_lies_on_no_other(crowd: dict[str, tuple[float, float]]) -> None:
    before = chain()
    known = boxes(before) | {node: (*place, 232.0, 300.0) for node, place in crowd.items()}
    edit = gathered(before, ["sum", "more"], known, picture=100.0).edit
    left, top = edit.change(before).view["nodes"]["subgraph"]
    high = HEADER + (3 + 3) * ROW + 100.0
    for node in ("one", "two", "mean"):
        x, y, wide, tall = known[node]
        assert left >= x + wide or x >= left + 232.0 or top >= y + tall or y >= top + high, node
    assert crowd or (456 + 116 - 116, 45 - 16) == pytest.approx((left, top), abs=40)


def test_a_parameter_of_the_graph_around_still_sets_the_same_input() -> None:
    before = chain()
    after = gathered(before, ["more"], boxes(before)).edit.change(before)
    values = {"first": 11.0, "last": 13.0}
    assert steps(with_values(before, values)) == steps(with_values(after, values))


def test_dots_of_a_wire_through_the_border_stay_with_it() -> None:
    before = chain()
    after = gathered(before, ["sum", "more"], boxes(before)).edit.change(before)
    assert {"subgraph.one": [[280, 40]], "mean.numbers.1": [[880, 80]]} == after.view["dots"]
    assert {"more.one": [[560, 40]]} == after.graphs["subgraph"].view["dots"]


def test_seeds_and_portals_go_along_with_their_nodes_and_come_back() -> None:
    before = chain()
    listed = {"seeds": {"more.other": "random", "one.value": "next"}, "portals": {"sum.one": True, "more.one": True}}
    before = replace(before, view={**before.view, **listed})
    after = leads_back(before, gathered(before, ["sum", "more"], boxes(before)).edit)
    assert {"one.value": "next"} == after.view["seeds"]
    assert {"subgraph.one": True} == after.view["portals"]
    inner = after.graphs["subgraph"].view
    assert ({"more.other": "random"}, {"more.one": True}) == (inner["seeds"], inner["portals"])
    again = leads_back(after, dissolved(after, "subgraph").edit)
    assert listed == {name: again.view[name] for name in listed}


def test_what_becomes_of_a_seed_of_a_graph_follows_the_renamed_parameter() -> None:
    before = chain()
    outer = gathered(before, ["sum", "more"], boxes(before)).edit.change(before)
    outer = replace(outer, view={**outer.view, "seeds": {"subgraph.other_2": "random", "one.value": "next"}})
    renamed = leads_back(outer, renamed_parameter(outer, ("subgraph",), "other_2", "extra"))
    assert {"subgraph.extra": "random", "one.value": "next"} == renamed.view["seeds"]
    dropped = leads_back(outer, renamed_parameter(outer, ("subgraph",), "other_2", None))
    assert {"one.value": "next"} == dropped.view["seeds"]


def test_a_frame_goes_with_the_nodes_if_it_holds_no_others() -> None:
    before = chain()
    own, other = {"title": "own", "box": [290, -40, 600, 200]}, {"title": "all", "box": [-40, -40, 1400, 400]}
    before = Document(**{**{key: getattr(before, key) for key in ("parameters", "outputs", "nodes")},
                         "view": {**before.view, "frames": [own, other]}})  # fmt: skip
    after = leads_back(before, gathered(before, ["sum", "more"], boxes(before)).edit)
    assert [other] == after.view["frames"]
    assert [own] == after.graphs["subgraph"].view["frames"]
    again = dissolved(after, "subgraph").edit.change(after)
    assert [other, own] == again.view["frames"]


def test_nodes_that_one_node_cannot_stand_for_are_refused_with_the_cure() -> None:
    before = chain()
    with pytest.raises(GraphError, match=r'(?s)through "more".*choose these as well'):
        gathered(before, ["sum", "mean"], {})
    with pytest.raises(GraphError, match=r'(?s)both from chosen nodes and from others.*choose "one" as well'):
        gathered(before, ["sum", "more", "mean"], {})
    with pytest.raises(GraphError, match="no nodes are chosen"):
        gathered(before, [], {})


def test_dissolving_gives_back_the_nodes_with_their_names_places_and_dots() -> None:
    before = chain()
    after = gathered(before, ["sum", "more"], boxes(before)).edit.change(before)
    made = dissolved(after, "subgraph")
    again = leads_back(after, made.edit)
    assert ("sum", "more") == made.nodes
    assert dict(before.nodes) == dict(again.nodes)
    assert before.parameters == again.parameters
    assert before.outputs == again.outputs
    assert before.view["nodes"] == again.view["nodes"]
    assert before.view["dots"] == again.view["dots"]
    assert {} == again.graphs


def test_a_graph_that_two_nodes_stand_for_outlives_one_of_them() -> None:
    inner = Document(parameters={"value": "x.value"}, outputs={"out": "x"}, nodes={"x": NodeEntry("t.number")})
    nodes = {
        "a": NodeEntry("graph:g", 1, {"value": 2.0}), "x": NodeEntry("graph:g"),
        "m": NodeEntry("t.mean", 1, {"numbers": [Wire("a"), Wire("x")]}),
    }  # fmt: skip
    before = Document(nodes=nodes, graphs={"g": inner}, outputs={"out": "m"})
    after = leads_back(before, dissolved(before, "a").edit)
    assert ["x_2", "x", "m"] == list(after.nodes)
    assert ["g"] == list(after.graphs)
    assert steps(before) == steps(after)
    last = leads_back(after, dissolved(after, "x").edit)
    assert {} == last.graphs
    assert steps(before) == steps(last)


def test_graphs_within_the_gathered_nodes_go_along_and_come_back() -> None:
    inner = Document(parameters={"value": "x.value"}, outputs={"out": "x"}, nodes={"x": NodeEntry("t.number")})
    nodes = {
        "a": NodeEntry("graph:g", 1, {"value": 2.0}), "b": NodeEntry("graph:g"),
        "m": NodeEntry("t.mean", 1, {"numbers": [Wire("a")]}),
    }  # fmt: skip
    before = Document(nodes=nodes, graphs={"g": inner}, outputs={"out": "m"}, parameters={"v": "a.value"})
    shared = leads_back(before, gathered(before, ["a", "m"], {}, "h").edit)
    assert ["g", "h"] == list(shared.graphs)
    assert ["g"] == list(shared.graphs["h"].graphs)
    moved = leads_back(before, gathered(before, ["a", "b", "m"], {}, "h").edit)
    assert ["h"] == list(moved.graphs)
    for after in (shared, moved):
        assert steps(before) == steps(after)
        again = leads_back(after, dissolved(after, "h").edit)
        assert {"g": inner} == dict(again.graphs)
        assert steps(before) == steps(again)


def test_what_cannot_be_dissolved_says_why() -> None:
    inner = Document(nodes={"x": NodeEntry("t.number")})
    nodes = {
        "plain": NodeEntry("t.number"), "file": NodeEntry("graph:other.json"),
        "muted": NodeEntry("graph:g", mode="muted"), "astray": NodeEntry("graph:g", 1, {"value": 1.0}),
    }  # fmt: skip
    graph = Document(nodes=nodes, graphs={"g": inner})
    for node, why in (
        ("plain", "stands for no graph"), ("file", "opened, not dissolved"), ("muted", "is muted"),
        ("astray", 'an input "value" that its graph does not have'),
    ):  # fmt: skip
        with pytest.raises(GraphError, match=why):
            dissolved(graph, node)


def drawn(dice: random.Random) -> Document:
    """Any graph: numbers, sums and means, wired forwards, some with parameters and outputs."""
    nodes: dict[str, NodeEntry] = {}
    outs: list[Wire] = []
    for number in range(dice.randrange(4, 14)):
        name, kind = f"n{number}", dice.choice(["number", "add", "add", "mean"])
        if kind == "mean" and outs:
            nodes[name] = NodeEntry("t.mean", 1, {"numbers": [dice.choice(outs) for _ in range(dice.randrange(1, 4))]})
            outs.append(Wire(name))
        elif kind == "add" and outs:
            given = {port: dice.choice([*outs, 4.0]) for port in ("one", "other") if dice.random() < 0.8}
            nodes[name] = NodeEntry("t.add", 1, given)
            outs += [Wire(name, "sum"), Wire(name, "parts")]
        else:
            nodes[name] = NodeEntry("t.number", 1, {"value": float(number)})
            outs.append(Wire(name))
    open_ends = [(node, "value" if entry.type == "t.number" else "one") for node, entry in nodes.items()
                 if entry.type != "t.mean"]  # fmt: skip
    parameters = {f"p{at}": ".".join(end) for at, end in enumerate(open_ends) if dice.random() < 0.3}
    outputs = {f"o{at}": str(wire) for at, wire in enumerate(outs) if dice.random() < 0.3} | {"end": str(outs[-1])}
    return Document(parameters=parameters, outputs=outputs, nodes=nodes)


@pytest.mark.parametrize("seed", range(60))
def test_any_choice_of_nodes_computes_the_same_nested_and_dissolved(seed: int) -> None:
    dice = random.Random(seed)
    document, flat = drawn(dice), steps
    wanted, made = flat(document), 0
    for _ in range(12):
        nodes = dice.sample(list(document.nodes), dice.randrange(1, len(document.nodes) + 1))
        try:
            document = leads_back(document, gathered(document, nodes, {}).edit)
        except GraphError:
            continue
        made += 1
        assert wanted == flat(document)
        if dice.random() < 0.4:
            graphs = [node for node, entry in document.nodes.items() if entry.type.startswith("graph:")]
            document = leads_back(document, dissolved(document, dice.choice(graphs)).edit)
            assert wanted == flat(document)
    assert made
    while graphs := [node for node, entry in document.nodes.items() if entry.type.startswith("graph:")]:
        document = leads_back(document, dissolved(document, graphs[0]).edit)
    assert {} == document.graphs
    assert wanted == flat(document)


def test_a_graph_gets_another_name_and_its_nodes_follow() -> None:
    inner = Document(outputs={"out": "x"}, nodes={"x": NodeEntry("t.number")})
    before = Document(nodes={"a": NodeEntry("graph:g")}, graphs={"g": inner, "h": inner}, outputs={"out": "a"})
    after = leads_back(before, regraphed(before, "g", "better"))
    assert "graph:better" == after.nodes["a"].type
    assert ["better", "h"] == list(after.graphs)
    with pytest.raises(GraphError, match="already"):
        regraphed(before, "g", "h")


def test_ports_are_exposed_under_free_names_and_the_users_follow_a_renaming() -> None:
    before = chain()
    outer = gathered(before, ["sum", "more"], boxes(before)).edit.change(before)
    level = ("subgraph",)
    renamed = leads_back(outer, renamed_parameter(outer, level, "other_2", "extra"))
    assert "subgraph.extra" == renamed.parameters["last"]
    assert ["one", "other", "extra"] == list(renamed.graphs["subgraph"].parameters)
    assert steps(outer) == steps(renamed)
    renamed = leads_back(renamed, renamed_output(renamed, level, "sum", "total"))
    assert [Wire("subgraph", "parts"), Wire("subgraph", "total"), Wire("one")] == renamed.nodes["mean"].inputs[
        "numbers"
    ]
    assert steps(outer) == steps(renamed)
    inner = renamed.graphs["subgraph"]
    assert ["extra", "one", "other"] == list(
        reordered_parameters(inner, ["extra", "one", "other"]).change(inner).parameters
    )
    assert "one_2" in exposed_input(inner, "more", "one").change(inner).parameters
    assert "more.parts" == exposed_output(inner, "more", "parts").change(inner).outputs["parts_2"]
    assert "one" not in renamed_parameter(renamed, level, "one", None).change(renamed).nodes["subgraph"].inputs


def test_a_second_output_leaves_wires_that_took_the_only_one_as_out() -> None:
    inner = Document(outputs={"total": "x.sum"}, nodes={"x": NodeEntry("t.add")})
    nodes = {"a": NodeEntry("graph:g"), "m": NodeEntry("t.mean", 1, {"numbers": [Wire("a")]})}
    before = Document(nodes=nodes, graphs={"g": inner}, outputs={"out": "m", "same": "a"})
    after = leads_back(before, opened_output(before, ("g",), "x", "parts"))
    assert {"total": "x.sum", "parts": "x.parts"} == dict(after.graphs["g"].outputs)
    assert [Wire("a", "total")] == after.nodes["m"].inputs["numbers"]
    assert steps(before) == steps(after)
