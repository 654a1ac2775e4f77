"""Gestures that move: the window over the graph, a box that chooses, the chosen nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QGraphicsItem

from nodeflow.edits import Edit, Group, MoveNodes
from nodeflow_editor.canvas import hits
from nodeflow_editor.canvas.link_item import LinkItem
from nodeflow_editor.canvas.metrics import Point
from nodeflow_editor.canvas.tools import SLACK, Press, Tool
from nodeflow_editor.graph_model import Change
from nodeflow_editor.marks import carried, tidy
from nodeflow_editor.notepad import shifted
from nodeflow_editor.wiring import inserted

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene
    from nodeflow_editor.canvas.view import GraphView

SNAP = 8.0
"""The fine grid that nodes stand on."""
UNCHANGED = Change()


class Pan(Tool):
    """Moves the graph under the window: middle button, or left with Space held."""

    cursor = Qt.CursorShape.ClosedHandCursor

    def __init__(self, view: GraphView, press: Press | None) -> None:
        super().__init__(view)
        self._last = press.spot if press else None
        self._held = press is None

    def left(self) -> None:
        """Ends if a key began it."""
        if self._held:
            self.cancel()

    def upset(self, change: Change) -> None:
        """It holds nothing of the graph."""

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
        self._before, self._noted = set(view.canvas.selection), set(view.canvas.notes.selection)
        self._more = press.holds(Qt.KeyboardModifier.ShiftModifier)
        self._boxes = self._gathered()

    def _gathered(self) -> list[tuple[str, float, float, float, float]]:
        """Each node with its sides, asked for once: 5,000 items took 8 ms at each move."""
        boxes = ((node, item.box()) for node, item in self.view.canvas.nodes.items())
        return [(node, left, top, left + wide, top + high) for node, (left, top, wide, high) in boxes]

    def upset(self, change: Change) -> None:  # noqa: ARG002
        """It goes on with the nodes that there are now."""
        self._boxes = self._gathered()

    def move(self, press: Press) -> None:
        self._end = QPointF(press.x, press.y)
        box = QRectF(self._start, self._end).normalized()
        left, top, right, bottom = box.left(), box.top(), box.right(), box.bottom()
        touched = {node for node, x, y, end, foot in self._boxes
                   if x < right and end > left and y < bottom and foot > top}  # fmt: skip
        noted = {number for number, item in self.view.canvas.notes.items.items() if item.frame().intersects(box)}
        if self._more:
            touched, noted = touched | self._before, noted | self._noted
        self.view.canvas.select(touched, notes=noted)
        self.view.viewport().update()

    def release(self, press: Press) -> None:
        slipped = (press.x - self._start.x()) ** 2 + (press.y - self._start.y()) ** 2
        if not self._more:
            self.view.canvas.select_frame(None)
        if slipped * self.view.scale_now**2 <= SLACK**2 and not self._more:
            self.view.canvas.select(())
        super().cancel()

    def cancel(self) -> None:
        self.view.canvas.select(self._before, notes=self._noted)
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
    """Moves the chosen nodes and notes; letting go makes one step of undo."""

    def __init__(self, view: GraphView, press: Press, node: str, *, chosen: bool = False) -> None:
        """Begins at a press on a node; `chosen`: whether it was chosen before, so that Shift and a click let it go."""
        super().__init__(view)
        self._start, self._node, self._chosen = (press.x, press.y), node, chosen
        self._nodes = frozenset(view.canvas.selection | ({node} if node else set()))
        self._notes = frozenset(view.canvas.notes.selection)
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
        place = self._held().pos()
        home = place.x() - self._moved[0], place.y() - self._moved[1]
        if not press.holds(Qt.KeyboardModifier.AltModifier):  # Alt frees from the grid
            dx, dy = snapped(home[0] + dx) - home[0], snapped(home[1] + dy) - home[1]
        step = dx - self._moved[0], dy - self._moved[1]
        if step != (0.0, 0.0):
            if self._nodes:
                self.view.canvas.offset(self._nodes, *step)
            self.view.canvas.notes.offset(self._notes, *step)
            self._moved = dx, dy
            self._over = self._wire_beneath()

    def release(self, press: Press) -> None:  # noqa: ARG002
        canvas, over = self.view.canvas, self._over
        self.view.rest()
        if not self._began:
            self._clicked()
            return
        if self._moved == (0.0, 0.0):
            return
        places = {node: [tidy(canvas.nodes[node].x()), tidy(canvas.nodes[node].y())] for node in self._nodes}
        edits: list[Edit] = [MoveNodes(places)] if places else []
        edits += carried(canvas.model.graph, self._nodes, *self._moved)
        edits += shifted(canvas.model.graph, self._notes, self._moved)
        move = Group(tuple(edits))
        if over is not None:
            canvas.model.do(Group((move, over[1])), "Insert node")
        else:
            canvas.model.do(move, f"Move {counted(len(self._nodes), len(self._notes))}")

    def _held(self) -> QGraphicsItem:
        """The item that the mouse took hold of."""
        return self.view.canvas.nodes[self._node]

    def _clicked(self) -> None:
        """It was no more than a click."""
        canvas = self.view.canvas
        if not self._shift:
            canvas.select([self._node])
            cell = hits.cell_at(canvas, *self._start)
            if cell is not None:
                self.view.glanced.emit(self._node, cell)
        elif self._chosen:
            canvas.select(canvas.selection - {self._node}, notes=self._notes)

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

    def upset(self, change: Change) -> None:
        """Nodes that the change did not put elsewhere go back where they were."""
        if change.whole or change.removed or change.moved or (self._notes and change.view):
            put_back(self.view.canvas, self._nodes, self._moved, change)
            super().cancel()

    def cancel(self) -> None:
        put_back(self.view.canvas, self._nodes, self._moved)
        super().cancel()


def put_back(canvas: GraphScene, nodes: Iterable[str], moved: Point, change: Change = UNCHANGED) -> None:
    """Shows dragged nodes where they were; those that a change has put somewhere are there already."""
    if not change.whole and moved != (0.0, 0.0):
        left = {node for node in nodes if node in canvas.nodes} - {*change.added, *change.moved}
        canvas.offset(left, -moved[0], -moved[1])
    canvas.notes.put_back()


def counted(nodes: int, notes: int) -> str:
    """How an undo step calls what it was done to: "node", "3 nodes", "note", "2 nodes and 1 note"."""
    known = [(number, what) for number, what in ((nodes, "node"), (notes, "note")) if number]
    if len(known) == 1 and known[0][0] == 1:
        return known[0][1]
    return " and ".join(f"{number} {what}{'s' if number > 1 else ''}" for number, what in known)


def snapped(value: float) -> float:
    """The nearest line of the fine grid."""
    return round(value / SNAP) * SNAP
