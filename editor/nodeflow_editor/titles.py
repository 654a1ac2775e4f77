"""Titles of docks: one that shares its place has its name on a tab, and no second one below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QDockWidget, QWidget

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


class Titles(QObject):
    """Takes titles away and gives them back as docks come together and part. A tab can be dragged as a title can."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self.settle)
        for dock in window.docks.values():
            for moved in (dock.dockLocationChanged, dock.topLevelChanged, dock.visibilityChanged):
                moved.connect(lambda *_: self._later.start())
        self.settle()

    def settle(self) -> None:
        """Gives every dock the title that it needs where it stands now."""
        for dock in self._window.docks.values():
            tabbed = not dock.isFloating() and any(
                not other.isHidden() for other in self._window.tabifiedDockWidgets(dock)
            )
            if tabbed != isinstance(dock.titleBarWidget(), _Nothing):
                _change(dock, _Nothing(dock) if tabbed else None)


class _Nothing(QWidget):
    """In place of a title."""


def _change(dock: QDockWidget, title: QWidget | None) -> None:
    before = dock.titleBarWidget()
    dock.setTitleBarWidget(title)  # type: ignore[arg-type] # None means Qt's own
    if before is not None:
        before.deleteLater()
