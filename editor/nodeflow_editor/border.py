"""The border of a graph within a graph: what leads through it, and what becomes of its view. No widget."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from nodeflow.document import ID, Document, Input, NodeEntry, Wire
from nodeflow.edits import Edit, SetView
from nodeflow.errors import GraphError, Problem
from nodeflow_editor.canvas.layout import ACROSS, DOWN
from nodeflow_editor.canvas.metrics import WIDTH, Box
from nodeflow_editor.graph_model import free_name, position
from nodeflow_editor.marks import dots, frames, tidy
from nodeflow_editor.notepad import NOTES, listed, noted, notes, renoted
from nodeflow_editor.wire_view import DOTS, by_node, section, wires_of


@dataclass(slots=True)
class Seam:
    """What leads in and out of a graph in the making: its parameters and outputs, one for each place within."""

    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    def into(self, node: str, port: str) -> str:
        """The parameter that leads to an input."""
        return _named(self.parameters, f"{node}.{port}", port)

    def out(self, wire: Wire) -> str:
        """The output that gives what a wire takes."""
        return _named(self.outputs, str(wire), wire.output)


@dataclass(frozen=True, slots=True)
class Inside:
    """A graph that is dissolved, and the names that its nodes get outside."""

    graph: Document
    names: Mapping[str, str]

    def input(self, parameter: str) -> str:
        """Where a parameter leads, outside; empty if there is none."""
        node, _, port = self.graph.parameters.get(parameter, "").partition(".")
        return f"{self.names[node]}.{port}" if node else ""

    def source(self, wire: Wire) -> Wire:
        """What a wire from the graph's node takes, outside."""
        outputs = self.graph.outputs
        place = outputs.get(wire.output)
        if place is None and wire.output == "out" and len(outputs) == 1:
            place = next(iter(outputs.values()))
        if place is None:
            refuse(f'its graph has no output "{wire.output}", which a wire takes', "cut that wire first")
        node, _, output = place.partition(".")
        return Wire(self.names[node], output or "out")

    def overrides(self, node: str, entry: NodeEntry) -> dict[str, dict[str, Input]]:
        """The inputs that are set from outside, by node and port within."""
        found: dict[str, dict[str, Input]] = {}
        for name, value in entry.inputs.items():
            if name not in self.graph.parameters:
                refuse(f'"{node}" has an input "{name}" that its graph does not have', "clear it first")
            member, _, port = self.graph.parameters[name].partition(".")
            found.setdefault(member, {})[port] = value
        return found


def plain(text: str) -> str:
    """A text as a name of a parameter, output or graph."""
    made = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:60]
    return made if ID.fullmatch(made) else "value"


def _named(table: dict[str, str], place: str, wanted: str) -> str:
    known = next((name for name, other in table.items() if other == place), None)
    if known is None:
        known = free_name(plain(wanted), table)
        table[known] = place
    return known


def parted_view(
    graph: Document, gone: AbstractSet[str], boxes: Mapping[str, Box], seam: Seam, node: str,
    chosen: Collection[int] = (),
) -> tuple[dict[str, Any], list[Edit]]:  # fmt: skip
    """The view of the new graph, and what becomes of the view around it. chosen: notes that go into it."""
    view: dict[str, Any] = {"nodes": {m: [tidy(boxes[m][0]), tidy(boxes[m][1])] for m in gone if m in boxes}}
    edits: list[Edit] = []
    held = {frame.number: {n for n, box in boxes.items() if frame.holds(box)} for frame in frames(graph)}
    inside = {number for number, nodes in held.items() if nodes and nodes <= gone}
    known = graph.view.get("frames")
    if inside and isinstance(known, list):
        view["frames"] = [frame for number, frame in enumerate(known) if number in inside]
        edits.append(SetView("frames", [frame for number, frame in enumerate(known) if number not in inside]))
    around = [frame for frame in frames(graph) if frame.number in inside]
    within_them = {note.number for note in notes(graph) if any(frame.holds(note.box) for frame in around)} | set(chosen)
    if within_them:
        view[NOTES] = [item for number, item in enumerate(listed(graph)) if number in within_them]
        edits.append(renoted(graph, removed=within_them))
    entered = {place: name for name, place in seam.parameters.items()}
    for name, table in by_node(graph).items():
        if not any(key.partition(".")[0] in gone for key in table):
            continue
        within, outer = {}, {}
        for key, value in table.items():
            place, index = _place_of(key)
            if place.partition(".")[0] not in gone:
                outer[key] = value
            elif place in entered and _crosses(graph, place, gone):
                outer[f"{node}.{entered[place]}{index}"] = value
            else:
                within[key] = value
        view |= {name: within} if within else {}
        edits.append(SetView(name, outer))
    return view, edits


