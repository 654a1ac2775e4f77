"""Notes: texts on the canvas, which compute nothing. Read from the view, changed by edits. No Qt."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nodeflow.delta import ABSENT
from nodeflow.document import Document
from nodeflow.edits import Edit, SetView
from nodeflow_editor.canvas.metrics import Box, Point, numbers
from nodeflow_editor.marks import tidy

NOTES = "notes"
"""Their part of the view."""
LEAST = (72.0, 40.0)
"""How wide and high a note is at least."""
USUAL = (248.0, 88.0)
"""How wide and high one is that was typed and not resized."""
LINK = re.compile(r"https?://[^\s<>\"'`]+")
AFTER = ".,;:!?*_"
"""Signs that end a sentence rather than the address before them."""


@dataclass(frozen=True, slots=True)
class Note:
    """A text in a box. `number` is its place in the file's list; `extra` what others wrote into it, and its colour."""

    number: int
    text: str
    box: Box
    extra: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The note as the file has it."""
        return {**self.extra, "text": self.text, "box": [tidy(part) for part in self.box]}

    def moved(self, dx: float, dy: float) -> Note:
        """The note so much further."""
        left, top, wide, high = self.box
        return replace(self, box=(left + dx, top + dy, wide, high))


def listed(graph: Document) -> Sequence[Any]:
    """What the view lists as notes, whatever it is."""
    found = graph.view.get(NOTES)
    return found if isinstance(found, list) else []


def notes(graph: Document) -> list[Note]:
    """The notes of a graph; what is no note is left out, and kept in the file."""
    found = []
    for number, item in enumerate(listed(graph)):
        sides = numbers(item.get("box"), 4) if isinstance(item, dict) else None
        if sides is not None:
            text = item.get("text")
            extra = {key: value for key, value in item.items() if key not in ("text", "box")}
            left, top, wide, high = sides
            box = left, top, max(wide, LEAST[0]), max(high, LEAST[1])
            found.append(Note(number, text if isinstance(text, str) else "", box, extra))
    return found


def noted(graph: Document, *fresh: Note) -> Edit:
    """The edit that adds notes behind those that are there."""
    return SetView(NOTES, [*listed(graph), *(note.as_json() for note in fresh)])


def renoted(graph: Document, changed: Iterable[Note] = (), removed: Collection[int] = ()) -> Edit:
    """The edit that changes or removes notes."""
    made = list(listed(graph))
    for note in changed:
        made[note.number] = note.as_json()
    return SetView(NOTES, [item for number, item in enumerate(made) if number not in removed] or ABSENT)


def shifted(graph: Document, chosen: Collection[int], by: Point) -> list[Edit]:
    """The edits that move notes."""
    moved = [note.moved(*by) for note in notes(graph) if note.number in chosen]
    return [renoted(graph, moved)] if moved else []


def links(text: str) -> Iterator[tuple[int, int]]:
    """Where addresses of the web stand in a text: their beginnings and ends."""
    for found in LINK.finditer(text):
        start, end = found.span()
        while end > start and (text[end - 1] in AFTER or (text[end - 1] == ")" and "(" not in text[start:end])):
            end -= 1
        yield start, end
