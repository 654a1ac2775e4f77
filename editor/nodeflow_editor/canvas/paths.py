"""Wires as curves, and what is near them. Pure arithmetic, no Qt."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import hypot

from nodeflow_editor.canvas.metrics import Point

Cubic = tuple[Point, Point, Point, Point]


def cubics(start: Point, end: Point, dots: Sequence[Point] = ()) -> list[Cubic]:
    """The curves of a wire from an output, through its dots, to an input. They leave and arrive horizontally."""
    stops = [start, *dots, end]
    return [_cubic(one, other) for one, other in itertools.pairwise(stops)]


def _cubic(start: Point, end: Point) -> Cubic:
    across, down = end[0] - start[0], end[1] - start[1]
    pull = max(min(abs(across) * 0.5, 160.0), min(36.0, hypot(across, down) * 0.5))
    if across < 0:
        pull = max(pull, min(80.0, abs(down) * 0.25 + 36.0))
    return start, (start[0] + pull, start[1]), (end[0] - pull, end[1]), end


def points(curve: Cubic, pieces: int = 16) -> Iterator[Point]:
    """Points along a curve, both ends included."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = curve
    for step in range(pieces + 1):
        t = step / pieces
        s = 1 - t
        a, b, c, d = s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t
        yield a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def distance(point: Point, curves: Sequence[Cubic]) -> float:
    """How far a point is from a wire."""
    best = float("inf")
    for curve in curves:
        if _beyond(point, curve, best):
            continue
        stops = list(points(curve))
        best = min(best, *(_to_piece(point, one, other) for one, other in itertools.pairwise(stops)))
    return best


def crosses(curves: Sequence[Cubic], one: Point, other: Point) -> bool:
    """Whether a straight cut from `one` to `other` crosses a wire."""
    for curve in curves:
        stops = list(points(curve))
        if any(_crossing(a, b, one, other) for a, b in itertools.pairwise(stops)):
            return True
    return False


def _beyond(point: Point, curve: Cubic, reach: float) -> bool:
    xs, ys = [stop[0] for stop in curve], [stop[1] for stop in curve]
    x = max(min(xs) - point[0], point[0] - max(xs), 0.0)
    y = max(min(ys) - point[1], point[1] - max(ys), 0.0)
    return hypot(x, y) >= reach


def _to_piece(point: Point, one: Point, other: Point) -> float:
    across, down = other[0] - one[0], other[1] - one[1]
    length = across * across + down * down
    t = 0.0 if length == 0 else ((point[0] - one[0]) * across + (point[1] - one[1]) * down) / length
    t = min(max(t, 0.0), 1.0)
    return hypot(one[0] + t * across - point[0], one[1] + t * down - point[1])


def _crossing(a: Point, b: Point, c: Point, d: Point) -> bool:
    def left(p: Point, q: Point, r: Point) -> bool:  # a point on the line counts as right, so that one piece has it
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]) > 0

    return left(a, b, c) != left(a, b, d) and left(c, d, a) != left(c, d, b)
