"""Parts of a graph as text: what copying gives and pasting takes. The text is a graph file, so it may be typed as well.

No Qt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from nodeflow.document import GRAPH, Document, Input, NodeEntry, Wire, as_input, parse, spelled, write
from nodeflow.edits import AddNode, Edit, Group, MoveNodes, SetGraph, SetView
from nodeflow_editor.canvas.metrics import Point
from nodeflow_editor.graph_model import free_name, position
from nodeflow_editor.marks import dots, tidy
from nodeflow_editor.notepad import NOTES, listed, noted, notes
from nodeflow_editor.wire_view import DOTS, SECTIONS, by_node, named, section, wires_of

KEPT = "incoming"
"""Where a copied text has inputs whole that take wires from nodes which were not copied: for pasting with them."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """The edit that pastes, the names that the nodes get, and the numbers of the notes."""

    edit: Edit
    nodes: tuple[str, ...]
    notes: tuple[int, ...] = ()


def copied(graph: Document, nodes: Collection[str], noted: Collection[int] = ()) -> str:
    """Chosen nodes and notes as text: with the wires between, their places, and the graphs that nodes stand for."""
    chosen = {node: entry for node, entry in graph.nodes.items() if node in nodes}
    kept = {node: replace(entry, inputs=_within(entry, chosen)) for node, entry in chosen.items()}
    incoming = {
        node: {port: spelled(value) for port, value in entry.inputs.items()
               if any(wire.node not in chosen for wire in wires_of(value))}
        for node, entry in chosen.items()
    }  # fmt: skip
    places = {node: list(place) for node in chosen if (place := position(graph, node)) is not None}
    used = {entry.type.removeprefix(GRAPH) for entry in chosen.values() if entry.type.startswith(GRAPH)}
    tables = {name: {key: value for key, value in table.items() if key.partition(".")[0] in chosen}
              for name, table in by_node(graph).items()}  # fmt: skip
    view: dict[str, Any] = {
        **{name: table for name, table in tables.items() if table},
        "nodes": places,
        KEPT: {node: inputs for node, inputs in incoming.items() if inputs},
    }
    if noted:
        view[NOTES] = [item for number, item in enumerate(listed(graph)) if number in noted]
    return write(
        Document(nodes=kept, graphs={name: inner for name, inner in graph.graphs.items() if name in used}, view=view)
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
    taken = set(graph.nodes)
    for node in source.nodes:
        names[node] = free_name(node, taken)
        taken.add(names[node])
    edits: list[Edit] = []
    graphs: dict[str, str] = {}
    for name, inner in source.graphs.items():
        graphs[name] = name if graph.graphs.get(name) == inner else free_name(name, graph.graphs)
        if graphs[name] not in graph.graphs:
            edits.append(SetGraph(graphs[name], inner))
    wires: dict[str, str] = {}
    for node, entry in source.nodes.items():
        inputs: dict[str, Input] = {}
        for port, value in _whole(source, node, entry).items():
            found = _led(value, names, graph.nodes if keep else {})
            if found or value == []:
                inputs[port] = [item for _, item in found] if type(value) is list else found[0][1]
            for now, (before, _) in enumerate(found):
                wires[named(node, port, before)] = named(names[node], port, now)
        kind = entry.type
        if kind.startswith(GRAPH):
            kind = GRAPH + graphs.get(kind.removeprefix(GRAPH), kind.removeprefix(GRAPH))
        edits.append(AddNode(names[node], replace(entry, type=kind, inputs=inputs)))
    shift = _shift(source, at)
    places = _places(source, names, at, shift)
    if places:
        edits.append(MoveNodes(places))
    edits += _viewed(graph, source, names, wires, places)
    fresh, before = [note.moved(*shift) for note in notes(source)], len(listed(graph))
    if fresh:
        edits.append(noted(graph, *fresh))
    return Pasted(Group(tuple(edits)), tuple(names.values()), tuple(range(before, before + len(fresh))))


def _within(entry: NodeEntry, chosen: Mapping[str, Any]) -> dict[str, Input]:
    """A node's inputs without the wires that come from elsewhere."""
    inputs: dict[str, Input] = {}
    for port, value in entry.inputs.items():
        items = value if type(value) is list else [value]
        left = [item for item in items if type(item) is not Wire or item.node in chosen]
        if left or not items:
            inputs[port] = left if type(value) is list else left[0]
    return inputs


def _whole(source: Document, node: str, entry: NodeEntry) -> dict[str, Input]:
    """A copied node's inputs with the wires that came from elsewhere, as far as the text can be read."""
    table = source.view.get(KEPT)
    listed = table.get(node) if isinstance(table, dict) else None
    inputs = dict(entry.inputs)
    for port, value in listed.items() if isinstance(listed, dict) else ():
        with suppress(ValueError):
            inputs[port] = as_input(value)
    return inputs


def _led(value: Input, names: Mapping[str, str], there: Collection[str]) -> list[tuple[int, Input]]:
    """What an input holds, each with its number before: wires from copied nodes, and from those that are there."""
    found: list[tuple[int, Input]] = []
    for at, item in enumerate(value if type(value) is list else [value]):
        if type(item) is not Wire:
            found.append((at, item))
        elif item.node in names:
            found.append((at, Wire(names[item.node], item.output)))
        elif item.node in there:
            found.append((at, item))
    return found


def _shift(source: Document, at: Point | None) -> Point:
    """How far the text's nodes and notes are put from where they stood."""
    corners = [place for node in source.nodes if (place := position(source, node)) is not None]
    corners += [note.box[:2] for note in notes(source)]
    if at is None or not corners:
        return 32.0, 32.0
    return at[0] - min(corner[0] for corner in corners), at[1] - min(corner[1] for corner in corners)


def _places(source: Document, names: Mapping[str, str], at: Point | None, shift: Point) -> dict[str, list[float]]:
    known = {node: place for node in source.nodes if (place := position(source, node)) is not None}
    if not known:
        return {name: [at[0] + 32 * i, at[1] + 32 * i] for i, name in enumerate(names.values())} if at else {}
    dx, dy = shift
    return {names[node]: [tidy(x + dx), tidy(y + dy)] for node, (x, y) in known.items()}


def _viewed(
    graph: Document, source: Document, names: Mapping[str, str], wires: Mapping[str, str], places: Mapping[str, Any]
) -> Iterator[Edit]:
    """What the text's view lists by node, among what the graph's does: dots moved along, seeds, portals."""
    for name, given in by_node(source).items():
        made: dict[str, Any] = {}
        for key, value in given.items():
            node, dot, rest = key.partition(".")
            if name == KEPT or node not in names or (name in SECTIONS and key not in wires):
                continue
            if name == DOTS:
                old, new = position(source, node), places.get(names[node])
                if old is None or new is None:
                    continue
                made[wires[key]] = [
                    [tidy(x + new[0] - old[0]), tidy(y + new[1] - old[1])] for x, y in dots(source, key)
                ]
            else:
                made[wires.get(key, f"{names[node]}{dot}{rest}")] = value
        if made:
            yield SetView(name, {**section(graph, name), **made})
