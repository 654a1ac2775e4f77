"""A small window to choose from many by typing: nodes, actions, places. The list stays in step with every key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import (
    QAbstractListModel,
    QKeyCombination,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QGuiApplication, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.theme import BODY, SMALL, Palette

WIDE, HIGH, LINE = 420, 380, 30
Index = QModelIndex | QPersistentModelIndex
SHIFT = Qt.KeyboardModifier.ShiftModifier


@dataclass(frozen=True, slots=True)
class Choice:
    """One line: what it is called, a note at its right, a colour at its left, and the sentence that explains it."""

    key: str
    title: str
    note: str = ""
    colour: str = ""
    help: str = ""


class _Lines(QAbstractListModel):
    def __init__(self) -> None:
        super().__init__()
        self.choices: Sequence[Choice] = ()

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: ARG002, N802 # Qt's
        return len(self.choices)

    def data(self, index: Index, role: int = 0) -> object:
        if role == Qt.ItemDataRole.DisplayRole:
            return self.choices[index.row()].title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            found = self.choices[index.row()]
            return f"{found.title}, {found.note}" if found.note else found.title
        return None

    def take(self, choices: Sequence[Choice]) -> None:
        self.beginResetModel()
        self.choices = choices
        self.endResetModel()


class _Painter(QStyledItemDelegate):
    def __init__(self, palette: Palette, lines: _Lines) -> None:
        super().__init__()
        self._palette, self._lines = palette, lines
        self._body, self._small = font(BODY), font(SMALL)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: ARG002, N802 # Qt's
        return QSize(WIDE - 20, LINE)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        choice, look = self._lines.choices[index.row()], self._palette
        box: QRect = option.rect
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if chosen:
            painter.setBrush(QColor(look.accent))
            painter.drawRoundedRect(box.adjusted(4, 1, -4, -1), 4, 4)
        if choice.colour:
            painter.setBrush(QColor(look.on_accent if chosen else choice.colour))
            painter.drawRoundedRect(QRect(box.x() + 12, box.y() + 8, 3, LINE - 16), 1.5, 1.5)
        painter.setFont(self._small)
        painter.setPen(QColor(look.on_accent if chosen else look.dim))
        inner = box.adjusted(24, 0, -14, 0)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inner, int(right), choice.note)
        painter.setFont(self._body)
        painter.setPen(QColor(look.on_accent if chosen else look.text))
        painter.drawText(inner, int(Qt.AlignmentFlag.AlignVCenter), choice.title)


class Chooser(QFrame):
    """A line to type in, the choices that fit below, help at the foot.

    Enter takes the marked one, Shift+Enter takes it with `aside` set, Escape leaves.
    """

    chosen = Signal(str, bool)
    """The key, and whether Shift was held."""
    menu_wanted = Signal(str, QPoint)
    """The menu of a choice is asked for, at a place on the screen."""
    left = Signal()
    """It was closed without a choice."""

    def __init__(
        self, find: Callable[[str], Sequence[Choice]], palette: Palette, hint: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._find, self._took = find, False
        self.setObjectName("chooser")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setStyleSheet(f"#chooser {{ background: {palette.panel}; border: 1px solid {palette.line}; }}")
        self.line = QLineEdit(self, placeholderText=hint)
        self.line.setAccessibleName(hint)
        self.lines = _Lines()
        self.view = QListView(self)
        self.view.setModel(self.lines)
        self.view.setItemDelegate(_Painter(palette, self.lines))
        self.view.setUniformItemSizes(True)
        self.view.setFrameShape(QFrame.Shape.NoFrame)
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.foot = QLabel(self, wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.foot.setProperty("dim", True)
        box = QVBoxLayout(self)
        box.setContentsMargins(8, 8, 8, 8)
        box.addWidget(self.line)
        box.addWidget(self.view, 1)
        box.addWidget(self.foot)
        self.resize(WIDE, HIGH)
        self.line.textChanged.connect(self.search)
        self.line.installEventFilter(self)
        self.view.clicked.connect(lambda index: self._take(self.lines.choices[index.row()].key, aside=False))
        self.view.selectionModel().currentChanged.connect(self._explain)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._ask_menu)
        self.search("")

    def search(self, text: str) -> None:
        """Shows what fits, the best one marked."""
        self.lines.take(self._find(text))
        if self.lines.choices:
            self.view.setCurrentIndex(self.lines.index(0, 0))
        else:
            self.foot.setText(f"nothing fits “{text[:40]}”" if text else "nothing fits")

    def _explain(self, index: QModelIndex) -> None:
        if 0 <= index.row() < len(self.lines.choices):
            self.foot.setText(self.lines.choices[index.row()].help.partition("\n")[0])

    def show_at(self, place: QPoint) -> None:
        """Opens at a place of the screen, moved so that all of it is seen."""
        screen = QGuiApplication.screenAt(place) or QGuiApplication.primaryScreen()
        room = screen.availableGeometry()
        self.move(min(place.x(), room.right() - WIDE), min(place.y(), room.bottom() - HIGH))
        self.show()
        self.line.setFocus(Qt.FocusReason.PopupFocusReason)

    def eventFilter(self, watched: object, event: object) -> bool:  # noqa: ARG002, N802 # Qt's
        if isinstance(event, QKeyEvent) and event.type() == QKeyEvent.Type.KeyPress:
            return self._key(event)
        return False

    def _key(self, event: QKeyEvent) -> bool:
        key, row = event.key(), self.view.currentIndex().row()
        steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 10, Qt.Key.Key_PageUp: -10}
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if 0 <= row < len(self.lines.choices):
                shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
                self._take(self.lines.choices[row].key, aside=shift)
        elif key in steps and self.lines.choices:
            row = min(max(row + steps[Qt.Key(key)], 0), len(self.lines.choices) - 1)
            self.view.setCurrentIndex(self.lines.index(row, 0))
        elif key == Qt.Key.Key_Escape:
            self.close()
        elif key == Qt.Key.Key_Menu or event.keyCombination() == QKeyCombination(SHIFT, Qt.Key.Key_F10):
            self._ask_menu(self.view.visualRect(self.view.currentIndex()).center())
        else:
            return False
        return True

    def _ask_menu(self, spot: QPoint) -> None:
        index = self.view.indexAt(spot)
        if index.isValid():
            self.view.setCurrentIndex(index)
            self.menu_wanted.emit(self.lines.choices[index.row()].key, self.view.viewport().mapToGlobal(spot))

    def _take(self, key: str, *, aside: bool) -> None:
        self._took = True
        self.close()
        self.chosen.emit(key, aside)

    def closeEvent(self, event: object) -> None:  # noqa: N802
        super().closeEvent(event)  # type: ignore[arg-type] # Qt's event
        owner = self.parentWidget()
        if owner is not None:
            owner.window().activateWindow()
        if not self._took:
            self.left.emit()
