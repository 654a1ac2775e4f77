"""Gestures on notes: choose, move, resize, follow an address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtWidgets import QGraphicsItem

from nodeflow_editor.canvas.moving import Drag, snapped
from nodeflow_editor.canvas.note_item import CORNER, READ, NoteItem
from nodeflow_editor.canvas.tools import SLACK, Press, Tool
from nodeflow_editor.notepad import LEAST, Note, renoted

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene
    from nodeflow_editor.canvas.view import GraphView

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def note_at(canvas: GraphScene, x: float, y: float) -> NoteItem | None:
    """The uppermost note there."""
    found = (item for item in canvas.items(QRectF(x, y, 0.01, 0.01)) if isinstance(item, NoteItem))
    return next((item for item in found if item.frame().contains(x, y)), None)


def link_at(view: GraphView, x: float, y: float) -> str:
    """The address in a note that can be read there; empty if none is."""
    note = note_at(view.canvas, x, y) if view.scale_now >= READ else None
    return note.link_at(x, y) if note is not None else ""


def begin(view: GraphView, press: Press) -> bool:
    """Begins a gesture on the note there; returns whether there is one."""
    canvas, item = view.canvas, note_at(view.canvas, press.x, press.y)
    if item is None:
        return False
    number, box = item.marked.number, item.frame()
    if press.holds(CONTROL) and (address := link_at(view, press.x, press.y)):
        view.link_wanted.emit(address)
        return True
    chosen = number in canvas.notes.selection
    if not chosen:
        canvas.select((), notes=[number], more=press.holds(SHIFT))
    if press.x >= box.right() - CORNER and press.y >= box.bottom() - CORNER:
        view.use(NoteResize(view, press, item))
    else:
        view.use(NoteDrag(view, press, number, chosen=chosen))
    return True


def choose_for_menu(canvas: GraphScene, node: str | None, press: Press) -> None:
    """Chooses the note there for its menu, unless a node lies on it."""
    note = note_at(canvas, press.x, press.y) if node is None else None
    if note is not None and note.marked.number not in canvas.notes.selection:
        canvas.select((), notes=[note.marked.number])


class NoteDrag(Drag):
    """Moves a note, with the nodes and notes that are chosen."""

    def __init__(self, view: GraphView, press: Press, number: int, *, chosen: bool) -> None:
        super().__init__(view, press, "", chosen=chosen)
        self._number, self._loose = number, False

    def _held(self) -> QGraphicsItem:
        return self.view.canvas.notes.items[self._number]

    def _clicked(self) -> None:
        canvas = self.view.canvas
        if not self._shift:
            canvas.select((), notes=[self._number])
        elif self._chosen:
            canvas.select(self._nodes, notes=self._notes - {self._number})


class NoteResize(Tool):
    """Resizes a note by its corner."""

    cursor = Qt.CursorShape.SizeFDiagCursor

    def __init__(self, view: GraphView, press: Press, item: NoteItem) -> None:
        super().__init__(view)
        self._item, self._note, self._start = item, item.marked, (press.x, press.y)

    def move(self, press: Press) -> None:
        left, top, wide, high = self._note.box
        dx, dy = press.x - self._start[0], press.y - self._start[1]
        if (dx * dx + dy * dy) * self.view.scale_now**2 >= SLACK**2 or self._item.marked is not self._note:
            free = press.holds(Qt.KeyboardModifier.AltModifier)
            right, foot = left + wide + dx, top + high + dy
            right, foot = (right, foot) if free else (snapped(right), snapped(foot))
            self._item.take(self._sized(max(right - left, LEAST[0]), max(foot - top, LEAST[1])))
            self.view.canvas.far.update()

    def _sized(self, wide: float, high: float) -> Note:
        return replace(self._note, box=(*self._note.box[:2], wide, high))

    def release(self, press: Press) -> None:  # noqa: ARG002
        model, made = self.view.canvas.model, self._item.marked
        self.view.rest()
        if made.box != self._note.box:
            model.do(renoted(model.graph, [made]), "Resize note")

    def cancel(self) -> None:
        self._item.take(self._note)
        super().cancel()
