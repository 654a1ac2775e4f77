"""Which wires may be drawn, and the edits that draw and cut them. Pure, no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nodeflow.delta import ABSENT
from nodeflow.document import Document, Input, Wire
from nodeflow.edits import Edit, Group, RemoveNode, SetInput, SetOutput
from nodeflow.spec import Port
from nodeflow.types import PortType, accepts
from nodeflow_editor.faces import Face
from nodeflow_editor.graph_model import Link

Faces = Callable[[str], Face]
Fits = dict[str, set[str]]
"""Ports by node, each "in:latent" or "out:image"."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a wire in hand: a port that it hangs on."""

    node: str
    port: str
    out: bool

    @property
    def name(self) -> str:
        """The port as Fits has it."""
        return f"{'out' if self.out else 'in'}:{self.port}"


def several(kind: PortType) -> bool:
    """Whether an input takes more than one wire."""
    return kind.kind == "list" or (kind.kind == "union" and any(several(item) for item in kind.items))


def reason(graph: Document, faces: Faces, start: End, end: End) -> str | None:
    """None if a wire may lead between two ports, whichever is the output; else why not, as people read it."""
    if start.out == end.out:
        return "a wire leads from an output to an input"
    source, target = (start, end) if start.out else (end, start)
    given, port = faces(source.node).output(source.port), faces(target.node).input(target.port)
    if given is None or port is None:
        return "there is no such port any more"
    misfit = accepts(port.type, given.type)
    if misfit is not None:
        return misfit
    if source.node == target.node or target.node in upstream(graph, source.node):
        return "the wire would close a circle: the node would wait for itself"
    return None


def fits(graph: Document, faces: Faces, start: End) -> Fits:
    """All ports that a wire from `start` may lead to."""
    barred = upstream(graph, start.node) if start.out else downstream(graph, start.node)
    barred.add(start.node)
    own = faces(start.node).output(start.port) if start.out else faces(start.node).input(start.port)
    if own is None:
        return {}
    known: dict[str, set[str]] = {}
    found: Fits = {}
    for node in graph.nodes:
        if node in barred:
            continue
        face = faces(node)
        key = face.type if not face.absent and not face.graph else ""
        ports = known.get(key) if key else None
        if ports is None:
            ports = _fitting(face, own, start.out)
            if key:
                known[key] = ports
        if ports:
            found[node] = ports
    return found


def _fitting(face: Face, own: Port, out: bool) -> set[str]:
    if out:
        return {f"in:{port.name}" for port in face.inputs if accepts(port.type, own.type) is None}
    return {f"out:{port.name}" for port in face.outputs if accepts(own.type, port.type) is None}


def best(
    graph: Document, faces: Faces, start: End, node: str, takes: Callable[[End], bool] | None = None
) -> End | None:
    """The port of a node that a wire dropped on its body enters: one that wants it most.

    Required and empty before empty before taken; wired-only before typed-in; the port of the same name first of equals.
    `takes`: whether a port takes the wire, where that is known: to find it out follows all that a node needs.
    """
    face, taken = faces(node), graph.nodes[node].inputs
    takes = takes or (lambda end: reason(graph, faces, start, end) is None)
    if not start.out:
        open_ends = [End(node, port.name, True) for port in face.outputs]
        return next((end for end in open_ends if takes(end)), None)

    def rank(port: Port) -> tuple[bool, bool, bool, bool]:
        empty = port.name not in taken or several(port.type)
        return (not (port.required and empty), not empty, port.type.typed_in, port.name != start.port)

    ends = (End(node, port.name, False) for port in sorted(face.inputs, key=rank))
    return next((end for end in ends if takes(end)), None)


def joined(graph: Document, faces: Faces, start: End, end: End) -> Edit:
    """The edit that draws a wire. What the input held goes, unless it takes several."""
    source, target = (start, end) if start.out else (end, start)
    wire = Wire(source.node, source.port)
    port = faces(target.node).input(target.port)
    before = graph.nodes[target.node].inputs.get(target.port)
    if port is not None and several(port.type) and before is not None:
        held = list(before) if type(before) is list else [before]
        wires = [item for item in held if type(item) is Wire]
        if wires:
            return SetInput(target.node, target.port, [*wires, wire] if wire not in wires else wires)
    return SetInput(target.node, target.port, wire)


