"""Which wires fit, and the edits that draw and cut them."""

import pytest
from nodeflow_editor.faces import Face, of_spec
from nodeflow_editor.graph_model import Link
from nodeflow_editor.wiring import End, best, cut, downstream, fits, joined, reason, upstream

from nodeflow.document import Document, NodeEntry, Wire
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType

IMAGE = PortType("class", "nodeflow.values:Image")
MASK = PortType("class", "nodeflow.values:Mask")
IMAGES = PortType("list", items=(IMAGE,))
FLOAT, INT = PortType("float"), PortType("int")


def spec(name: str, inputs: list[Port], outputs: list[Port]) -> NodeSpec:
    return NodeSpec(name, 1, "test", name, "", tuple(inputs), tuple(outputs), f"m:{name}")


SPECS = {
    "load": spec("load", [], [Port("image", IMAGE), Port("mask", MASK)]),
    "blend": spec(
        "blend", [Port("amount", FLOAT, default=0.5), Port("one", IMAGE, True), Port("other", IMAGE)],
        [Port("out", IMAGE)],
    ),
    "grid": spec("grid", [Port("images", IMAGES, True)], [Port("out", IMAGE)]),
    "count": spec("count", [], [Port("out", INT)]),
}  # fmt: skip


def graph(**nodes: NodeEntry) -> Document:
    return Document(nodes=nodes)


def faces(document: Document):
    def face(node: str) -> Face:
        return of_spec(SPECS[document.nodes[node].type])

    return face


@pytest.fixture
def chain() -> Document:
    return graph(
        a=NodeEntry("load"),
        b=NodeEntry("blend", 1, {"one": Wire("a", "image")}),
        c=NodeEntry("grid", 1, {"images": [Wire("b"), Wire("a", "image")]}),
        n=NodeEntry("count"),
    )


def test_a_wire_that_does_not_fit_is_refused_with_the_engines_own_reason(chain: Document) -> None:
    why = reason(chain, faces(chain), End("a", "mask", True), End("b", "other", False))
    assert why == "expected Image but the wire gives Mask"


def test_either_end_may_be_taken_first(chain: Document) -> None:
    assert reason(chain, faces(chain), End("b", "other", False), End("a", "image", True)) is None


def test_a_wire_that_would_close_a_circle_is_refused(chain: Document) -> None:
    why = reason(chain, faces(chain), End("c", "out", True), End("b", "other", False))
    assert why is not None
    assert "circle" in why


def test_what_fits_leaves_out_whatever_is_needed_already(chain: Document) -> None:
    assert {"b": {"in:one", "in:other"}, "c": {"in:images"}} == fits(chain, faces(chain), End("a", "image", True))
    assert {"c": {"in:images"}} == fits(chain, faces(chain), End("b", "out", True))
    assert {"b": {"in:amount"}} == fits(chain, faces(chain), End("n", "out", True))


def test_a_wire_dropped_on_a_body_takes_the_empty_required_port_first(chain: Document) -> None:
    bare = graph(**{**chain.nodes, "b": NodeEntry("blend")})
    assert End("b", "one", False) == best(bare, faces(bare), End("a", "image", True), "b")
    assert End("b", "other", False) == best(chain, faces(chain), End("a", "image", True), "b")


def test_a_new_wire_replaces_the_one_in_a_single_input(chain: Document) -> None:
    more = graph(**{**chain.nodes, "d": NodeEntry("load")})
    after = joined(more, faces(more), End("d", "image", True), End("b", "one", False)).change(more)
    assert Wire("d", "image") == after.nodes["b"].inputs["one"]


def test_an_input_of_several_takes_one_more_and_none_twice(chain: Document) -> None:
    more = graph(**{**chain.nodes, "d": NodeEntry("load")})
    end = End("c", "images", False)
    once = joined(more, faces(more), End("d", "image", True), end).change(more)
    assert [Wire("b"), Wire("a", "image"), Wire("d", "image")] == once.nodes["c"].inputs["images"]
    again = joined(once, faces(once), End("d", "image", True), end).change(once)
    assert once.nodes["c"].inputs == again.nodes["c"].inputs


def test_cutting_the_last_wire_empties_the_input_and_others_stay(chain: Document) -> None:
    links = [Link("b", "out", "c", "images", 0), Link("a", "image", "b", "one")]
    after = cut(chain, links).change(chain)
    assert [Wire("a", "image")] == after.nodes["c"].inputs["images"]
    assert "one" not in after.nodes["b"].inputs


def test_upstream_and_downstream_go_all_the_way(chain: Document) -> None:
    assert {"a", "b"} == upstream(chain, "c")
    assert {"b", "c"} == downstream(chain, "a")
