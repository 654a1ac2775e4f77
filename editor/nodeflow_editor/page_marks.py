"""A page's nodes as its last run and its faults have them: told by paths, shown at the level on show."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QImage

from nodeflow.document import GRAPH, Document, NodeEntry
from nodeflow_editor.batches import MOST, Batch, Grid, sheet
from nodeflow_editor.canvas.looks import Look, Run
from nodeflow_editor.canvas.metrics import WIDTH
from nodeflow_editor.faults import Fault
from nodeflow_editor.graph_model import Change
from nodeflow_editor.run_marks import PageRun, Renaming, Shown, Told, members, outdated, owner, shown, ways

if TYPE_CHECKING:
    from nodeflow_editor.page import Page

SIDE = round(2 * WIDTH)
"""Pixels of a picture's longest side on a node: sharp at 200 %."""
ROOM = 192 * 2**20
"""Bytes of pictures that a page's nodes may have; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a node shows: a picture, or the first of `count` side by side."""

    image: QImage
    count: int = 1
    grid: Grid | None = None


def _drawn(batch: Batch) -> Drawn:
    first = batch.pictures[0]
    if batch.count > 1:
        grid = Grid.of(min(len(batch.pictures), MOST), first.height() / first.width())
        return Drawn(sheet(batch.pictures, grid, SIDE), batch.count, grid)
    if max(first.width(), first.height()) > SIDE:
        first = first.scaled(SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio,
                             Qt.TransformationMode.SmoothTransformation)  # fmt: skip
    return Drawn(first)


def _give(look: Look, drawn: Drawn | None) -> None:
    """Has a node show that."""
    look.picture = drawn.image if drawn is not None else None
    look.count, look.grid = (drawn.count, drawn.grid) if drawn is not None else (1, None)


