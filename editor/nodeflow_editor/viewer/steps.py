"""The row below a picture of a batch: which it is, and the ways to the others."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget


class Steps(QWidget):
    """To be seen only where there are several pictures."""

    stepped = Signal(int)
    """To the next one, 1, or the one before, -1."""
    turned = Signal()
    """All side by side, or one again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.before = self._button("◀", "The picture before (Left)")
        self.after = self._button("▶", "The next picture (Right)")
        self.all = self._button("All", "All pictures side by side (Space)")
        self.all.setCheckable(True)
        self.place = QLabel(self)
        self.place.setAccessibleName("Picture of the batch")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 8, 2)
        row.setSpacing(6)
        for widget in (self.before, self.place, self.after, self.all):
            row.addWidget(widget)
        row.addStretch(1)
        self.before.clicked.connect(lambda: self.stepped.emit(-1))
        self.after.clicked.connect(lambda: self.stepped.emit(1))
        self.all.clicked.connect(lambda: self.turned.emit())
        self.hide()

    def _button(self, text: str, says: str) -> QToolButton:
        button = QToolButton(self)
        button.setProperty("small", True)
        button.setStyleSheet("padding: 4px 8px;")
        button.setText(text)
        button.setToolTip(says)
        button.setAccessibleName(says.partition(" (")[0])
        return button

    def tell(self, where: str, *, together: bool) -> None:
        """Says which picture is looked at: nothing of one alone."""
        self.setVisible(bool(where))
        self.place.setText(where)
        self.all.setChecked(together)
