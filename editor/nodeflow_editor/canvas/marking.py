"""Gestures on dots and frames: make, move, resize."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from nodeflow.edits import Edit, Group, MoveNodes
from nodeflow_editor.canvas.frame_item import FrameItem
from nodeflow_editor.canvas.metrics import Point
from nodeflow_editor.canvas.moving import UNCHANGED, put_back, snapped
from nodeflow_editor.canvas.tools import SLACK, Press, Tool
from nodeflow_editor.graph_model import Change, Link
from nodeflow_editor.marks import SMALLEST, Frame, carried, dots, dotted, reframed, tidy
from nodeflow_editor.notepad import shifted

if TYPE_CHECKING:
    from nodeflow_editor.canvas.view import GraphView


class DotDrag(Tool):
    """Moves a dot; letting go makes one step of undo."""

    def __init__(self, view: GraphView, link: Link, index: int, places: list[Point], text: str) -> None:
        super().__init__(view)
        self._link, self._index, self._places, self._text = link, index, places, text
        self._before = list(dots(view.canvas.model.graph, link.key))
        view.canvas.bend(link, places)

    def move(self, press: Press) -> None:
        free = press.holds(Qt.KeyboardModifier.AltModifier)
        self._places[self._index] = (press.x, press.y) if free else (snapped(press.x), snapped(press.y))
        self.view.canvas.bend(self._link, self._places)

    def release(self, press: Press) -> None:  # noqa: ARG002
        model = self.view.canvas.model
        self.view.rest()
        if self._places != self._before:
            model.do(dotted(model.graph, self._link.key, self._places), self._text)

    def cancel(self) -> None:
        canvas = self.view.canvas
        canvas.bend(self._link, dots(canvas.model.graph, self._link.key))
        super().cancel()


class FrameDrag(Tool):
    """Moves a frame by its title, with what lies in it, or resizes it by its corner."""

    def __init__(self, view: GraphView, press: Press, item: FrameItem, *, resize: bool) -> None:
        super().__init__(view)
        self._item, self._frame, self._resize = item, item.marked, resize
        self._start = press.x, press.y
        self._moved = (0.0, 0.0)
        canvas = view.canvas
        self._nodes, self._notes = set[str](), set[int]()
        if not resize and not press.holds(Qt.KeyboardModifier.AltModifier):
            self._nodes = {name for name, node in canvas.nodes.items() if self._frame.holds(node.box())}
            self._notes = canvas.notes.held([self._frame.box])
        canvas.select_frame(self._frame.number)
        self.cursor = Qt.CursorShape.SizeFDiagCursor if resize else Qt.CursorShape.SizeAllCursor

    def move(self, press: Press) -> None:
        left, top, wide, high = self._frame.box
        dx, dy = press.x - self._start[0], press.y - self._start[1]
        if (dx * dx + dy * dy) * self.view.scale_now**2 < SLACK**2 and self._moved == (0.0, 0.0):
            return
        if self._resize:
            dx = max(snapped(left + wide + dx) - left, SMALLEST) - wide
            dy = max(snapped(top + high + dy) - top, SMALLEST) - high
            self._item.setRect(left, top, wide + dx, high + dy)
        else:
            dx, dy = snapped(left + dx) - left, snapped(top + dy) - top
            self._item.setRect(left + dx, top + dy, wide, high)
            self.view.canvas.offset(self._nodes, dx - self._moved[0], dy - self._moved[1])
            self.view.canvas.notes.offset(self._notes, dx - self._moved[0], dy - self._moved[1])
        self._moved = dx, dy

    def release(self, press: Press) -> None:  # noqa: ARG002
        canvas, model, (dx, dy) = self.view.canvas, self.view.canvas.model, self._moved
        self.view.rest()
        if (dx, dy) == (0.0, 0.0):
            return
        edits: list[Edit] = [reframed(model.graph, [self._now(dx, dy)])]
        if self._nodes:
            places = {name: [tidy(canvas.nodes[name].x()), tidy(canvas.nodes[name].y())] for name in self._nodes}
            edits += [MoveNodes(places), *carried(model.graph, self._nodes, dx, dy)]
        edits += shifted(model.graph, self._notes, (dx, dy))
        model.do(Group(tuple(edits)), "Resize frame" if self._resize else "Move frame")

    def _now(self, dx: float, dy: float) -> Frame:
        left, top, wide, high = self._frame.box
        box = (left, top, wide + dx, high + dy) if self._resize else (left + dx, top + dy, wide, high)
        return replace(self._frame, box=box)

    def upset(self, change: Change) -> None:
        """Nodes that the change did not put elsewhere go back where they were."""
        if change.whole or change.removed or change.moved or change.view:
            self._leave(change)

    def cancel(self) -> None:
        self._leave(UNCHANGED)

    def _leave(self, change: Change) -> None:
        if not self._resize:
            put_back(self.view.canvas, self._nodes, self._moved, change)
        self._item.take(self._frame)
        super().cancel()
