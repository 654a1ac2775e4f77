"""A document as Qt sees it: signals of what changed, and undo of every edit. What is true stays in the document."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import count
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from nodeflow.catalog import Catalog
from nodeflow.document import GRAPH, Document, NodeEntry, Wire, read, save
from nodeflow.edits import Edit, Patch, Within
from nodeflow.errors import GraphError, Problem
from nodeflow.jsontext import MAX_BYTES
from nodeflow_editor.canvas.metrics import numbers
from nodeflow_editor.faces import Face, face
from nodeflow_editor.wire_view import Settled, named

LONGEST = 64
"""Characters of an id at most: see nodeflow.document.ID."""
Level = tuple[str, ...]
"""Names of graphs defined within the file, from the outermost: where in it one stands. () is the file's own graph."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the graph on show. `view`: frames, dots, portals; `whole`: another graph, or all may be different.

    renamed: new ids by old ones, of nodes that are the same but for them; these are in `added` and `removed` as well.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    view: bool = False
    whole: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)


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
        """Its name in the view's "dots" and "portals": the input, and its number where it is not the first."""
        return named(self.node, self.port, self.index)


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
    renamed = Signal(object, object)
    """After `changed`: the level of nodes that were renamed, and their new ids by the old ones."""
    document_changed = Signal()
    """Anything of the file, other levels included: what checks, backups and titles follow."""
    file_changed = Signal()
    stepped = Signal()
    """The undo stack tells what it is after a change: while the other signals come, it is still as it was before."""

    def __init__(
        self, document: Document, catalog: Catalog, file: Path | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document, self.catalog, self.file = document, catalog, file
        self.level: Level = ()
        self.undo = QUndoStack(self)
        self.undo.indexChanged.connect(self.stepped)
        self._kinds: dict[str, Face] = {}
        """The faces of installed types, which all nodes of one share."""
        self._faces: dict[str, tuple[NodeEntry, Face]] = {}
        """Those of nodes that stand for graphs."""
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
        own: Edit = (
            edit if isinstance(edit, Patch) else Settled(edit)
        )  # a patch says all that becomes of the view itself
        whole = reduce(lambda inner, name: Within(name, inner), reversed(self.level if at is None else at), own)
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
        before, after = _found(self.document, level), at_level(document, level)
        self.document = document
        names = renamed(before.nodes, after.nodes) if before is not None else {}
        if level == self.level and before is not None:
            self.changed.emit(self._compared(before, after, names))
        else:
            self.level = level
            self._forget()
            self.level_changed.emit(level)
            self.changed.emit(Change(whole=True))
        if names:
            self.renamed.emit(level, names)
        self.document_changed.emit()

    def _compared(self, old: Document, new: Document, names: Mapping[str, str]) -> Change:
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
            # what stands for a graph may have other ports; to draw all nodes anew took a second at 10,000
            standing = tuple(node for node, entry in after.items() if entry.type.startswith(GRAPH) and node in before)
            for node in standing:
                self._faces.pop(node, None)
            altered = tuple(dict.fromkeys((*altered, *standing)))
        places, placed = positions(old), positions(new)
        moved = tuple(node for node, place in placed.items() if places.get(node) != place and node in after)
        drawn = any(old.view.get(key) is not new.view.get(key) for key in {*old.view, *new.view} - {"nodes"})
        return Change(added, removed, altered, moved, drawn, renamed=names)

    def take_catalog(self, catalog: Catalog) -> None:
        """Takes other node types: plugins were found, or switched off."""
        self.catalog = catalog
        self._forget()
        self.changed.emit(Change(whole=True))

    def _forget(self) -> None:
        self._kinds.clear()
        self._faces.clear()
        self._taken = None

    def face(self, node: str) -> Face:
        """What is to be drawn of a node of the graph on show."""
        entry = self.graph.nodes[node]
        shared = self._kinds.get(entry.type)
        if shared is not None:
            return shared
        known = self._faces.get(node)
        if known is not None and known[0] is entry:
            return known[1]
        made = face(entry, self.catalog, self.subgraph)
        if made.absent:  # all that is known of its outputs: to look at all wires after each edit took 50 ms at 10,000
            return face(entry, self.catalog, self.subgraph, self.taken(node))
        if made.graph:
            self._faces[node] = entry, made
        else:
            self._kinds[entry.type] = made
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


def renamed(before: Mapping[str, NodeEntry], after: Mapping[str, NodeEntry]) -> dict[str, str]:
    """The new ids of nodes by their old ones. An entry of the file that went and came is one and the same object."""
    if before is after or before.keys() == after.keys():
        return {}
    gone = {id(entry): node for node, entry in before.items() if node not in after}
    came = [(node, entry) for node, entry in after.items() if node not in before] if gone else []
    return {gone[id(entry)]: node for node, entry in came if id(entry) in gone}


def _found(document: Document, level: Level) -> Document | None:
    try:
        return at_level(document, level)
    except GraphError:
        return None


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
    """Where the file says that nodes stand, by id; `position` judges each."""
    placed = graph.view.get("nodes")
    return placed if isinstance(placed, dict) else {}


def position(graph: Document, node: str) -> tuple[float, float] | None:
    """Where a node stands, or None if the file does not say so."""
    place = numbers(positions(graph).get(node), 2)
    return (place[0], place[1]) if place is not None else None


def free_name(wanted: str, taken: Container[str]) -> str:
    """An id or a name that nobody has: "sample", else "sample_2", ... It is no longer than a file allows."""
    if wanted not in taken:
        return wanted
    for number in count(2):
        ending = f"_{number}"
        name = wanted[: LONGEST - len(ending)] + ending
        if name not in taken:
            return name
    raise AssertionError("numbers do not end")
