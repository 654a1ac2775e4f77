"""What the first start after an installation shows while it imports all plugins, which takes some seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QFrame, QLabel, QVBoxLayout

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.theme import LARGE

AT_ONCE = 0.3
"""Seconds within which nothing is shown: other starts take a tenth of them."""
TURN = 0.03
Found = TypeVar("Found")


def patiently(work: Callable[[], Found], text: str) -> Found:
    """What `work` returns or raises. It is done in another thread; if that takes long, `text` is on the screen."""
    came: list[Found] = []
    failed: list[BaseException] = []

    def do() -> None:
        try:
            came.append(work())
        except BaseException as error:  # raised again below
            failed.append(error)

    thread = threading.Thread(target=do, name="editor-start", daemon=True)
    thread.start()
    thread.join(AT_ONCE)
    if thread.is_alive():
        shown = splash(text)
        while thread.is_alive():
            QApplication.processEvents()
            thread.join(TURN)
        shown.close()
        shown.deleteLater()
    if failed:
        raise failed[0]
    return came[0]


def splash(text: str) -> QFrame:
    """A small window in the middle of the screen, without a title."""
    made = QFrame(None, Qt.WindowType.SplashScreen | Qt.WindowType.FramelessWindowHint)
    made.setObjectName("splash")
    made.setAccessibleName(text)
    box = QVBoxLayout(made)
    box.setContentsMargins(36, 28, 36, 28)
    box.setSpacing(8)
    name, what = QLabel("nodeflow", made), QLabel(text, made)
    name.setFont(font(LARGE + 4, bold=True))
    what.setProperty("dim", True)
    box.addWidget(name)
    box.addWidget(what)
    made.adjustSize()
    screen = QGuiApplication.primaryScreen().availableGeometry()
    made.move(screen.center() - made.rect().center())
    made.show()
    return made
