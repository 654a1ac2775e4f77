"""Tabs and windows that are closed: asked about once where something would be lost, and opened again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from nodeflow.document import Document
from nodeflow_editor.bars import Answer
from nodeflow_editor.disk import Seen
from nodeflow_editor.files import Files, Then, nothing

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

CLOSED = 20
"""Closed tabs that can be opened again."""
NAMED = 6
"""Graphs that are named in a question."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A tab that was closed, as it was."""

    document: Document
    file: Path | None
    label: str
    disk: Seen | None
    changed: bool


class Closing(QObject):
    """The ways out."""

    discarded = Signal(object)
    """Page: it is closed, and the user wants nothing of it."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window, self.files = window, Files.of(window)
        self.closed: list[Closed] = []
        self._leaving = False
        window.guards.append(self.may_leave)
        window.tabs.tabCloseRequested.connect(self._close_tab)
        window.page_closed.connect(lambda _: window.actions_table.refresh())

    @staticmethod
    def of(window: Window) -> Closing:
        """That of a window."""
        return next(part for part in window.parts if isinstance(part, Closing))

    def close(self, page: Page, then: Then = nothing) -> None:
        """Takes a tab away; asks first if something would be lost."""
        if not page.changed:
            self.shut(page, then)
            return
        self.window.tabs.setCurrentWidget(page)
        answers = (Answer("&Save", lambda: self.files.save(page, lambda: self.shut(page, then))),
                   Answer("&Discard", lambda: self.shut(page, then)), Answer("&Cancel"))  # fmt: skip
        page.bars.ask("close", f"{page.name} has changes that are not saved.", answers)

    def shut(self, page: Page, then: Then = nothing) -> None:
        """Takes a tab away, and remembers it."""
        if page.model.document.nodes or page.disk is not None:
            self.closed.append(Closed(page.model.document, page.model.file, page.label, page.disk, page.changed))
            del self.closed[:-CLOSED]
        self.discarded.emit(page)
        self.window.close_page(page)
        then()

    def reopen(self) -> None:
        """Opens the tab that was closed last, with the changes that it had; its steps of undo are gone."""
        if not self.closed:
            return
        last = self.closed.pop()
        if last.file is not None and (not last.changed or self.files.page_of(last.file)):
            self.files.open(last.file)
            return
        page = self.window.open_document(last.document, last.file)
        page.label, page.disk = last.label, last.disk
        if last.changed:
            page.model.undo.resetClean()
        page.title_changed.emit()
        self.files.opened.emit(page)

    def _close_tab(self, index: int) -> None:
        wanted = self.window.tabs.widget(index)
        page = next((page for page in self.window.pages() if page is wanted), None)
        if page is not None:
            self.close(page)

    def may_leave(self) -> bool:
        """Whether the window may go; asks once for all graphs with changes if there are some."""
        changed = [page for page in self.window.pages() if page.changed]
        if self._leaving or not changed:
            return True
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        names = ", ".join(page.name for page in changed[:NAMED]) + more
        text = f"{names} {'have' if len(changed) > 1 else 'has'} changes that are not saved."
        every = " all" if len(changed) > 1 else ""
        answers = (Answer(f"&Save{every}", lambda: self._save_all(changed)),
                   Answer(f"&Discard{every}", self.leave), Answer("&Cancel"))  # fmt: skip
        self.window.notices.ask("quit", text, answers)
        return False

    def _save_all(self, pages: list[Page]) -> None:
        """Saves one after the other, and leaves when all are saved; what one asks or refuses ends that."""
        if pages:
            self.files.save(pages[0], lambda: self._save_all(pages[1:]))
        else:
            self.window.close()

    def leave(self) -> None:
        """Closes the window, unasked."""
        self._leaving = True
        self._leaving = self.window.close()  # if something else asks first, all is asked again next time
