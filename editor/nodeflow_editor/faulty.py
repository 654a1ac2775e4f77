"""What could be read of a faulty graph file, made a graph that is whole. No Qt."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from nodeflow.document import GRAPH, GRAPH_KEYS, ID, NODE_KEYS, UNREAD, Document, NodeEntry
from nodeflow.likeness import slips
from nodeflow_editor.border import plain
from nodeflow_editor.graph_model import free_name


def readable(document: Document) -> Document:
    """What could be read of a faulty graph, as a graph that is whole: it can be written, and read again.

    Names that nothing can have become ones that they can; what has no form at all is left out.
    """
    names, graphs = _named(document.nodes), _named(document.graphs)
    kinds = {GRAPH + name: GRAPH + known for name, known in graphs.items()}
    nodes = {names[name]: _node(entry, kinds) for name, entry in document.nodes.items() if entry.type}
    view = _finite(document.view)
    if isinstance(placed := view.get("nodes"), dict):
        view["nodes"] = {names.get(name, name): place for name, place in placed.items()}
    return Document(
        title=document.title if isinstance(document.title, str) else "",
        parameters=_places(document.parameters, names, nodes),
        outputs=_places(document.outputs, names, nodes),
        nodes=nodes,
        graphs={graphs[name]: readable(inner) for name, inner in document.graphs.items()},
        view=view,
        extra=_unmistaken(document.extra, GRAPH_KEYS),
    )


def _named(table: Iterable[str]) -> dict[str, str]:
    """For each name one that may stand in a file, and that no other has."""
    made = {name: name for name in table if ID.fullmatch(name)}
    taken = set(made)
    for name in table:
        if name not in made:
            made[name] = free_name(plain(name), taken)
            taken.add(made[name])
    return made


def _node(entry: NodeEntry, kinds: Mapping[str, str]) -> NodeEntry:
    inputs = {port: value for port, value in entry.inputs.items() if value is not UNREAD}
    extra = _unmistaken(entry.extra, NODE_KEYS)
    return replace(entry, type=kinds.get(entry.type, entry.type), inputs=inputs, extra=extra)


def _places(table: Mapping[str, str], names: Mapping[str, str], nodes: Collection[str]) -> dict[str, str]:
    """Parameters or outputs under names that they may have, those of nodes that could be read."""
    own, found = _named(table), {}
    for name, place in table.items():
        node, dot, port = place.partition(".")
        if names.get(node, node) in nodes:
            found[own[name]] = names.get(node, node) + dot + port
    return found


def _unmistaken(extra: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Keys that others may know, without those that are slips of ours."""
    wrong = dict(slips(extra, known))
    return {key: value for key, value in _finite(extra).items() if key not in wrong}


def _finite(value: Any) -> Any:
    """A value without the numbers in it that are none."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items() if not _is_none(item)}
    return [_finite(item) for item in value if not _is_none(item)] if isinstance(value, list) else value


def _is_none(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
