"""Where chosen nodes go when they are aligned or spread. Pure arithmetic, no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nodeflow_editor.canvas.layout import DOWN
from nodeflow_editor.canvas.metrics import Box, Point

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
