"""A curve as a picture: axes, ticks, labels."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Point = tuple[float, float]
WIDTH, HEIGHT = 960, 600
LEFT, RIGHT, TOP, BOTTOM = 100, 40, 64, 76
INK, GRID, CURVE = (34, 34, 34), (222, 222, 222), (38, 92, 176)
TEXT, TITLE = 18, 22


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points, each the mean of as many neighbours."""
    share = math.ceil(len(points) / most) if points else 1
    parts = [points[start : start + share] for start in range(0, len(points), share)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within low..high."""
    apart = (high - low) / most or 1.0
    power = 10.0 ** math.floor(math.log10(apart))
    step = next(power * round_one for round_one in (1, 2, 5, 10) if power * round_one >= apart * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within low..high; powers alone where those were more than ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [round_one * 10.0**power for power in powers for round_one in (1, 2, 5)]
    within = [value for value in fine if low <= value <= high]
    return within if len(within) <= 10 else [10.0**power for power in powers if low <= 10.0**power <= high]


def draw(points: Sequence[Point], title: str, across: str, up: str) -> Tensor:
    """A curve over a linear axis, its values on a logarithmic one if all are above 0: [1, 3, HEIGHT, WIDTH], 0..1.

    points: in order, finite. title, across, up: what stands above, below and beside.
    """
    if not points:
        raise ValueError("there is nothing to draw: no points")
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    small, large = ImageFont.load_default(TEXT), ImageFont.load_default(TITLE)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    logarithmic = min(ys) > 0
    first, last = min(0.0, *xs, 0.0), max(xs)
    low, high = _bounds(min(ys), max(ys), logarithmic)

    def at_x(x: float) -> float:
        return LEFT + (x - first) / ((last - first) or 1.0) * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        a, b, c = (math.log10(v) for v in (low, high, y)) if logarithmic else (low, high, y)
        return HEIGHT - BOTTOM - (c - a) / (b - a) * (HEIGHT - TOP - BOTTOM)

    for x in ticks(first, last):
        pen.line((at_x(x), TOP, at_x(x), HEIGHT - BOTTOM), GRID)
        pen.text((at_x(x), HEIGHT - BOTTOM + 8), f"{x:,.10g}", INK, small, anchor="mt")
    for y in log_ticks(low, high) if logarithmic else ticks(low, high):
        pen.line((LEFT, at_y(y), WIDTH - RIGHT, at_y(y)), GRID)
        pen.text((LEFT - 10, at_y(y)), f"{y:.4g}", INK, small, anchor="rm")
    pen.line((LEFT, TOP, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM), INK, 2)
    pen.text((LEFT, 20), title, INK, large, anchor="lt")
    pen.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14), across, INK, small, anchor="mb")
    pen.text((LEFT - 10, TOP - 12), up, INK, small, anchor="rb")
    path = [(at_x(x), at_y(y)) for x, y in points]
    if len(path) == 1:
        pen.ellipse((path[0][0] - 3, path[0][1] - 3, path[0][0] + 3, path[0][1] + 3), CURVE)
    else:
        pen.line(path, CURVE, 2, joint="curve")
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def _bounds(low: float, high: float, logarithmic: bool) -> Point:
    """A little more than low..high; on a logarithmic axis at least a factor of two, so that it has ticks."""
    if not logarithmic:
        room = 0.05 * (high - low) or 1.0
        return low - room, high + room
    room = max(1.05, math.sqrt(2 * low / high)) if high < 2 * low else 1.05
    return low / room, high * room
