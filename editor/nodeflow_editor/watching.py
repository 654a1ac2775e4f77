"""Files that others change while they are open here: noticed, and asked about. Two editors on one file are told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QFileSystemWatcher, QObject, QTimer

from nodeflow.diff import describe, diff
from nodeflow.document import Document
from nodeflow.errors import GraphError
from nodeflow_editor.bars import Answer
from nodeflow_editor.disk import Seen, altered, look, opened, stamp
from nodeflow_editor.files import Files, alike
from nodeflow_editor.notes import Notes

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

SETTLE = 200
"""Milliseconds that a file is left alone after a change: who writes in pieces is not read in between."""
LINES = 200
"""Differences that are listed."""
MANY = 3_000
"""Nodes beyond which differences are only counted: to name each edit would take seconds."""


class Watch(QObject):
    """Looks after the files of a window's graphs."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window, self.files, self.notes = window, Files.of(window), Notes()
        self._asked: dict[Page, Seen | None] = {}
        self._noted: dict[Page, Path] = {}
        self._watcher = QFileSystemWatcher(self)
        self._later = QTimer(self, singleShot=True, interval=SETTLE)
        self._later.timeout.connect(self.check_all)
        self._stirred: set[str] = set()
        self._watcher.fileChanged.connect(self._stir)
        window.page_opened.connect(self._opened)
        window.page_closed.connect(self._closed)
        self.files.saved.connect(self._follow)
        window.closing.connect(self.notes.close)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 # Qt's
        """The window comes to the front: others may have been at work meanwhile, where no watcher tells."""
        if event.type() == QEvent.Type.WindowActivate:
            self._later.start()
        return False

    def _stir(self, path: str) -> None:
        self._stirred.add(path)
        self._later.start()

    def _opened(self, page: Page) -> None:
        self._follow(page)
        page.model.file_changed.connect(lambda: self._follow(page))

    def _tell_others(self, page: Page, file: Path) -> None:
        others = self.notes.others(file)
        if others:
            where = f"process {others[0].pid} on {others[0].host}"
            text = f"{file.name} is open in another editor as well ({where}). Saving here will be noticed there."
            page.bars.ask("shared", text, (Answer("&Close"),), kind="warns", focus=False)

    def _follow(self, page: Page) -> None:
        """Watches the page's file, which may be another than before, or a new one under the old name."""
        before, file = self._noted.get(page), page.model.file
        if before is not None and before != file:
            self._forget(page)
        if file is not None and file != before:
            self._noted[page] = file
            self.notes.put(file)
            self._tell_others(page, file)
        self._asked.pop(page, None)
        self._watch(file)

    def _watch(self, file: Path | None) -> None:
        if file is not None and file.exists() and str(file) not in self._watcher.files():
            self._watcher.addPath(str(file))

    def _forget(self, page: Page) -> None:
        file = self._noted.pop(page, None)
        if file is not None and file not in self._noted.values():
            self.notes.drop(file)
            self._watcher.removePath(str(file))

    def _closed(self, page: Page) -> None:
        self._forget(page)
        self._asked.pop(page, None)

    def check_all(self) -> None:
        """Looks at all files once."""
        for path in self._stirred:
            self._watcher.removePath(path)  # a file that was replaced is another one, which nobody watches yet
        self._stirred.clear()
        for page in tuple(self.window.pages()):
            self.check(page)

    def check(self, page: Page) -> None:
        """Asks about a page's file if it is not what it was."""
        file = page.model.file
        if file is None:
            return
        self._watch(file)
        if page.disk is not None and stamp(file) is None:
            page.disk = None
            page.model.undo.resetClean()
            page.title_changed.emit()
            text = f"{file.name} is not there any more. The graph stays open; saving writes it again."
            page.bars.ask("changed", text, (Answer("&Close"),), kind="warns", focus=False)
            return
        if not altered(file, page.disk):
            now = stamp(file)
            if now is not None and page.disk is not None:
                page.disk = Seen(now, page.disk.digest)
            return
        seen = look(file)
        if page in self._asked and _content(self._asked[page]) == _content(seen):
            return
        self._asked[page] = seen
        self._ask(page, file, seen)

    def _ask(self, page: Page, file: Path, seen: Seen | None) -> None:
        def mine() -> None:
            page.disk = seen
            page.model.undo.resetClean()
            page.title_changed.emit()
            page.setFocus()

        def show() -> None:
            bar = page.bars.named("changed")
            if bar is not None:
                bar.show_details(self._differences(page, file))

        mine_too = " You have changes here that are not saved." if page.changed else ""
        answers = (Answer("&Reload", lambda: self._reload(page)), Answer("Show &differences", show, stays=True),
                   Answer("&Keep mine", mine, decides=True))  # fmt: skip
        text = f"{file.name} was changed by another program.{mine_too}"
        page.bars.ask("changed", text, answers, focus=False)  # nobody asked: a key meant for the canvas must not answer

    def _reload(self, page: Page) -> None:
        if self.files.reload(page, "Reload"):
            self._follow(page)
        page.setFocus()

    def _differences(self, page: Page, file: Path) -> str:
        try:
            return differences(page.model.document, opened(file).document)
        except GraphError as error:
            return str(error)


def _content(seen: Seen | None) -> str:
    return seen.digest if seen is not None else ""


def differences(old: Document, new: Document) -> str:
    """What leads from one graph to the other, an edit a line."""
    if max(len(old.nodes), len(new.nodes)) > MANY:
        both = old.nodes.keys() & new.nodes.keys()
        other = sum(not alike(old.nodes[name], new.nodes[name]) for name in both)
        fewer, more = len(old.nodes) - len(both), len(new.nodes) - len(both)
        return f"{more:,} nodes added, {fewer:,} removed, {other:,} otherwise"
    lines = [describe(edit) for edit in diff(old, new)]
    more_lines = [f"and {len(lines) - LINES:,} more"] if len(lines) > LINES else []
    return "\n".join([*lines[:LINES], *more_lines]) or "none: they differ in layout alone"
