"""Frames and dots: what stands on the canvas and computes nothing. Read from the view, changed by edits. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nodeflow.delta import ABSENT
from nodeflow.document import Document
from nodeflow.edits import Edit, SetView
from nodeflow_editor.canvas.metrics import Box, Point

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
        if isinstance(box, list) and len(box) == 4 and all(type(part) in (int, float) for part in box):
            title = item.get("title")
            extra = {key: value for key, value in item.items() if key not in ("title", "box")}
            left, top, wide, high = (float(part) for part in box)
            found.append(Frame(number, title if isinstance(title, str) else "", (left, top, wide, high), extra))
    return found


def framed(graph: Document, title: str, boxes: Iterable[Box]) -> Edit:
    """The edit that puts a frame around boxes."""
    known = list(boxes)
    left, top = min(box[0] for box in known) - AROUND, min(box[1] for box in known) - AROUND - TITLE
    right = max(box[0] + box[2] for box in known) + AROUND
    bottom = max(box[1] + box[3] for box in known) + AROUND
    frame = Frame(0, title, (left, top, right - left, bottom - top), {})
    return SetView("frames", [*_listed(graph), frame.as_json()])


def reframed(graph: Document, changed: Sequence[Frame] = (), removed: Iterable[int] = ()) -> Edit:
    """The edit that changes or removes frames."""
    listed = list(_listed(graph))
    for frame in changed:
        listed[frame.number] = frame.as_json()
    gone = set(removed)
    return SetView("frames", [item for number, item in enumerate(listed) if number not in gone])


def dots(graph: Document, key: str) -> list[Point]:
    """The dots of a wire, from its output to its input."""
    table = graph.view.get("dots")
    listed = table.get(key) if isinstance(table, dict) else None
    return [
        (float(dot[0]), float(dot[1]))
        for dot in (listed if isinstance(listed, list) else ())
        if isinstance(dot, list) and len(dot) == 2 and all(type(part) in (int, float) for part in dot)
    ]


def dotted(graph: Document, key: str, places: Sequence[Point]) -> Edit:
    """The edit that gives a wire these dots."""
    table = graph.view.get("dots")
    made = {name: value for name, value in table.items() if name != key} if isinstance(table, dict) else {}
    if places:
        made[key] = [[tidy(x), tidy(y)] for x, y in places]
    return SetView("dots", made if made or table is not None else ABSENT)


def _listed(graph: Document) -> Sequence[Any]:
    listed = graph.view.get("frames")
    return listed if isinstance(listed, list) else []


def tidy(value: float) -> float | int:
    """A coordinate as the file has it: whole where it is whole."""
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
