"""Colours that nodes, frames and notes are given: read from the view, changed by edits. They mean nothing. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nodeflow.delta import ABSENT
from nodeflow.document import Document
from nodeflow.edits import Edit, Group, SetView
from nodeflow_editor.marks import frames, reframed
from nodeflow_editor.notepad import notes, renoted
from nodeflow_editor.wire_view import section

COLOURS, COLOUR = "colours", "colour"
"""Where the view has those of nodes, by id; what a frame or a note calls its own."""


def of_nodes(graph: Document) -> Mapping[str, Any]:
    """The names of the colours that nodes have, as far as they have any."""
    return section(graph, COLOURS)


def coloured(
    graph: Document, name: str, nodes: Collection[str] = (), framed: Collection[int] = (), noted: Collection[int] = ()
) -> Edit:
    """The edit that gives nodes, frames and notes a colour; an empty name takes away what they have."""
    edits: list[Edit] = []
    if nodes:
        kept = {node: colour for node, colour in of_nodes(graph).items() if node not in nodes}
        made = kept | (dict.fromkeys(nodes, name) if name else {})
        edits.append(SetView(COLOURS, made or ABSENT))
    boxes = [replace(frame, extra=_dyed(frame.extra, name)) for frame in frames(graph) if frame.number in framed]
    texts = [replace(note, extra=_dyed(note.extra, name)) for note in notes(graph) if note.number in noted]
    edits += [reframed(graph, boxes)] if boxes else []
    edits += [renoted(graph, texts)] if texts else []
    return Group(tuple(edits))


def shared(
    graph: Document, nodes: Collection[str] = (), framed: Collection[int] = (), noted: Collection[int] = ()
) -> str | None:
    """The colour that all of these have, "" for none; None if they differ."""
    found = {of_nodes(graph).get(node) or "" for node in nodes}
    found |= {frame.extra.get(COLOUR) or "" for frame in frames(graph) if frame.number in framed}
    found |= {note.extra.get(COLOUR) or "" for note in notes(graph) if note.number in noted}
    return str(next(iter(found))) if len(found) == 1 else None


def _dyed(extra: Mapping[str, Any], name: str) -> dict[str, Any]:
    kept = {key: value for key, value in extra.items() if key != COLOUR}
    return kept | ({COLOUR: name} if name else {})
