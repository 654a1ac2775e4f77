"""Something to be done a little later, whose errors are told like those of any slot."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer


def soon(owner: QObject, call: Callable[[], object], milliseconds: int = 0) -> None:
    """Calls a function once, if `owner` is still there then.

    Not by `QTimer.singleShot`: an error of its function stays pending, and the next virtual function of ours that Qt
    calls ends the process (PySide6 6.11).
    """
    clock = QTimer(owner, singleShot=True, interval=milliseconds)
    clock.timeout.connect(lambda: call())
    clock.timeout.connect(clock.deleteLater)
    clock.start()
