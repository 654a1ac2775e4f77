"""Frames on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QGraphicsRectItem, QStyleOptionGraphicsItem, QWidget

from nodeflow_editor.marks import TITLE, Frame

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

BELOW_WIRES = -2.0
CORNER = 16.0
"""Side of the corner that a frame is resized by."""


class FrameItem(QGraphicsRectItem):
    """Draws one frame."""

    def __init__(self, frame: Frame, canvas: GraphScene) -> None:
        super().__init__(*frame.box)
        self.marked, self._canvas = frame, canvas
        self.setZValue(BELOW_WIRES)

    def take(self, frame: Frame) -> None:
        """Shows the frame as it is now."""
        self.marked = frame
        self.setRect(*frame.box)
        self.update()

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:  # noqa: ARG002 # Qt's signature
        pens, box = self._canvas.pens, self.rect()
        scale = painter.worldTransform().m11()
        chosen = self.marked.number in self._canvas.frame_selection
        pen = QPen(pens.colour["selected" if chosen else "line"], 2.0 if chosen else 1.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.setBrush(pens.brush["frame"])
        painter.drawRoundedRect(box, 8, 8)
        painter.setFont(pens.large if scale < 0.45 else pens.title)
        painter.setPen(pens.colour["dim"])
        place = QRectF(box.x() + 12, box.y(), box.width() - 24, TITLE)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, self.marked.title)
        if scale >= 0.45:
            right, bottom = box.right() - 4, box.bottom() - 4
            for step in (5.0, 9.0):
                painter.drawLine(right - step, bottom, right, bottom - step)  # type: ignore[call-overload] # floats work
