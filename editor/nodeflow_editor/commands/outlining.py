"""The outline in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from nodeflow_editor.actions import Action
from nodeflow_editor.outline import Outline

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def to_outline(window: Window) -> None:
    """Puts the keys into the outline."""
    dock = window.docks["outline"]
    dock.show()
    dock.raise_()
    outline = dock.widget()
    if isinstance(outline, Outline):
        outline.tree.setFocus(Qt.FocusReason.ShortcutFocusReason)


def attach(window: Window) -> Outline:
    """The dock at the left."""
    outline = Outline(window)
    window.add_dock("outline", "Outline", outline, Qt.DockWidgetArea.LeftDockWidgetArea)
    return outline


ACTIONS = (
    Action("view.outline", "Go to the outline", "View", to_outline, ("Ctrl+Shift+E",), "outline",
           "The graph as a list, for keyboard and screen reader"),
)  # fmt: skip
