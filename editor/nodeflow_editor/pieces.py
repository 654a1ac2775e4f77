"""Parts of a graph as text: what copying gives and pasting takes. The text is a graph file, so it may be typed as well.

No Qt.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nodeflow.document import Document, Input, NodeEntry, Wire, parse, write
from nodeflow.edits import AddNode, Edit, Group, MoveNodes, SetGraph, SetView
from nodeflow_editor.canvas.metrics import Point
from nodeflow_editor.graph_model import free_name, position
from nodeflow_editor.marks import tidy

KEPT = "incoming"
"""Where a copied text keeps wires from nodes that were not copied: for those who paste with them."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """The edit that pastes, and the names that the nodes get."""

    edit: Edit
    nodes: tuple[str, ...]


def copied(graph: Document, nodes: Collection[str]) -> str:
    """Chosen nodes as text: with the wires between them, their places, and the graphs that they stand for."""
    chosen = {node: entry for node, entry in graph.nodes.items() if node in nodes}
    kept = {node: replace(entry, inputs=_within(entry, chosen)) for node, entry in chosen.items()}
    incoming = {
        node: {port: {"$from": str(wire)} for port, wire in entry.wires() if wire.node not in chosen}
        for node, entry in chosen.items()
    }
    places = {node: list(place) for node in chosen if (place := position(graph, node)) is not None}
    used = {entry.type.removeprefix("graph:") for entry in chosen.values() if entry.type.startswith("graph:")}
    dots = graph.view.get("dots")
    return write(
        Document(
            nodes=kept,
            graphs={name: inner for name, inner in graph.graphs.items() if name in used},
            view={
                "nodes": places,
                "dots": {key: value for key, value in dots.items() if key.partition(".")[0] in chosen}
                if isinstance(dots, dict)
                else {},
                KEPT: {node: wires for node, wires in incoming.items() if wires},
            },
        )
    )


def pasted(graph: Document, text: str, at: Point | None = None, *, keep: bool = False) -> Pasted:
    """The edit that puts copied nodes into a graph, under free names.

    Args:
        graph: where they go.
        text: what `copied` gave, or any graph file.
        at: where the upper left corner of all goes; 32 pixels beside the old places if None.
        keep: whether wires from nodes that were not copied are drawn again, where those nodes are there.

    Raises:
        GraphError: the text is no graph.
    """
    source = parse(text)
    names: dict[str, str] = {}
    for node in source.nodes:
        names[node] = free_name(node, {*graph.nodes, *names.values()})
    incoming = source.view.get(KEPT) if keep else None
    edits: list[Edit] = []
    graphs: dict[str, str] = {}
    for name, inner in source.graphs.items():
        graphs[name] = name if graph.graphs.get(name) == inner else free_name(name, graph.graphs)
        if graphs[name] not in graph.graphs:
            edits.append(SetGraph(graphs[name], inner))
    for node, entry in source.nodes.items():
        inputs = {port: _renamed(value, names) for port, value in entry.inputs.items()}
        inputs |= _kept(graph, incoming, node)
        kind = entry.type
        if kind.startswith("graph:"):
            kind = "graph:" + graphs.get(kind.removeprefix("graph:"), kind.removeprefix("graph:"))
        edits.append(AddNode(names[node], replace(entry, type=kind, inputs=inputs)))
    places = _places(source, names, at)
    if places:
        edits.append(MoveNodes(places))
    dots = _dots(graph, source, names, places)
    if dots is not None:
        edits.append(SetView("dots", dots))
    return Pasted(Group(tuple(edits)), tuple(names.values()))


def _within(entry: NodeEntry, chosen: Mapping[str, Any]) -> dict[str, Input]:
    """A node's inputs without the wires that come from elsewhere."""
    inputs: dict[str, Input] = {}
    for port, value in entry.inputs.items():
        items = value if type(value) is list else [value]
        left = [item for item in items if type(item) is not Wire or item.node in chosen]
        if left or not items:
            inputs[port] = left if type(value) is list else left[0]
    return inputs


def _renamed(value: Input, names: Mapping[str, str]) -> Input:
    if type(value) is list:
        return [_renamed(item, names) for item in value]
    return Wire(names[value.node], value.output) if type(value) is Wire and value.node in names else value


def _kept(graph: Document, incoming: Any, node: str) -> dict[str, Input]:
    """Wires of a copied node from nodes that the graph has."""
    listed = incoming.get(node) if isinstance(incoming, dict) else None
    found: dict[str, Input] = {}
    for port, wire in listed.items() if isinstance(listed, dict) else ():
        name, _, output = str(wire.get("$from", "")).partition(".") if isinstance(wire, dict) else ("", "", "")
        if name in graph.nodes:
            found[port] = Wire(name, output or "out")
    return found


def _places(source: Document, names: Mapping[str, str], at: Point | None) -> dict[str, list[float]]:
    known = {node: place for node in source.nodes if (place := position(source, node)) is not None}
    if not known:
        return {name: [at[0] + 32 * i, at[1] + 32 * i] for i, name in enumerate(names.values())} if at else {}
    left, top = min(place[0] for place in known.values()), min(place[1] for place in known.values())
    dx, dy = (at[0] - left, at[1] - top) if at is not None else (32.0, 32.0)
    return {names[node]: [tidy(x + dx), tidy(y + dy)] for node, (x, y) in known.items()}


def _dots(graph: Document, source: Document, names: Mapping[str, str], places: Mapping[str, Any]) -> Any:
    """The graph's dots with those of pasted wires, moved along; None if there are none to add."""
    given, there = source.view.get("dots"), graph.view.get("dots")
    if not isinstance(given, dict) or not given:
        return None
    made = dict(there) if isinstance(there, dict) else {}
    for key, listed in given.items():
        node, _, rest = key.partition(".")
        old, new = position(source, node), places.get(names.get(node, ""))
        if old is None or new is None or not isinstance(listed, list):
            continue
        dx, dy = new[0] - old[0], new[1] - old[1]
        made[f"{names[node]}.{rest}"] = [
            [dot[0] + dx, dot[1] + dy] for dot in listed if isinstance(dot, list) and len(dot) == 2
        ]
    return made
