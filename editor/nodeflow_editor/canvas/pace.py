"""How many pictures of nodes one frame may make: the others come with the next, so that panning never waits."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

HURRY = 0.004
"""Seconds of one frame that pictures of nodes may take."""
AT_ONCE = 4
"""Nodes of those that wait for a picture that are drawn again in one frame: all of them took three times as long."""


class Pace(QObject):
    """One canvas's. It knows which nodes were drawn by older pictures for want of time."""

    def __init__(self, canvas: GraphScene) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._began, self._none_yet = 0.0, True
        self._owed: dict[str, None] = {}
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._pay)

    def begin(self) -> None:
        """A paint begins: HURRY seconds from now, pictures of nodes wait for the next."""
        self._began, self._none_yet = perf_counter(), True

    def hurried(self) -> bool:
        """Whether this paint has made enough pictures of nodes. One it makes however slow the machine is."""
        if self._none_yet:
            self._none_yet = False
            return False
        return perf_counter() - self._began > HURRY

    def owe(self, node: str) -> None:
        """A node was drawn for want of time by an older picture: it gets its own soon."""
        self._owed[node] = None
        if not self._later.isActive():
            self._later.start()

    def _pay(self) -> None:
        due, self._owed = list(self._owed)[:AT_ONCE], dict.fromkeys(list(self._owed)[AT_ONCE:])
        for node in due:
            if node in self._canvas.nodes:
                self._canvas.nodes[node].update()
        if self._owed:
            self._later.start()
