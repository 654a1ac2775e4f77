"""Notes: written where the mouse is, edited in place; addresses in them are opened."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QKeyEvent

from nodeflow.edits import Edit
from nodeflow_editor.actions import Action, with_page
from nodeflow_editor.canvas.moving import SNAP, snapped
from nodeflow_editor.canvas.note_item import height_of
from nodeflow_editor.canvas.value_field import ValueField
from nodeflow_editor.commands.edit import cursor_place
from nodeflow_editor.notepad import USUAL, Note, listed, noted, renoted

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window


class NoteField(ValueField):
    """Typing a note: Enter breaks the line, Ctrl+Enter and a click elsewhere take it, Escape leaves it as it was."""

    def _enters(self, event: QKeyEvent) -> bool:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        return enter and bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)


class Typing:
    """Opens the field that a note is typed in, one at a time."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.field: NoteField | None = None
        window.page_opened.connect(self._opened)
        window.settling.connect(self.settle)

    @classmethod
    def of(cls, window: Window) -> Typing:
        """That of a window."""
        return next(part for part in window.parts if isinstance(part, cls))

    def _opened(self, page: Page) -> None:
        page.view.note_wanted.connect(lambda number: self.edit(page, number))
        page.view.link_wanted.connect(self._follow)

    def _follow(self, address: str) -> None:
        opened = QDesktopServices.openUrl(QUrl(address, QUrl.ParsingMode.TolerantMode))
        self._window.tell(f"opened {address}" if opened else f"no program opens {address}")

    def settle(self) -> None:
        """Takes what is being typed."""
        if self.field is not None and not self.field.over:
            self.field.take()

    def begin(self, page: Page, place: QPointF) -> None:
        """Opens an empty field at a place of the scene: what is typed becomes a note, in one step of undo."""
        corner = snapped(place.x()), snapped(place.y())
        level = page.model.level

        def take(text: str) -> str:
            if text.strip():
                graph = page.model.graph
                note = _grown(page, Note(0, text, (*corner, *USUAL), {}))
                if self._window.do(noted(graph, note), "Add note", page=page):
                    page.scene.select((), notes=[len(listed(graph))])
            return ""

        self._open(page, "", lambda: QRectF(*corner, *USUAL) if page.model.level == level else None, take, "New note")

    def edit(self, page: Page, number: int) -> None:
        """Opens the field with what a note says; a note that says nothing any more is removed."""
        item, level = page.scene.notes.items.get(number), page.model.level
        if item is None:
            return
        before = item.marked.text

        def known() -> Note | None:
            found = page.scene.notes.items.get(number) if page.model.level == level else None
            return found.marked if found is not None and found.marked.text == before else None

        def take(text: str) -> str:
            note = known()
            if note is None:
                return "the note is not there any more"
            graph, removed = page.model.graph, not text.strip()
            edit: Edit = renoted(graph, removed=[number])
            if not removed:
                edit = renoted(graph, [_grown(page, replace(note, text=text))])
            self._window.do(edit, "Remove note" if removed else "Edit note", page=page)
            return ""

        def box() -> QRectF | None:
            note = known()
            return QRectF(*note.box) if note is not None else None

        page.scene.select((), notes=[number])
        page.view.reveal(item.frame())
        self._open(page, before, box, take, "Note")

    def _open(self, page: Page, text: str, box: object, take: object, name: str) -> None:
        self.settle()
        self.field = NoteField(page.view, box, text, take, lambda _: None, name, area=True)  # type: ignore[arg-type]
        page.model.changed.connect(self.field.place)


def _grown(page: Page, note: Note) -> Note:
    """A note high enough for its text, on a line of the grid."""
    left, top, wide, high = note.box
    needed = ceil(height_of(note.text, wide, page.scene.pens) / SNAP) * SNAP
    return replace(note, box=(left, top, wide, max(high, needed)))


def write(window: Window) -> None:
    """Begins a note at the cursor."""
    if window.page is not None:
        Typing.of(window).begin(window.page, cursor_place(window.page))


def edit(window: Window) -> None:
    """Edits the chosen note."""
    page = window.page
    if page is not None and one_note(window):
        page.view.note_wanted.emit(*page.scene.notes.selection)


def one_note(window: Window) -> bool:
    """Whether one note is chosen, and no node."""
    page = window.page
    return page is not None and not page.scene.selection and len(page.scene.notes.selection) == 1


ACTIONS = (
    Action("create.note", "Note", "Node", write, ("N",), "create",
           "Write a note on the canvas, where the mouse is", with_page),
    Action("note.edit", "Edit note", "Node", edit, (), "node", "Type what the chosen note says (Enter on the canvas)",
           one_note),
)  # fmt: skip
