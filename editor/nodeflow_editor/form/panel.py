"""The form of the chosen nodes. It shows what the document has, and changes it by edits that can be undone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from nodeflow.document import Input
from nodeflow.edits import Edit, RenameNode
from nodeflow.errors import GraphError
from nodeflow.types import fault
from nodeflow_editor import seeds
from nodeflow_editor.form.head import Head
from nodeflow_editor.form.row_widget import RowWidget
from nodeflow_editor.form.rows import FormRow, resetting, rows, setting
from nodeflow_editor.graph_model import Change
from nodeflow_editor.page import Page
from nodeflow_editor.value_text import Typed, parsed, span

FIRST, MORE = 24, 6
"""Rows that are made at once, and with each turn after: 300 at once took half a second."""
WIDTH = 316
"""Least width in pixels: a seed's row has a number, a die, a list and a way back."""
FEW = 12
"""Rows up to which nobody looks for one by its name."""
OWN = (Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.MetaModifier)


class FormPanel(QWidget):
    """What the dock holds."""

    went = Signal(str)
    """A node is to be shown: "node.output"."""
    marked = Signal(object, object)
    """The button of a row was pressed: the FormRow, and what it is to call with the text chosen."""
    left = Signal()

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell
        self.page: Page | None = None
        self.nodes: tuple[str, ...] = ()
        self.shown: list[RowWidget] = []
        self._waiting: list[FormRow] = []
        self._shapes: list[object] = []
        self._faults: dict[str, str] = {}
        self.head = Head()
        self.head.renamed.connect(self._rename)
        self.head.left.connect(self.left)
        self.search = QLineEdit(placeholderText="Find an input", clearButtonEnabled=True)
        self.search.setAccessibleName("Find an input")
        self.search.textChanged.connect(self._sift)
        self.hint = QLabel("Choose a node to see its inputs.", wordWrap=True)
        self.hint.setProperty("dim", True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.area = QScrollArea(widgetResizable=True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._inner, self._list = QWidget(), QVBoxLayout()
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        finding = QHBoxLayout()
        finding.setContentsMargins(12, 0, 12, 6)
        finding.addWidget(self.search)
        box.addWidget(self.head)
        box.addLayout(finding)
        box.addWidget(self.hint)
        box.addWidget(self.area, 1)
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self.refresh)
        self._next = QTimer(self, singleShot=True, interval=0)
        self._next.timeout.connect(self._go_on)
        self.setMinimumWidth(WIDTH)
        self.refresh()

    def show_page(self, page: Page | None) -> None:
        """Follows another graph."""
        if self.page is page:
            return
        self.settle()
        if self.page is not None:
            self.page.scene.selection_changed.disconnect(self._selected)
            self.page.scene.look_changed.disconnect(self._looked)
            self.page.model.changed.disconnect(self._changed)
        self.page = page
        if page is not None:
            page.scene.selection_changed.connect(self._selected)
            page.scene.look_changed.connect(self._looked)
            page.model.changed.connect(self._changed)
        self._later()

    def _later(self) -> None:
        """Many changes come at once; they are shown once, and not while nobody sees it."""
        self._soon.start()

    def _selected(self) -> None:
        self.settle()  # what is being typed is meant for the nodes that were chosen
        self._later()

    def _changed(self, change: Change) -> None:
        if change.whole or change.view or {*change.altered, *change.removed} & set(self.nodes):
            self._later()

    def _looked(self, node: str) -> None:
        if node in self.nodes:
            self._later()

    def showEvent(self, event: object) -> None:  # noqa: N802 # Qt's name
        super().showEvent(event)  # type: ignore[arg-type] # Qt's event
        self._later()

    def refresh(self) -> None:
        """Shows the chosen nodes as they are now."""
        page = self.page
        if page is not None and not self.isVisible():
            return
        graph = page.model.graph if page is not None else None
        chosen = page.scene.selection if page is not None else set()
        nodes = tuple(node for node in graph.nodes if node in chosen) if graph is not None else ()
        found = rows(graph, page.model.face, nodes) if page is not None and graph is not None else []
        self._faults = self._gathered(nodes)
        shapes: list[object] = [row.shape for row in found]
        if shapes != self._shapes:
            self._rebuild(nodes, found, shapes)
        else:
            self.nodes = nodes
            for widget, row in zip(self.shown, found, strict=False):
                if (row, self._fault(row)) != (widget.row, widget.faults):
                    widget.take(row, self._fault(row))
            self._waiting = found[len(self.shown) :]
        self.head.take(page.model if page is not None else None, nodes, self._faults.get("", ""))
        self.head.setVisible(bool(nodes))
        self.hint.setVisible(not found)
        self.hint.setText("These nodes share no inputs." if len(nodes) > 1 else "This node has no inputs." if nodes
                          else "Choose a node to see its inputs.")  # fmt: skip
        self.search.setVisible(len(found) > FEW)

    def _rebuild(self, nodes: tuple[str, ...], found: list[FormRow], shapes: list[object]) -> None:
        kept = self.area.verticalScrollBar().value() if nodes == self.nodes else 0
        focused = self._focused()
        held = focused.row if focused is not None else None
        if nodes != self.nodes:
            self.search.blockSignals(True)
            self.search.clear()
            self.search.blockSignals(False)
        self.nodes, self._shapes, self._waiting = nodes, shapes, found
        self.shown = []
        self._inner = QWidget()
        self._list = QVBoxLayout(self._inner)
        self._list.setContentsMargins(0, 4, 0, 12)
        self._list.setSpacing(0)
        self._list.addStretch(1)
        self._make(max(FIRST, kept and len(found)))
        old = self.area.takeWidget()
        if old is not None:  # perhaps one of its fields is telling what was typed at this moment
            old.hide()
            old.deleteLater()
        self.area.setWidget(self._inner)
        if kept:
            self._inner.adjustSize()
            self.area.verticalScrollBar().setValue(kept)
        if held is not None and nodes == self.nodes:
            self._focus(held)

    def _focus(self, held: FormRow) -> None:
        """Gives the keys back to the row that had them."""
        for widget in self.shown:
            if (widget.row.name, widget.row.inner) == (held.name, held.inner) and widget.editor is not None:
                widget.editor.setFocus()

    def _make(self, count: int) -> None:
        fresh, self._waiting = self._waiting[:count], self._waiting[count:]
        for row in fresh:
            widget = RowWidget(row, self._fault(row))
            widget.reset.connect(partial(self._reset, widget))
            widget.went.connect(self.went)
            if widget.editor is not None:
                made = widget.editor
                made.typed.connect(partial(self._typed, widget))
                made.chosen.connect(partial(self._chosen, widget))
                made.slid.connect(partial(self._slid, widget))
                made.kept.connect(partial(self._keep, widget))
                made.stepped.connect(partial(self._step, widget))
                made.marked.connect(partial(self._mark, widget))
                made.left.connect(self.left)
            self._list.insertWidget(self._list.count() - 1, widget)
            if not self._sought(widget):
                widget.hide()
            self.shown.append(widget)
        if self._waiting:
            self._next.start()

    def _go_on(self) -> None:
        self._make(MORE)

    def _sought(self, widget: RowWidget) -> bool:
        return self.search.text().lower().strip() in f"{widget.row.title} {widget.row.name}".lower()

    def _sift(self) -> None:
        for widget in self.shown:
            widget.setVisible(self._sought(widget))

    def _gathered(self, nodes: tuple[str, ...]) -> dict[str, str]:
        """What checking found at these nodes, by input; "" for the nodes themselves."""
        told: dict[str, list[str]] = {}
        if self.page is not None:
            for node in nodes:
                for name, text in self.page.scene.look(node).faults.items():
                    told.setdefault(name, []).append(f"{node}: {text}" if len(nodes) > 1 else text)
        return {name: "\n".join(texts[:4]) for name, texts in told.items()}

    def _fault(self, row: FormRow) -> str:
        return self._faults.get(row.name, "") if not row.inner else ""  # a form's stands at its own row

    def _do(self, edit: Edit, text: str, merge: str = "") -> bool:
        """Changes the graph on show; what it refuses is told. Returns whether it was done."""
        if self.page is None:
            return False
        try:
            self.page.model.do(edit, text, merge=merge)
        except GraphError as error:
            self._tell(str(error))
            return False
        return True

    def _set(self, widget: RowWidget, read: Callable[[Input], Typed], merge: str = "") -> None:
        """Sets a row for all its nodes, or says why not."""
        if self.page is None:
            return
        edit, why = setting(self.page.model.graph, self.page.model.face, widget.row, read)
        if edit is not None:
            self._do(edit, f"Set {widget.row.title}", merge)
        if why:
            widget.refuse(why)
        elif edit is None:
            widget.take(widget.row, self._fault(widget.row))  # "25.0" is the 25 that stands there

    def _typed(self, widget: RowWidget, text: str) -> None:
        self._set(widget, lambda before: parsed(widget.row.port.type, text, before))

    def _chosen(self, widget: RowWidget, value: Input) -> None:
        self._set(widget, lambda _: Typed(value))

    def _slid(self, widget: RowWidget, value: Input, pull: int) -> None:
        self._set(widget, lambda _: Typed(value), f"form:{pull}:{widget.row.name}.{widget.row.inner}:{self.nodes}")

    def _step(self, widget: RowWidget, by: int) -> None:
        port = widget.row.port

        def read(before: Input) -> Typed:
            if type(before) not in (int, float):
                return Typed(before)
            found = span(port, before)
            value = found.rounded(before + by * float(found.step))
            return Typed(before) if fault(port.type, value) else Typed(value)

        self._set(widget, read)

    def _mark(self, widget: RowWidget) -> None:
        if widget.row.port.widget == "seed":
            self._set(widget, lambda _: Typed(seeds.drawn(widget.row.port)))
        else:
            self.marked.emit(widget.row, partial(self._chosen, widget))

    def _keep(self, widget: RowWidget, then: str) -> None:
        if self.page is not None:
            places = [(node, widget.row.name) for node in widget.row.nodes]
            self._do(seeds.kept(self.page.model.graph, places, then), f"Set {widget.row.title} to {then}")

    def _reset(self, widget: RowWidget) -> None:
        edit = resetting(self.page.model.graph, widget.row) if self.page is not None else None
        if edit is not None:
            self._do(edit, f"Reset {widget.row.title}")

    def _rename(self, name: str) -> None:
        if self.page is None or len(self.nodes) != 1:
            return
        (node,) = self.nodes
        if not self._do(RenameNode(node, name), "Rename node"):
            self.head.refuse()

    def settle(self) -> None:
        """Takes what is being typed."""
        focused = self._focused()
        if focused is not None and focused.editor is not None:
            focused.editor.settle()
        self.head.settle()

    def _focused(self) -> RowWidget | None:
        """The row that has the keys."""
        focus = QApplication.focusWidget()
        return next((widget for widget in self.shown if widget.isAncestorOf(focus)), None) if focus else None

    def event(self, event: QEvent) -> bool:
        """Plain keys are the form's: Tab, arrows and letters have other uses on the canvas."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            plain = not any(event.modifiers() & key for key in OWN)
            if plain and not Qt.Key.Key_F1 <= event.key() <= Qt.Key.Key_F35:
                event.accept()
                return True
        return super().event(event)
