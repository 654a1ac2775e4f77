"""The window: tabs of graphs, docks around them, menus above. What it can do stands in its parts and its actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QApplication, QDockWidget, QMainWindow, QTabWidget, QVBoxLayout, QWidget

from nodeflow.catalog import Catalog
from nodeflow.document import Document
from nodeflow.edits import Edit
from nodeflow.errors import GraphError
from nodeflow_editor import beginning, focus, keeping, places, run_docks, run_part
from nodeflow_editor.actions import Action, ActionTable
from nodeflow_editor.autosave import Autosave
from nodeflow_editor.bars import Bars
from nodeflow_editor.bringing import Bringing
from nodeflow_editor.closing import Closing
from nodeflow_editor.commands import (
    arrange,
    colour,
    compare,
    create,
    edit,
    file,
    fold,
    form,
    go,
    graphs,
    look,
    node,
    notes,
    outlining,
    pieces,
    run,
    value,
    view,
    viewing,
    wires,
)
from nodeflow_editor.dropping import Dropping
from nodeflow_editor.files import Files
from nodeflow_editor.page import Page
from nodeflow_editor.problems import Problems
from nodeflow_editor.recovery import Recovery
from nodeflow_editor.session import Session
from nodeflow_editor.settings import Settings
from nodeflow_editor.style import dress
from nodeflow_editor.theme import DARK, Palette
from nodeflow_editor.titles import Titles
from nodeflow_editor.watching import Watch

ACTIONS: tuple[Action, ...] = (
    *file.ACTIONS, *create.ACTIONS, *notes.ACTIONS, *edit.ACTIONS, *view.ACTIONS, *node.ACTIONS,
    *fold.ACTIONS, *wires.ACTIONS, *arrange.ACTIONS, *colour.ACTIONS, *value.ACTIONS, *form.ACTIONS, *graphs.ACTIONS,
    *pieces.ACTIONS, *go.ACTIONS, *run.ACTIONS, *viewing.ACTIONS, *outlining.ACTIONS, *places.ACTIONS,
    *look.ACTIONS, *compare.ACTIONS,
)  # fmt: skip
PARTS: tuple[Callable[[Window], object], ...] = (
    Files, Closing, Autosave, Watch, Session, Recovery, Dropping, Bringing, file.attach, create.attach, node.attach,
    notes.Typing, value.attach, form.attach, graphs.attach, Problems, run_part.attach, *run_docks.PARTS, viewing.attach,
    outlining.attach, look.attach, compare.attach, places.attach, beginning.attach, keeping.attach,
    focus.attach, Titles,  # the last: they need all docks
)  # fmt: skip
"""What is attached to a window when it is made: docks, the runner, backups. Each is called with it, and kept."""
TELL = 8000
"""Milliseconds that a sentence stays in the status bar."""


class Window(QMainWindow):
    """The editor's window."""

    page_changed = Signal(object)
    """The Page in front, or None."""
    page_opened = Signal(object)
    page_closed = Signal(object)
    look_changed = Signal(object)
    """The Palette."""
    settling = Signal()
    """An action is about to begin: what is being typed is taken now, so that a save has it."""
    picture_wanted = Signal(str, str, object)
    """A picture is to be shown large: a key that is the same for the same picture, its title, its path or a QImage."""
    closing = Signal()
    """The window is about to go, and every graph is saved or given up."""

    def __init__(self, catalog: Catalog, settings: Settings | None = None, palette: Palette = DARK) -> None:
        super().__init__()
        self.catalog, self.look = catalog, palette
        self.settings = settings or Settings()
        self.tabs = QTabWidget(self)
        self.tabs.setDocumentMode(True)
        self.tabs.setMovable(True)
        self.tabs.setTabsClosable(True)
        self.notices = Bars(self)
        self.guards: list[Callable[[], bool]] = []
        """Asked before the window goes; one that answers no has a question open, and closes it again later."""
        middle = QWidget(self)
        box = QVBoxLayout(middle)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.notices)
        box.addWidget(self.tabs, 1)
        self.setCentralWidget(middle)
        self.setDockNestingEnabled(True)
        self.setWindowTitle("nodeflow")
        self.statusBar().setSizeGripEnabled(False)
        self.docks: dict[str, QDockWidget] = {}
        self.actions_table = ActionTable(self, ACTIONS, self.settings.get("keys", {}))
        self.parts: list[object] = []
        for attach in PARTS:
            self.parts.append(attach(self))
        self.actions_table.fill(self.menuBar())
        self.actions_table.refresh()
        self.tabs.currentChanged.connect(self._turned)

    @property
    def page(self) -> Page | None:
        """The graph in front."""
        found: QWidget | None = self.tabs.currentWidget()
        return found if isinstance(found, Page) else None

    def pages(self) -> Iterator[Page]:
        """All open graphs."""
        for index in range(self.tabs.count()):
            page = self.tabs.widget(index)
            if isinstance(page, Page):
                yield page

    def open_document(self, document: Document, file: Path | None = None) -> Page:
        """Shows a graph in a new tab."""
        page = Page(document, self.catalog, file, self.look, self.tabs)
        page.title_changed.connect(lambda: self._title(page))
        page.view.told.connect(self.tell)
        page.scene.selection_changed.connect(self.actions_table.refresh)
        page.model.stepped.connect(self.actions_table.refresh)
        self.page_opened.emit(page)
        self.tabs.setCurrentIndex(self.tabs.addTab(page, page.name))
        self._title(page)
        page.view.fit()
        page.setFocus()
        return page

    def close_page(self, page: Page) -> None:
        """Takes a tab away, unasked."""
        self.tabs.removeTab(self.tabs.indexOf(page))
        self.page_closed.emit(page)
        page.deleteLater()

    def add_dock(self, name: str, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        """Puts a widget at a side of the window; the menu Window shows and hides it."""
        dock = QDockWidget(title, self)
        dock.setObjectName(f"dock.{name}")
        dock.setWidget(widget)
        self.addDockWidget(area, dock)
        self.docks[name] = dock
        return dock

    def do(self, change: Edit, text: str, *, merge: str = "", page: Page | None = None) -> bool:
        """Changes a graph, that in front if none is named; what it refuses is told. Returns whether it was done."""
        page = page or self.page
        if page is None:
            return False
        try:
            page.model.do(change, text, merge=merge)
        except GraphError as error:
            self.tell(str(error))
            return False
        return True

    def tell(self, text: str) -> None:
        """Says a sentence in the status bar; an empty one clears it."""
        if text:
            self.statusBar().showMessage(" ".join(text.split()), TELL)
        else:
            self.statusBar().clearMessage()

    def dress(self, palette: Palette) -> None:
        """Takes another palette."""
        self.look = palette
        application = QApplication.instance()
        if isinstance(application, QApplication):
            dress(application, palette)
        for page in self.pages():
            page.scene.dress(palette)
        self.look_changed.emit(palette)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 # Qt's name
        self.settling.emit()
        if all(guard() for guard in self.guards):
            self.closing.emit()
            event.accept()
        else:
            event.ignore()

    def _turned(self, _: int) -> None:
        self.page_changed.emit(self.page)
        self.actions_table.refresh()

    def _title(self, page: Page) -> None:
        index = self.tabs.indexOf(page)
        self.tabs.setTabText(index, f"{page.name} •" if page.changed else page.name)
        self.tabs.setTabToolTip(index, str(page.model.file or "not saved yet"))
