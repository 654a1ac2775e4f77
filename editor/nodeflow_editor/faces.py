"""What of a node is to be drawn: its title and ports, whether its type is known, is a graph, or is absent. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nodeflow.catalog import Catalog
from nodeflow.document import GRAPH, Document, NodeEntry
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import ANY

Find = Callable[[str], Document | None]
"""The graph that a node of type "graph:NAME" stands for, or None."""


@dataclass(frozen=True, slots=True)
class Face:
    """A node as people see it. `absent` says why its type is not there; empty where it is."""

    title: str
    category: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    help: str = ""
    absent: str = ""
    graph: bool = False
    type: str = ""

    def input(self, name: str) -> Port | None:
        """The input of that name, or None."""
        return next((port for port in self.inputs if port.name == name), None)

    def output(self, name: str) -> Port | None:
        """The output of that name, or None."""
        return next((port for port in self.outputs if port.name == name), None)


def face(entry: NodeEntry, catalog: Catalog, find: Find, taken: Iterable[str] = ()) -> Face:
    """The face of a node.

    Args:
        entry: the node as the file has it.
        catalog: the known types.
        find: looks a graph up that a node stands for.
        taken: outputs that others take of it, which is all that is known of an absent node's.
    """
    if entry.type.startswith(GRAPH):
        name = entry.type.removeprefix(GRAPH)
        document = find(name)
        if document is None:
            return _absent(entry, taken, f'there is no graph "{name}"')
        return graph_face(entry.type, document, catalog, find)
    spec = catalog.get(entry.type)
    if spec is None:
        return _absent(entry, taken, f'no installed plugin has "{entry.type}"')
    return of_spec(spec)


def of_spec(spec: NodeSpec) -> Face:
    """The face of a node of that type."""
    return Face(spec.title, spec.category, spec.inputs, spec.outputs, spec.help, type=spec.id)


def graph_face(kind: str, document: Document, catalog: Catalog, find: Find, depth: int = 0) -> Face:
    """The face of a node that stands for a graph: its parameters go in, its outputs come out."""
    faces: dict[str, Face] = {}

    def inner(node: str) -> Face | None:
        entry = document.nodes.get(node)
        if entry is None:
            return None
        if node not in faces:
            nested = entry.type.removeprefix(GRAPH) if entry.type.startswith(GRAPH) else ""
            within = (document.graphs.get(nested) or find(nested)) if nested and depth < 8 else None
            if within is not None:
                faces[node] = graph_face(entry.type, within, catalog, find, depth + 1)
            else:
                faces[node] = face(entry, catalog, lambda _: None)
        return faces[node]

    inputs = tuple(_port(name, place, inner, document.nodes) for name, place in document.parameters.items())
    outputs = tuple(_given(name, place, inner) for name, place in document.outputs.items())
    title = document.title or kind.removeprefix(GRAPH)
    return Face(title, "graph", inputs, outputs, f"The graph {kind.removeprefix(GRAPH)}.", graph=True, type=kind)


def _port(name: str, place: str, inner: Callable[[str], Face | None], nodes: Mapping[str, NodeEntry]) -> Port:
    node, _, port = place.partition(".")
    seen = inner(node)
    found = seen.input(port) if seen else None
    if found is None:
        return Port(name, ANY)
    given = nodes[node].inputs.get(port)
    own = given if found.type.typed_in and given is not None and type(given) in (bool, int, float, str) else None
    required = found.required and port not in nodes[node].inputs
    return Port(name, found.type, required, found.default if own is None else own, found.help, found.widget)


def _given(name: str, place: str, inner: Callable[[str], Face | None]) -> Port:
    node, _, port = place.partition(".")
    seen = inner(node)
    found = seen.output(port or "out") if seen else None
    return Port(name, found.type if found else ANY, help=found.help if found else "")


def _absent(entry: NodeEntry, taken: Iterable[str], why: str) -> Face:
    inputs = tuple(Port(name, ANY) for name in entry.inputs)
    outputs = tuple(Port(name, ANY) for name in sorted(taken)) or (Port("out", ANY),)
    return Face(entry.type.rpartition(".")[2] or entry.type, "absent", inputs, outputs, absent=why, type=entry.type)
