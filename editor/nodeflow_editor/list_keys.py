"""Keys of a list in a dock: they mean the list while it has the focus, whatever they mean elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QWidget


class ListKeys(QObject):
    """Calls functions by keys, each written as "Alt+Up"."""

    def __init__(self, widget: QWidget, keys: Mapping[str, Callable[[], object]]) -> None:
        super().__init__(widget)
        # the stubs of PySide6 leave out that a sequence has items
        self._keys = {QKeySequence(key)[0]: run for key, run in keys.items()}  # type: ignore[index]
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 # Qt's
        if not isinstance(event, QKeyEvent):
            return False
        run = self._keys.get(event.keyCombination())
        if run is None:
            return False
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
        elif event.type() == QEvent.Type.KeyPress:
            run()
        return True
