"""What an empty graph shows: what to press, graphs to begin with, files opened last. It goes with the first node."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPointF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QMouseEvent, QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QFrame, QGridLayout, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from nodeflow_editor import examples
from nodeflow_editor.canvas.pens import font
from nodeflow_editor.files import Files
from nodeflow_editor.keys import shown
from nodeflow_editor.theme import LARGE

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

WIDE, HIGH = 196, 92
"""Pixels that an example's picture may have."""
EDGE = QColor(128, 128, 128, 110)
BESIDE = 40
"""Pixels of its edges, left and right together."""
LETTERS = 30
"""Letters in a line of an example's title."""
ACROSS = 3
"""Examples in a row."""
RECENT = 3
"""Files opened last that are shown."""
LINES = (
    ("create.add", "add a node: type what it does — or double-click here"),
    ("file.open", "open a graph, or a picture that carries one — or drop it here, workflows of ComfyUI too"),
    ("create.command", "find any command by typing"),
    ("help.keys", "all keys, and what the mouse does"),
)
"""What can be done here, by the action that does it."""
MOUSE = frozenset((
    QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.MouseButtonDblClick,
    QEvent.Type.MouseMove,
))  # fmt: skip


class Beginning(QFrame):
    """Stands in the middle of an empty canvas. Presses beside its buttons are the canvas's, as if it were not there."""

    def __init__(self, window: Window, page: Page) -> None:
        super().__init__(page.view)
        self._window, self._page = window, page
        self.setMouseTracking(True)
        self.cards: list[QToolButton] = []
        self._caps: list[QLabel] = []
        self._sentences: list[QLabel] = []
        box = QVBoxLayout(self)
        box.setSpacing(14)
        title = QLabel("An empty graph", self, alignment=Qt.AlignmentFlag.AlignHCenter)
        title.setFont(font(LARGE, bold=True))
        box.addWidget(title)
        self._words = self._lines()
        box.addLayout(self._words)
        self.examples = self._examples()
        box.addWidget(self.examples)
        self.recent = self._recent()
        box.addWidget(self.recent)
        page.view.viewport().installEventFilter(self)
        page.model.document_changed.connect(self.settle)
        page.model.changed.connect(lambda _: self.settle())
        self.settle()

    def _lines(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        for row, (name, text) in enumerate(LINES):
            action = self._window.actions_table.made[name]
            cap = QLabel(shown(action.shortcut().toString()), self)
            cap.setProperty("cap", True)
            cap.setVisible(not action.shortcut().isEmpty())
            what = QLabel(text, self)
            what.setProperty("dim", True)
            what.setWordWrap(True)
            self._caps.append(cap)
            self._sentences.append(what)
            grid.addWidget(cap, row, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(what, row, 1)
        return grid

    def _examples(self) -> QWidget:
        """Pictures that open the graph which made them, and the way to all examples."""
        part = QWidget(self)
        grid = QGridLayout(part)
        grid.setContentsMargins(0, 6, 0, 0)
        grid.setSpacing(8)
        place = examples.folder()
        shown_here = [one for one in examples.examples(place) if one.picture is not None] if place is not None else []
        for example in shown_here[: 2 * ACROSS]:
            card = _button(
                _in_two_lines(example.title), partial(Files.of(self._window).open, example.file, own=False), part
            )
            card.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            card.setIcon(_picture(example.picture or Path(), self.devicePixelRatioF()))
            card.setIconSize(QSize(WIDE, HIGH))
            card.setAccessibleName(example.title)
            card.setToolTip(f"Open a copy of {example.file.name}; Ctrl+Enter runs it")
            self.cards.append(card)
        if not self.cards:
            part.hide()
        more = _button("All examples…", self._window.actions_table.made["file.example"].trigger, part)
        grid.addWidget(more, len(self.cards), 0, 1, ACROSS, Qt.AlignmentFlag.AlignHCenter)
        self._grid = grid
        return part

    def _recent(self) -> QWidget:
        part = QWidget(self)
        line = QHBoxLayout(part)
        line.setContentsMargins(0, 0, 0, 0)
        files = [path for name in Files.of(self._window).recent() if (path := Path(name)).exists()][:RECENT]
        line.addStretch(1)
        head = QLabel("Opened last", part)
        head.setProperty("dim", True)
        line.addWidget(head)
        for path in files:
            button = _button(path.name, partial(Files.of(self._window).open, path), part)
            button.setToolTip(str(path))
            line.addWidget(button)
        line.addStretch(1)
        self._files = bool(files)
        return part

    def settle(self) -> None:
        """Shows itself on a graph that has nothing, as much of it as there is room for; else it is hidden."""
        model, view = self._page.model, self._page.view
        if model.graph.nodes or model.level or model.graph.view.get("frames"):
            self.hide()
            return
        room = view.viewport().rect()
        card = self.cards[0].sizeHint().width() + 8 if self.cards else 1
        across = max(1, min(ACROSS, (room.width() - BESIDE) // card))
        self._wrap(room.width() - BESIDE)
        self.recent.setVisible(self._files and self.recent.sizeHint().width() <= room.width() - BESIDE)
        for rows in (2, 1, 0):
            size = self._with(rows, across)
            if size.height() <= room.height():
                break
        self.setGeometry((room.width() - size.width()) // 2, (room.height() - size.height()) // 2, size.width(),
                         size.height())  # fmt: skip
        self.setVisible(size.width() <= room.width() and size.height() <= room.height())

    def _wrap(self, wide: int) -> None:
        """Breaks sentences into lines where they would be wider together with their keys."""
        caps = max((cap.sizeHint().width() for cap in self._caps if not cap.isHidden()), default=0)
        for what in self._sentences:
            text = what.fontMetrics().horizontalAdvance(what.text()) + 2
            what.setFixedWidth(max(min(text, wide - caps - 12), 80))
            what.setMinimumHeight(0)  # else the height for a width is at least what it was
            what.setFixedHeight(what.heightForWidth(what.width()))
        self._words.invalidate()

    def _with(self, rows: int, across: int) -> QSize:
        """Its size with so many rows of so many examples."""
        for number, card in enumerate(self.cards):
            self._grid.addWidget(card, number // across, number % across)
            card.setVisible(number < rows * across)
        self.examples.setVisible(bool(self.cards) and rows > 0)
        if (layout := self.examples.layout()) is not None:
            layout.invalidate()
        self.examples.updateGeometry()  # by itself it would know of this later
        return self.sizeHint()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 # Qt's name
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show):
            self.settle()
        return super().eventFilter(watched, event)

    def event(self, event: QEvent) -> bool:
        """Hands on to the canvas what the mouse does beside the buttons."""
        if event.type() in MOUSE and isinstance(event, QMouseEvent):
            port = self._page.view.viewport()
            spot = QPointF(self.mapTo(self._page.view, QPointF(event.position()).toPoint()))
            same = QMouseEvent(event.type(), spot, event.globalPosition(), event.button(), event.buttons(),
                               event.modifiers())  # fmt: skip
            return QApplication.sendEvent(port, same)
        return super().event(event)


def _button(text: str, run: Callable[[], object], parent: QWidget) -> QToolButton:
    made = QToolButton(parent)
    made.setText(text.replace("&", "&&"))
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab adds a node here; by keyboard the actions lead to the same
    made.setSizePolicy(made.sizePolicy().Policy.Expanding, made.sizePolicy().Policy.Fixed)
    made.clicked.connect(lambda: run())
    return made


def _in_two_lines(title: str) -> str:
    """A title on two lines, the second of which may be empty: all cards are as high as each other."""
    lines = textwrap.wrap(title, LETTERS, max_lines=2, placeholder="…")
    return "\n".join((*lines, "")[:2])


def _picture(file: Path, ratio: float) -> QIcon:
    """A picture in the middle of WIDE x HIGH, sharp on fine screens."""
    room = QSize(round(WIDE * ratio), round(HIGH * ratio))
    small = QPixmap(str(file)).scaled(
        room, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
    whole = QPixmap(room)
    whole.fill(Qt.GlobalColor.transparent)
    painter = QPainter(whole)
    place = small.rect().translated((room.width() - small.width()) // 2, (room.height() - small.height()) // 2)
    painter.drawPixmap(place, small)
    painter.setPen(EDGE)  # a white picture on a white card has an edge as well
    painter.drawRect(place.adjusted(0, 0, -1, -1))
    painter.end()
    whole.setDevicePixelRatio(ratio)
    return QIcon(whole)


def attach(window: Window) -> None:
    """Gives graphs that open empty something to begin with."""

    def opened(page: Page) -> None:
        if not page.model.document.nodes:
            Beginning(window, page)

    window.page_opened.connect(opened)
