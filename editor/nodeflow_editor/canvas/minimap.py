"""All of the graph in a corner of its canvas: what is in sight is framed, and dragged."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QWidget

from nodeflow_editor.canvas.far import plates
from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.canvas.view import STEP, GraphView
from nodeflow_editor.theme import tinted

WIDE, HIGH = 208, 144
MARGIN, INSET = 14, 8
NOTE = 0.4
"""Share of its colour in a note: it is no node."""
OFTEN = 200
"""Milliseconds between two drawings of all nodes at least: one of 5,000 takes 25 ms, one of the frame 0.5 ms."""


class Minimap(QWidget):
    """Follows the graph on show. Painting is a picture and a frame; the picture is made anew after changes."""

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self._view, self._canvas = view, view.canvas
        self._shot: QPixmap | None = None
        self._box = QRectF()
        self._bad: set[str] = set()
        self.drawn = 0
        """How often all nodes were drawn."""
        self.setFixedSize(WIDE, HIGH)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # else each move draws the canvas beneath it as well
        self.setAccessibleName("Map of the graph")
        self.setToolTip("Drag to move over the graph, turn the wheel to zoom")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._soon = QTimer(self, singleShot=True, interval=OFTEN)
        self._soon.timeout.connect(self._forget)
        view.installEventFilter(self)
        view.moved.connect(self.update)
        view.zoomed.connect(self.update)
        self._canvas.model.changed.connect(self._changed)
        self._canvas.selection_changed.connect(self._changed)
        self._canvas.look_changed.connect(self._looked)
        self._stand()

    def _changed(self) -> None:
        if self.isVisible() and not self._soon.isActive():
            self._soon.start()

    def _looked(self, node: str) -> None:
        """A run tells of each step; only a node that fails, or no longer does, has another colour here."""
        if self._is_bad(node) != (node in self._bad):
            self._bad ^= {node}
            self._changed()

    def _is_bad(self, node: str) -> bool:
        look = self._canvas.look(node)
        return bool(look.faults) or look.run is Run.FAILED

    def _forget(self) -> None:
        self._shot = None
        self.update()

    def refresh(self) -> None:
        """Draws all anew at the next chance: shown again, or in another palette."""
        self._forget()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 # Qt's name
        if event.type() == QEvent.Type.Resize:
            self._stand()
        return super().eventFilter(watched, event)

    def _stand(self) -> None:
        """In the lower right corner."""
        self.move(self._view.width() - WIDE - MARGIN, self._view.height() - HIGH - MARGIN)

    @property
    def share(self) -> float:
        """Its pixels by one of the graph."""
        return min((WIDE - 2 * INSET) / self._box.width(), (HIGH - 2 * INSET) / self._box.height())

    def spot(self, place: QPointF) -> QPointF:
        """Where a place of the graph is on it."""
        middle = QPointF(WIDE / 2, HIGH / 2)
        return middle + (place - self._box.center()) * self.share

    def place(self, spot: QPointF) -> QPointF:
        """The place of the graph that is there."""
        return self._box.center() + (spot - QPointF(WIDE / 2, HIGH / 2)) / self.share

    def _draw(self) -> QPixmap:
        self.drawn += 1
        ratio = self.devicePixelRatioF()
        shot = QPixmap(round(WIDE * ratio), round(HIGH * ratio))
        shot.setDevicePixelRatio(ratio)
        shot.fill(Qt.GlobalColor.transparent)
        by_colour = plates(self._canvas, self._canvas.nodes, self._canvas.selection)
        around = QPolygonF([corner for boxes in by_colour.values() for box in boxes
                            for corner in (box.topLeft(), box.bottomRight())]).boundingRect()  # fmt: skip
        around |= self._canvas.notes.bounds()
        self._box = around if not around.isEmpty() else QRectF(0, 0, 1, 1)
        painter = QPainter(shot)
        painter.translate(self.spot(QPointF(0, 0)))
        painter.scale(self.share, self.share)
        painter.setPen(Qt.PenStyle.NoPen)
        for note in self._canvas.notes.items.values():
            painter.setBrush(QColor(tinted(self._canvas.pens.palette.node, note.hue, NOTE)))
            painter.drawRect(note.frame())
        for name, boxes in by_colour.items():
            painter.setBrush(QColor(name))
            painter.drawRects(boxes)
        painter.end()
        return shot

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002, N802
        if self._shot is None:
            self._shot = self._draw()
        pens, painter = self._canvas.pens, QPainter(self)
        painter.setPen(QPen(pens.colour["line"], 1.0))
        painter.setBrush(pens.brush["panel"])
        painter.drawRect(QRectF(0.5, 0.5, WIDE - 1, HIGH - 1))
        painter.drawPixmap(0, 0, self._shot)
        port = self._view.viewport().rect()
        seen = QRectF(self.spot(self._view.at(port.topLeft())), self.spot(self._view.at(port.bottomRight())))
        tint = QColor(pens.colour["accent"])
        painter.setPen(QPen(tint, 1.5))
        tint.setAlpha(28)
        painter.setBrush(tint)
        painter.drawRect(seen & QRectF(1, 1, WIDE - 2, HIGH - 2))

    def _lead(self, event: QMouseEvent) -> None:
        if self._shot is not None:
            self._view.look_at(self.place(event.position()))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if event.button() is Qt.MouseButton.LeftButton:
            self._lead(event)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._lead(event)
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        self._view.zoom(self._view.scale_now * STEP ** (event.angleDelta().y() / 120))
        event.accept()
