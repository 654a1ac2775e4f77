"""Frames and dots: what stands on the canvas and computes nothing. Read from the view, changed by edits. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nodeflow.delta import ABSENT
from nodeflow.document import Document
from nodeflow.edits import Edit, SetView
from nodeflow_editor.canvas.metrics import Box, Point, numbers
from nodeflow_editor.wire_view import DOTS, parted, section, wire_at

TITLE = 32.0
"""Height of a frame's title."""
AROUND = 24.0
"""Room between a frame and the nodes that it was made for."""
SMALLEST = 96.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A titled box behind nodes. `number` is its place in the file's list; `extra` what others wrote into it."""

    number: int
    title: str
    box: Box
    extra: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The frame as the file has it."""
        return {**self.extra, "title": self.title, "box": [tidy(part) for part in self.box]}

    def holds(self, box: Box) -> bool:
        """Whether a node lies in it, by the node's middle."""
        x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
        left, top, wide, high = self.box
        return left <= x <= left + wide and top <= y <= top + high


def frames(graph: Document) -> list[Frame]:
    """The frames of a graph; what is no frame is left out, and kept in the file."""
    listed = graph.view.get("frames")
    found = []
    for number, item in enumerate(listed if isinstance(listed, list) else ()):
        box = item.get("box") if isinstance(item, dict) else None
        sides = numbers(box, 4)
        if sides is not None:
            title = item.get("title")
            extra = {key: value for key, value in item.items() if key not in ("title", "box")}
            left, top, wide, high = sides
            found.append(Frame(number, title if isinstance(title, str) else "", (left, top, wide, high), extra))
    return found


def framed(graph: Document, title: str, boxes: Iterable[Box]) -> Edit:
    """The edit that puts a frame around boxes."""
    frame = Frame(0, title, _union([_around(box) for box in boxes]), {})
    return SetView("frames", [*_listed(graph), frame.as_json()])


def reframed(graph: Document, changed: Sequence[Frame] = (), removed: Iterable[int] = ()) -> Edit:
    """The edit that changes or removes frames."""
    listed = list(_listed(graph))
    for frame in changed:
        listed[frame.number] = frame.as_json()
    gone = set(removed)
    return SetView("frames", [item for number, item in enumerate(listed) if number not in gone])


def stretched(graph: Document, before: Mapping[str, Box], after: Mapping[str, Box]) -> list[Edit]:
    """The edits that make frames larger, so that they hold the nodes, and the frames, that they held before.

    Args:
        graph: whose frames.
        before: where moved nodes stood.
        after: where the same stand now.
    """
    grown: list[Frame] = []
    fresh: dict[int, Box] = {}
    for frame in sorted(frames(graph), key=lambda frame: frame.box[2] * frame.box[3]):
        inner = [box for number, box in fresh.items() if frame.holds(frames(graph)[number].box)]
        held = [_around(after[node]) for node, box in before.items() if frame.holds(box)]
        box = _union([frame.box, *held, *map(_around, inner)]) if held else frame.box
        if box != frame.box:
            grown.append(replace(frame, box=box))
            fresh[frame.number] = box
    return [reframed(graph, grown)] if grown else []


def _around(box: Box) -> Box:
    """The room that a frame has for a box."""
    return box[0] - AROUND, box[1] - AROUND - TITLE, box[2] + 2 * AROUND, box[3] + 2 * AROUND + TITLE


def _union(boxes: Sequence[Box]) -> Box:
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top


def dots(graph: Document, key: str) -> list[Point]:
    """The dots of a wire, from its output to its input."""
    table = graph.view.get("dots")
    listed = table.get(key) if isinstance(table, dict) else None
    found = [numbers(dot, 2) for dot in (listed if isinstance(listed, list) else ())]
    return [(dot[0], dot[1]) for dot in found if dot is not None]


def dotted(graph: Document, key: str, places: Sequence[Point]) -> Edit:
    """The edit that gives a wire these dots."""
    made = {name: value for name, value in section(graph, DOTS).items() if name != key}
    if places:
        made[key] = [[tidy(x), tidy(y)] for x, y in places]
    return SetView(DOTS, made if made or DOTS in graph.view else ABSENT)


def carried(graph: Document, nodes: Collection[str], dx: float, dy: float) -> list[Edit]:
    """The edits that move the dots of wires between nodes along with these."""
    made = dict(section(graph, DOTS))
    for key in section(graph, DOTS):
        node, port, index = parted(key)
        wire = wire_at(graph.nodes[node], port, index) if node in nodes and node in graph.nodes else None
        if wire is not None and wire.node in nodes:
            made[key] = [[tidy(x + dx), tidy(y + dy)] for x, y in dots(graph, key)]
    return [SetView(DOTS, made)] if made != section(graph, DOTS) else []


def _listed(graph: Document) -> Sequence[Any]:
    listed = graph.view.get("frames")
    return listed if isinstance(listed, list) else []


def tidy(value: float) -> float | int:
    """A coordinate as the file has it: whole where it is whole."""
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
