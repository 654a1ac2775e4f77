"""One live field over the canvas, where something is typed in place: a title, a name, a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QLineEdit

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.theme import BODY

if TYPE_CHECKING:
    from nodeflow_editor.canvas.view import GraphView

SMALLEST = 0.6
"""Scale below which the field is drawn as large as at this scale: nobody reads smaller letters."""


class LineField(QLineEdit):
    """A line over a box of the scene. Enter and a click elsewhere take it, Escape leaves what was."""

    def __init__(self, view: GraphView, box: QRectF, text: str, done: Callable[[str], None]) -> None:
        super().__init__(text, view.viewport())
        self._view, self._done, self._before, self._over = view, done, text, False
        view.reveal(box)
        scale = max(view.scale_now, SMALLEST)
        self.setFont(font(max(8, round(BODY * scale))))
        place = view.mapFromScene(box.topLeft())
        self.setGeometry(
            place.x(), place.y(), max(60, round(box.width() * scale)), max(18, round(box.height() * scale))
        )
        self.setStyleSheet("padding: 0px 4px;")
        self.selectAll()
        self.show()
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        view.moved.connect(self.finish)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 # Qt's name
        if event.key() == Qt.Key.Key_Escape:
            self.finish(keep=False)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.finish()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        super().focusOutEvent(event)
        if event.reason() not in (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason):
            self.finish()

    def finish(self, *, keep: bool = True) -> None:
        """Ends the typing; what is new is handed on once."""
        if self._over:
            return
        self._over = True
        text = self.text()
        self.hide()
        self.deleteLater()
        self._view.setFocus()
        if keep and text != self._before:
            self._done(text)
