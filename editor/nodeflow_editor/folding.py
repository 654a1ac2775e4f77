"""Nodes that are drawn as their header alone: kept in the view, and nothing of the graph. No Qt."""

from __future__ import annotations

from collections.abc import Iterable

from nodeflow.delta import ABSENT
from nodeflow.document import Document
from nodeflow.edits import Edit, SetView
from nodeflow_editor.graph_model import links_into
from nodeflow_editor.wire_view import PORTALS, is_portal, section

FOLDED = "folded"


def is_folded(graph: Document, node: str) -> bool:
    """Whether a node is drawn as its header alone."""
    return section(graph, FOLDED).get(node) is True


def fold(graph: Document, node: str) -> tuple[str, ...] | None:
    """The names of the portals into a folded node, which stand below one another there; None of one that is whole."""
    if not is_folded(graph, node):
        return None
    if not section(graph, PORTALS):
        return ()
    return tuple(link.key for link in links_into(node, graph.nodes[node]) if is_portal(graph, link.key))


def as_folded(graph: Document, nodes: Iterable[str], *, on: bool) -> Edit:
    """The edit that folds nodes, or unfolds them."""
    made = dict(section(graph, FOLDED))
    for node in nodes:
        if on:
            made[node] = True
        else:
            made.pop(node, None)
    return SetView(FOLDED, made or ABSENT)
