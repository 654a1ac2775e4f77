"""The window in which keys are changed: all actions with their keys, and a field that takes new ones."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QKeyCombination, Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from nodeflow_editor.actions import Action, spelled
from nodeflow_editor.keys import Keys, Line, shown
from nodeflow_editor.ranking import Candidate, ranked

SIZE = 620, 560
NAME = Qt.ItemDataRole.UserRole
MODIFIERS = (Qt.Key.Key_Control, Qt.Key.Key_Shift, Qt.Key.Key_Alt, Qt.Key.Key_Meta, Qt.Key.Key_AltGr)


class KeyField(QLineEdit):
    """Takes one key by its being pressed. Tab and Escape leave it, as they leave every field."""

    pressed = Signal(str)
    """The key by its portable name."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, placeholderText="Press the new key here")
        self.setAccessibleName("New key")
        self.key = ""

    def event(self, event: object) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QKeyEvent.Type.ShortcutOverride:
            event.accept()  # it is typed here: no action may answer to it
            return True
        return super().event(event)  # type: ignore[arg-type] # Qt's event

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 # Qt's name
        bare = not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier
        if bare and event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab, Qt.Key.Key_Escape):
            event.ignore()
        elif event.key() not in MODIFIERS:
            made = QKeySequence(QKeyCombination(_held(event), Qt.Key(event.key())))
            self.take(spelled(made.toString()))

    def take(self, key: str) -> None:
        """Shows a key."""
        self.key = key
        self.setText(shown(key))
        self.pressed.emit(key)