def _place_of(key: str) -> tuple[str, str]:
    """What the view lists something by, as "node.port" and the rest, which counts an input's wires."""
    node, _, rest = key.partition(".")
    port, dot, index = rest.partition(".")
    return f"{node}.{port}", dot + index


def _crosses(graph: Document, place: str, gone: AbstractSet[str]) -> bool:
    node, _, port = place.partition(".")
    return any(wire.node not in gone for wire in wires_of(graph.nodes[node].inputs.get(port)))


def joined_view(graph: Document, inside: Inside, node: str, shift: tuple[float, float]) -> list[Edit]:
    """The frames of a graph among those around it, and what else its view lists by node."""
    edits: list[Edit] = []
    inner, names = inside.graph, inside.names
    dx, dy = shift
    if framed := frames(inner):
        before = graph.view.get("frames")
        moved = [replace(f, box=(f.box[0] + dx, f.box[1] + dy, *f.box[2:])).as_json() for f in framed]
        edits.append(SetView("frames", [*(before if isinstance(before, list) else ()), *moved]))
    if fresh := [note.moved(dx, dy) for note in notes(inner)]:
        edits.append(noted(graph, *fresh))
    for name in {**by_node(graph), **by_node(inner)}:
        outer, made = section(graph, name), dict[str, Any]()
        for key, value in section(inner, name).items():
            member, dot, rest = key.partition(".")
            if member in names:
                moved_dots = [[tidy(x + dx), tidy(y + dy)] for x, y in dots(inner, key)] if name == DOTS else value
                made[f"{names[member]}{dot}{rest}"] = moved_dots
        for key, value in outer.items():  # the last: what was set from outside holds
            place, index = _place_of(key)
            target = inside.input(place.partition(".")[2]) if place.partition(".")[0] == node else ""
            made[f"{target}{index}" if target else key] = value
        if made != outer:
            edits.append(SetView(name, made))
    return edits


def shift_of(graph: Document, inner: Document, node: str) -> tuple[float, float]:
    """How far the nodes of a graph move, to stand around the one that stood for it; 0 where they were gathered."""
    here = position(graph, node)
    places = [place for member in inner.nodes if (place := position(inner, member)) is not None]
    if here is None or not places:
        return 0.0, 0.0
    x, y = middle([(*place, WIDTH, 2 * DOWN) for place in places])
    dx, dy = here[0] + WIDTH / 2 - x, here[1] + DOWN - y
    near = abs(dx) < ACROSS and abs(dy) < 4 * ACROSS  # heights are not in the file: the middle is known so well
    return (0.0, 0.0) if near else (round(dx), round(dy))


def middle(boxes: Iterable[Box]) -> tuple[float, float]:
    known = list(boxes)
    left, right = min(box[0] for box in known), max(box[0] + box[2] for box in known)
    top, bottom = min(box[1] for box in known), max(box[1] + box[3] for box in known)
    return (left + right) / 2, (top + bottom) / 2


def refuse(message: str, cure: str) -> NoReturn:
    raise GraphError(Problem(message, cure))
