"""A document as Qt sees it: signals of what changed, and undo of every edit. What is true stays in the document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, Wire, read, save
from nodeflow.edits import Edit, Within
from nodeflow.errors import GraphError, Problem
from nodeflow.jsontext import MAX_BYTES
from nodeflow_editor.faces import Face, face

Level = tuple[str, ...]
"""Names of graphs defined within the file, from the outermost: where in it one stands. () is the file's own graph."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the graph on show. `view`: frames or dots; `whole`: another graph, or all may be different."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    view: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A wire as it is drawn: from an output to an input, and which of the input's several it is."""

    source: str
    output: str
    node: str
    port: str
    index: int = 0

    @property
    def key(self) -> str:
        """Its name in the view's "dots": the input, and its number where it is not the first."""
        return f"{self.node}.{self.port}" + (f".{self.index}" if self.index else "")


@dataclass(slots=True)
class _Seen:
    """A graph file that was read for its face, and when it was written."""

    stamp: tuple[int, int]
    document: Document | None = field(default=None)


class GraphModel(QObject):
    """One file that is open: its document, the level on show, its undo stack. Every change goes through `do`."""

    changed = Signal(object)
    """Change of the graph on show."""
    level_changed = Signal(object)
    document_changed = Signal()
    """Anything of the file, other levels included: what checks, backups and titles follow."""
    file_changed = Signal()

    def __init__(
        self, document: Document, catalog: Catalog, file: Path | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.catalog, self.file = document, catalog, file
        self.level: Level = ()
        self.undo = QUndoStack(self)
        self._faces: dict[str, tuple[NodeEntry, Face]] = {}
        self._files: dict[Path, _Seen] = {}
        self._taken: dict[str, set[str]] | None = None

    @property
    def graph(self) -> Document:
        """The graph on show."""
        return at_level(self.document, self.level)

    @property
    def folder(self) -> Path:
        """Where the files of its subgraphs are looked for."""
        return self.file.parent if self.file else Path.cwd()

    def do(self, edit: Edit, text: str, *, merge: str = "", at: Level | None = None) -> None:
        """Changes the graph on show, so that it can be undone.

        Args:
            edit: the change.
            text: what the menu calls it: "Move 3 nodes".
            merge: two edits in a row of the same name become one step; both must set the same things.
            at: where it is made, if not in the graph on show, which stays on show.

        Raises:
            GraphError: the edit does not suit the graph. Nothing has changed.
        """
        whole = reduce(lambda inner, name: Within(name, inner), reversed(self.level if at is None else at), edit)
        after, back = whole.apply(self.document)
        self.undo.push(_Step(self, whole, back, after, text, merge))

    def enter(self, level: Level) -> None:
        """Shows another graph of the file.

        Raises:
            GraphError: there is none of that name.
        """
        at_level(self.document, level)
        if level != self.level:
            self.level = level
            self._forget()
            self.level_changed.emit(level)
            self.changed.emit(Change(whole=True))

    def become(self, document: Document, level: Level) -> None:
        """Takes another state of the document. For the undo stack; everybody else calls `do`."""
        old = self.graph if level == self.level else None
        self.document = document
        if old is None:
            self.level = level
            self._forget()
            self.level_changed.emit(level)
            self.changed.emit(Change(whole=True))
        else:
            self.changed.emit(self._compared(old, self.graph))
        self.document_changed.emit()

    def _compared(self, old: Document, new: Document) -> Change:
        if old.graphs is not new.graphs:
            self._forget()
        before, after = old.nodes, new.nodes
        added: tuple[str, ...] = ()
        removed: tuple[str, ...] = ()
        altered: tuple[str, ...] = ()
        if before is not after:
            self._taken = None
            added = tuple(node for node in after if node not in before)
            removed = tuple(node for node in before if node not in after)
            altered = tuple(node for node, entry in after.items() if before.get(node, entry) is not entry)
        if old.graphs is not new.graphs:
            altered = tuple(node for node in after if node not in added)
        places, placed = positions(old), positions(new)
        moved = tuple(node for node, place in placed.items() if places.get(node) != place and node in after)
        drawn = any(old.view.get(key) is not new.view.get(key) for key in {*old.view, *new.view} - {"nodes"})
        return Change(added, removed, altered, moved, drawn)

    def take_catalog(self, catalog: Catalog) -> None:
        """Takes other node types: plugins were found, or switched off."""
        self.catalog = catalog
        self._forget()
        self.changed.emit(Change(whole=True))

    def _forget(self) -> None:
        self._faces.clear()
        self._taken = None

    def face(self, node: str) -> Face:
        """What is to be drawn of a node of the graph on show."""
        entry = self.graph.nodes[node]
        known = self._faces.get(node)
        if known is not None and known[0] is entry and not known[1].absent:
            return known[1]
        made = face(entry, self.catalog, self.subgraph, self.taken(node))
        self._faces[node] = entry, made
        return made

    def taken(self, node: str) -> set[str]:
        """The outputs of a node that others take."""
        if self._taken is None:
            self._taken = {}
            for entry in self.graph.nodes.values():
                for _, wire in entry.wires():
                    self._taken.setdefault(wire.node, set()).add(wire.output)
        return self._taken.get(node, set())

    def subgraph(self, name: str) -> Document | None:
        """The graph that nodes of type "graph:NAME" stand for at this level: defined here, or in a file beside."""
        inner = self.graph.graphs.get(name)
        if inner is not None:
            return inner
        path = self.folder / name
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if not path.resolve().is_relative_to(self.folder.resolve()) or stat.st_size > MAX_BYTES:
                return None
            seen = self._files.get(path)
            if seen is None or seen.stamp != stamp:
                seen = self._files[path] = _Seen(stamp)
                seen.document = read(path)
        except (OSError, ValueError, GraphError):
            return None
        return seen.document

    def links(self, nodes: Iterable[str] | None = None) -> Iterator[Link]:
        """The wires into these nodes, or into all."""
        graph = self.graph
        for node in graph.nodes if nodes is None else nodes:
            yield from links_into(node, graph.nodes[node])

    def save(self, path: Path | None = None) -> None:
        """Writes the file, whole or not at all.

        Raises:
            GraphError: it cannot be written there; the message says what to do.
        """
        target = path or self.file
        assert target is not None, "a graph without a file is saved under a name"
        save(self.document, target)
        if self.file != target:
            self.file = target
            self._forget()
            self.file_changed.emit()
        self.undo.setClean()


class _Step(QUndoCommand):
    """An edit on the undo stack. It keeps what changed, not documents."""

    def __init__(self, model: GraphModel, edit: Edit, back: Edit, after: Document, text: str, merge: str) -> None:
        super().__init__(text)
        self._model, self._edit, self._back, self._merge = model, edit, back, merge
        self._after: Document | None = after
        self._level = model.level

    def redo(self) -> None:
        after, self._after = self._after or self._edit.change(self._model.document), None
        self._model.become(after, self._level)

    def undo(self) -> None:
        self._model.become(self._back.change(self._model.document), self._level)

    def id(self) -> int:
        return 1 if self._merge else -1

    def mergeWith(self, other: QUndoCommand) -> bool:  # noqa: N802 # Qt's name
        if not isinstance(other, _Step) or (other._merge, other._level) != (self._merge, self._level):
            return False
        self._edit = other._edit
        return True


def at_level(document: Document, level: Level) -> Document:
    """The graph of that level.

    Raises:
        GraphError: there is none.
    """
    for name in level:
        if name not in document.graphs:
            raise GraphError(Problem(f'there is no graph "{name}" in this file'))
        document = document.graphs[name]
    return document


def links_into(node: str, entry: NodeEntry) -> Iterator[Link]:
    """The wires into a node."""
    for port, value in entry.inputs.items():
        if type(value) is Wire:
            yield Link(value.node, value.output, node, port)
        elif type(value) is list:
            for index, item in enumerate(value):
                if type(item) is Wire:
                    yield Link(item.node, item.output, node, port, index)


def positions(graph: Document) -> Mapping[str, list[float]]:
    """Where nodes stand, by id; what is no position is left out."""
    placed = graph.view.get("nodes")
    return placed if isinstance(placed, dict) else {}


def position(graph: Document, node: str) -> tuple[float, float] | None:
    """Where a node stands, or None if the file does not say so."""
    place = positions(graph).get(node)
    if not isinstance(place, list) or len(place) != 2 or not all(type(part) in (int, float) for part in place):
        return None
    return float(place[0]), float(place[1])


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """A node's id that nobody has: "sample", else "sample_2", ..."""
    names = set(taken)
    if wanted not in names:
        return wanted
    number = 2
    while f"{wanted}_{number}" in names:
        number += 1
    return f"{wanted}_{number}"
