"""The figures of a report as bars: a panel for each group, a cluster for each row, a colour for each candidate."""

import math
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from report import lengths, span

WIDTH, LEFT, RIGHT, EDGE = 1240, 330, 150, 28
BAR, GAP, HEAD, FOOT = 13, 10, 96, 46
INK, FAINT, GRID, LINE = (34, 34, 34), (116, 116, 116), (230, 230, 230), (60, 60, 60)
COLOURS = (
    (158, 170, 184), (112, 136, 164), (196, 178, 150), (150, 178, 158), (38, 92, 176), (214, 106, 44), (122, 86, 156),
    (72, 148, 140),
)  # fmt: skip
OURS = {"op": 5, "auto": 5, "nodeflow": 5, "ours, words read once": 5, "triton": 4, "ours": 4}
"""Colours that stay with a name; others go through the list in order, from the pale ones on."""
FARTHEST = 4.0
"""Bars longer than so many times the line are cut, since one would flatten the rest; their ratio stands beside."""


def drawn(document: Mapping[str, Any]) -> Image.Image:
    """The picture of a report: what was measured, not what was skipped."""
    panels = []
    for group in document["groups"]:
        rows = [row for row in document["rows"] if row["group"] == group["group"] and row.get("seconds")]
        if rows:
            panels.append((group, rows))
    tall = 74 + sum(_height(rows) for _, rows in panels) + (0 if panels else 40)
    picture = Image.new("RGB", (WIDTH, tall), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((EDGE, 20), document["title"], INK, ImageFont.load_default(24), anchor="lt")
    about = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    pen.text((EDGE, 52), about, FAINT, ImageFont.load_default(14), anchor="lt")
    top = 74
    for group, rows in panels:
        _panel(pen, top, group, rows)
        top += _height(rows)
    if not panels:
        pen.text((EDGE, top), "nothing was measured", INK, ImageFont.load_default(16), anchor="lt")
    return picture.quantize(64)


def _height(rows: list[dict[str, Any]]) -> int:
    return HEAD + sum(BAR * len(row["seconds"]) + GAP for row in rows) + FOOT


def _panel(pen: ImageDraw.ImageDraw, top: int, group: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
    small, plain, bold = (ImageFont.load_default(size) for size in (12, 14, 18))
    colours = _colours(rows)
    pen.text((EDGE, top + 20), group["group"], INK, bold, anchor="lt")
    across = EDGE
    for name, colour in colours.items():
        pen.rectangle((across, top + 54, across + 11, top + 65), colour)
        pen.text((across + 17, top + 60), name, INK, plain, anchor="lm")
        across += 17 + int(pen.textlength(name, plain)) + 22
    goal = group["line"] or 1.0
    for x, text in ((WIDTH - RIGHT + 54, "ratio"), (WIDTH - EDGE, "time")):
        pen.text((x, top + 78), text, FAINT, small, anchor="rm")
    far = min(max([goal, *(value for row in rows for value in lengths(row).values())]), FARTHEST * goal) * 1.02
    room = WIDTH - LEFT - RIGHT
    base, y = top + _height(rows) - FOOT, top + HEAD
    for tick in _ticks(far):
        x = LEFT + tick / far * room
        pen.line((x, y - 6, x, base), GRID)
        pen.text((x, base + 6), f"{tick:g}", FAINT, small, anchor="mt")
    pen.text((LEFT + room / 2, base + 24), group["measure"], FAINT, small, anchor="mt")
    for row in rows:
        own, count = lengths(row), len(row["seconds"])
        pen.text((LEFT - 12, y + BAR * count / 2), _fitting(pen, row["row"], plain), INK, plain, anchor="rm")
        for name, seconds in row["seconds"].items():
            end = LEFT + min(own.get(name, 0.0), far) / far * room
            pen.rectangle((LEFT, y + 1, max(end, LEFT + 1), y + BAR - 2), colours[name])
            if name in own:
                pen.text((WIDTH - RIGHT + 54, y + BAR / 2), f"{own[name]:.2f}", INK, small, anchor="rm")
            pen.text((WIDTH - EDGE, y + BAR / 2), span(seconds).replace("µ", "u"), FAINT, small, anchor="rm")
            y += BAR
        y += GAP
    if group["line"] is not None:
        x = LEFT + goal / far * room
        for dash in range(top + HEAD - 6, base, 8):
            pen.line((x, dash, x, min(dash + 4, base)), LINE)
    pen.line((LEFT, top + HEAD - 6, LEFT, base), LINE)


def _colours(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int, int]]:
    names = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
    free = [number for number in range(len(COLOURS)) if number not in OURS.values()]
    others = [name for name in names if name not in OURS]
    given = OURS | {name: free[place % len(free)] for place, name in enumerate(others)}
    return {name: COLOURS[given[name]] for name in names}


def _ticks(far: float) -> list[float]:
    power = 10.0 ** math.floor(math.log10(far / 6))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= far / 6)
    return [round(number * step, 9) for number in range(int(far / step) + 1)]


def _fitting(pen: ImageDraw.ImageDraw, text: str, font: Any) -> str:
    """The text, or what fits left of the bars of it."""
    while pen.textlength(text, font) > LEFT - EDGE - 12:
        text = text.removesuffix("…")[:-1] + "…"
    return text
