"""A run that has been going for long is not ended unasked because somebody closes the window."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from nodeflow_editor.bars import Answer
from nodeflow_editor.run_marks import span
from nodeflow_editor.run_part import RunPart

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

LONG = 60.0
"""Seconds of a run that nobody wants to lose by a slip of the hand."""
NAME = "leaving"


class Leaving(QObject):
    """Asks before the window goes."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, self._part = window, RunPart.of(window)
        self._sure = False
        window.guards.insert(0, self.may_leave)
        self._part.ended.connect(lambda *_: self._over())

    def _over(self) -> None:
        """The run is over: the next one is another matter."""
        self._sure = False
        self._window.notices.drop(NAME)

    def may_leave(self) -> bool:
        """Whether the window may go."""
        going = self._part.going
        passed = monotonic() - going.run.began if going is not None else 0.0
        if self._sure or passed < LONG:
            return True
        text = (f"A run has been going for {span(passed)}. Closing stops it; the next start offers to run it again, "
                "and nodes that are done are not computed anew.")  # fmt: skip
        self._window.notices.ask(NAME, text, (Answer("&Stop it and close", self._leave), Answer("&Cancel")))
        return False

    def _leave(self) -> None:
        self._sure = True
        self._window.close()


def attach(window: Window) -> Leaving:
    """Has a window ask."""
    return Leaving(window)
