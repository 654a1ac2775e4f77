"""The graph as a list for keyboards and screen readers: nodes with their state in words, below each its inputs.

Rows are made as they come into sight: a graph of 5,000 nodes has 30,000.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from nodeflow.document import NodeEntry
from nodeflow.spec import Port
from nodeflow_editor.canvas.looks import Look, Run
from nodeflow_editor.canvas.node_paint import is_own_name
from nodeflow_editor.canvas.scene import GraphScene
from nodeflow_editor.canvas.values import current, written
from nodeflow_editor.faces import Face
from nodeflow_editor.wire_view import wires_of

Index = QModelIndex | QPersistentModelIndex
TOP = QModelIndex()
SIGNS = {Run.DONE: "done", Run.REUSED: "reused", Run.QUEUED: "waiting"}


def state(entry: NodeEntry, face: Face, look: Look) -> str:
    """How a node stands, in words."""
    parts: list[str] = [entry.mode] if entry.mode else []
    if face.absent:
        parts.append(face.absent)
    fault = next(iter(look.faults.items()), None)
    if look.run is Run.RUNNING:
        parts.append("running" if look.progress is None else f"running, {look.progress:.0%}")
    elif look.run is Run.FAILED:
        parts.append("failed" if fault is None else f"failed: {fault[1]}")
    elif look.run in SIGNS:
        parts.append(SIGNS[look.run])
    if fault is not None and look.run is not Run.FAILED:
        parts.append(f"{fault[0]}: {fault[1]}" if fault[0] else fault[1])
    if look.note:
        parts.append(look.note)
    if look.old:
        parts.append("changed since its run")
    return ", ".join(" ".join(part.split()) for part in parts)


def given(port: Port, inputs: Any) -> str:
    """What an input takes, in words."""
    value, stated = current(port, inputs)
    if wires := wires_of(value):
        return "from " + ", ".join(f"{wire.node}.{wire.output}" for wire in wires)
    if stated:
        return written(value)
    if port.required:
        return "empty, must be given"
    return f"{written(value)} (default)" if port.type.typed_in else "empty"


def stretches(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each stretch of sorted rows without a gap."""
    start = 0
    for at, row in enumerate(rows):
        if at + 1 == len(rows) or rows[at + 1] != row + 1:
            yield rows[start], row
            start = at + 1


class OutlineModel(QAbstractItemModel):
    """Two columns: what it is, and how it stands or what it takes. Top rows are nodes, theirs are inputs."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scene: GraphScene | None = None
        self._nodes: list[str] = []
        self._rows: dict[str, int] = {}
        self._told: dict[str, tuple[Port, ...]] = {}
        """The inputs that Qt has been told of, by node: a node may lose some while they are on show."""
        self._sought = ""

    # --- what it is about

    def show_scene(self, scene: GraphScene | None, sought: str = "") -> None:
        """Lists the nodes of a canvas, or those that a word is found in."""
        self.beginResetModel()
        self._scene, self._sought = scene, sought.casefold()
        nodes: Iterable[str] = scene.model.graph.nodes if scene is not None else ()
        self._nodes = [node for node in nodes if self._fits(node)]
        self._rows = {node: row for row, node in enumerate(self._nodes)}
        self._told = {}
        self.endResetModel()

    def _fits(self, node: str) -> bool:
        if not self._sought or self._scene is None:
            return True
        face = self._scene.model.face(node)
        return any(self._sought in text.casefold() for text in (node, face.title, face.type))

    def refresh(self, nodes: Iterable[str], altered: Collection[str] = ()) -> None:
        """These nodes stand otherwise; those altered take other values, or have other inputs.

        Rows in a row are told of at once: a run of 2,000 nodes took a third of a second one by one.
        """
        rows = sorted(row for node in {*nodes, *altered} if (row := self._rows.get(node)) is not None)
        for first, last in stretches(rows):
            self.dataChanged.emit(self.index(first, 0), self.index(last, 1))
        for node in altered:
            if node in self._told and (row := self._rows.get(node)) is not None:
                top, count = self.index(row, 0), len(self._told[node])
                if self._told[node] != self._inputs(node):
                    self._retell(node, top)
                elif count:
                    self.dataChanged.emit(self.index(0, 0, top), self.index(count - 1, 1, top))

    def _retell(self, node: str, top: QModelIndex) -> None:
        """A node has other inputs than those that are listed below it."""
        if count := len(self._told[node]):
            self.beginRemoveRows(top, 0, count - 1)
            self._told[node] = ()
            self.endRemoveRows()
        if fresh := self._inputs(node):
            self.beginInsertRows(top, 0, len(fresh) - 1)
            self._told[node] = fresh
            self.endInsertRows()

    @property
    def nodes(self) -> list[str]:
        """Those that are listed, in order."""
        return self._nodes

    def row(self, node: str) -> int | None:
        """The row of a node, or None if it is not listed."""
        return self._rows.get(node)

    def place(self, index: Index) -> tuple[str, Port | None] | None:
        """The node of a row, and its input if it is an input's."""
        if not index.isValid() or self._scene is None:
            return None
        parent = index.internalId()
        node = self._nodes[parent - 1 if parent else index.row()]
        return node, self._listed(node)[index.row()] if parent else None

    def _listed(self, node: str) -> tuple[Port, ...]:
        """The inputs below a node, as Qt knows them."""
        if node not in self._told:
            self._told[node] = self._inputs(node)
        return self._told[node]

    def _inputs(self, node: str) -> tuple[Port, ...]:
        known = self._scene is not None and node in self._scene.model.graph.nodes
        return self._scene.model.face(node).inputs if known and self._scene is not None else ()

    # --- Qt's questions

    def index(self, row: int, column: int, parent: Index = TOP) -> QModelIndex:
        if not 0 <= column < 2 or row < 0:
            return QModelIndex()
        if not parent.isValid():
            return self.createIndex(row, column, 0) if row < len(self._nodes) else QModelIndex()
        there = row < len(self._listed(self._nodes[parent.row()]))
        return self.createIndex(row, column, parent.row() + 1) if there else QModelIndex()

    def parent(self, child: Index = TOP) -> QModelIndex:  # type: ignore[override] # Qt has two of this name
        above = child.internalId() if child.isValid() else 0
        return self.createIndex(above - 1, 0, 0) if above else QModelIndex()

    def rowCount(self, parent: Index = TOP) -> int:  # noqa: N802 # Qt's names
        if not parent.isValid():
            return len(self._nodes)
        if parent.internalId() or parent.column() or parent.row() >= len(self._nodes):
            return 0
        return len(self._listed(self._nodes[parent.row()]))

    def columnCount(self, parent: Index = TOP) -> int:  # noqa: ARG002, N802
        return 2

    def hasChildren(self, parent: Index = TOP) -> bool:  # noqa: N802
        return self.rowCount(parent) > 0

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return ("Node", "State")[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        wanted = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole)
        if role not in wanted:
            return None
        place = self.place(index)
        if place is None or self._scene is None or place[0] not in self._scene.model.graph.nodes:
            return None
        name, stands = self._words(*place)
        if role == Qt.ItemDataRole.DisplayRole:
            return stands if index.column() else name
        return f"{name}, {stands}" if stands else name

    def _words(self, node: str, port: Port | None) -> tuple[str, str]:
        scene = self._scene
        assert scene is not None
        entry = scene.model.graph.nodes[node]
        if port is not None:
            return port.name.replace("_", " "), given(port, entry.inputs)
        face = scene.model.face(node)
        name = node if is_own_name(node, face) else f"{node} ({face.title})"
        return name, state(entry, face, scene.look(node))
