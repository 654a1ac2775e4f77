"""Work beside the window's thread: done by one thread in its turn, its result handed over in the window's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from PySide6.QtCore import QObject, Qt, Signal

T = TypeVar("T")


class Aside(QObject):
    """One thread for work of one kind. What comes back after `close` is dropped."""

    _over = Signal(object)

    def __init__(self, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"editor-{name}")
        self._closed = False
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
                self._over.emit(answer)

        if not self._closed:
            self._pool.submit(done)

    def close(self) -> None:
        """Takes no more work, and waits for none."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _hand_over(self, answer: Callable[[], object]) -> None:
        if not self._closed:
            answer()


def _again(error: Exception) -> None:
    raise error
