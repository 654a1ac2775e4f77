"""The list of all that is wrong with the graph in front: each leads to its node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHeaderView, QPlainTextEdit, QSplitter, QTreeWidget, QTreeWidgetItem

from nodeflow.document import GRAPH
from nodeflow_editor.faults import SIGNS, Fault
from nodeflow_editor.problems import Problems

if TYPE_CHECKING:
    from nodeflow_editor.graph_model import Level
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

MARKED = 1600
"""Milliseconds that a port is marked to which a problem leads."""
COLOURS = {"error": "bad", "warning": "warning", "note": "dim"}


class ProblemsDock(QObject):
    """The dock and its list; below it the whole of what is chosen, traces included."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, self._problems = window, Problems.of_window(window)
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Where", "What"])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setAccessibleName("Problems")
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.list.header().setStretchLastSection(True)
        self.details = QPlainTextEdit(readOnly=True)
        self.details.setAccessibleName("Details of the problem")
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.addWidget(self.list)
        self.split.addWidget(self.details)
        self.split.setSizes([640, 420])
        self.split.setFocusProxy(self.list)
        self.dock = window.add_dock("problems", "Problems", self.split, Qt.DockWidgetArea.BottomDockWidgetArea)
        self._faults: list[Fault] = []
        self._mark: dict[str, set[str]] | None = None
        self._marked: Page | None = None
        self._unmark = QTimer(self, singleShot=True, interval=MARKED)
        self._unmark.timeout.connect(self._fade)
        self.list.currentItemChanged.connect(lambda *_: self._detail())
        self.list.itemClicked.connect(lambda item, _: self.jump(self._at(item), stay=True))
        self.list.itemActivated.connect(lambda item, _: self.jump(self._at(item), stay=False))
        self.dock.visibilityChanged.connect(lambda _: self.fill())
        self._problems.changed.connect(lambda _: self.fill())
        self._problems.wanted.connect(self.show)
        window.page_changed.connect(lambda _: self.fill())
        window.look_changed.connect(lambda _: self._paint())

    def show(self) -> None:
        """Shows the dock; the keys stay where they are."""
        self.dock.show()
        self.dock.raise_()

    def fill(self) -> None:
        """Shows what is wrong now; what is chosen stays so if it is still there."""
        faults = self._problems.of(self._window.page)
        count = sum(fault.severity != "note" for fault in faults)
        self.dock.setWindowTitle(f"Problems ({count:,})" if count else "Problems")
        self.list.setHeaderLabels(["Where", "What" if faults else "Nothing is wrong with this graph"])
        if faults == self._faults and self.list.topLevelItemCount() == len(faults):
            return
        if not self.dock.isVisible():
            self._faults = []
            self.list.clear()
            return
        chosen = self._chosen()
        self._faults = faults
        self.list.clear()
        self.list.addTopLevelItems([_item(fault) for fault in faults])
        self._paint()
        item = self.list.topLevelItem(faults.index(chosen)) if chosen in faults else None
        if item is not None:
            self.list.setCurrentItem(item)
        self._detail()

    def _paint(self) -> None:
        for index, fault in enumerate(self._faults):
            item = self.list.topLevelItem(index)
            if item is not None:
                item.setForeground(0, QColor(getattr(self._window.look, COLOURS[fault.severity])))

    def _at(self, item: QTreeWidgetItem | None) -> Fault | None:
        index = self.list.indexOfTopLevelItem(item) if item is not None else -1
        return self._faults[index] if 0 <= index < len(self._faults) else None

    def _chosen(self) -> Fault | None:
        return self._at(self.list.currentItem())

    def _detail(self) -> None:
        fault = self._chosen()
        parts = [fault.place, fault.message, fault.cure, fault.trace] if fault is not None else []
        text = "\n\n".join(part for part in parts if part)
        if text != self.details.toPlainText():
            self.details.setPlainText(text)
        self.details.setVisible(fault is not None)

    def jump(self, fault: Fault | None, *, stay: bool) -> None:
        """Goes to the node of a fault and marks its input; `stay`: the keys stay in the list."""
        page = self._window.page
        if fault is None or page is None or fault.node is None:
            return
        level, node = place(page, fault.node)
        if page.model.level != level:
            page.model.enter(level)
        if node not in page.scene.nodes:
            self._window.tell(f'there is no node "{fault.node}" any more')
            return
        page.scene.select([node])
        page.view.fit(page.scene.bounds([node]))
        item = page.scene.nodes[node]
        if fault.port is not None and fault.port in item.measures.inputs:
            self._fade()
            self._mark, self._marked = {node: {f"in:{fault.port}"}}, page
            page.scene.fits = self._mark
            page.scene.update()
            self._unmark.start()
        if not stay:
            page.setFocus()

    def _fade(self) -> None:
        """The mark goes, unless a wire was taken in hand meanwhile, whose ports are marked now."""
        page, mark = self._marked, self._mark
        self._mark = self._marked = None
        if page is not None and self._problems.marks(page) is not None and page.scene.fits is mark:
            page.scene.fits = None
            page.scene.update()


def _item(fault: Fault) -> QTreeWidgetItem:
    where = f"{SIGNS[fault.severity]}  {fault.place or '—'}"
    made = QTreeWidgetItem([where, fault.sentence])
    made.setToolTip(1, f"{fault.message}\n{fault.cure}".strip())
    made.setData(0, Qt.ItemDataRole.AccessibleTextRole, f"{fault.severity}: {fault.place}")
    return made


def place(page: Page, path: str) -> tuple[Level, str]:
    """The level and the node to which a path of nodes leads, as deep as graphs are defined within the file."""
    level: list[str] = []
    graph, parts = page.model.document, path.split("/")
    for part in parts[:-1]:
        entry = graph.nodes.get(part)
        name = entry.type.removeprefix(GRAPH) if entry is not None else ""
        if entry is None or not entry.type.startswith(GRAPH) or name not in graph.graphs:
            return tuple(level), part
        level.append(name)
        graph = graph.graphs[name]
    return tuple(level), parts[-1]


def texts(faults: Sequence[Fault]) -> str:
    """Faults as text, for the clipboard."""
    return "\n".join(f"{fault.place}: {fault.sentence}" if fault.place else fault.sentence for fault in faults)


def attach(window: Window) -> ProblemsDock:
    """Gives a window the list of its problems."""
    return ProblemsDock(window)
