"""What a crash left is offered: where a backup is newer than its file, and different. Nothing is taken unasked."""

from __future__ import annotations

from time import localtime, strftime
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from nodeflow_editor.autosave import Autosave
from nodeflow_editor.backups import Left
from nodeflow_editor.bars import Answer
from nodeflow_editor.closing import Closing
from nodeflow_editor.files import Files, put
from nodeflow_editor.watching import differences

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window


class Recovery(QObject):
    """Offers the backups of editors that crashed."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window, self.files = window, Files.of(window)
        self.autosave = Autosave.of(window)

    @staticmethod
    def of(window: Window) -> Recovery:
        """That of a window."""
        return next(part for part in window.parts if isinstance(part, Recovery))

    def offer(self) -> int:
        """Shows what crashes left, a tab a graph with a question above it; returns how many."""
        offered = 0
        for left in self.autosave.backups.left():
            if left.same():
                self.autosave.backups.settle(left)
            elif not left.superseded():
                self._offer(left)
                offered += 1
        return offered

    def _offer(self, left: Left) -> None:
        page = self.files.open(left.file) if left.file is not None and left.file.exists() else None
        when = strftime("%H:%M, %d %B", localtime(left.time))
        if page is None:
            self._bring_back(left, when)
            return

        def take() -> None:
            self.autosave.keep_now(page)
            put(page, left.document(), "Open backup")
            self._settle(page, left)
            page.setFocus()

        def show() -> None:
            bar = page.bars.named("backup")
            if bar is not None:
                bar.show_details(differences(page.model.document, left.document()))

        answers = (Answer("&Open backup", take), Answer("Show &differences", show, stays=True),
                   Answer("D&iscard backup", lambda: self.autosave.backups.settle(left)), Answer("&Later"))  # fmt: skip
        text = f"The editor did not end in order. Its backup of {when} has changes that are not in {page.name}."
        page.bars.ask("backup", text, answers, focus=False)

    def _bring_back(self, left: Left, when: str) -> None:
        """A graph that has no file, or none any more: it comes back as it was, as something not saved."""
        page = self.files.new(left.document(), left.name)
        page.model.file = left.file
        page.title_changed.emit()
        self._settle(page, left)
        answers = (Answer("&Save as…", lambda: self.files.save_as(page)),
                   Answer("&Discard it", lambda: Closing.of(self.window).shut(page)), Answer("&Close"))  # fmt: skip
        text = f"{page.name} was not saved when the editor stopped. This is its backup of {when}."
        page.bars.ask("backup", text, answers, focus=False)

    def _settle(self, page: Page, left: Left) -> None:
        """Keeps what was taken as this editor's own work, and lets go of what the other left."""
        self.autosave.keep_now(page)
        if not self.autosave.backups.trouble:
            self.autosave.backups.settle(left)
