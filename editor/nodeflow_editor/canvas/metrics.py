"""The measures of a drawn node: how wide and high, where its ports and values are. Pure arithmetic, no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nodeflow.document import Input, NodeEntry, Wire
from nodeflow.spec import Port
from nodeflow_editor.faces import Face

WIDTH = 232.0
HEADER = 28.0
ROW = 22.0
LINES = 3
"""Lines that a text of several is shown on."""
PAD = 8.0
PORT = 5.0
"""Half the width of a port's mark."""
REACH = 11.0
"""How far from a port's middle a press still means it."""
MARK = 18.0
"""Width of the mark at the right of some values."""
MARKED = {"seed", "file", "model", "colour"}
"""Widgets with a mark of their own: a die, three dots, an arrow, a swatch."""

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""x, y, width, height."""
FARTHEST_OFF = 1e8
"""How far from the middle something may stand: a row of 100,000 nodes has room, and Qt's whole numbers hold it eight
times enlarged."""


def numbers(value: object, count: int) -> list[float] | None:
    """A list of so many coordinates as a file has it; None of anything else, and of what is out of all bounds."""
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(type(part) in (int, float) and abs(part) <= FARTHEST_OFF for part in value):
        return None
    return [float(part) for part in value]


@dataclass(frozen=True, slots=True)
class Row:
    """One input on a node: its port, where it stands, and the box of its value if one is shown."""

    port: Port
    y: float
    height: float
    value: Box | None = None


@dataclass(frozen=True, slots=True)
class Measures:
    """A node laid out, in its own coordinates: (0, 0) is its upper left corner."""

    width: float
    height: float
    rows: tuple[Row, ...]
    inputs: Mapping[str, Point]
    outputs: Mapping[str, Point]
    picture: Box | None = None
    folded: tuple[str, ...] | None = None
    """None of a whole node. Of one that is its header alone, where the wired ports of a side are in the middle of that
    side: the names of the portals that come in there."""

    def row(self, port: str) -> Row | None:
        """The row of an input, or None."""
        return next((row for row in self.rows if row.port.name == port), None)

    def row_at(self, y: float) -> Row | None:
        """The row at that height, or None."""
        return next((row for row in self.rows if row.y <= y < row.y + row.height), None)


def measured(
    face: Face, entry: NodeEntry, picture: float | None = None, folded: tuple[str, ...] | None = None
) -> Measures:
    """Lays a node out.

    Args:
        face: its ports.
        entry: what stands in the file: which inputs are wired and show no value.
        picture: height by width of the preview to be shown below, or None.
        folded: None, or the portals into it, if it is drawn as its header alone.
    """
    if folded is not None:
        return Measures(WIDTH, HEADER, (), {}, {}, folded=folded)
    outputs: dict[str, Point] = {}
    y = HEADER
    if len(face.outputs) == 1:
        outputs[face.outputs[0].name] = (WIDTH, HEADER / 2)
    else:
        for port in face.outputs:
            outputs[port.name] = (WIDTH, y + ROW / 2)
            y += ROW
    inputs: dict[str, Point] = {}
    rows = []
    for port in face.inputs:
        shown = port.type.typed_in and not wired(entry.inputs.get(port.name))
        tall = shown and port.widget == "multiline"
        height = ROW * (1 + LINES) if tall else ROW
        box: Box | None = None
        if tall:
            box = (PAD + 4, y + ROW - 2, WIDTH - 2 * PAD - 4, ROW * LINES - 2)
        elif shown:
            left = WIDTH * 0.46
            box = (left, y + 2, WIDTH - left - PAD, ROW - 4)
        inputs[port.name] = (0.0, y + ROW / 2)
        rows.append(Row(port, y, height, box))
        y += height
    place: Box | None = None
    if picture is not None:
        wide = WIDTH - 2 * PAD
        high = min(max(picture, 0.25), 1.5) * wide
        place = (PAD, y + PAD / 2, wide, high)
        y += high + PAD / 2
    return Measures(WIDTH, y + PAD, tuple(rows), inputs, outputs, place)


def wired(value: Input) -> bool:
    """Whether an input takes wires rather than a value."""
    return type(value) is Wire or (type(value) is list and any(type(item) is Wire for item in value))
