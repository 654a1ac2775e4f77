"""Frames on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen
from PySide6.QtWidgets import QGraphicsRectItem, QStyleOptionGraphicsItem, QWidget

from nodeflow_editor.marks import TITLE, Frame
from nodeflow_editor.theme import hue, tinted

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

BELOW_WIRES = -2.0
ROUND = 8.0
LEGIBLE = 40.0
"""Pixels on the screen below which a frame has no title."""
CORNER = 16.0
"""Side of the corner that a frame is resized by."""


class FrameItem(QGraphicsRectItem):
    """Draws one frame. Its ground is drawn by the view, beneath what it draws of wires."""

    def __init__(self, frame: Frame, canvas: GraphScene) -> None:
        super().__init__(*frame.box)
        self.marked, self._canvas = frame, canvas
        self.setZValue(BELOW_WIRES)

    @property
    def hue(self) -> str:
        """The colour that it was given; empty if it was given none."""
        return hue(self.marked.extra.get("colour"), self._canvas.pens.palette)

    @property
    def _plain(self) -> QBrush:
        return self._canvas.pens.brush["frame"]

    def take(self, frame: Frame) -> None:
        """Shows the frame as it is now."""
        self.marked = frame
        self.setRect(*frame.box)
        self.update()

    def ground(self, painter: QPainter) -> None:
        """Fills the frame."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tinted(self._canvas.pens.palette.frame, self.hue)) if self.hue else self._plain)
        painter.drawRoundedRect(self.rect(), ROUND, ROUND)

    def entitle(self, painter: QPainter, scale: float) -> None:
        """Writes the title above the frame, as large as it is from near: from afar frames are what one goes by."""
        pens = self._canvas.pens
        painter.save()
        painter.translate(self.rect().topLeft())
        painter.scale(1 / scale, 1 / scale)
        painter.setFont(pens.title)
        high = pens.title_size.height()
        room = QRectF(1, -high - 1, self.rect().width() * scale, high)
        if room.width() >= LEGIBLE:
            painter.setPen(pens.colour["text"])
            shown = pens.title_size.elidedText(self.marked.title, Qt.TextElideMode.ElideRight, room.width())
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:  # noqa: ARG002 # Qt's signature
        pens, box = self._canvas.pens, self.rect()
        scale = painter.worldTransform().m11()
        chosen = self.marked.number in self._canvas.frame_selection
        edge = QColor(self.hue) if self.hue and not chosen else pens.colour["selected" if chosen else "line"]
        pen = QPen(edge, 2.0 if chosen else 1.5 if self.hue else 1.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, ROUND, ROUND)
        painter.setFont(pens.large if scale < 0.45 else pens.title)
        painter.setPen(pens.colour["text" if self.hue else "dim"])
        place = QRectF(box.x() + 12, box.y(), box.width() - 24, TITLE)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, self.marked.title)
        if scale >= 0.45:
            right, bottom = box.right() - 4, box.bottom() - 4
            for step in (5.0, 9.0):
                painter.drawLine(right - step, bottom, right, bottom - step)  # type: ignore[call-overload] # floats work
