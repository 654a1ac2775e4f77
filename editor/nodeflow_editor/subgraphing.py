"""Chosen nodes become a graph of their own within the file, and back: as edits. Pure, no widget."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from nodeflow.delta import ABSENT
from nodeflow.document import GRAPH, Document, Input, NodeEntry, Wire
from nodeflow.edits import (
    AddNode,
    Edit,
    Group,
    MoveNodes,
    RemoveNode,
    SetGraph,
    SetInput,
    SetNode,
    SetOutput,
    SetParameter,
)  # fmt: skip
from nodeflow.errors import GraphError, Problem
from nodeflow_editor.arranging import free_place
from nodeflow_editor.border import Inside, Seam, joined_view, middle, parted_view, refuse, shift_of
from nodeflow_editor.canvas.layout import DOWN
from nodeflow_editor.canvas.metrics import HEADER, PAD, ROW, WIDTH, Box
from nodeflow_editor.graph_model import free_name, position
from nodeflow_editor.marks import tidy
from nodeflow_editor.wire_view import wires_of

Source = Callable[[Wire], Wire]
"""What is taken in place of a wire."""


@dataclass(frozen=True, slots=True)
class Regrouped:
    """The edit, and the nodes that stand in place of those before."""

    edit: Edit
    nodes: tuple[str, ...]


def gathered(
    graph: Document, nodes: Collection[str], boxes: Mapping[str, Box], name: str = "subgraph",
    notes: Collection[int] = (), picture: float = 0.0,
) -> Regrouped:  # fmt: skip
    """The edit that puts nodes into a graph of their own, and one node in their place that stands for it.

    Wires that cross its border become parameters and outputs, named as the ports; the parameters and outputs of the
    graph around it that led to these nodes lead to the new one. A run computes the same.

    Args:
        graph: where the nodes are.
        nodes: those that go.
        boxes: where nodes stand on the canvas.
        name: what the new graph is called; a number follows it if that is taken.
        notes: those that go with them.
        picture: height of the picture that the new node will show.

    Raises:
        GraphError: a way leads out of these nodes and back in, or one input takes wires from within and without.
    """
    moved, seam = {node: None for node in graph.nodes if node in nodes}, Seam()
    if not moved:
        refuse("no nodes are chosen", "choose those that are to become a graph")
    _judge(graph, moved.keys())
    name, node = free_name(name, graph.graphs), free_name(name, graph.nodes)
    inner: dict[str, NodeEntry] = {}
    given: dict[str, Input] = {}
    for member in moved:
        kept = {}
        for port, value in graph.nodes[member].inputs.items():
            if any(wire.node not in moved for wire in wires_of(value)):
                given[seam.into(member, port)] = value
            else:
                kept[port] = value
        inner[member] = replace(graph.nodes[member], inputs=kept)
    leaving = tuple(_redirected(graph, moved.keys(), lambda wire: Wire(node, seam.out(wire))))
    led = tuple(_led(graph, moved.keys(), seam, node))
    own, loose = _graphs(graph, moved.keys())
    view, outer_view = parted_view(graph, moved.keys(), boxes, seam, node, notes)
    made = Document("", seam.parameters, seam.outputs, inner, own, view)
    edits: list[Edit] = [
        SetGraph(name, made), AddNode(node, NodeEntry(GRAPH + name, 1, given), next(iter(moved))),
        *leaving, *led, *outer_view, *(RemoveNode(member) for member in moved),
        *(SetGraph(gone, ABSENT) for gone in loose),
    ]  # fmt: skip
    corners = [boxes[member] for member in moved if member in boxes]
    if corners:
        x, y = middle(corners)
        rows = len(seam.parameters) + (len(seam.outputs) if len(seam.outputs) > 1 else 0)
        box = x - WIDTH / 2, y - DOWN, WIDTH, HEADER + rows * ROW + PAD + picture
        place = free_place(box, [box for other, box in boxes.items() if other not in moved])
        edits.append(MoveNodes({node: [*map(tidy, place)]}))
    return Regrouped(Group(tuple(edits)), (node,))


def dissolved(graph: Document, node: str) -> Regrouped:
    """The edit that puts the nodes of a graph in place of the one that stands for it; the inverse of `gathered`.

    Raises:
        GraphError: the node stands for no graph of this file, is muted or bypassed, or has a wire that leads nowhere.
    """
    entry = graph.nodes[node]
    name = entry.type.removeprefix(GRAPH)
    inner = graph.graphs.get(name) if entry.type.startswith(GRAPH) else None
    if inner is None:
        refuse(f'"{node}" stands for no graph of this file', "one in a file of its own is opened, not dissolved")
    if entry.mode:
        refuse(f'"{node}" is {entry.mode}', "let it run before it is dissolved")
    names: dict[str, str] = {}
    taken = set(graph.nodes)
    for member in inner.nodes:
        names[member] = free_name(member, taken)
        taken.add(names[member])
    within = Inside(inner, names)
    kinds, nested = _lifted(graph, inner, name)
    overrides = within.overrides(node, entry)
    edits: list[Edit] = [*nested]
    for member, each in inner.nodes.items():
        inputs = {port: _renamed(value, names) for port, value in each.inputs.items()} | overrides.get(member, {})
        edits.append(AddNode(names[member], replace(each, type=kinds.get(each.type, each.type), inputs=inputs), node))
    edits += _redirected(graph, {node}, within.source)
    for parameter, place in graph.parameters.items():
        if place.partition(".")[0] == node:
            edits.append(SetParameter(parameter, within.input(place.partition(".")[2]) or ABSENT))
    for output, place in graph.outputs.items():
        if place.partition(".")[0] == node:
            edits.append(SetOutput(output, str(within.source(Wire(node, place.partition(".")[2] or "out")))))
    shift = shift_of(graph, inner, node)
    edits += joined_view(graph, within, node, shift)
    edits.append(RemoveNode(node))
    places: dict[str, list[float]] = {}
    for member in inner.nodes:
        if (stands := position(inner, member)) is not None:
            places[names[member]] = [tidy(stands[0] + shift[0]), tidy(stands[1] + shift[1])]
    if places:
        edits.append(MoveNodes(places))
    if not any(other != node and each.type == entry.type for other, each in graph.nodes.items()):
        edits.append(SetGraph(name, ABSENT))
    return Regrouped(Group(tuple(edits)), tuple(names.values()))


def regraphed(graph: Document, old: str, new: str) -> Edit:
    """The edit that gives a graph of the file another name; the nodes that stand for it follow.

    Raises:
        GraphError: the name is taken, or there is no such graph.
    """
    if old not in graph.graphs:
        refuse(f'there is no graph "{old}" in this file', "")
    if new != old and new in graph.graphs:
        refuse(f'there is a graph "{new}" already', "choose another name")
    users = [node for node, entry in graph.nodes.items() if entry.type == GRAPH + old]
    renamed = (SetNode(node, replace(graph.nodes[node], type=GRAPH + new)) for node in users)
    rest = list(graph.graphs)
    after = rest[rest.index(old) + 1 :]  # put again, so that they stay behind it
    again = [edit for each in after for edit in (SetGraph(each, ABSENT), SetGraph(each, graph.graphs[each]))]
    return Group((SetGraph(old, ABSENT), SetGraph(new, graph.graphs[old]), *again, *renamed))


def _judge(graph: Document, moved: AbstractSet[str]) -> None:
    """Refuses a choice that no one node can stand for."""
    feeds = {node: {wire.node for _, wire in entry.wires()} for node, entry in graph.nodes.items()}
    takers: dict[str, set[str]] = {}
    for node, sources in feeds.items():
        for source in sources:
            takers.setdefault(source, set()).add(node)
    before, after = _reached(moved, feeds), _reached(moved, takers)
    between = [node for node in graph.nodes if node in before & after and node not in moved]
    if between:
        listed = ", ".join(f'"{node}"' for node in between[:3])
        refuse(f"wires lead out of the chosen nodes and back to them through {listed}", "choose these as well")
    for node in moved:
        for port, value in graph.nodes[node].inputs.items():
            sides = {wire.node in moved for wire in wires_of(value)}
            if len(sides) == 2:
                others = next(wire.node for wire in wires_of(value) if wire.node not in moved)
                raise GraphError(
                    Problem("takes wires both from chosen nodes and from others",
                            f'choose "{others}" as well, or leave "{node}" out', node, port)
                )  # fmt: skip


def _reached(start: Iterable[str], ways: Mapping[str, set[str]]) -> set[str]:
    """What can be come to from these nodes, themselves left out unless a way leads back."""
    found: set[str] = set()
    ahead = list(start)
    while ahead:
        fresh = ways.get(ahead.pop(), set()) - found
        found |= fresh
        ahead += fresh
    return found


def _redirected(graph: Document, gone: AbstractSet[str], source: Source) -> Iterator[Edit]:
    """Inputs of nodes that stay, with each wire from one that goes taken from what `source` says."""
    for node, entry in graph.nodes.items():
        if node in gone:
            continue
        for port, value in entry.inputs.items():
            if any(wire.node in gone for wire in wires_of(value)):
                yield SetInput(node, port, _mapped(value, lambda wire: source(wire) if wire.node in gone else wire))


def _mapped(value: Input, change: Source) -> Input:
    if type(value) is list:
        return [_mapped(item, change) for item in value]
    return change(value) if type(value) is Wire else value


def _renamed(value: Input, names: Mapping[str, str]) -> Input:
    return _mapped(value, lambda wire: Wire(names.get(wire.node, wire.node), wire.output))


def _led(graph: Document, moved: AbstractSet[str], seam: Seam, node: str) -> Iterator[Edit]:
    """The graph's own parameters and outputs that led to nodes which go."""
    for name, place in graph.parameters.items():
        member, _, port = place.partition(".")
        if member in moved:
            yield SetParameter(name, f"{node}.{seam.into(member, port)}")
    for name, place in graph.outputs.items():
        member, _, output = place.partition(".")
        if member in moved:
            yield SetOutput(name, str(Wire(node, seam.out(Wire(member, output or "out")))))


def _graphs(graph: Document, gone: AbstractSet[str]) -> tuple[dict[str, Document], list[str]]:
    """The graphs that nodes which go stand for, and those of them that nobody else does."""

    def used(nodes: Iterable[str]) -> set[str]:
        kinds = {graph.nodes[node].type for node in nodes}
        return {kind.removeprefix(GRAPH) for kind in kinds if kind.startswith(GRAPH)}

    within, without = used(gone), used(node for node in graph.nodes if node not in gone)
    own = {name: inner for name, inner in graph.graphs.items() if name in within}
    return own, [name for name in own if name not in without]


def _lifted(graph: Document, inner: Document, name: str) -> tuple[dict[str, str], list[Edit]]:
    """New types for nodes that stand for graphs of a dissolved graph, and the edits that bring these graphs up."""
    kinds: dict[str, str] = {}
    edits: list[Edit] = []
    taken = dict(graph.graphs)
    for nested, document in inner.graphs.items():
        same = nested != name and taken.get(nested) == document
        wanted = nested if same else free_name(nested, taken)
        kinds[GRAPH + nested] = GRAPH + wanted
        if not same:
            taken[wanted] = document
            edits.append(SetGraph(wanted, document))
    return kinds, edits
