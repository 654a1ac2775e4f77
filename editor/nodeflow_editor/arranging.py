"""Where chosen nodes go when they are aligned or spread. Pure arithmetic, no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import dist
from typing import Literal

from nodeflow_editor.canvas.layout import DOWN
from nodeflow_editor.canvas.metrics import Box, Point

NEAREST = 24
"""Boxes beside which a free place is looked for."""
Side = Literal["left", "centre", "right", "top", "middle", "bottom"]


def aligned(boxes: Mapping[str, Box], side: Side) -> dict[str, Point]:
    """Nodes with one side, or their middles, on one line: that of the outermost."""
    lefts, tops = [box[0] for box in boxes.values()], [box[1] for box in boxes.values()]
    rights, bottoms = [box[0] + box[2] for box in boxes.values()], [box[1] + box[3] for box in boxes.values()]
    across, down = (min(lefts) + max(rights)) / 2, (min(tops) + max(bottoms)) / 2
    places: dict[str, Point] = {}
    for node, (x, y, wide, high) in boxes.items():
        match side:
            case "left":
                places[node] = (min(lefts), y)
            case "right":
                places[node] = (max(rights) - wide, y)
            case "centre":
                places[node] = (across - wide / 2, y)
            case "top":
                places[node] = (x, min(tops))
            case "bottom":
                places[node] = (x, max(bottoms) - high)
            case "middle":
                places[node] = (x, down - high / 2)
    return places


def spread(boxes: Mapping[str, Box], *, down: bool) -> dict[str, Point]:
    """Nodes with equal gaps between them, the outermost two where they are; with DOWN between them if they overlap."""
    along = 1 if down else 0
    order = sorted(boxes, key=lambda node: boxes[node][along])
    first, last = boxes[order[0]], boxes[order[-1]]
    room = last[along] + last[along + 2] - first[along] - sum(boxes[node][along + 2] for node in order)
    gap = max(room / max(len(order) - 1, 1), DOWN)
    places: dict[str, Point] = {}
    at = first[along]
    for node in order:
        x, y = boxes[node][:2]
        places[node] = (x, at) if down else (at, y)
        at += boxes[node][along + 2] + gap
    return places


def apart(boxes: Mapping[str, Box]) -> dict[str, Point]:
    """New places for those that lie on others: further down, with DOWN between. The uppermost stay where they are."""
    moved: dict[str, Point] = {}
    settled: list[Box] = []
    for node in sorted(boxes, key=lambda node: (boxes[node][1], boxes[node][0])):
        x, y, wide, high = boxes[node]
        while (under := next((box for box in settled if _touch((x, y, wide, high), box)), None)) is not None:
            y = under[1] + under[3] + DOWN
            moved[node] = (x, y)
        settled.append((x, y, wide, high))
    return moved


def free_place(wanted: Box, others: Iterable[Box]) -> Point:
    """The place nearest to that of a box at which it lies on none of the others, with DOWN between."""
    x, y, wide, high = wanted
    middle = x + wide / 2, y + high / 2
    near = sorted(others, key=lambda box: dist(middle, (box[0] + box[2] / 2, box[1] + box[3] / 2)))
    around = [(box[0] - DOWN, box[1] - DOWN, box[2] + 2 * DOWN, box[3] + 2 * DOWN) for box in near]
    columns, rows = {x}, {y}
    for left, top, across, down in around[:NEAREST]:
        columns |= {left - wide, left + across}
        rows |= {top - high, top + down}
    places = sorted(((across, down) for across in columns for down in rows), key=lambda at: dist(at, (x, y)))
    free = (place for place in places if not any(_touch((*place, wide, high), box) for box in around))
    return next(free, (x, max((box[1] + box[3] for box in around), default=y)))


def _touch(one: Box, other: Box) -> bool:
    return (
        one[0] < other[0] + other[2] and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3] and other[1] < one[1] + one[3]
    )  # fmt: skip
