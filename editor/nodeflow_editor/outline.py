"""The dock of the outline: what is chosen here is chosen on the canvas, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QItemSelectionRange, QModelIndex, Qt, QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLineEdit, QTreeView, QVBoxLayout, QWidget

from nodeflow_editor.canvas.scene import GraphScene
from nodeflow_editor.graph_model import Change
from nodeflow_editor.outline_model import OutlineModel, stretches
from nodeflow_editor.wire_view import wires_of

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

SOON = 120
"""Milliseconds in which changes are gathered: a run tells of many nodes at once."""
FLAG = QItemSelectionModel.SelectionFlag


class Outline(QWidget):
    """Lists the graph in front. It follows only while it is seen."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self._page: Page | None = None
        self._stale, self._choosing = True, False
        self._touched: set[str] = set()
        self._altered: set[str] = set()
        self.model = OutlineModel(self)
        self.field, self.tree = QLineEdit(self), QTreeView(self)
        self.field.setPlaceholderText("Find nodes")
        self.field.setAccessibleName("Find nodes by id, title or type")
        self.field.setClearButtonEnabled(True)
        self.tree.setModel(self.model)
        self.tree.setUniformRowHeights(True)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setAccessibleName("Outline of the graph")
        self.tree.setExpandsOnDoubleClick(False)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.tree.header().resizeSection(0, 150)
        self.tree.header().setMinimumSectionSize(40)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        box = QVBoxLayout(self)
        box.setContentsMargins(6, 6, 6, 6)
        box.addWidget(self.field)
        box.addWidget(self.tree, 1)
        self._later = QTimer(self, singleShot=True)
        self._later.timeout.connect(self._follow)
        self.field.textChanged.connect(lambda: self._again())
        self.field.returnPressed.connect(self._to_first)
        self.tree.activated.connect(self.go)
        self.tree.selectionModel().selectionChanged.connect(lambda: self._chosen())
        window.page_changed.connect(self.turn)
        window.page_opened.connect(self.turn)

    @property
    def _scene(self) -> GraphScene | None:
        return self._page.scene if self._page is not None else None

    def turn(self, page: Page | None) -> None:
        """Lists another graph."""
        if page is self._page:
            return
        if self._page is not None:
            self._page.model.changed.disconnect(self._changed)
            self._page.scene.look_changed.disconnect(self._looked)
            self._page.scene.selection_changed.disconnect(self._choose)
        self._page = page
        if page is not None:
            page.model.changed.connect(self._changed)
            page.scene.look_changed.connect(self._looked)
            page.scene.selection_changed.connect(self._choose)
        self._again()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 # Qt's name
        super().showEvent(event)
        self._follow()

    def _changed(self, change: Change) -> None:
        if change.whole or change.added or change.removed:
            self._again()
        else:
            self._altered.update(change.altered)
            self._later.start(SOON)

    def _looked(self, node: str) -> None:
        self._touched.add(node)
        if not self._later.isActive():
            self._later.start(SOON)

    def _again(self) -> None:
        self._stale = True
        self._later.start(0)

    def _follow(self) -> None:
        """Shows what has changed, if anybody can see it."""
        if not self.isVisible():
            return
        if self._stale:
            self._stale = False
            opened = [
                node for row, node in enumerate(self.model.nodes) if self.tree.isExpanded(self.model.index(row, 0))
            ]
            self.model.show_scene(self._scene, self.field.text().strip())
            for node in opened:
                if (row := self.model.row(node)) is not None:
                    self.tree.setExpanded(self.model.index(row, 0), True)
            self._choose()
        else:
            self.model.refresh(self._touched, self._altered)
        self._touched.clear()
        self._altered.clear()

    # --- what is chosen

    def _choose(self) -> None:
        """Takes over what is chosen on the canvas."""
        scene = self._scene
        if scene is None or self._choosing or not self.isVisible() or self._stale:
            return
        rows = sorted(row for node in scene.selection if (row := self.model.row(node)) is not None)
        found = QItemSelection()
        for first, last in stretches(rows):
            found.select(self.model.index(first, 0), self.model.index(last, 1))
        self._choosing = True
        self.tree.selectionModel().select(found, FLAG.ClearAndSelect)
        if len(rows) == 1:
            index = self.model.index(rows[0], 0)
            if self.model.place(self.tree.currentIndex()) is None or self._node_in_hand() not in scene.selection:
                self.tree.selectionModel().setCurrentIndex(index, FLAG.NoUpdate)
            self.tree.scrollTo(index)
        self._choosing = False

    def _node_in_hand(self) -> str:
        place = self.model.place(self.tree.currentIndex())
        return place[0] if place is not None else ""

    def _chosen(self) -> None:
        """Chooses on the canvas what is chosen here; an input stands for its node."""
        scene = self._scene
        if scene is None or self._choosing or self._stale:
            return
        nodes: set[str] = set()
        spans = cast(Iterable[QItemSelectionRange], self.tree.selectionModel().selection())
        for span in spans:
            above = span.parent()
            if above.isValid():
                nodes.add(self.model.nodes[above.row()])
            else:
                nodes.update(self.model.nodes[span.top() : span.bottom() + 1])
        self._choosing = True
        scene.select(nodes)
        self._choosing = False

    def _to_first(self) -> None:
        if self.model.nodes:
            self._follow()
            self.tree.setFocus(Qt.FocusReason.OtherFocusReason)
            self.tree.setCurrentIndex(self.model.index(0, 0))

    def go(self, index: QModelIndex) -> None:
        """Goes to a node, to the node that an input takes, or edits the input's value."""
        place, page = self.model.place(index), self._page
        if place is None or page is None or place[0] not in page.scene.nodes:
            return
        node, port = place
        value = page.model.graph.nodes[node].inputs.get(port.name) if port is not None else None
        wires = [wire.node for wire in wires_of(value) if wire.node in page.scene.nodes]
        if port is None or wires:
            there = wires[0] if wires else node
            page.scene.select([there])
            page.view.fit(page.scene.bounds([there]))
        elif port.type.typed_in:
            page.scene.select([node])
            page.view.fit(page.scene.bounds([node]))
            page.setFocus()
            page.view.value_wanted.emit(node, port.name)
