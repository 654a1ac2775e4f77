"""What the view keeps by wire goes where the wire goes."""

import pytest
from nodeflow_editor.graph_model import GraphModel
from nodeflow_editor.wire_view import as_portals, is_portal, named, parted, settled
from nodeflow_editor.wiring import cut
from PySide6.QtWidgets import QApplication

from nodeflow.catalog import Catalog
from nodeflow.delta import ABSENT
from nodeflow.document import Document, NodeEntry, Wire, write
from nodeflow.edits import Edit, Group, Patch, RemoveNode, RenameNode, SetInput, SetView, Within

DOTS = {"t.in": [[1, 1]], "g.many.1": [[2, 2]], "g.many.2": [[3, 3]], "t.gone": [[9, 9]]}


@pytest.fixture
def graph() -> Document:
    nodes = {
        **{name: NodeEntry("t.a") for name in "abc"},
        "t": NodeEntry("t.t", 1, {"in": Wire("a"), "n": 3}),
        "g": NodeEntry("t.g", 1, {"many": [Wire("a"), Wire("b"), Wire("c")]}),
    }
    return Document(nodes=nodes, view={"dots": DOTS, "portals": {"g.many.2": True}})


@pytest.fixture
def model(qtbot, graph: Document) -> GraphModel:  # there must be an application
    assert QApplication.instance() is not None
    return GraphModel(graph, Catalog.of())


def dots(model: GraphModel):
    return model.graph.view["dots"]


def test_a_name_says_which_of_several_a_wire_is():
    assert ["n.port", "n.port.2"] == [named("n", "port", 0), named("n", "port", 2)]
    assert [("n", "port", 0), ("n", "port", 2), ("n", "", 0)] == [parted("n.port"), parted("n.port.2"), parted("n")]
    assert ("n", "port", 0) == parted("n.port.x")


def test_a_cut_wire_takes_its_dots_along_and_the_others_keep_theirs(model: GraphModel) -> None:
    before = write(model.document)
    first = next(link for link in model.links(["g"]) if link.source == "a")
    model.do(cut(model.graph, [first]), "Cut")
    assert {"t.in": [[1, 1]], "g.many": [[2, 2]], "g.many.1": [[3, 3]], "t.gone": [[9, 9]]} == dots(model)
    assert {"g.many.1": True} == model.graph.view["portals"]
    model.do(SetInput("t", "in", ABSENT), "Cut")
    assert "t.in" not in dots(model)
    model.undo.undo()
    model.undo.undo()
    assert before == write(model.document)
    model.undo.redo()
    assert {"g.many.1": True} == model.graph.view["portals"]


def test_a_removed_source_takes_the_dots_of_its_wires_along(model: GraphModel) -> None:
    model.do(RemoveNode("a"), "Remove")
    assert {"g.many": [[2, 2]], "g.many.1": [[3, 3]], "t.gone": [[9, 9]]} == dots(model)


def test_a_wire_from_elsewhere_has_no_dots_of_the_one_before(model: GraphModel) -> None:
    model.do(SetInput("t", "in", Wire("b")), "Wire")
    assert "t.in" not in dots(model)


@pytest.mark.parametrize(
    "edit", [RenameNode("a", "again"), SetInput("t", "n", 4), SetInput("t", "in", Wire("a", "other"))]
)
def test_dots_stay_where_the_wire_does(model: GraphModel, edit: Edit) -> None:
    model.do(edit, "Edit")
    assert DOTS == dots(model)


def test_what_an_edit_says_of_dots_stands(model: GraphModel) -> None:
    model.do(Group((SetInput("t", "in", Wire("b")), SetView("dots", {"t.in": [[5, 5]]}))), "Wire")
    assert {"t.in": [[5, 5]]} == dots(model)


def test_a_patch_is_taken_to_the_letter(model: GraphModel) -> None:
    after, _ = SetInput("t", "in", Wire("b")).apply(model.document)
    _, back = SetInput("t", "in", Wire("a")).apply(after)
    assert isinstance(back, Patch)
    model.do(back, "Reload")
    assert after == model.document


def test_graphs_within_are_settled_as_well(graph: Document) -> None:
    outer = Document(graphs={"inner": graph})
    after = settled(outer, Within("inner", RemoveNode("c")).change(outer))
    assert {} == after.graphs["inner"].view["portals"]
    assert settled(outer, outer) is outer


def test_portals_are_turned_on_and_off(graph: Document) -> None:
    on = as_portals(graph, ["t.in"], on=True).change(graph)
    assert is_portal(on, "t.in")
    assert not is_portal(graph, "t.in")
    off = as_portals(on, ["t.in", "g.many.2"], on=False).change(on)
    assert "portals" not in off.view