class KeysWindow(QDialog):
    """All actions with their keys. What is changed holds at once."""

    def __init__(self, keys: Keys, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys = keys
        self.setWindowTitle("Keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        self.search = QLineEdit(self, placeholderText="Search actions and keys")
        self.search.setAccessibleName("Search actions and keys")
        self.search.setClearButtonEnabled(True)
        self.list = QTreeWidget(self)
        self.list.setAccessibleName("Actions and their keys")
        self.list.setHeaderLabels(["Action", "Keys", "Menu"])
        self.list.setRootIsDecorated(False)
        self.list.setAllColumnsShowFocus(True)
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.about = QLabel(self, wordWrap=True)
        self.field = KeyField(self)
        self.verdict = QLabel(self, wordWrap=True)
        self.verdict.setProperty("dim", True)
        self._buttons()
        self._lay_out()
        self.search.textChanged.connect(self.fill)
        self.list.currentItemChanged.connect(lambda *_: self._show())
        self.field.pressed.connect(self._judge)
        self.fill("")
        self.search.setFocus()

    def _buttons(self) -> None:
        def made(text: str, run: Callable[[], object]) -> QPushButton:
            button = QPushButton(text, self)
            button.setAutoDefault(False)
            button.clicked.connect(run)
            return button

        self.give = made("&Give it this key", self._give)
        self.clear = made("&Take its keys away", self._clear)
        self.reset = made("&Reset", self._reset)
        self.reset_all = made("Reset a&ll", self._reset_all)
        self.leave = made("&Close", self.close)

    def _lay_out(self) -> None:
        entry, foot = QHBoxLayout(), QHBoxLayout()
        entry.addWidget(self.field, 1)
        entry.addWidget(self.give)
        for button in (self.clear, self.reset):
            foot.addWidget(button)
        foot.addStretch(1)
        for button in (self.reset_all, self.leave):
            foot.addWidget(button)
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 12, 12, 12)
        box.setSpacing(8)
        box.addWidget(self.search)
        box.addWidget(self.list, 1)
        box.addWidget(self.about)
        box.addLayout(entry)
        box.addWidget(self.verdict)
        box.addLayout(foot)

    @property
    def chosen(self) -> str:
        """The id of the action that is marked; empty for none."""
        item = self.list.currentItem()
        return item.data(0, NAME) if item is not None else ""

    def choose(self, name: str) -> None:
        """Marks an action."""
        for row in range(self.list.topLevelItemCount()):
            item = self.list.topLevelItem(row)
            if item is not None and item.data(0, NAME) == name:
                self.list.setCurrentItem(item)

    def fill(self, text: str) -> None:
        """Lists the actions that fit what is typed, by words or by a key."""
        before = self.chosen
        wanted = spelled(text) if "+" in text or len(text.strip()) < 3 else ""
        known = self._keys.actions
        named = [Candidate.of(name, _title(action), action.menu, action.help) for name, action in known.items()]
        fit = [name for name in known if wanted and wanted in self._keys.of(name)]
        fit += [item.key for item in ranked(text, named, {}, len(named)) if item.key not in fit]
        self.list.clear()
        for name in fit if text.strip() else known:
            keys = "   ".join(map(shown, self._keys.of(name)))
            item = QTreeWidgetItem([_title(known[name]), keys, known[name].menu or "Canvas"])
            item.setData(0, NAME, name)
            if not self._keys.is_own(name):
                bold = item.font(1)
                bold.setBold(True)
                item.setFont(1, bold)
                item.setText(1, f"{keys}  •" if keys else "none  •")
                item.setToolTip(1, "changed by you")
            self.list.addTopLevelItem(item)
        self.list.resizeColumnToContents(1)
        self.choose(before)
        first = self.list.topLevelItem(0)
        if self.list.currentItem() is None and first is not None:
            self.list.setCurrentItem(first)
        self._show()

    def _show(self) -> None:
        name = self.chosen
        action = self._keys.actions.get(name)
        for button in (self.give, self.clear, self.reset):
            button.setEnabled(action is not None)
        self.reset_all.setEnabled(any(not self._keys.is_own(each) for each in self._keys.actions))
        if action is None:
            self.about.setText("Nothing fits.")
            return
        self.clear.setEnabled(bool(self._keys.of(name)))
        self.reset.setEnabled(not self._keys.is_own(name))
        self.about.setText(Line(_title(action), (), help=action.help).whole)
        self._judge(self.field.key)

    def _judge(self, key: str) -> None:
        """Says who has the key that was pressed."""
        self.give.setEnabled(False)
        if not key:
            self.verdict.setText("Keys without Ctrl or Alt work while the canvas has the focus.")
            return
        holder = self._keys.holder(key, besides=self.chosen)
        self.give.setEnabled(bool(self.chosen) and (holder is None or bool(holder.id)))
        if key in self._keys.of(self.chosen) if self.chosen else False:
            self.give.setEnabled(False)
            self.verdict.setText(f"It has {shown(key)} already.")
        elif holder is None:
            self.verdict.setText(f"{shown(key)} is free.")
        elif holder.id:
            self.verdict.setText(f"{shown(key)} belongs to “{holder.title.rstrip('…')}”, which would lose it.")
        else:
            self.verdict.setText(f"{shown(key)} cannot be had: the canvas needs it. {holder.title}.")

    def _give(self) -> None:
        if self.field.key and self.chosen:
            self._keys.give(self.chosen, self.field.key)
            self._changed()

    def _clear(self) -> None:
        for key in self._keys.of(self.chosen):
            self._keys.take(self.chosen, key)
        self._changed()

    def _reset(self) -> None:
        self._keys.reset(self.chosen)
        self._changed()

    def _reset_all(self) -> None:
        self._keys.reset_all()
        self._changed()

    def _changed(self) -> None:
        self.field.key = ""
        self.field.clear()
        self.fill(self.search.text())

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 # Qt's name
        super().closeEvent(event)
        owner = self.parentWidget()
        if owner is not None:
            owner.window().activateWindow()


def _held(event: QKeyEvent) -> Qt.KeyboardModifier:
    """The modifiers that belong to a key: without Shift where it has already made another sign, as "?" of "/"."""
    held, text = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier, event.text()
    if text.isprintable() and text.strip() and not text.isalpha():
        held &= ~Qt.KeyboardModifier.ShiftModifier
    return held


def _title(action: Action) -> str:
    return action.title.rstrip("…")
