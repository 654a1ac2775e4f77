"""Looking: zoom, fit, and where things are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodeflow_editor.actions import Action, with_page

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def fit(window: Window) -> None:
    """Shows the chosen nodes and notes, or all of the graph."""
    if window.page is not None:
        scene = window.page.scene
        chosen = scene.bounds(scene.selection) | scene.notes.bounds(scene.notes.selection)
        window.page.view.fit(None if chosen.isEmpty() else chosen)


def full_size(window: Window) -> None:
    """Shows nodes at their own size."""
    if window.page is not None:
        window.page.view.zoom(1.0)


def closer(window: Window) -> None:
    """Zooms in by one step."""
    if window.page is not None:
        window.page.view.zoom(window.page.view.scale_now * 2**0.5)


def farther(window: Window) -> None:
    """Zooms out by one step."""
    if window.page is not None:
        window.page.view.zoom(window.page.view.scale_now / 2**0.5)


def selection_wires(window: Window) -> None:
    """Draws wires of chosen nodes alone, or all again."""
    if window.page is not None:
        window.page.scene.show_wires(only_selected=not window.page.scene.only_selected)


def shows_selection_wires(window: Window) -> bool:
    """Whether only wires of chosen nodes are drawn."""
    return window.page is not None and window.page.scene.only_selected


ACTIONS = (
    Action("view.fit", "Fit", "View", fit, ("F",), "zoom", "Show the chosen nodes, or all of them", with_page),
    Action("view.full_size", "Full size", "View", full_size, ("Home", "Ctrl+1"), "zoom", when=with_page),
    Action("view.closer", "Zoom in", "View", closer, ("Ctrl++", "Ctrl+="), "zoom", when=with_page),
    Action("view.farther", "Zoom out", "View", farther, ("Ctrl+-",), "zoom", when=with_page),
    Action("view.selection_wires", "Only the selection's wires", "View", selection_wires, ("Ctrl+Shift+W",), "wires",
           "Draw the wires of the chosen nodes alone", with_page, shows_selection_wires),
)  # fmt: skip
