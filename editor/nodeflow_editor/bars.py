"""Bars above a graph or above all of them: a sentence, and buttons that answer it. Nothing else waits meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

Kind = Literal["asks", "tells", "warns"]
MARKS = {"asks": "?", "tells": "i", "warns": "!"}
"""What stands at the left: the sort of a bar is told by a letter, not by its colour alone."""
DETAILS = 150
"""Height of the details, in pixels, at most."""
MANY = 4
"""Bars that stand at once, at most: the oldest that only tells makes room."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A button. "&Save" is pressed by S while the bar has the focus, by Alt+S at any time.

    stays: the bar stays. decides: it settles something, so that Escape, which means the last answer, does not take it.
    """

    text: str
    run: Callable[[], object] = lambda: None
    stays: bool = False
    decides: bool = False

    @property
    def key(self) -> str:
        """The letter that presses it."""
        return self.text.partition("&")[2][:1].upper()


class _Sentence(QLabel):
    """A label that breaks its lines, and does not keep the window from being made narrower."""

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(text, parent, wordWrap=True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 # Qt's name
        return QSize(120, super().minimumSizeHint().height())


class Bar(QFrame):
    """One sentence with its answers."""

    answered = Signal(str)
    """The text of the answer, without its mark."""

    def __init__(self, name: str, text: str, answers: Sequence[Answer], kind: Kind, details: str, parent: Bars) -> None:
        super().__init__(parent)
        self.name, self.text, self.kind, self.answers = name, text, kind, tuple(answers)
        self.setObjectName(f"bar.{name}")
        self.setProperty("bar", kind)
        self.setAccessibleName(text)
        self._bars = parent
        mark = QLabel(MARKS[kind], self, alignment=Qt.AlignmentFlag.AlignCenter)
        mark.setProperty("mark", kind)
        mark.setFixedSize(20, 20)
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(_Sentence(text, self), 1)
        self.buttons: list[QPushButton] = []
        if details:
            line.addWidget(self._button(Answer("De&tails", self.unfold, stays=True)))
        for answer in self.answers:
            line.addWidget(self._button(answer))
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 7, 12, 7)
        box.addLayout(line)
        self.details = QPlainTextEdit(details, self, readOnly=True)
        self._fit()
        self.details.setVisible(False)
        self.details.setAccessibleName("Details")
        box.addWidget(self.details)

    def _button(self, answer: Answer) -> QPushButton:
        made = QPushButton(answer.text, self)
        made.setObjectName(answer.text.replace("&", ""))
        made.clicked.connect(lambda: self.take(answer))
        made.installEventFilter(self)
        self.buttons.append(made)
        return made

    def show_details(self, text: str) -> None:
        """Shows a text below the sentence."""
        self.details.setPlainText(text)
        self._fit()
        self.details.setVisible(True)

    def _fit(self) -> None:
        """Gives the details the height of their text."""
        line = self.details.fontMetrics().lineSpacing()
        self.details.setFixedHeight(min(line * (self.details.blockCount() + 1) + 14, DETAILS))

    def unfold(self) -> None:
        """Shows the details, or hides them again."""
        self.details.setVisible(not self.details.isVisible())

    def take(self, answer: Answer) -> None:
        """Does what an answer means, as if its button had been pressed."""
        if not answer.stays:
            self._bars.drop(self.name)
        answer.run()
        self.answered.emit(answer.text.replace("&", ""))

    def press(self, key: int) -> bool:
        """Whether a key is an answer, which is then taken."""
        if key == Qt.Key.Key_Escape:
            if not self.answers or self.answers[-1].decides:
                self._bars.drop(self.name)
            else:
                self.take(self.answers[-1])
            return True
        answer = next((answer for answer in self.answers if answer.key and ord(answer.key) == key), None)
        if answer is not None:
            self.take(answer)
        elif self.details.toPlainText() and key == Qt.Key.Key_T:
            self.unfold()
        else:
            return False
        return True

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 # Qt's name
        """Keys on the buttons: letters and Escape answer, Enter presses. No shortcut of the window comes before."""
        if not isinstance(event, QKeyEvent) or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            return False
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return False
        if event.type() != QEvent.Type.KeyPress:
            return False
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and isinstance(watched, QPushButton):
            watched.click()
            return True
        if event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            return False
        return self.press(event.key())


class Bars(QWidget):
    """The place for bars. There is one of each name: another takes its place."""

    left = Signal()
    """The last bar is gone, and so is the focus it had."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._shown: dict[str, Bar] = {}
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(0)
        self.setVisible(False)

    def ask(
        self, name: str, text: str, answers: Sequence[Answer], *, kind: Kind = "asks", details: str = "",
        focus: bool = True,
    ) -> Bar:  # fmt: skip
        """Shows a bar.

        Args:
            name: what it is about; a bar of that name that is there goes.
            text: what is told or asked, in a sentence or two.
            answers: its buttons.
            kind: whether it asks, tells, or warns.
            details: more text, unfolded by a button.
            focus: whether the first button gets the focus: for what somebody has just asked for.
        """
        self.drop(name)
        if len(self._shown) >= MANY:
            self.drop(next((key for key, bar in self._shown.items() if bar.kind != "asks"), next(iter(self._shown))))
        bar = Bar(name, text, answers, kind, details, self)
        self._shown[name] = bar
        self._box.addWidget(bar)
        self.setVisible(True)
        bar.show()
        if focus and bar.buttons:
            bar.buttons[0].setFocus(Qt.FocusReason.OtherFocusReason)
        return bar

    def named(self, name: str) -> Bar | None:
        """The bar of that name, or None."""
        return self._shown.get(name)

    def names(self) -> tuple[str, ...]:
        """The names of the bars that stand."""
        return tuple(self._shown)

    def go(self) -> bool:
        """Gives the focus to the last bar; whether there is one."""
        if self._shown:
            next(reversed(self._shown.values())).buttons[0].setFocus(Qt.FocusReason.ShortcutFocusReason)
        return bool(self._shown)

    def drop(self, name: str) -> None:
        """Takes a bar away, unanswered."""
        bar = self._shown.pop(name, None)
        if bar is None:
            return
        held = any(widget.hasFocus() for widget in (*bar.buttons, bar.details))
        bar.hide()
        self._box.removeWidget(bar)
        bar.deleteLater()
        self.setVisible(bool(self._shown))
        if held and self._shown:
            next(reversed(self._shown.values())).buttons[0].setFocus()
        elif held:
            self.left.emit()
