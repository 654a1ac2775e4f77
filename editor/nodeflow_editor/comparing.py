"""Two states of a graph compared: each difference in a line, and the node that it is about. Pure, no widget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodeflow.diff import describe, diff
from nodeflow.document import Document
from nodeflow.edits import (
    AddNode,
    Edit,
    Group,
    MoveNodes,
    RemoveNode,
    RenameNode,
    SetInput,
    SetMode,
    SetNode,
    SetOutput,
    SetParameter,
    Within,
)  # fmt: skip
from nodeflow_editor.canvas.looks import Mark
from nodeflow_editor.graph_model import Level


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `sign`: "+" added, "-" removed, "~" changed; `node`: where to look, "" for nowhere.

    picture: whether only the picture of the graph differs, not what it computes.
    """

    sign: str
    text: str
    level: Level = ()
    node: str = ""
    picture: bool = False


def compared(old: Document, new: Document) -> list[Difference]:
    """What leads from `old` to `new`; nodes are named as in `new`."""
    return list(_lines(diff(old, new), ()))


def marks(differences: Iterable[Difference], level: Level) -> dict[str, Mark]:
    """What became of the nodes of one level: those that are new, and those that compute otherwise."""
    found: dict[str, Mark] = {}
    for each in differences:
        if each.level == level and each.node and not each.picture:
            if each.sign == Mark.ADDED.value:
                found[each.node] = Mark.ADDED
            else:
                found.setdefault(each.node, Mark.CHANGED)
    return found


def _lines(edits: Iterable[Edit], level: Level) -> Iterator[Difference]:
    for edit in edits:
        if isinstance(edit, Within):
            yield from _lines((edit.edit,), (*level, edit.graph))
        elif isinstance(edit, Group):
            yield from _lines(edit.edits, level)
        else:
            yield _line(edit, level)


def _line(edit: Edit, level: Level) -> Difference:
    where = "".join(f'in graph "{name}": ' for name in level)
    text = where + describe(edit)
    match edit:
        case AddNode(node):
            return Difference("+", text, level, node)
        case RemoveNode():
            return Difference("-", text, level)
        case RenameNode(_, name):
            return Difference("~", text, level, name)
        case SetNode(node) | SetInput(node) | SetMode(node):
            return Difference("~", text, level, node)
        case SetParameter(_, str(place)) | SetOutput(_, str(place)):
            return Difference("~", text, level, place.partition(".")[0], picture=True)
        case MoveNodes(positions):
            one = next(iter(positions)) if len(positions) == 1 else ""
            return Difference("~", text, level, one, picture=True)
        case _:
            return Difference("~", text, level)
