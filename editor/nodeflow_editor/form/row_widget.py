"""A row of the form: the input's name, what sets it, where it comes from, what is wrong with it."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.form.editors import Editor, editor
from nodeflow_editor.form.rows import FormRow, State, editing, typed_in
from nodeflow_editor.theme import BODY
from nodeflow_editor.value_text import Way

NAMES = 106
"""Width of the column of names."""


@cache
def _bold() -> QFont:
    return font(BODY, bold=True)


@cache
def _plain() -> QFont:
    return font(BODY)


class RowWidget(QWidget):
    """Shows a FormRow. A given value has its name in bold and a button that resets it; a default has neither."""

    reset = Signal()
    went = Signal(str)
    """The wire's other end is to be shown: "node.output"."""

    def __init__(self, row: FormRow, faults: str = "") -> None:
        super().__init__()
        self.row = row
        self.editor: Editor | None = None
        self.goes: list[QPushButton] = []
        self.faults = ""
        self.name = QLabel(wordWrap=True)
        self.name.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.name.setToolTip(row.port.help)
        self.name.setWhatsThis(row.port.help or "This input has no help.")
        self.why = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.why.setProperty("fault", True)
        self.why.hide()
        self.back = QToolButton()
        self.back.setText("↺")
        self.back.setProperty("small", True)
        self.back.clicked.connect(self.reset)
        policy = self.back.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.back.setSizePolicy(policy)
        self._middle: QBoxLayout = QHBoxLayout()
        self._middle.setContentsMargins(0, 0, 0, 0)
        self._fill()
        self._lay_out()
        self.take(row, faults)

    def _fill(self) -> None:
        row = self.row
        if row.state is State.WIRED:
            self._middle = QVBoxLayout()
            self._middle.setContentsMargins(0, 0, 0, 0)
        elif typed_in(row):
            self.editor = editor(row)
            self.editor.mended.connect(lambda: self._say(self.faults))
            self._middle.addWidget(self.editor, 1)
            self.name.setBuddy(self.editor.field_widget)
        else:
            nothing = QLabel("must be wired" if row.port.required else "not wired")
            nothing.setProperty("dim", True)
            self._middle.addWidget(nothing, 1)

    def _lay_out(self) -> None:
        box = QVBoxLayout(self)
        box.setContentsMargins(12 if not self.row.inner else 26, 3, 8, 3)
        box.setSpacing(3)
        line = QHBoxLayout()
        line.setSpacing(6)
        wide = self.editor is not None and editing(self.row) is Way.AREA
        line.addWidget(self.name, 1 if wide else 0)
        if wide:
            line.addWidget(self.back)
            box.addLayout(line)
            box.addLayout(self._middle)
        else:
            self.name.setFixedWidth(NAMES if not self.row.inner else NAMES - 14)
            line.addLayout(self._middle, 1)
            line.addWidget(self.back)
            box.addLayout(line)
        box.addWidget(self.why)

    def take(self, row: FormRow, faults: str) -> None:
        """Shows a row of the same shape, and what is wrong with it."""
        if self.editor is not None and row.nodes != self.row.nodes:
            self.editor.forget()
        self.row, self.faults = row, faults
        wanted = row.state is State.MISSING
        self.name.setText(f"{row.title} •" if wanted else row.title)
        given = row.state in (State.GIVEN, State.WIRED)
        self.name.setFont(_bold() if given else _plain())
        told = "several values" if row.several else row.state.value
        if row.then:
            told += f", with each run {row.then}"
        self.name.setToolTip("\n\n".join(part for part in (row.port.help, f"{row.port.type}: {told}") if part))
        self.name.setAccessibleDescription(told)
        if self.back.isHidden() == given:
            self.back.setVisible(given)
        what = "Cut the wire" if row.state is State.WIRED else "Reset to default"
        self.back.setToolTip(what)
        self.back.setAccessibleName(f"{row.title}: {what.lower()}")
        if self.editor is not None:
            self.editor.take(row)
        elif row.state is State.WIRED:
            self._wires()
        self._say(faults)

    def _wires(self) -> None:
        """A button for each wire, which leads to where it comes from."""
        if [made.property("source") for made in self.goes] == list(self.row.sources):
            return
        for made in self.goes:
            self._middle.removeWidget(made)
            made.deleteLater()
        self.goes = []
        for source in self.row.sources:
            made = QPushButton(f"← from {source}")
            made.setProperty("source", source)
            made.setProperty("leads", True)
            made.setToolTip("Go there")
            made.setMinimumWidth(60)
            made.setAccessibleName(f"{self.row.title}: from {source}, go there")
            made.clicked.connect(lambda _=False, source=source: self.went.emit(source))
            self._middle.addWidget(made)
            self.goes.append(made)

    def refuse(self, why: str) -> None:
        """Marks what was typed, with the reason."""
        if self.editor is not None:
            self.editor.refuse(why)
        self._say(why or self.faults)

    def _say(self, text: str) -> None:
        self.why.setText(f"✕ {text}" if text else "")
        if self.why.isHidden() == bool(text):
            self.why.setVisible(bool(text))
