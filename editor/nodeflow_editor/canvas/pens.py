"""Fonts, pens and outlines of ports, made once for a palette: to make them at each paint took half the frame."""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetricsF, QPainterPath, QPen, QPolygonF

from nodeflow_editor.canvas.metrics import PORT
from nodeflow_editor.theme import BODY, LARGE, SMALL, TITLE, Palette, PortStyle, Shape

FAMILIES = ("Inter", "Segoe UI Variable", "Segoe UI", "SF Pro Text", "Noto Sans", "Cantarell", "DejaVu Sans")


def font(size: int, *, bold: bool = False) -> QFont:
    """The editor's typeface in that size, in pixels."""
    made = QFont()
    made.setFamilies(list(FAMILIES))
    made.setPixelSize(size)
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return made


class Pens:
    """All that painting under one palette takes."""

    def __init__(self, palette: Palette) -> None:
        self.palette = palette
        self.colour = {name: QColor(value) for name, value in palette.colours()}
        self.brush = {name: QBrush(value) for name, value in self.colour.items()}
        self.title, self.body, self.small = font(TITLE, bold=True), font(BODY), font(SMALL)
        self.large = font(LARGE + 4, bold=True)
        """For titles on nodes drawn small."""
        self.title_size, self.body_size = QFontMetricsF(self.title), QFontMetricsF(self.body)
        self.small_size = QFontMetricsF(self.small)
        self.edge = QPen(self.colour["node_edge"], 1.0)
        self.bad = QPen(self.colour["bad"], 2.0)
        self.none = QPen(Qt.PenStyle.NoPen)

    def of_port(self, style: PortStyle) -> QColor:
        """The colour of a port or a wire."""
        return QColor(style.colour(self.palette))


@lru_cache(maxsize=32)
def outline(shape: Shape, half: float = PORT) -> QPainterPath:
    """The form of a port around (0, 0)."""
    path = QPainterPath()
    if shape in (Shape.CIRCLE, Shape.RING):
        path.addEllipse(QPointF(0, 0), half, half)
    elif shape is Shape.SQUARE:
        path.addRoundedRect(-half, -half, 2 * half, 2 * half, 1.5, 1.5)
    else:
        turns = {Shape.DIAMOND: (4, 0.0), Shape.TRIANGLE: (3, 0.0), Shape.HEXAGON: (6, 0.0)}
        corners, start = turns[shape]
        wide = half * 1.22
        angles = [start + 2 * pi * corner / corners for corner in range(corners)]
        path.addPolygon(QPolygonF([QPointF(wide * cos(angle), wide * sin(angle)) for angle in angles]))
        path.closeSubpath()
    return path
