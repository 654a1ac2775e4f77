"""Undo, levels and change signals of a document that is open."""

import pytest

pytest.importorskip("PySide6", reason="the extra `editor` is not installed")

from nodeflow_editor.graph_model import Change, GraphModel, free_name

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, Wire, write
from nodeflow.edits import AddNode, Group, MoveNodes, RemoveNode, SetGraph, SetInput, SetView
from nodeflow.errors import GraphError


@pytest.fixture
def model(qtbot) -> GraphModel:
    inner = Document(nodes={"x": NodeEntry("t.x")}, outputs={"out": "x"})
    nodes = {"a": NodeEntry("t.a"), "b": NodeEntry("t.b", 1, {"in": Wire("a", "image"), "n": 3})}
    document = Document(nodes=nodes, graphs={"g": inner}, view={"nodes": {"a": [0, 0], "b": [300, 0]}})
    return GraphModel(document, Catalog.of())


def seen(model: GraphModel) -> list[Change]:
    changes: list[Change] = []
    model.changed.connect(changes.append)
    return changes


def test_undo_gives_the_same_bytes_and_redo_as_well(model: GraphModel) -> None:
    before = write(model.document)
    model.do(RemoveNode("a"), "Remove")
    after = write(model.document)
    model.undo.undo()
    assert before == write(model.document)
    model.undo.redo()
    assert after == write(model.document)


def test_a_change_names_what_became_of_which_node(model: GraphModel) -> None:
    changes = seen(model)
    model.do(AddNode("c", NodeEntry("t.c")), "Add")
    model.do(RemoveNode("a"), "Remove")
    model.do(MoveNodes({"b": [10, 20]}), "Move")
    model.do(SetView("frames", [{"title": "x", "rect": [0, 0, 1, 1]}]), "Frame")
    assert [("c",), (), (), ()] == [change.added for change in changes]
    assert [(), ("a",), (), ()] == [change.removed for change in changes]
    assert [(), ("b",), (), ()] == [change.altered for change in changes]
    assert [(), (), ("b",), ()] == [change.moved for change in changes]
    assert [False, False, False, True] == [change.view for change in changes]


def test_where_a_graph_changes_only_the_nodes_that_stand_for_graphs_change_with_it(model: GraphModel) -> None:
    """To draw all others anew took more than a second at 10,000 nodes."""
    model.do(AddNode("s", NodeEntry("graph:g")), "Add")
    assert ["out"] == [port.name for port in model.face("s").outputs]
    changes, other = seen(model), Document(nodes={"x": NodeEntry("t.x")}, outputs={"fresh": "x"})
    model.do(Group((SetGraph("g", other), SetInput("b", "n", 5))), "Change")
    assert [{"b", "s"}] == [set(change.altered) for change in changes]
    assert ["fresh"] == [port.name for port in model.face("s").outputs]
    model.undo.undo()
    assert ["out"] == [port.name for port in model.face("s").outputs]


def test_edits_of_one_gesture_are_one_step(model: GraphModel) -> None:
    before = write(model.document)
    for value in (4, 5, 6):
        model.do(SetInput("b", "n", value), "Set n", merge="scrub:1")
    model.do(SetInput("b", "n", 7), "Set n", merge="scrub:2")
    assert 2 == model.undo.count()
    model.undo.undo()
    assert 6 == model.document.nodes["b"].inputs["n"]
    model.undo.undo()
    assert before == write(model.document)
    model.undo.redo()
    assert 6 == model.document.nodes["b"].inputs["n"]


def test_an_edit_that_does_not_suit_changes_nothing(model: GraphModel) -> None:
    before = write(model.document)
    with pytest.raises(GraphError, match="there is no node"):
        model.do(RemoveNode("nobody"), "Remove")
    assert before == write(model.document)
    assert 0 == model.undo.count()


def test_undo_leads_back_to_the_graph_in_which_the_edit_was_made(model: GraphModel) -> None:
    model.enter(("g",))
    model.do(AddNode("y", NodeEntry("t.y")), "Add")
    model.enter(())
    model.undo.undo()
    assert ("g",) == model.level
    assert ["x"] == list(model.graph.nodes)


def test_there_is_no_way_into_a_graph_that_is_not_there(model: GraphModel) -> None:
    with pytest.raises(GraphError, match='no graph "h"'):
        model.enter(("h",))
    assert () == model.level


def test_an_absent_node_shows_the_ports_that_the_file_speaks_of(model: GraphModel) -> None:
    face = model.face("a")
    assert face.absent
    assert ["image"] == [port.name for port in face.outputs]
    assert ["in", "n"] == [port.name for port in model.face("b").inputs]


def test_free_names_count_on() -> None:
    assert ["sample", "sample_2", "sample_3"] == [
        free_name("sample", ()), free_name("sample", ["sample"]), free_name("sample", ["sample", "sample_2"]),
    ]  # fmt: skip
