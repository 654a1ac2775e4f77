"""Which node lies next in a direction: the way from node to node by keyboard. Pure arithmetic, no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nodeflow_editor.canvas.metrics import Box, Point

Way = Literal["left", "right", "up", "down"]
ASIDE = 2.0
"""How much more a step aside counts than one ahead: what stands straight ahead comes first."""


def middle(box: Box) -> Point:
    """The middle of a box."""
    left, top, wide, high = box
    return left + wide / 2, top + high / 2


def nearest(boxes: Mapping[str, Box], place: Point) -> str | None:
    """The node whose middle is nearest to a place."""
    x, y = place

    def away(node: str) -> float:
        across, down = middle(boxes[node])
        return (across - x) ** 2 + (down - y) ** 2

    return min(boxes, key=away, default=None)


def farthest(boxes: Mapping[str, Box], way: Way) -> str:
    """The node that lies furthest in a direction. There must be one."""
    return max(boxes, key=lambda node: (ahead(middle(boxes[node]), way), node))


def ahead(place: Point, way: Way) -> float:
    """How far a place is in a direction."""
    x, y = place
    return {"left": -x, "right": x, "up": -y, "down": y}[way]


def beyond(boxes: Mapping[str, Box], start: str, way: Way) -> str | None:
    """The next node in a direction, or None at the border.

    What lies within a quarter to each side of straight ahead comes before what lies further aside.
    """
    x, y = middle(boxes[start])
    best: tuple[bool, float, str] | None = None
    for node, box in boxes.items():
        if node == start:
            continue
        across, down = middle(box)
        dx, dy = across - x, down - y
        along, aside = ahead((dx, dy), way), abs(dy if way in ("left", "right") else dx)
        if along > 0:
            found = (aside > along, along + ASIDE * aside, node)
            best = found if best is None or found < best else best
    return best[2] if best else None
