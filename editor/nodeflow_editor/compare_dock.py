"""The dock that compares the graph in front with another state of it: the differences in words, a click goes there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHBoxLayout, QLabel, QListWidget, QListWidgetItem, QToolButton, QVBoxLayout, QWidget

from nodeflow.document import Document
from nodeflow.errors import GraphError
from nodeflow_editor.comparing import Difference, compared, marks

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

SOON = 300
"""Milliseconds after a change in which others may follow: to compare 5,000 nodes takes a tenth of a second."""
MOST = 2_000
"""Lines that are listed: nobody reads more, and the last tells how many there are."""
SIGNS = {"+": "good", "-": "bad", "~": "warning"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A page and what it is compared with."""

    page: Page
    old: Document
    name: str


class Compare(QWidget):
    """Lists what differs, and marks it on the canvas until it is closed."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self.comparison: Comparison | None = None
        self.differences: list[Difference] = []
        self.about, self.list = QLabel(self), QListWidget(self)
        self.about.setWordWrap(True)
        self.list.setAccessibleName("Differences")
        self.list.setUniformItemSizes(True)
        self.again = self._button("Compare with saved", window.actions_table.made["graph.compare_saved"].trigger)
        self.over = self._button("Close comparison", self.end)
        row = QHBoxLayout()
        row.addWidget(self.again)
        row.addWidget(self.over)
        row.addStretch(1)
        box = QVBoxLayout(self)
        box.addWidget(self.about)
        box.addWidget(self.list, 1)
        box.addLayout(row)
        self._later = QTimer(self, singleShot=True, interval=SOON)
        self._later.timeout.connect(self.refresh)
        self.list.itemActivated.connect(lambda item: self._go(item))
        self.list.itemClicked.connect(lambda item: self._go(item))
        window.page_closed.connect(self._closed)
        window.look_changed.connect(lambda _: self.refresh())
        self.end()

    def _button(self, text: str, run: Callable[[], object]) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.clicked.connect(lambda: run())
        return button

    def begin(self, page: Page, old: Document, name: str) -> None:
        """Compares a page with another state of its graph, which people know as `name`."""
        self.end()
        self.comparison = Comparison(page, old, name)
        page.model.document_changed.connect(self._later.start)
        page.model.level_changed.connect(self._mark)
        self.refresh()

    def end(self) -> None:
        """Nothing is compared any more."""
        if self.comparison is not None:
            page, self.comparison = self.comparison.page, None
            page.model.document_changed.disconnect(self._later.start)
            page.model.level_changed.disconnect(self._mark)
            page.scene.mark({})
        self._later.stop()
        self.differences = []
        self.list.clear()
        self.over.setEnabled(False)
        self.about.setText("Nothing is compared. The menu File compares this graph with its file or with another one.")

    def _closed(self, page: Page) -> None:
        if self.comparison is not None and self.comparison.page is page:
            self.end()

    def refresh(self) -> None:
        """Compares anew."""
        if self.comparison is None:
            return
        page = self.comparison.page
        try:
            self.differences = compared(self.comparison.old, page.model.document)
        except GraphError as error:
            self._window.tell(f"cannot compare: {error}")
            self.end()
            return
        count = len(self.differences)
        said = "no difference" if not count else "1 difference" if count == 1 else f"{count:,} differences"
        self.about.setText(f"{page.name} against {self.comparison.name}: {said}")
        self.over.setEnabled(True)
        self.list.clear()
        colours = dict(self._window.look.colours())
        for number, each in enumerate(self.differences[:MOST]):
            item = QListWidgetItem(f"{each.sign}  {each.text}")
            item.setData(Qt.ItemDataRole.UserRole, number)
            item.setForeground(QColor(colours[SIGNS[each.sign]]))
            item.setToolTip(each.text)
            self.list.addItem(item)
        if count > MOST:
            self.list.addItem(f"and {count - MOST:,} more")
        self._mark()

    def _mark(self) -> None:
        if self.comparison is not None:
            page = self.comparison.page
            page.scene.mark(marks(self.differences, page.model.level))

    def _go(self, item: QListWidgetItem) -> None:
        """Shows the node that a difference is about."""
        number = item.data(Qt.ItemDataRole.UserRole)
        if self.comparison is None or number is None:
            return
        each, page = self.differences[number], self.comparison.page
        self._window.tabs.setCurrentWidget(page)
        try:
            page.model.enter(each.level)
        except GraphError as error:
            self._window.tell(str(error))
            return
        if each.node in page.scene.nodes:
            page.scene.select([each.node])
            page.view.fit(page.scene.bounds([each.node]))
