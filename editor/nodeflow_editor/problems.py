"""All that is wrong with the open graphs: checked after each edit, and told by runs. Shown on nodes by their marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from nodeflow.catalog import Catalog
from nodeflow.document import Document
from nodeflow.errors import GraphError, Problem
from nodeflow.graph import Graph, build
from nodeflow_editor.aside import Aside
from nodeflow_editor.faults import ORDER, Fault, of_problems
from nodeflow_editor.page_marks import PageMarks
from nodeflow_editor.run_marks import Renaming

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

QUIET = 150
"""Milliseconds after the last edit at which a graph is checked."""


@dataclass(slots=True)
class Checked:
    """What a check found. `graph` is None if there is anything wrong."""

    document: Document | None = None
    graph: Graph | None = None
    faults: Sequence[Fault] = ()


@dataclass(slots=True)
class Standing:
    """One page's marks, faults, and the clock that waits for edits to end."""

    marks: PageMarks
    clock: QTimer
    checked: Checked = field(default_factory=Checked)
    ran: list[Fault] = field(default_factory=list)


class Problems(QObject):
    """Checks pages 150 ms after each edit, beside the window's thread: 5,000 nodes take 45 ms.

    A graph that was only moved about is not checked again. `changed` comes with the page, or with None for what is
    wrong with no graph.
    """

    changed = Signal(object)
    wanted = Signal()
    """The list is to be shown."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._aside = Aside("checks", self)
        self._known: dict[Page, Standing] = {}
        self.general: list[Fault] = []
        """What is wrong with no graph: the worker, the disk."""
        window.page_opened.connect(self._opened)
        window.page_closed.connect(self._closed)
        window.closing.connect(self._aside.close)

    @staticmethod
    def of_window(window: Window) -> Problems:
        """The problems of a window's pages."""
        return next(part for part in window.parts if isinstance(part, Problems))

    def marks(self, page: Page) -> PageMarks | None:
        """The marks on a page's nodes; None if it is closed."""
        return self._known[page].marks if page in self._known else None

    def of(self, page: Page | None) -> list[Fault]:
        """What is wrong with a page, and with none: the worst first."""
        known = self._known.get(page) if page is not None else None
        found = [*self.general, *(known.ran if known else ()), *(known.checked.faults if known else ())]
        return sorted(found, key=lambda fault: ORDER[fault.severity])

    def checked(self, page: Page) -> Checked:
        """What there is to say of a page as it stands now. This waits for a check if none was made yet."""
        known = self._known[page]
        if known.checked.document is None or not computes_alike(known.checked.document, page.model.document):
            known.clock.stop()
            self._take(page, check(page.model.document, page))
        return known.checked

    def ran(self, page: Page | None, faults: Sequence[Fault], *, more: bool = False) -> None:
        """What a run has told: in place of what the one before had, or `more` of it."""
        known = self._known.get(page) if page is not None else None
        if known is None:  # what was told once, such as that no worker starts, is not told for each run that waits
            before = self.general if more else []
            self.general = [*before, *(fault for fault in faults if fault not in before)]
        else:
            known.ran = [*(known.ran if more else ()), *faults]
        self._tell(page)

    def renamed(self, page: Page, renaming: Renaming) -> None:
        """What is known of nodes is known by their new ids."""
        known = self._known.get(page)
        if known is not None:
            known.ran = [fault.at(renaming.path) for fault in known.ran]
            known.checked.faults = [fault.at(renaming.path) for fault in known.checked.faults]
            known.marks.renamed(renaming)
            self._tell(page)

    def recheck(self) -> None:
        """Checks all pages: the node types are others."""
        for page, known in self._known.items():
            known.checked.document = None
            self._tick(page)

    def _opened(self, page: Page) -> None:
        clock = QTimer(page, singleShot=True, interval=QUIET)
        clock.timeout.connect(lambda: self._tick(page))
        self._known[page] = Standing(PageMarks(page), clock)
        page.model.document_changed.connect(clock.start)
        page.faults_changed.connect(lambda _: self._form_changed(page))
        clock.start()

    def _form_changed(self, page: Page) -> None:
        self._known[page].checked.document = None
        self._known[page].clock.start()

    def _closed(self, page: Page) -> None:
        known = self._known.pop(page, None)
        if known is not None:
            known.clock.stop()

    def _tick(self, page: Page) -> None:
        known, document = self._known.get(page), page.model.document
        if known is None:
            return
        known.marks.age()
        before = known.checked.document
        if before is not None and computes_alike(before, document):
            known.checked.document = document
            self.changed.emit(page)  # results may be older now
            return
        catalog, folder, form = page.model.catalog, page.model.folder, page.faults
        self._aside.call(
            lambda: checked(document, catalog, folder, form),
            lambda found: self._take(page, found) if page.model.document is document else None,
        )

    def _take(self, page: Page, found: Checked) -> None:
        if page in self._known:
            self._known[page].checked = found
            self._tell(page)

    def _tell(self, page: Page | None) -> None:
        if page is not None and page in self._known:
            self._known[page].marks.set_faults(self.of(page))
        self.changed.emit(page)


def check(document: Document, page: Page) -> Checked:
    """What is wrong with a page's document."""
    return checked(document, page.model.catalog, page.model.folder, page.faults)


def checked(document: Document, catalog: Catalog, folder: Path, form: Sequence[Problem]) -> Checked:
    """What is wrong with a document: the same as `nodeflow check` tells. Knows no widget.

    Args:
        document: the graph.
        catalog: the types of nodes that there are.
        folder: where its subgraphs are.
        form: what could not be read of its file.
    """
    try:
        return Checked(document, build(document, catalog, folder=folder, known=form))
    except GraphError as error:
        return Checked(document, None, of_problems(error.problems))


def computes_alike(one: Document, other: Document) -> bool:
    """Whether two states of a graph differ in nothing that is checked: a node was moved."""
    names = ("nodes", "outputs", "parameters", "graphs")
    return all(getattr(one, name) is getattr(other, name) for name in names)
