"""Copy and paste as text."""

from dataclasses import replace
from time import process_time

import pytest
from nodeflow_editor.pieces import copied, pasted

from nodeflow.document import Document, NodeEntry, Wire, parse
from nodeflow.errors import GraphError


@pytest.fixture
def graph() -> Document:
    return Document(
        nodes={
            "a": NodeEntry("t.a"),
            "b": NodeEntry("t.b", 2, {"in": Wire("a", "image"), "n": 3}),
            "c": NodeEntry("t.c", 1, {"many": [Wire("a"), Wire("b")]}),
            "s": NodeEntry("graph:inner", 1, {"x": Wire("c")}),
        },
        graphs={"inner": Document(nodes={"x": NodeEntry("t.x")}, outputs={"out": "x"})},
        view={
            "nodes": {"a": [0, 0], "b": [300, 40], "c": [600, 0]},
            "dots": {"b.in": [[200, 20]], "c.many.1": [[450, 10]]},
        },
    )


def test_a_copy_is_a_graph_file(graph: Document) -> None:
    found = parse(copied(graph, ["b", "c"]))
    assert ["b", "c"] == list(found.nodes)
    assert {"n": 3} == found.nodes["b"].inputs
    assert [Wire("b")] == found.nodes["c"].inputs["many"]


def test_pasting_gives_free_names_and_keeps_wires_within(graph: Document) -> None:
    made = pasted(graph, copied(graph, ["b", "c"]), (1000.0, 100.0))
    after = made.edit.change(graph)
    assert ("b_2", "c_2") == made.nodes
    assert [Wire("b_2")] == after.nodes["c_2"].inputs["many"]
    assert [1000, 140] == after.view["nodes"]["b_2"]
    assert [1300, 100] == after.view["nodes"]["c_2"]
    assert [[1150, 110]] == after.view["dots"]["c_2.many"]
    assert "b_2.in" not in after.view["dots"], "the wire was not copied"


def test_wires_from_outside_come_along_when_asked_and_when_their_node_is_there(graph: Document) -> None:
    text = copied(graph, ["b"])
    assert Wire("a", "image") == pasted(graph, text, keep=True).edit.change(graph).nodes["b_2"].inputs["in"]
    assert [[232, 52]] == pasted(graph, text, keep=True).edit.change(graph).view["dots"]["b_2.in"]
    assert {"n": 3} == pasted(Document(), text, keep=True).edit.change(Document()).nodes["b"].inputs


def test_a_graph_that_a_node_stands_for_comes_along_once(graph: Document) -> None:
    text = copied(graph, ["s"])
    elsewhere = pasted(Document(), text).edit.change(Document())
    assert graph.graphs["inner"] == elsewhere.graphs["inner"]
    assert "graph:inner" == elsewhere.nodes["s"].type
    here = pasted(graph, text).edit.change(graph)
    assert ["inner"] == list(here.graphs)
    other = Document(graphs={"inner": Document()})
    apart = pasted(other, text).edit.change(other)
    assert "graph:inner_2" == apart.nodes["s"].type


def test_text_that_is_no_graph_is_refused() -> None:
    with pytest.raises(GraphError):
        pasted(Document(), "a red circle")


def test_an_input_of_several_keeps_wires_from_within_and_without_in_their_order(graph: Document) -> None:
    after = pasted(graph, copied(graph, ["b", "c"]), keep=True).edit.change(graph)
    assert [Wire("a"), Wire("b_2")] == after.nodes["c_2"].inputs["many"]
    assert [[482, 42]] == after.view["dots"]["c_2.many.1"]
    alone = pasted(graph, copied(graph, ["c"]), keep=True).edit.change(graph)
    assert graph.nodes["c"].inputs == alone.nodes["c_2"].inputs


def test_what_becomes_of_a_seed_is_copied_with_it(graph: Document) -> None:
    seeded = replace(graph, view={**graph.view, "seeds": {"b.n": "random"}, "portals": {"b.in": True}})
    after = pasted(seeded, copied(seeded, ["b"])).edit.change(seeded)
    assert {"b.n": "random", "b_2.n": "random"} == after.view["seeds"]
    assert {"b.in": True} == after.view["portals"], "the wire was not copied"


def test_dots_that_are_no_places_do_not_keep_a_text_from_being_pasted(graph: Document) -> None:
    odd = replace(graph, view={**graph.view, "dots": {"c.many.1": [["left", "up"], [450, 10], 7]}})
    after = pasted(Document(), copied(odd, ["b", "c"])).edit.change(Document())
    assert [[482, 42]] == after.view["dots"]["c.many"]


def test_an_id_of_full_length_gets_a_number_in_its_length() -> None:
    long = "x" * 64
    graph = Document(nodes={long: NodeEntry("t.a")})
    (name,) = pasted(graph, copied(graph, [long])).nodes
    assert "x" * 62 + "_2" == name


def test_5000_nodes_are_pasted_in_a_moment() -> None:
    large = Document(nodes={f"n{n}": NodeEntry("t.a", 1, {"x": Wire(f"n{n // 2}")}) for n in range(1, 5_001)})
    text = copied(large, large.nodes.keys())
    start = process_time()
    after, back = pasted(large, text).edit.apply(large)
    assert process_time() - start < 1.0
    assert 10_000 == len(after.nodes)
    assert large == back.apply(after)[0]
