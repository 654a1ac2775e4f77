"""Backups of what is being worked on: half a minute after a change, and before anything risky."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from nodeflow.document import Document, write
from nodeflow.errors import GraphError
from nodeflow_editor.backups import About, Backups
from nodeflow_editor.bars import Answer
from nodeflow_editor.closing import Closing
from nodeflow_editor.files import Files

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

EVERY = 30_000
"""Milliseconds from the first change that is not in a backup to the next backup."""


class Autosave(QObject):
    """Keeps backups of a window's graphs. Text is made and written by a thread of its own: documents never change."""

    _written = Signal(str, bool)

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window = window
        self.backups = Backups()
        self._numbers = count(1)
        self._keys: dict[Page, str] = {}
        self._kept: dict[Page, Document] = {}
        """What each graph was when it was last read, written or backed up."""
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="editor-backups")
        self._told, self._leaving, self._over = False, False, False
        self._timer = QTimer(self, singleShot=True, interval=EVERY)
        self._timer.timeout.connect(self.keep_all)
        self._written.connect(self._tell)
        files = Files.of(window)
        files.risky.connect(self.keep_now)
        files.replacing.connect(self._aside)
        files.saved.connect(self._settled)
        files.opened.connect(self._ready)
        Closing.of(window).discarded.connect(self._closed)
        window.page_opened.connect(self._opened)
        window.page_closed.connect(self._closed)
        window.closing.connect(self.close)

    @staticmethod
    def of(window: Window) -> Autosave:
        """That of a window."""
        return next(part for part in window.parts if isinstance(part, Autosave))

    def _opened(self, page: Page) -> None:
        self._keys[page] = f"{next(self._numbers):06}"
        self._kept[page] = page.model.document
        page.model.document_changed.connect(self._changed)

    def _ready(self, page: Page) -> None:
        if page.changed:  # it comes from elsewhere than a file
            self._keep(page)

    def _changed(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _settled(self, page: Page) -> None:
        self._kept[page] = page.model.document

    def _closed(self, page: Page) -> None:
        self._kept.pop(page, None)
        key = self._keys.pop(page, None)
        if key is not None:
            self._hand.submit(self.backups.drop, key)

    def _stale(self) -> Iterator[Page]:
        return (page for page in self._keys if page.model.document is not self._kept.get(page))

    def keep_all(self) -> None:
        """Backs up every graph that has changed since it last was; returns before that is done."""
        if self._over:
            return
        for page in tuple(self._stale()):
            self._keep(page)

    def keep_now(self, page: Page) -> None:
        """Returns when a graph is in a backup, or is as its file has it."""
        if page.model.document is not self._kept.get(page):
            self._keep(page)
        self.flush()

    def flush(self) -> None:
        """Returns when all that was begun is done."""
        self._hand.submit(lambda: None).result()

    def _keep(self, page: Page) -> None:
        document, file = page.model.document, page.model.file
        self._kept[page] = document
        seen = page.disk.digest if page.disk is not None else ""
        about = About(str(file) if file is not None else None, page.name, seen)
        self._hand.submit(self._write, self._keys[page], document, about)

    def _write(self, key: str, document: Document, about: About) -> None:
        try:
            done = self.backups.put(key, write(document), about)
        except GraphError as error:  # a value that no file can hold
            self.backups.trouble = str(error)
            done = False
        self._written.emit(key, done)

    def _tell(self, key: str, done: bool) -> None:
        if not done:  # it is tried again
            self._kept = {page: document for page, document in self._kept.items() if self._keys.get(page) != key}
            self._changed()
        if done:
            self.window.notices.drop("backups")
        elif not self._told and self.backups.trouble:
            trouble = " — ".join(line.strip() for line in self.backups.trouble.splitlines())
            text = f"What is not saved would not outlive a crash: {trouble}. Save often until that is mended."
            self.window.notices.ask("backups", text, (Answer("&Close"),), kind="warns", focus=False)
        self._told = not done

    def _aside(self, file: Path) -> None:
        place = self.backups.keep_aside(file)
        told = f"The file that was there is kept as {place}." if place else "The file that was there could not be kept."
        self.window.notices.ask("kept", told, (Answer("&Close"),), kind="tells", focus=False)

    def leave_behind(self) -> None:
        """Backs up all that is not saved, and leaves it to be offered by the next editor: this one is made to end."""
        changed = [page for page in self._keys if page.changed]
        for page in changed:
            self._keep(page)
        self.flush()
        if changed and self.backups.trouble:  # nobody sees the window any more
            sys.stderr.write(f"nodeflow edit: what was not saved is lost: {self.backups.trouble}\n")
        self._leaving = True

    def close(self) -> None:
        """Ends the backups: nothing stays if the user has decided about everything."""
        self._over = True
        self._timer.stop()
        self._hand.shutdown(wait=True)
        self.backups.close(leave=self._leaving)