def cut(graph: Document, links: Iterable[Link]) -> Edit:
    """The edit that removes wires; an input that loses its last one is empty again."""
    gone: dict[tuple[str, str], set[int]] = {}
    for link in links:
        gone.setdefault((link.node, link.port), set()).add(link.index)
    edits: list[Edit] = []
    for (node, port), indices in gone.items():
        before = graph.nodes[node].inputs.get(port)
        kept = [item for index, item in enumerate(before) if index not in indices] if type(before) is list else []
        edits.append(SetInput(node, port, kept or ABSENT))
    return edits[0] if len(edits) == 1 else Group(tuple(edits))


def bridged(graph: Document, faces: Faces, nodes: Iterable[str]) -> Edit:
    """The edit that removes nodes, and joins what stood before them to what stood behind, where that fits.

    Of several that feed a node the first that fits is taken; outputs of the graph follow as inputs do.
    """
    gone = dict.fromkeys(nodes)

    def heir(wire: Wire, kind: PortType) -> Wire | None:
        """What fed the nodes that go, near or far, in place of a wire from one of them."""
        ahead, seen = [wire], set[str]()
        while ahead:
            item = ahead.pop()
            if item.node in gone:
                fed = () if item.node in seen else graph.nodes[item.node].wires()
                ahead += reversed([feed for _, feed in fed])
                seen.add(item.node)
                continue
            given = faces(item.node).output(item.output) if item.node in graph.nodes else None
            if given is not None and accepts(kind, given.type) is None:
                return item
        return None

    edits: list[Edit] = []
    for node, entry in graph.nodes.items():
        for port in dict.fromkeys(port for port, wire in entry.wires() if wire.node in gone and node not in gone):
            value, taking = entry.inputs[port], faces(node).input(port)
            kept: list[Input] = []
            for item in value if type(value) is list else [value]:
                lost = type(item) is Wire and item.node in gone
                now = (heir(item, taking.type) if taking is not None else None) if lost else item
                if now is not None and not (lost and now in kept):
                    kept.append(now)
            edits.append(SetInput(node, port, (kept if type(value) is list else kept[0]) if kept else ABSENT))
    for name, place in graph.outputs.items():
        node, _, port = place.partition(".")
        giving = faces(node).output(port or "out") if node in gone else None
        source = heir(Wire(node, port or "out"), giving.type) if giving is not None else None
        if source is not None:
            edits.append(SetOutput(name, str(source)))
    return Group((*edits, *(RemoveNode(node) for node in gone)))


def inserted(graph: Document, faces: Faces, node: str, link: Link) -> Edit | None:
    """The edit that puts a node without wires into one, or None if it does not fit there."""
    start, end = End(link.source, link.output, True), End(link.node, link.port, False)
    enters = best(graph, faces, start, node)
    target = faces(link.node).input(link.port)
    if enters is None or target is None:
        return None
    leaves = next((port for port in faces(node).outputs if accepts(target.type, port.type) is None), None)
    if leaves is None or reason(graph, faces, End(node, leaves.name, True), end) is not None:
        return None
    wire, before = Wire(node, leaves.name), graph.nodes[link.node].inputs[link.port]
    after = [wire if at == link.index else item for at, item in enumerate(before)] if type(before) is list else wire
    return Group((joined(graph, faces, start, enters), SetInput(link.node, link.port, after)))


def upstream(graph: Document, node: str) -> set[str]:
    """The nodes that a node needs, near and far."""
    found: set[str] = set()
    ahead = [node]
    while ahead:
        entry = graph.nodes.get(ahead.pop())
        for _, wire in entry.wires() if entry is not None else ():
            if wire.node not in found:
                found.add(wire.node)
                ahead.append(wire.node)
    return found


def downstream(graph: Document, *nodes: str) -> set[str]:
    """The nodes that need one of these, near and far."""
    users: dict[str, set[str]] = {}
    for name, entry in graph.nodes.items():
        for _, wire in entry.wires():
            users.setdefault(wire.node, set()).add(name)
    found: set[str] = set()
    ahead = list(nodes)
    while ahead:
        for user in users.get(ahead.pop(), ()):
            if user not in found:
                found.add(user)
                ahead.append(user)
    return found
