"""Failures of the editor itself: shown without stopping anything, and written down. The window lives on."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from nodeflow_editor.autosave import Autosave
from nodeflow_editor.bars import Answer
from nodeflow_editor.settings import state_folder

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

LARGEST = 2**20
"""Bytes of the log; the one before is kept beside it."""
TRACES = 50
"""Failures that are written down in full of one start: one in a timer comes a hundred times a second."""


def log_file() -> Path:
    """Where failures are written down."""
    return state_folder() / "log" / "editor.log"


class Reports(QObject):
    """Takes what nobody caught, in whichever thread."""

    _failed = Signal(str, str)

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window = window
        self._count: dict[str, int] = {}
        self._before = sys.excepthook, threading.excepthook
        self._failed.connect(self._show)  # from any thread into the window's own

    def install(self) -> None:
        """From now on nothing that is raised and not caught passes by unseen."""
        sys.excepthook = self.take
        threading.excepthook = lambda told: self.take(told.exc_type, told.exc_value, told.exc_traceback)
        self.window.closing.connect(self.remove)

    def remove(self) -> None:
        """Things are as they were before."""
        sys.excepthook, threading.excepthook = self._before

    def take(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        """What `sys.excepthook` takes."""
        if issubclass(kind, KeyboardInterrupt):
            self._before[0](kind, error or kind(), trace)
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        if sum(self._count.values()) < TRACES:
            write_down(text)
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(text)
        line = traceback.format_exception_only(kind, error)[-1].strip()
        with contextlib.suppress(RuntimeError):  # the window may be gone
            self._failed.emit(line, text)

    def _show(self, line: str, text: str) -> None:
        self._count[line] = self._count.get(line, 0) + 1
        Autosave.of(self.window).keep_all()  # nobody knows what comes next
        times = f" ({self._count[line]} times)" if self._count[line] > 1 else ""
        bar = self.window.notices.named("failure")
        if bar is not None and times and self._count[line] & (self._count[line] - 1):
            return  # told at its 1st, 2nd, 4th, 8th time
        told = f"Something in the editor failed{times}: {line[:300]}. What is open stays open."
        details = f"{text}\nWritten down in {log_file()}. Please report it, with the output of `nodeflow info`."
        self.window.notices.ask("failure", told, (Answer("&Close"),), kind="warns", details=details, focus=False)


def write_down(text: str) -> None:
    """Adds a text to the log; a disk that takes none is no further failure."""
    path = log_file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LARGEST:
            path.replace(path.with_suffix(".log.1"))
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n{text}\n")
