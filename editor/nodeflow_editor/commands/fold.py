"""Nodes folded to their header, and unfolded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodeflow_editor.actions import Action, with_selection
from nodeflow_editor.commands.edit import chosen
from nodeflow_editor.folding import as_folded, is_folded

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def fold(window: Window) -> None:
    """Folds the chosen nodes; unfolds them if all of them are folded."""
    page = window.page
    if page is not None and page.scene.selection:
        nodes, on = chosen(page), not are_folded(window)
        what = f"{'Fold' if on else 'Unfold'} {f'{len(nodes)} nodes' if len(nodes) > 1 else 'node'}"
        window.do(as_folded(page.model.graph, nodes, on=on), what)


def are_folded(window: Window) -> bool:
    """Whether all chosen nodes are folded."""
    page = window.page
    if page is None or not page.scene.selection:
        return False
    return all(is_folded(page.model.graph, node) for node in page.scene.selection)


ACTIONS = (
    Action("node.fold", "Fold", "Node", fold, ("H",), "node",
           "Show the chosen nodes as their header alone, or whole again; what they do stays the same", with_selection,
           are_folded),
)  # fmt: skip
