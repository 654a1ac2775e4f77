"""Wires on the canvas: curves that Qt draws without asking Python, three quarters of a frame at 7,000."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsPathItem

from nodeflow_editor.canvas.metrics import Point
from nodeflow_editor.canvas.paths import Cubic, cubics
from nodeflow_editor.graph_model import Link

BELOW_NODES = -1.0
DOT = 4.5
THICK = 2.0


class LinkItem(QGraphicsPathItem):
    """Draws one wire, one device pixel wide: wider ones cost three times as much.

    From near the view draws a thicker one beneath it; to give 3,000 items another pen took 40 ms.
    """

    portal = False
    """Whether it is drawn as two ends with a name, in place of a line."""

    def __init__(self, link: Link, colour: QColor) -> None:
        super().__init__()
        self.link, self.colour = link, colour
        self.curves: list[Cubic] = []
        self.dots: tuple[Point, ...] = ()
        self.setZValue(BELOW_NODES)
        self.dye(colour)

    def dye(self, colour: QColor) -> None:
        """Takes a colour."""
        self.colour = colour
        self.setPen(thin(colour.rgba()))

    def underline(self, painter: QPainter) -> None:
        """Draws it thick."""
        painter.setPen(QPen(self.colour, THICK))
        painter.drawPath(self.path())

    def lead(self, start: Point, end: Point, dots: Sequence[Point] = ()) -> None:
        """Takes its course from an output through its dots to an input."""
        self.dots = tuple(dots)
        self.curves = cubics(start, end, self.dots)
        self.setPath(path_of(self.curves, self.dots))

    def shift(self, dx: float, dy: float) -> None:
        """Moves as it is, dots and all: both its ends do."""
        self.dots = tuple((x + dx, y + dy) for x, y in self.dots)
        self.curves = [
            ((a + dx, b + dy), (c + dx, d + dy), (e + dx, f + dy), (g + dx, h + dy))
            for (a, b), (c, d), (e, f), (g, h) in self.curves
        ]
        path = self.path()
        path.translate(dx, dy)
        self.setPath(path)


@lru_cache(maxsize=256)
def thin(rgba: int) -> QPen:
    """The pen of wires of one colour: they share it."""
    pen = QPen(QColor.fromRgba(rgba), 1.0)
    pen.setCosmetic(True)
    pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    return pen


def path_of(curves: Sequence[Cubic], dots: Sequence[Point] = ()) -> QPainterPath:
    """The curves as Qt draws them, with a small ring at each dot."""
    path = QPainterPath()
    for start, one, other, end in curves:
        path.moveTo(*start)
        path.cubicTo(QPointF(*one), QPointF(*other), QPointF(*end))
    for dot in dots:
        path.addEllipse(QPointF(*dot), DOT, DOT)
    return path
