"""Work beside the window's thread: done by one thread in its turn, its result handed over in the window's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from PySide6.QtCore import QObject, Qt, Signal

T = TypeVar("T")


class Aside(QObject):
    """One thread for work of one kind. What comes back after `close` is dropped.

    The thread is a daemon: the program would not end before a plugin that hangs has been given up.
    """

    _over = Signal(object)

    def __init__(self, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=f"editor-{name}", daemon=True)
        self._thread.start()
        self._over.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)

    def call(
        self, work: Callable[[], T], then: Callable[[T], object], failed: Callable[[Exception], object] | None = None
    ) -> None:
        """Does `work`, which knows no widget, and gives `then` what it returns; `failed` what it raises."""

        def done() -> None:
            try:
                answer: Callable[[], object] = partial(then, work())
            except Exception as error:
                answer = partial(failed or _again, error)
            if not self._closed:
                with contextlib.suppress(RuntimeError):  # the window has gone meanwhile
                    self._over.emit(answer)

        if not self._closed:
            self._work.put(done)

    def close(self) -> None:
        """Takes no more work, and waits for none."""
        self._closed = True
        self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None and not self._closed:
            work()

    def _hand_over(self, answer: Callable[[], object]) -> None:
        if not self._closed:
            answer()


def _again(error: Exception) -> None:
    raise error