class PageMarks(QObject):
    """Gives the page's scene what runs and checks say. It knows every level; the scene the one on show."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._page, self._scene, self._model = page, page.scene, page.model
        self.run: PageRun | None = None
        """The run whose marks are shown: the last that began."""
        self._faults: Sequence[Fault] = ()
        self._faulty: set[str] = set()
        self._pictures: OrderedDict[str, Drawn] = OrderedDict()
        self._bytes = 0
        self._made_by: dict[str, Document] = {}
        """The graph that each picture comes from: the last run need not have made them all anew."""
        self._old: set[str] = set()
        self._ways = ways(self._model.document, self._model.level)
        self._parts: dict[str, dict[str, Told]] = {}
        self._members: dict[str, int] = {}
        self._model.level_changed.connect(self._moved)
        self._model.changed.connect(self._followed)

    # --- what is told

    def begin(self, run: PageRun) -> None:
        """Another run of the page begins: the marks of the one before go, pictures stay until there are others."""
        touched = set(self._parts)
        self.run, self._parts, self._old = run, {}, set()
        run.going = True
        for path in run.parents:
            run.of(path)
        self._gather()
        self.refresh(touched | set(self._parts))

    def told(self, path: str) -> None:
        """Something was told of a node."""
        node = owner(path, self._ways)
        if node is not None and self.run is not None:
            self._parts.setdefault(node, {})[path] = self.run.of(path)
            self.refresh((node,))

    def end(self) -> None:
        """The run is over."""
        if self.run is not None:
            self.run.close()
            touched = set(self._parts)
            self._parts = {}
            self._gather()
            self.refresh(touched)
            self.age()

    def picture(self, path: str, batch: Batch, document: Document) -> None:
        """Pictures of a node came, from a run of that graph: they are kept as small as a node shows them."""
        if not batch.pictures or batch.pictures[0].isNull():
            return
        made = _drawn(batch)
        self._made_by[path] = document
        before = self._pictures.pop(path, None)
        self._pictures[path] = made
        self._bytes += made.image.sizeInBytes() - (before.image.sizeInBytes() if before is not None else 0)
        while self._bytes > ROOM and len(self._pictures) > 1:
            gone, dropped = self._pictures.popitem(last=False)
            self._made_by.pop(gone, None)
            self._bytes -= dropped.image.sizeInBytes()
            self._show(gone, None)
        self._show(path, made)
        if document is not self._model.document or owner(path, self._ways) in self._old:
            self.age()

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """What is wrong with the page's nodes."""
        self._faults = faults
        self._spread()

    def _spread(self) -> None:
        told = self._by_node()
        for node in {*told, *self._faulty}:
            look, faults = self._scene.look(node), told.get(node, {})
            if look.faults != faults:
                look.faults = faults
                self._scene.remarked((node,))
        self._faulty = set(told)

    def age(self) -> None:
        """Finds out which results are of an older state of the graph."""
        before, self._old = self._old, self._outdated()
        self.refresh(before ^ self._old)
        if before != self._old:
            self._spread()

    def _outdated(self) -> set[str]:
        """Nodes on show whose marks, or pictures where they have no marks, are of another state of the graph."""
        document, level = self._model.document, self._model.level
        known: dict[int, set[str]] = {id(document): set()}

        def since(old: Document) -> set[str]:
            if id(old) not in known:
                known[id(old)] = outdated(old, document, level)
            return known[id(old)]

        found = since(self.run.document) & self._parts.keys() if self.run is not None else set()
        for path, made_by in self._made_by.items():
            node = owner(path, self._ways)
            if node is not None and node not in self._parts and node in since(made_by):
                found.add(node)
        return found

    def tick(self) -> None:
        """Time has passed: nodes at work show how long they have been, and those that no one waits for wait no more."""
        if self.run is not None and self.run.targets:
            for path in self.run.needless():
                node = owner(path, self._ways)
                if node in self._parts:
                    self._parts[node].pop(path, None)
                    self.refresh((node,))
        working = [
            node for node, parts in self._parts.items() if any(told.run is Run.RUNNING for told in parts.values())
        ]
        self.refresh(working)

    def outdated(self, path: str) -> bool:
        """Whether a node on show, or in one on show, has been changed since its run."""
        return owner(path, self._ways) in self._old

    # --- how it is shown

    def refresh(self, nodes: Iterable[str]) -> None:
        """Shows the marks of these nodes; those that look as before are left alone."""
        now, changed, moved, far = time.monotonic(), [], [], False
        for node in nodes:
            look, made = self._scene.look(node), self._shown(node, now)
            old = node in self._old
            if (look.run, look.note, look.old) != (made.run, made.note, old):
                changed.append(node)
                far = far or (look.run is Run.FAILED) != (made.run is Run.FAILED)
            elif look.progress != made.progress:
                moved.append(node)
            look.run, look.progress, look.note, look.old = made.run, made.progress, made.note, old
        if changed:
            self._scene.remarked(changed, far=far)
        for node in moved:
            self._scene.progressed(node)

    def _shown(self, node: str, now: float) -> Shown:
        parts = self._parts.get(node)
        entry = self._model.graph.nodes.get(node)
        if not parts or entry is None or self.run is None:
            return Shown()
        if node not in self._members:
            self._members[node] = members(entry.type, self._model.graph, self._model.subgraph)
        return shown(parts, not entry.type.startswith(GRAPH), self.run.going, self._members[node], now)

    def _show(self, path: str, drawn: Drawn | None) -> None:
        node = owner(path, self._ways)
        if node is None:
            return
        look = self._scene.look(node)
        room = look.proportion
        _give(look, drawn)
        if look.proportion == room:
            self._scene.remarked((node,), far=False)
        else:
            self._scene.looked(node)

    def _by_node(self) -> dict[str, dict[str, str]]:
        """The faults of the nodes on show, by input: a graph's node has those of its nodes as its own."""
        found: dict[str, dict[str, str]] = {}
        for fault in self._faults:
            node = owner(fault.node, self._ways) if fault.node is not None and fault.severity != "note" else None
            if node is None or fault.node is None or (fault.ran and node in self._old):
                continue
            inner = next(fault.node[len(way) :] for way in self._ways if fault.node.startswith(way))
            deep = inner != node
            port = "" if deep else fault.port or ""
            told = f"{inner}: {fault.sentence}" if deep else fault.sentence
            known = found.setdefault(node, {})
            known[port] = f"{known[port]}\n{told}" if port in known else told
        return found

    def _gather(self) -> None:
        """Sorts what the run has told by the nodes on show."""
        self._parts, self._members = {}, {}
        for path, told in self.run.told.items() if self.run is not None else ():
            node = owner(path, self._ways)
            if node is not None:
                self._parts.setdefault(node, {})[path] = told

    def _moved(self) -> None:
        """Another level is on show: its nodes get their own looks before they are drawn."""
        self._ways = ways(self._model.document, self._model.level)
        self._scene.forget_looks()
        self._gather()
        self._old = self._outdated()
        now = time.monotonic()
        for node in {*self._parts, *self._old}:
            look, made = self._scene.look(node), self._shown(node, now)
            look.run, look.progress, look.note, look.old = made.run, made.progress, made.note, node in self._old
        for path, drawn in self._pictures.items():
            holder = owner(path, self._ways)
            if holder is not None:
                _give(self._scene.look(holder), drawn)
        told = self._by_node()
        self._faulty = set(told)
        for node, faults in told.items():
            self._scene.look(node).faults = faults

    def renamed(self, renaming: Renaming) -> None:
        """Nodes have other ids: what is known of them is theirs still. The run knows it already."""
        self._pictures = OrderedDict(renaming.table(self._pictures))
        documents = {id(document): document for document in self._made_by.values()}
        documents = {key: renaming.document(document) for key, document in documents.items()}
        self._made_by = renaming.table({path: documents[id(made_by)] for path, made_by in self._made_by.items()})
        if renaming.level == self._model.level:
            self._gather()
            self._old, self._faulty = ({renaming.names.get(node, node) for node in nodes}
                                       for nodes in (self._old, self._faulty))  # fmt: skip
            fresh = set(renaming.names.values())
            for path, drawn in self._pictures.items():
                if (node := owner(path, self._ways)) in fresh:
                    _give(self._scene.look(node), drawn)
            self.refresh(fresh)
            for node in fresh:
                self._scene.looked(node)

    def _followed(self, change: Change) -> None:
        if change.whole or any(entry.type.startswith(GRAPH) for entry in self._entries(change)):
            self._ways = ways(self._model.document, self._model.level)
            self._members.clear()
            self._gather()

    def _entries(self, change: Change) -> Iterable[NodeEntry]:
        nodes = self._model.graph.nodes
        return (nodes[node] for node in (*change.added, *change.altered) if node in nodes)
