"""The widgets that set a value in the form. Each tells what was typed or chosen; what becomes of it is the form's."""

from __future__ import annotations

from itertools import count

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QKeySequence, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from nodeflow_editor import seeds
from nodeflow_editor.form.rows import FormRow, State, editing
from nodeflow_editor.long_text import LongText
from nodeflow_editor.value_text import Way, choices, field_text, is_current, span, way

SEVERAL = "several"
PULLS = count(1)
"""Numbers of pulls at sliders: steps of one are one step of undo, and two of two sliders never are."""
TICKS = 1000
"""Places of a slider at most."""
MARKS = {"seed": ("⚄", "New random seed"), "file": ("…", "Choose a file"), "model": ("▾", "Choose a model"),
         "colour": ("", "Choose a colour")}  # fmt: skip
STEPS = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1, Qt.Key.Key_PageUp: 10, Qt.Key.Key_PageDown: -10}


class Editor(QWidget):
    """One input's."""

    typed = Signal(str)
    """A text that is to be read as a value."""
    chosen = Signal(object)
    slid = Signal(object, int)
    """A value on the way, and the number of the pull that it belongs to."""
    marked = Signal()
    """The button at the right was pressed: a die, three dots, an arrow, a swatch."""
    kept = Signal(str)
    """What is to become of a seed with each run."""
    stepped = Signal(int)
    """The number is to change by so many steps."""
    mended = Signal()
    """What was refused is being typed anew."""
    left = Signal()
    """Escape, with nothing to give up: the keys go back to the canvas."""

    def __init__(self, row: FormRow) -> None:
        super().__init__()
        self.row = row
        self.lines = QVBoxLayout(self)
        self.lines.setContentsMargins(0, 0, 0, 0)
        self.lines.setSpacing(4)
        self.box = QHBoxLayout()
        self.box.setSpacing(4)
        self.lines.addLayout(self.box)

    @property
    def field_widget(self) -> QWidget:
        """What takes the keys."""
        return self.focusProxy() or self

    def add(self, widget: QWidget, stretch: int = 0) -> None:
        """Puts a widget at the right; it takes the keys."""
        self.setFocusProxy(widget)
        widget.setAccessibleName(self.row.title)
        widget.setToolTip(self.row.port.help)
        widget.setWhatsThis(self.row.port.help or "This input has no help.")
        self.box.addWidget(widget, stretch)

    def take(self, row: FormRow) -> None:
        """Shows a row as it is now."""
        self.row = row

    def settle(self) -> None:
        """Tells what was typed, if it has not been told."""

    def forget(self) -> None:
        """Gives up what was typed: other nodes are shown."""

    def refuse(self, why: str) -> None:
        """Marks what was typed; an empty sentence takes the mark away."""
        widget = self.field_widget
        widget.setAccessibleDescription(why)
        if bool(widget.property("invalid")) != bool(why):
            widget.setProperty("invalid", bool(why))
            widget.style().unpolish(widget)
            widget.style().polish(widget)


class Line(QLineEdit):
    """Has its events watched only while it has the keys: of 300 lines at once that took a quarter of the time."""

    def __init__(self, watcher: QObject) -> None:
        super().__init__()
        self._watcher = watcher

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 # Qt's name
        super().focusInEvent(event)
        self.installEventFilter(self._watcher)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        super().focusOutEvent(event)
        self.removeEventFilter(self._watcher)


class TextEditor(Editor):
    """A line, or an area for long texts and JSON. Told when Enter is pressed, or the keys go elsewhere."""

    def __init__(self, row: FormRow, *, area: bool = False) -> None:
        super().__init__(row)
        self._shown, self._told, self._refused = "", "", ""
        self.field: QLineEdit | LongText
        if area:
            self.field = LongText(prompt=way(row.port) is Way.AREA)
            self.field.setFixedHeight(92)
            self.field.installEventFilter(self)
        else:
            self.field = Line(self)
            self.field.setMinimumWidth(48)
            self.field.setMaxLength(2**24)
            self.field.returnPressed.connect(self.settle)
        self.add(self.field, 1)
        self.field.textChanged.connect(self._mended)
        if row.port.widget in MARKS:
            self.mark = _button(*MARKS[row.port.widget], row.title)
            self.mark.clicked.connect(self.marked)
            self.box.addWidget(self.mark)
        self.then: QComboBox | None = None
        if row.port.widget == "seed":
            self.then = Choices()
            self.then.setAccessibleName(f"{row.title}: with each run")
            for choice in seeds.THEN:
                self.then.addItem(choice)
                self.then.setItemData(self.then.count() - 1, seeds.TITLES[choice], Qt.ItemDataRole.ToolTipRole)
            self.then.activated.connect(lambda index: self.kept.emit(seeds.THEN[index]))
            label = QLabel("each run")
            label.setProperty("dim", True)
            below = QHBoxLayout()
            below.addWidget(label)
            below.addWidget(self.then, 1)
            self.lines.addLayout(below)

    def take(self, row: FormRow) -> None:
        super().take(row)
        text = "" if row.several else field_text(row.value)
        if self.then is not None:
            self.then.setCurrentIndex(seeds.THEN.index(row.then or seeds.FIXED))
            self.then.setToolTip(seeds.TITLES[row.then or seeds.FIXED])
        absent = "must be given" if row.state is State.MISSING else "none" if row.value is None else ""
        self.field.setPlaceholderText(SEVERAL if row.several else absent)
        if row.port.widget == "colour":
            self.mark.setStyleSheet(_swatch(text))
        typing = self.field.hasFocus() and self.field.text() not in (self._shown, self._told)
        if text == self._shown and (typing or self._refused):
            return  # somebody is typing, and the value is still the one that was there
        self._shown = self._told = text
        self._refused = ""
        if isinstance(self.field, LongText):
            if self.field.text() != text:
                self.field.show_text(text)
            self.field.document().clearUndoRedoStacks()
        else:
            self.field.setText(text)
            if not self.field.hasFocus():
                self.field.setCursorPosition(0)
        self.refuse("")

    def settle(self) -> None:
        text = self.field.text()
        if text not in (self._shown, self._refused):
            self._told = text
            self.typed.emit(text)

    def forget(self) -> None:
        self._told, self._refused = self.field.text(), ""

    def refuse(self, why: str) -> None:
        self._refused = self.field.text() if why else ""
        super().refuse(why)

    def _mended(self) -> None:
        if self._refused:
            self.refuse("")
            self.mended.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 # Qt's
        kind = event.type()
        if kind == QEvent.Type.FocusOut:
            self.settle()
        elif kind == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            return self._passes(event)
        elif kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._key(event)
        return False

    def _passes(self, event: QKeyEvent) -> bool:
        """Whether undo means the graph's: nothing was typed that could be taken back here."""
        if not event.matches(QKeySequence.StandardKey.Undo) and not event.matches(QKeySequence.StandardKey.Redo):
            return False
        if self.field.text() != self._shown:
            return False
        event.ignore()
        return True

    def _key(self, event: QKeyEvent) -> bool:
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape:
            if self.field.text() == self._shown:
                self.left.emit()
            elif isinstance(self.field, LongText):
                self.field.show_text(self._shown)
            else:
                self.field.setText(self._shown)
            return True
        if key in STEPS and editing(self.row) is Way.NUMBER:
            self.settle()
            self.stepped.emit(STEPS[key])
            return True
        return False


