"""Objects that hold each other are collected in the window's thread alone.

Python collects them in whichever thread makes one object too many. Widgets that are let go of in another thread than
their own end the process, at once or at some later event; and the threads beside the window, which check graphs and
read what workers say, make objects by the thousand.
"""

from __future__ import annotations

import gc
from time import monotonic

from PySide6.QtCore import QObject, QTimer

EVERY = 400
"""Milliseconds between two looks."""
WHOLE = 30.0
"""Seconds between two collections of everything: with 5,000 nodes open one takes some 50 ms."""


class Sweeper(QObject):
    """Takes collecting over from Python, until it is told that it is over."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._last = monotonic()
        self._clock = QTimer(self, interval=EVERY)
        self._clock.timeout.connect(self.sweep)
        gc.disable()
        self._clock.start()

    def sweep(self) -> None:
        """Collects as far as Python itself would, by now."""
        counts, limits = gc.get_count(), gc.get_threshold()
        if counts[2] > limits[2] and monotonic() - self._last > WHOLE:
            self._last = monotonic()
            gc.collect()
        elif counts[1] > limits[1]:
            gc.collect(1)
        elif counts[0] > limits[0]:
            gc.collect(0)

    def over(self) -> None:
        """Gives collecting back to Python."""
        self._clock.stop()
        gc.enable()
