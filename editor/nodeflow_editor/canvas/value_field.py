"""The live field of a value: a line, or an area for long texts, over the value's box. What is refused stays open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QRect, QRectF, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent, QTextCursor
from PySide6.QtWidgets import QLabel, QLineEdit

from nodeflow_editor.canvas.inline import SMALLEST
from nodeflow_editor.canvas.pens import font
from nodeflow_editor.long_text import LongText
from nodeflow_editor.theme import BODY, SMALL

if TYPE_CHECKING:
    from nodeflow_editor.canvas.view import GraphView

AREA = (320, 130)
"""Least size of an area for long texts, in pixels."""
REFUSAL = 220
"""Least width of the sentence below, in pixels."""
LEAVING = (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.MenuBarFocusReason)
"""Reasons to lose the keys for a moment, which do not end the typing."""


class ValueField(QObject):
    """Typing in place. Enter (in a line) or a click elsewhere takes it, Escape leaves, Tab goes on.

    With Ctrl it is the window's key, which takes what is typed and runs the graph.
    """

    def __init__(
        self, view: GraphView, box: Callable[[], QRectF | None], text: str, take: Callable[[str], str],
        step: Callable[[int], None], name: str, *, area: bool = False, prompt: bool = False,
    ) -> None:  # fmt: skip
        """Opens the field.

        Args:
            view: over which.
            box: where the value is in the scene now; None if it is gone.
            text: what stands there.
            take: is handed what was typed; returns why it is refused, or "".
            step: is called after the typing with 1 for the next value, -1 for the one before.
            name: of the input, for those who hear the screen.
            area: whether several lines are typed.
            prompt: whether words in them have weights.
        """
        super().__init__(view)
        self._view, self._box, self._take, self._step = view, box, take, step
        self._over, self._area = False, area
        self.widget: QLineEdit | LongText
        if area:
            self.widget = LongText(text, view.viewport(), prompt=prompt)
        else:
            self.widget = QLineEdit(view.viewport())
            self.widget.setMaxLength(2**24)
            self.widget.setText(text)
            self.widget.setStyleSheet("padding: 0px 4px;")
        self._before = self.widget.text()
        self._refused: str | None = None
        self.widget.setAccessibleName(name)
        self.why = QLabel(view.viewport(), wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.why.setObjectName("refusal")
        self.why.setFont(font(SMALL + 1))
        self.why.hide()
        self.widget.installEventFilter(self)
        self.widget.textChanged.connect(self._typed)
        view.moved.connect(self.place)
        self.place()
        if isinstance(self.widget, QLineEdit):
            self.widget.selectAll()
        else:
            self.widget.moveCursor(QTextCursor.MoveOperation.End)  # chosen whole, the first key would replace a prompt
        self.widget.show()
        self.widget.setFocus(Qt.FocusReason.MouseFocusReason)

    @property
    def over(self) -> bool:
        """Whether it was closed."""
        return self._over

    def place(self) -> None:
        """Puts the field where the value is: the graph was panned or zoomed."""
        if self._over:
            return
        box = self._box()
        if box is None:
            self.close()
            return
        scale = max(self._view.scale_now, SMALLEST)
        corner = self._view.mapFromScene(box.topLeft())
        wide, high = max(60, round(box.width() * scale)), max(18, round(box.height() * scale))
        if self._area:
            wide, high = max(wide, AREA[0]), max(high, AREA[1])
        self.widget.setFont(font(max(8, round(BODY * scale))))
        room = self._view.viewport().rect()
        left = max(min(corner.x(), room.width() - wide), 0) if room.contains(corner) else corner.x()
        self.widget.setGeometry(left, corner.y(), wide, high)
        below = max(wide, REFUSAL)
        self.why.setGeometry(QRect(left, corner.y() + high + 2, below, self.why.heightForWidth(below)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 # Qt's
        kind = event.type()
        if kind == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            if event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab, Qt.Key.Key_Escape) or self._enters(event):
                event.accept()  # the canvas has other uses for these keys
                return True
        elif kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._key(event)
        elif kind == QEvent.Type.FocusOut and isinstance(event, QFocusEvent) and event.reason() not in LEAVING:
            self.take()
        return False

    def _enters(self, event: QKeyEvent) -> bool:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        return enter and not self._area and not event.modifiers() & Qt.KeyboardModifier.ControlModifier

    def _key(self, event: QKeyEvent) -> bool:
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self.close()
        elif self._enters(event):
            self.take()
        elif key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            if self.take():
                self._step(-1 if key == Qt.Key.Key_Backtab else 1)
        else:
            return False
        return True

    def take(self) -> bool:
        """Hands on what is new; returns whether the field is closed. What is refused stays, with the reason."""
        if self._over:
            return True
        text = self.widget.text()
        if text == self._before:
            self.close()
            return True
        if text == self._refused:
            return False
        self._over = True  # what is handed on may lead back here: a change of the graph, a lost focus
        refusal = self._take(text)
        self._over = False
        if refusal:
            self._refuse(text, refusal)
            return False
        self.close()
        return True

    def close(self) -> None:
        """Ends the typing; what was not handed on is left."""
        if self._over:
            return
        self._over = True
        self._view.moved.disconnect(self.place)
        focused = self.widget.hasFocus()
        self.widget.hide()
        self.why.hide()
        for made in (self.widget, self.why, self):
            made.deleteLater()
        if focused:
            self._view.setFocus()

    def _refuse(self, text: str, refusal: str) -> None:
        self._refused = text
        look = self._view.canvas.pens.palette
        self._mark(invalid=True)
        self.widget.setAccessibleDescription(refusal)
        self.why.setText(f"✕ {refusal}")
        self.why.setStyleSheet(
            f"#refusal {{ background: {look.raised}; color: {look.bad}; border: 1px solid {look.bad};"
            " border-radius: 4px; padding: 3px 6px; }"
        )
        self.place()
        self.why.show()
        self.why.raise_()
        self._view.told.emit(refusal)

    def _typed(self) -> None:
        if self._refused is not None:
            self._refused = None
            self.why.hide()
            self._mark(invalid=False)

    def _mark(self, *, invalid: bool) -> None:
        self.widget.setProperty("invalid", invalid)
        self.widget.style().unpolish(self.widget)
        self.widget.style().polish(self.widget)
