"""Gestures that move: the window over the graph, a box that chooses, the chosen nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from nodeflow.edits import Edit, Group, MoveNodes
from nodeflow_editor.canvas import hits
from nodeflow_editor.canvas.link_item import LinkItem
from nodeflow_editor.canvas.tools import SLACK, Press, Tool
from nodeflow_editor.marks import tidy
from nodeflow_editor.wiring import inserted

if TYPE_CHECKING:
    from nodeflow_editor.canvas.view import GraphView

SNAP = 8.0
"""The fine grid that nodes stand on."""


class Pan(Tool):
    """Moves the graph under the window: middle button, or left with Space held."""

    cursor = Qt.CursorShape.ClosedHandCursor

    def __init__(self, view: GraphView, press: Press | None) -> None:
        super().__init__(view)
        self._last = press.spot if press else None
        self._held = press is None

    def press(self, press: Press) -> None:
        self._last = press.spot

    def move(self, press: Press) -> None:
        if self._last is not None:
            step = press.spot - self._last
            self._last = press.spot
            self.view.pan(step.x(), step.y())

    def release(self, press: Press) -> None:  # noqa: ARG002
        self._last = None
        if not self._held:
            self.cancel()

    def key(self, key: int, *, pressed: bool, repeated: bool) -> bool:
        if key == Qt.Key.Key_Space:
            if not pressed and not repeated:
                self.cancel()
            return True
        return super().key(key, pressed=pressed, repeated=repeated)


class Band(Tool):
    """A box drawn over the canvas chooses what it touches; a click on nothing chooses nothing."""

    def __init__(self, view: GraphView, press: Press) -> None:
        super().__init__(view)
        self._start, self._end = QPointF(press.x, press.y), QPointF(press.x, press.y)
        self._before = set(view.canvas.selection)
        self._more = press.holds(Qt.KeyboardModifier.ShiftModifier)

    def move(self, press: Press) -> None:
        self._end = QPointF(press.x, press.y)
        box = QRectF(self._start, self._end).normalized()
        touched = {node for node, item in self.view.canvas.nodes.items() if box.intersects(item.frame())}
        self.view.canvas.select(touched | (self._before if self._more else set()))
        self.view.viewport().update()

    def release(self, press: Press) -> None:
        slipped = (press.x - self._start.x()) ** 2 + (press.y - self._start.y()) ** 2
        if slipped * self.view.scale_now**2 <= SLACK**2 and not self._more:
            self.view.canvas.select(())
        super().cancel()

    def cancel(self) -> None:
        self.view.canvas.select(self._before)
        super().cancel()

    def paint(self, painter: QPainter) -> None:
        colour = QColor(self.view.canvas.pens.colour["accent"])
        pen = QPen(colour, 1.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        colour.setAlpha(36)
        painter.setBrush(colour)
        painter.drawRect(QRectF(self._start, self._end).normalized())


class Drag(Tool):
    """Moves the chosen nodes; letting go makes one step of undo."""

    def __init__(self, view: GraphView, press: Press, node: str) -> None:
        super().__init__(view)
        self._start, self._node = (press.x, press.y), node
        self._moved = (0.0, 0.0)
        self._began = False
        self._over: tuple[LinkItem, Edit] | None = None
        self._loose = view.canvas.selection == {node} and view.canvas.loose(node)
        self._shift = press.holds(Qt.KeyboardModifier.ShiftModifier)

    def move(self, press: Press) -> None:
        dx, dy = press.x - self._start[0], press.y - self._start[1]
        if not self._began and (dx * dx + dy * dy) * self.view.scale_now**2 < SLACK**2:
            return
        self._began = True
        item = self.view.canvas.nodes[self._node]
        home = item.x() - self._moved[0], item.y() - self._moved[1]
        if not press.holds(Qt.KeyboardModifier.AltModifier):  # Alt frees from the grid
            dx, dy = snapped(home[0] + dx) - home[0], snapped(home[1] + dy) - home[1]
        step = dx - self._moved[0], dy - self._moved[1]
        if step != (0.0, 0.0):
            self.view.canvas.offset(self.view.canvas.selection, *step)
            self._moved = dx, dy
            self._over = self._wire_beneath()

    def release(self, press: Press) -> None:  # noqa: ARG002
        canvas, over = self.view.canvas, self._over
        self.view.rest()
        if not self._began:
            if not self._shift:
                canvas.select([self._node])
            return
        if self._moved == (0.0, 0.0):
            return
        places = {node: [tidy(canvas.nodes[node].x()), tidy(canvas.nodes[node].y())] for node in canvas.selection}
        count, move = len(places), MoveNodes(places)
        if over is not None:
            canvas.model.do(Group((move, over[1])), "Insert node")
        else:
            canvas.model.do(move, f"Move {count} nodes" if count > 1 else "Move node")

    def _wire_beneath(self) -> tuple[LinkItem, Edit] | None:
        """The wire that the dragged node would be put into, with the edit that does it."""
        canvas = self.view.canvas
        if not self._loose:
            return None
        left, top, wide, high = canvas.nodes[self._node].box()
        middle = left + wide / 2, top + high / 2
        near = [(away, item) for away, item in hits.links_near(canvas, *middle, min(high, wide) / 2)]
        for _, item in sorted(near, key=lambda pair: pair[0]):
            edit = inserted(canvas.model.graph, canvas.model.face, self._node, item.link)
            if edit is not None:
                return item, edit
        return None

    def paint(self, painter: QPainter) -> None:
        if self._over is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.view.canvas.pens.colour["accent"], 4.0))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPath(self._over[0].path())

    def cancel(self) -> None:
        self.view.canvas.offset(self.view.canvas.selection, -self._moved[0], -self._moved[1])
        super().cancel()


def snapped(value: float) -> float:
    """The nearest line of the fine grid."""
    return round(value / SNAP) * SNAP
