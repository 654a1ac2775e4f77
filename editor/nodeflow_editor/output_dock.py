"""What nodes print, and the small values that graphs give: the last lines of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QPlainTextEdit

from nodeflow_editor.run_part import RunPart

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

LINES = 2_000
"""Lines that are kept."""
LONG = 2_000
"""Characters of a line that are shown."""


class OutputDock(QObject):
    """A page of text that follows its end."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.text = QPlainTextEdit(readOnly=True)
        self.text.setMaximumBlockCount(LINES)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setPlaceholderText("What nodes print stands here, and values that graphs give.")
        self.text.setAccessibleName("Output")
        self.dock = window.add_dock("output", "Output", self.text, Qt.DockWidgetArea.BottomDockWidgetArea)
        part = RunPart.of(window)
        part.runner.printed.connect(self.add)
        part.runner.delivered.connect(self._delivered)

    def add(self, lines: list[str]) -> None:
        """Puts lines at the end."""
        shown = lines[-LINES:]
        self.text.appendPlainText("\n".join(line[:LONG] for line in shown))

    def _delivered(self, _run: int, output: str, paths: list[str], value: Any) -> None:
        if paths:
            self.add([f"{output}: {path}" for path in paths])
        elif value is not None:
            said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            self.add([f"{output}: {said}"])


def attach(window: Window) -> OutputDock:
    """Gives a window the page of what is printed."""
    return OutputDock(window)
