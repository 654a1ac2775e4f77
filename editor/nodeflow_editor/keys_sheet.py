"""Keys at a glance: a window with all actions that have keys, and what the mouse does, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.keys import Line, markdown, shown
from nodeflow_editor.theme import TITLE

COLUMNS = 3
SIZE = 1180, 760


class KeysSheet(QDialog):
    """Shows the sheet. Escape closes it; what is at work meanwhile goes on."""

    def __init__(self, groups: Mapping[str, Sequence[Line]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys at a glance")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        inner = QWidget()
        across = QHBoxLayout(inner)
        across.setContentsMargins(24, 20, 24, 20)
        across.setSpacing(40)
        for column in columns(groups):
            down = QVBoxLayout()
            down.setSpacing(22)
            for group in column:
                down.addLayout(_group(group, groups[group]))
            down.addStretch(1)
            across.addLayout(down, 1)
        self.area = QScrollArea(self)
        self.area.setWidget(inner)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setAccessibleName("Keys at a glance")
        self.copy = QPushButton("&Copy as Markdown", self)
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(markdown(groups)))
        self.change = QPushButton("C&hange keys…", self)
        self.leave = QPushButton("Close", self)
        self.leave.clicked.connect(self.close)
        foot = QHBoxLayout()
        foot.setContentsMargins(24, 0, 24, 16)
        foot.addWidget(self.copy)
        foot.addWidget(self.change)
        foot.addStretch(1)
        foot.addWidget(self.leave)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.area, 1)
        box.addLayout(foot)
        self.leave.setFocus()


def columns(groups: Mapping[str, Sequence[Line]], count: int = COLUMNS) -> list[list[str]]:
    """The groups in their order in columns about as long as each other."""
    heights = {group: len(lines) + 2 for group, lines in groups.items()}
    whole, gone = sum(heights.values()), 0
    found: list[list[str]] = [[] for _ in range(count)]
    for group, height in heights.items():
        middle = (gone + height / 2) / max(whole, 1)
        found[min(int(middle * count), count - 1)].append(group)
        gone += height
    return found


def _group(title: str, lines: Sequence[Line]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(14)
    grid.setVerticalSpacing(5)
    grid.setColumnStretch(0, 1)
    head = QLabel(title)
    head.setFont(font(TITLE, bold=True))
    grid.addWidget(head, 0, 0, 1, 2)
    for row, line in enumerate(lines, 1):
        what = QLabel(line.what, wordWrap=True)
        what.setToolTip(line.help)
        grid.addWidget(what, row, 0, Qt.AlignmentFlag.AlignVCenter)
        if line.how:
            how = QLabel(line.how, wordWrap=True, alignment=Qt.AlignmentFlag.AlignRight)
            how.setProperty("dim", True)
            grid.addWidget(how, row, 1, Qt.AlignmentFlag.AlignVCenter)
            grid.setColumnStretch(1, 1)
        else:
            grid.addLayout(_caps(line.keys), row, 1, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight)
    return grid


def _caps(keys: Sequence[str]) -> QHBoxLayout:
    """Keys drawn as keys."""
    line = QHBoxLayout()
    line.setSpacing(5)
    for key in keys:
        cap = QLabel(shown(key))
        cap.setProperty("cap", True)
        line.addWidget(cap)
    return line