class Toggle(Editor):
    """On, off, or both."""

    def __init__(self, row: FormRow) -> None:
        super().__init__(row)
        self.check = QCheckBox()
        self.add(self.check)
        self.box.addStretch(1)
        self.check.clicked.connect(lambda: self.chosen.emit(self.check.checkState() != Qt.CheckState.Unchecked))

    def take(self, row: FormRow) -> None:
        super().take(row)
        self.check.setTristate(row.several)
        on = Qt.CheckState.Checked if row.value is True else Qt.CheckState.Unchecked
        self.check.setCheckState(Qt.CheckState.PartiallyChecked if row.several else on)
        self.check.setText(SEVERAL if row.several else "on" if row.value is True else "off")


class Choices(QComboBox):
    """A list that the wheel scrolls past."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(3)
        self.setMinimumWidth(72)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 # Qt's name
        event.ignore()


class Choose(Editor):
    """One of several."""

    def __init__(self, row: FormRow) -> None:
        super().__init__(row)
        self.list = Choices()
        self._known = choices(row.port.type)
        self.list.addItems([title for title, _ in self._known])
        self.add(self.list, 1)
        self.list.activated.connect(lambda index: self.chosen.emit(self._known[index][1]))

    def take(self, row: FormRow) -> None:
        super().take(row)
        places = (index for index, (_, value) in enumerate(self._known) if is_current(row.value, value))
        self.list.setPlaceholderText(SEVERAL if row.several else field_text(row.value) or "choose")
        self.list.setCurrentIndex(-1 if row.several else next(places, -1))


class _Bar(QSlider):
    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 # Qt's name
        event.ignore()


class Slider(TextEditor):
    """A number between two ends: pulled or typed."""

    def __init__(self, row: FormRow) -> None:
        super().__init__(row)
        self._pull = next(PULLS)
        self._range = span(row.port, row.value)
        self._low, high = self._range.low or 0.0, self._range.high or 1.0
        self._wide = high - self._low
        self.bar = _Bar(Qt.Orientation.Horizontal)
        self.bar.setRange(0, max(1, min(TICKS, round(self._wide / float(self._range.step)))))
        self.bar.setAccessibleName(f"{row.title}, slider")
        self.bar.setToolTip(row.port.help)
        self.field.setMaximumWidth(84)
        self.bar.setMinimumWidth(40)
        self.box.insertWidget(0, self.bar, 1)
        self.bar.sliderPressed.connect(self._began)
        self.bar.valueChanged.connect(self._moved)

    def _began(self) -> None:
        self._pull = next(PULLS)

    def _moved(self, place: int) -> None:
        self.slid.emit(self._range.rounded(self._low + place * self._wide / self.bar.maximum()), self._pull)

    def take(self, row: FormRow) -> None:
        super().take(row)
        if type(row.value) in (int, float):
            self.bar.blockSignals(True)
            self.bar.setValue(round((self._range.held(float(row.value)) - self._low) / self._wide * self.bar.maximum()))
            self.bar.blockSignals(False)


def editor(row: FormRow) -> Editor:
    """The widget for a row."""
    match editing(row):
        case Way.TOGGLE:
            return Toggle(row)
        case Way.CHOICE:
            return Choose(row)
        case Way.NUMBER if row.port.widget == "slider" and _bounded(row):
            return Slider(row)
        case Way.AREA:
            return TextEditor(row, area=True)
        case _:
            return TextEditor(row)


def _bounded(row: FormRow) -> bool:
    found = span(row.port, row.value)
    return found.low is not None and found.high is not None and found.high > found.low


def _button(text: str, help_: str, name: str) -> QToolButton:
    made = QToolButton()
    made.setText(text)
    made.setToolTip(help_)
    made.setAccessibleName(f"{name}: {help_.lower()}")
    made.setProperty("small", True)
    return made


def _swatch(text: str) -> str:
    colour = QColor(text) if len(text) < 64 else QColor()
    return f"background: {colour.name()}; padding: 3px 10px;" if colour.isValid() else "padding: 3px 10px;"
