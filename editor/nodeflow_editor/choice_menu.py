"""A menu of choices that is searched by typing, the one that stands marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic

from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QMenu, QWidget

from nodeflow.document import Input
from nodeflow_editor.value_text import is_current

PAUSE = 1.0
"""Seconds after which a letter begins another word."""


class ChoiceMenu(QMenu):
    """Choices by title; it goes when it is closed."""

    def __init__(
        self, known: Iterable[tuple[str, Input]], value: Input, take: Callable[[Input], object], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._word, self._when = "", 0.0
        self.aboutToHide.connect(self.deleteLater)
        for title, choice in known:
            action = self.addAction(title.replace("&", "&&"))
            action.setCheckable(True)
            action.triggered.connect(partial(_taken, take, choice))
            if is_current(value, choice):
                action.setChecked(True)
                self.setActiveAction(action)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 # Qt's name
        letter = event.text()
        if not letter.isprintable() or not letter.strip():
            super().keyPressEvent(event)
            return
        now = monotonic()
        self._word = letter.lower() if now - self._when > PAUSE else self._word + letter.lower()
        self._when = now
        titles = {action: action.text().replace("&&", "&").lower() for action in self.actions()}
        found = [action for action, title in titles.items() if title.startswith(self._word)]
        found += [action for action, title in titles.items() if self._word in title]
        if found:
            self.setActiveAction(found[0])


def _taken(take: Callable[[Input], object], choice: Input, _checked: bool = False) -> None:
    take(choice)
