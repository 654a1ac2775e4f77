"""Where docks stand when nobody has moved them: the graph in the middle has most of the room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QTabWidget

from nodeflow_editor.actions import Action

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

SIDES = (
    (Qt.DockWidgetArea.LeftDockWidgetArea, ("outline",), 236, False),
    (Qt.DockWidgetArea.RightDockWidgetArea, ("form", "graph", "history"), 340, True),
    (Qt.DockWidgetArea.RightDockWidgetArea, ("viewer",), 340, True),
    (Qt.DockWidgetArea.BottomDockWidgetArea, ("problems", "queue", "output", "compare", "plugins"), 190, False),
)
"""Side, docks that share one place as tabs with the first in front, width or height, and whether they are open.

The history does not share the viewer's: a click there shows a picture here.
"""
LEAST = 150
"""Pixels that a dock's content wants in height at the most: two above each other fit a screen of 1280 x 720, which is
one of 1920 x 1080 at 150 %."""


def arrange(window: Window) -> None:
    """Puts every dock into its place, and opens those that are wanted from the start."""
    window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
    window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.BottomDockWidgetArea)
    window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
    for name in (name for _, names, _, _ in SIDES for name in names if name in window.docks):
        window.removeDockWidget(window.docks[name])  # or Qt leaves bars of tabs behind, which nothing moves any more
    for area, names, size, shown in SIDES:
        docks = [window.docks[name] for name in names if name in window.docks]
        for dock in docks:
            dock.setFloating(False)
            window.addDockWidget(area, dock)
            if dock is not docks[0]:
                window.tabifyDockWidget(docks[0], dock)
            dock.setVisible(shown)
        if docks:
            docks[0].raise_()
            across = area is not Qt.DockWidgetArea.BottomDockWidgetArea
            window.resizeDocks(docks[:1], [size], Qt.Orientation.Horizontal if across else Qt.Orientation.Vertical)
    _halved(window)


def _halved(window: Window) -> None:
    """Shares the right side between what is set and what is seen."""
    docks: list[QDockWidget] = [window.docks[name] for name in ("form", "viewer") if name in window.docks]
    if len(docks) == 2:
        window.resizeDocks(docks, [520, 400], Qt.Orientation.Vertical)


def attach(window: Window) -> None:
    """Arranges the docks; a session that is restored has the last word."""
    for dock in window.docks.values():
        body = dock.widget()
        body.setMinimumHeight(min(body.minimumSizeHint().height(), LEAST))
    arrange(window)


ACTIONS = (
    Action("window.arrange", "Docks as at first", "Window", arrange, (), "docks", "Put every dock back into its place"),
)
