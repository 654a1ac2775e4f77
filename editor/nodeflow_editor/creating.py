"""New nodes: the types to choose from, and the edits that add one and wire it. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nodeflow.catalog import Catalog
from nodeflow.document import GRAPH, Document, NodeEntry
from nodeflow.edits import AddNode, Edit, Group, MoveNodes
from nodeflow.types import accepts
from nodeflow_editor.border import plain
from nodeflow_editor.canvas.metrics import Point
from nodeflow_editor.faces import Face, face, of_spec
from nodeflow_editor.graph_model import GraphModel, free_name
from nodeflow_editor.marks import tidy
from nodeflow_editor.ranking import Candidate
from nodeflow_editor.wiring import End, best, joined


@dataclass(frozen=True, slots=True)
class Kind:
    """A type that a node may have: what is searched, and what it would look like."""

    candidate: Candidate
    face: Face
    version: int = 1


def kinds(catalog: Catalog, model: GraphModel) -> Iterator[Kind]:
    """All types: those of plugins, and the graphs that are defined in the file."""
    for spec in catalog:
        yield Kind(Candidate.of(spec.id, spec.title, spec.id, spec.category), of_spec(spec), spec.version)
    for name in model.graph.graphs:
        key = GRAPH + name
        inner = model.graph.graphs[name]
        entry = NodeEntry(key)
        title = inner.title or name
        yield Kind(Candidate.of(key, title, name, "graph"), _graph(model, entry, title))


def _graph(model: GraphModel, entry: NodeEntry, title: str) -> Face:
    found = face(entry, model.catalog, model.subgraph)
    return found if not found.absent else Face(title, "graph", (), (), type=entry.type)


def fitting(model: GraphModel, found: Iterator[Kind], start: End) -> Iterator[Kind]:
    """The types that a wire from `start` could lead to."""
    seen = model.face(start.node)
    own = seen.output(start.port) if start.out else seen.input(start.port)
    for kind in found:
        if own is None:
            continue
        ports = kind.face.inputs if start.out else kind.face.outputs
        if any((accepts(port.type, own.type) if start.out else accepts(own.type, port.type)) is None for port in ports):
            yield kind


@dataclass(frozen=True, slots=True)
class Addition:
    """The edit that adds a node, and its id."""

    edit: Edit
    node: str


def added(
    graph: Document, faces: Callable[[str], Face], kind: Kind, place: Point, wires: tuple[End, ...] = ()
) -> Addition:
    """The edit that adds a node and draws wires to it.

    Args:
        graph: where it goes.
        faces: of the nodes that are there.
        kind: its type.
        place: its upper left corner.
        wires: ports that are to be joined to it, as far as they fit.
    """
    stem = kind.candidate.key.removeprefix(GRAPH).rpartition(".")[2].removesuffix("json").rstrip(".")
    node = free_name(plain(stem) if stem else "node", graph.nodes)
    edits: list[Edit] = [
        AddNode(node, NodeEntry(kind.candidate.key, kind.version)),
        MoveNodes({node: [tidy(place[0]), tidy(place[1])]}),
    ]
    after = Group(tuple(edits)).change(graph)

    def known(name: str) -> Face:
        return kind.face if name == node else faces(name)

    for start in wires:
        end = best(after, known, start, node)
        if end is not None:
            edits.append(joined(after, known, start, end))
            after = edits[-1].change(after)
    return Addition(Group(tuple(edits)), node)
