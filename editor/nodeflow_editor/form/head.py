"""The top of the form: what is chosen, its id, type, version and help."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.graph_model import GraphModel
from nodeflow_editor.theme import TITLE


class Head(QWidget):
    """One node's title, id and help; of several, how many there are of each type."""

    renamed = Signal(str)
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._node = ""
        self.title = QLabel(wordWrap=True)
        self.title.setFont(font(TITLE + 2, bold=True))
        self.name = QLineEdit()
        self.name.setAccessibleName("Id")
        self.name.setToolTip("The node's id: what wires, parameters and --set name")
        self.name.editingFinished.connect(self._typed)
        self.name.textEdited.connect(lambda: self.refuse(on=False))
        self.name.installEventFilter(self)
        label = QLabel("Id")
        label.setBuddy(self.name)
        self.kind, self.help, self.why = QLabel(wordWrap=True), QLabel(wordWrap=True), QLabel(wordWrap=True)
        for said in (self.title, self.kind, self.help, self.why):
            said.setTextFormat(Qt.TextFormat.PlainText)  # files and plugins say it: no HTML is read from them
        self.kind.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for dim in (label, self.kind, self.help):
            dim.setProperty("dim", True)
        self._line = QWidget()
        line = QHBoxLayout(self._line)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(label)
        line.addWidget(self.name, 1)
        self.why.setProperty("fault", True)
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 12, 12, 10)
        box.setSpacing(6)
        for widget in (self.title, self._line, self.kind, self.help, self.why):
            box.addWidget(widget)

    def take(self, model: GraphModel | None, nodes: Sequence[str], fault: str) -> None:
        """Shows nodes, and what is wrong with them as a whole."""
        self.why.setText(f"✕ {fault}" if fault else "")
        self.why.setVisible(bool(fault))
        if model is None or not nodes:
            return
        self._line.setVisible(len(nodes) == 1)
        if len(nodes) > 1:
            self._several(model, nodes)
            return
        (node,) = nodes
        face, entry = model.face(node), model.graph.nodes[node]
        self.title.setText(face.title)
        if node != self._node or not self.name.hasFocus():
            self.name.setText(node)
            self.refuse(on=False)
        self._node = node
        mode = f" · {entry.mode}" if entry.mode else ""
        self.kind.setText(f"{entry.type} · version {entry.version}{mode}")
        told = face.absent or face.help
        self.help.setText(told.partition("\n\n")[0])
        self.help.setVisible(bool(told))
        self.help.setToolTip(told)
        self.help.setWhatsThis(told)

    def _several(self, model: GraphModel, nodes: Sequence[str]) -> None:
        self._node = ""
        counts: dict[str, int] = {}
        for node in nodes:
            title = model.face(node).title
            counts[title] = counts.get(title, 0) + 1
        self.title.setText(f"{len(nodes)} nodes")
        listed = [f"{title} × {count}" if count > 1 else title for title, count in list(counts.items())[:8]]
        self.kind.setText(", ".join(listed) + (", …" if len(counts) > 8 else ""))
        self.help.setText("What they share is set for all of them.")
        self.help.show()

    def _typed(self) -> None:
        name = self.name.text().strip()
        if self._node and name != self._node and not self.name.property("invalid"):
            self.renamed.emit(name)

    def settle(self) -> None:
        """Tells an id that is being typed."""
        if self.name.hasFocus():
            self._typed()

    def refuse(self, *, on: bool = True) -> None:
        """Marks an id that cannot be."""
        if bool(self.name.property("invalid")) != on:
            self.name.setProperty("invalid", on)
            self.name.style().unpolish(self.name)
            self.name.style().polish(self.name)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 # Qt's
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            if self.name.text() == self._node:
                self.left.emit()
            self.name.setText(self._node)
            self.refuse(on=False)
            return True
        return False
