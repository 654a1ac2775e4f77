"""Copy and paste as text."""

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
    assert [[900, 120]] == after.view["dots"]["b_2.in"]


def test_wires_from_outside_come_along_when_asked_and_when_their_node_is_there(graph: Document) -> None:
    text = copied(graph, ["b"])
    assert Wire("a", "image") == pasted(graph, text, keep=True).edit.change(graph).nodes["b_2"].inputs["in"]
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
