"""The dock of a graph's own things: its title, its name within the file, its parameters and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from nodeflow.edits import Edit, SetTitle
from nodeflow.errors import GraphError
from nodeflow_editor.border import plain
from nodeflow_editor.graph_model import GraphModel, Level
from nodeflow_editor.interface import (
    Side,
    exposed_input,
    opened_output,
    renamed_output,
    renamed_parameter,
    reordered_outputs,
    reordered_parameters,
)  # fmt: skip
from nodeflow_editor.subgraphing import regraphed

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

OFFERED = 60
"""Ports in the menu of those that may be exposed: nobody reads more."""


class KeyedTree(QTreeWidget):
    """A list with keys of its own, which go before the window's while it has the focus."""

    def __init__(self, keys: Mapping[str, Callable[[], None]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys = {QKeySequence(key): run for key, run in keys.items()}

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            run = next((run for key, run in self._keys.items() if key == QKeySequence(event.keyCombination())), None)
            if run is not None:
                event.accept()
                if event.type() == QEvent.Type.KeyPress:
                    run()
                return True
        return super().event(event)


class PortTable(QWidget):
    """The parameters, or the outputs: name and where it leads, with buttons for all that can be done."""

    renamed = Signal(str, str)
    removed = Signal(str)
    reordered = Signal(list)
    gone_to = Signal(str)
    """The node that one leads to is wanted."""
    wanted = Signal(QToolButton)
    """The menu of ports that may be added."""

    def __init__(self, title: str, one: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        keys = {"Ctrl+Up": lambda: self._shift(-1), "Ctrl+Down": lambda: self._shift(1), "Del": self._drop}
        self.tree = KeyedTree(keys, self)
        self.tree.setColumnCount(2)
        self.tree.setHeaderLabels([title, "Leads to" if one == "parameter" else "Taken from"])
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setAccessibleName(title)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.itemChanged.connect(self._edited)
        self.tree.itemActivated.connect(lambda item, _: self.gone_to.emit(item.text(1).partition(".")[0]))
        self.names: list[str] = []
        """As shown, in order."""
        row = QHBoxLayout()
        row.setSpacing(4)
        self.add = self._button("Add", f"Expose a port of the chosen node as {one}", lambda: self.wanted.emit(self.add))
        self.up = self._button("Up", f"Move the {one} up (Ctrl+Up)", lambda: self._shift(-1))
        self.down = self._button("Down", f"Move the {one} down (Ctrl+Down)", lambda: self._shift(1))
        self.drop = self._button("Remove", f"Remove the {one} (Del)", self._drop)
        for button in (self.add, self.up, self.down, self.drop):
            row.addWidget(button)
        row.addStretch(1)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.tree, 1)
        box.addLayout(row)

    def _button(self, text: str, says: str, run: Callable[[], None]) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(says)
        button.setAccessibleName(says.partition(" (")[0])
        button.clicked.connect(run)
        return button

    def show_table(self, table: Mapping[str, str]) -> None:
        """Shows names and places, in order; what was chosen stays chosen."""
        chosen = self.chosen()
        self.tree.blockSignals(True)
        self.tree.clear()
        self.names = list(table)
        for name, place in table.items():
            item = QTreeWidgetItem([name, place])
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            self.tree.addTopLevelItem(item)
            if name == chosen:
                self.tree.setCurrentItem(item)
        self.tree.blockSignals(False)

    def chosen(self) -> str | None:
        """The name in hand."""
        item = self.tree.currentItem()
        row = self.tree.indexOfTopLevelItem(item) if item is not None else -1
        return self.names[row] if 0 <= row < len(self.names) else None

    def choose(self, name: str) -> None:
        """Takes that name in hand."""
        if name in self.names:
            item = self.tree.topLevelItem(self.names.index(name))
            assert item is not None
            self.tree.setCurrentItem(item)

    def _edited(self, item: QTreeWidgetItem, column: int) -> None:
        row = self.tree.indexOfTopLevelItem(item)
        if column == 0:
            old, new = self.names[row], item.text(0).strip()
            if old != new:
                self.renamed.emit(old, new)

    def _drop(self) -> None:
        name = self.chosen()
        if name is not None:
            self.removed.emit(name)

    def _shift(self, step: int) -> None:
        name = self.chosen()
        at = self.names.index(name) if name is not None else -1
        if name is not None and 0 <= at + step < len(self.names):
            order = list(self.names)
            order.insert(at + step, order.pop(at))
            self.reordered.emit(order)


class GraphDock(QWidget):
    """Shows and edits the graph in front. All it does goes through the model."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self._model: GraphModel | None = None
        self._shown: object = None
        self.title, self.name = QLineEdit(self), QLineEdit(self)
        self.title.setPlaceholderText("no title")
        self.title.setAccessibleName("Title of the graph")
        self.name.setAccessibleName("Name of the graph within the file")
        self.parameters = PortTable("Parameters", "parameter", self)
        self.outputs = PortTable("Outputs", "output", self)
        form = QFormLayout()
        form.addRow(QLabel("Title", self), self.title)
        self._name_label = QLabel("Name", self)
        form.addRow(self._name_label, self.name)
        box = QVBoxLayout(self)
        box.addLayout(form)
        box.addWidget(self.parameters, 1)
        box.addWidget(self.outputs, 1)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.title.editingFinished.connect(self._retitle)
        self.name.editingFinished.connect(self._rename)
        sides: tuple[tuple[Side, PortTable], ...] = (("parameter", self.parameters), ("output", self.outputs))
        for side, table in sides:
            table.renamed.connect(lambda old, new, side=side: self._renamed(side, old, plain(new)))
            table.removed.connect(lambda old, side=side: self._renamed(side, old, None))
            table.reordered.connect(lambda order, side=side: self._reordered(side, order))
            table.wanted.connect(lambda button, side=side: self._offer(button, side))
            table.gone_to.connect(self._go)
        window.settling.connect(self._settle)
        window.page_changed.connect(self._turned)
        window.page_opened.connect(self._turned)

    def _turned(self, page: Page | None) -> None:
        if self._model is not None:
            self._model.changed.disconnect(self.refresh)
        self._model = page.model if page is not None else None
        if self._model is not None:
            self._model.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Shows the graph in front, if it is not what is shown already."""
        self.setEnabled(self._model is not None)
        if self._model is None:
            return
        graph, level = self._model.graph, self._model.level
        seen = (graph.title, level, graph.parameters, graph.outputs)
        names = list(graph.parameters), list(graph.outputs)
        if seen == self._shown and names == (self.parameters.names, self.outputs.names):
            return
        self._shown = seen
        self.title.setText(graph.title)
        self.name.setText(level[-1] if level else "")
        self.name.setVisible(bool(level))
        self._name_label.setVisible(bool(level))
        self.parameters.show_table(graph.parameters)
        self.outputs.show_table(graph.outputs)

    def _attempt(self, make: Callable[[GraphModel], Edit], text: str, *, at: Level | None = None) -> None:
        """Makes a change; what is refused is told, and what was typed gives way to what is."""
        if self._model is None:
            return
        try:
            self._model.do(make(self._model), text, at=at)
        except GraphError as error:
            self._window.tell(str(error))
            self._shown = None
            self.refresh()

    def _settle(self) -> None:
        """What is being typed is taken: a save has it."""
        if self.title.hasFocus():
            self._retitle()
        elif self.name.hasFocus():
            self._rename()

    def _retitle(self) -> None:
        text = self.title.text().strip()
        if self._model is not None and text != self._model.graph.title:
            self._attempt(lambda _: SetTitle(text), "Title the graph")

    def _rename(self) -> None:
        model, new = self._model, plain(self.name.text().strip())
        if model is None or not model.level or new == model.level[-1]:
            return
        level = model.level
        model.enter(level[:-1])  # the step belongs to the graph around: to undo it must not end in one that is no more
        self._attempt(lambda model: regraphed(model.graph, level[-1], new), "Rename subgraph")
        model.enter((*level[:-1], new if new in model.graph.graphs else level[-1]))

    def _renamed(self, side: Side, old: str, new: str | None) -> None:
        change = renamed_parameter if side == "parameter" else renamed_output
        around = self._model.level[:-1] if self._model is not None else ()
        self._attempt(
            lambda model: change(model.document, model.level, old, new),
            f"{'Remove' if new is None else 'Rename'} {side}", at=around,
        )  # fmt: skip

    def _reordered(self, side: Side, order: list[str]) -> None:
        change = reordered_parameters if side == "parameter" else reordered_outputs
        self._attempt(lambda model: change(model.graph, order), f"Move {side}")

    def _go(self, node: str) -> None:
        page = self._window.page
        if page is not None and node in page.scene.nodes:
            page.scene.select([node])
            page.view.fit(page.scene.bounds([node]))

    def _offer(self, button: QToolButton, side: Side) -> None:
        self.offered(side).popup(button.mapToGlobal(button.rect().bottomLeft()))

    def offered(self, side: Side) -> QMenu:
        """The menu of ports that chosen nodes have, and that are not exposed yet."""
        menu, page = QMenu(self), self._window.page
        menu.aboutToHide.connect(menu.deleteLater)
        found: list[tuple[str, str]] = []
        if page is not None:
            graph, known = page.model.graph, {*page.model.graph.parameters.values()}
            given = {place if "." in place else f"{place}.out" for place in graph.outputs.values()}
            for node in sorted(page.scene.selection):
                face = page.model.face(node)
                ports = face.inputs if side == "parameter" else face.outputs
                taken = known if side == "parameter" else given
                found += [(node, port.name) for port in ports if f"{node}.{port.name}" not in taken]
        for node, port in found[:OFFERED]:
            action = menu.addAction(f"{node}.{port}")
            action.triggered.connect(lambda _=False, node=node, port=port: self._expose(side, node, port))
        if not found:
            menu.addAction("choose a node first: its ports are listed here").setEnabled(False)
        return menu

    def _expose(self, side: Side, node: str, port: str) -> None:
        if side == "parameter":
            self._attempt(lambda model: exposed_input(model.graph, node, port), "Expose parameter")
        else:
            around = self._model.level[:-1] if self._model is not None else ()
            self._attempt(
                lambda model: opened_output(model.document, model.level, node, port), "Expose output", at=around
            )
