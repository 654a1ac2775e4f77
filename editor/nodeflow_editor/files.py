"""Graphs and their files: opened, saved, closed. Nothing is lost unasked, and nothing is written unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog

from nodeflow.delta import delta
from nodeflow.document import Document, NodeEntry, save, write
from nodeflow.edits import Patch, tables
from nodeflow.errors import GraphError
from nodeflow.jsontext import compact
from nodeflow_editor.bars import Answer
from nodeflow_editor.disk import altered, is_foreign, look, may_begin, nearest_graph, opened, same_file, stamp

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

RECENT = 20
"""Files that are remembered."""
FILTER = "Graphs (*.json);;Pictures with a graph (*.png);;All files (*)"
Then = Callable[[], object]


def nothing() -> None:
    """What follows where nothing does."""


class Files(QObject):
    """What a window has open, and the ways between graphs and files."""

    opened = Signal(object)
    """Page: its file was read, or it is new."""
    saved = Signal(object)
    """Page: its file was written."""
    risky = Signal(object)
    """Page: what it holds is about to be replaced, and is to be kept apart first."""
    replacing = Signal(object)
    """Path: a file is about to be written over in spite of a warning, and is to be kept apart first."""
    refused = Signal(object)
    """Path: it is no graph, but looks like another program's."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window = window
        window.page_opened.connect(self._look)
        window.page_changed.connect(self._title)

    @staticmethod
    def of(window: Window) -> Files:
        """The files of a window."""
        return next(part for part in window.parts if isinstance(part, Files))

    def _look(self, page: Page) -> None:
        page.title_changed.connect(self.window.actions_table.refresh)  # what can be reverted is another matter now
        page.title_changed.connect(lambda: self._title(self.window.page))
        if page.model.file is not None:
            page.disk = look(page.model.file)

    # --- opening

    def new(self, document: Document | None = None, label: str = "", *, kept: bool = False) -> Page:
        """A graph without a file; one that holds something is marked as changed, unless it is kept elsewhere."""
        page = self.window.open_document(document or Document())
        page.label = label
        if document is not None and not kept:
            page.model.undo.resetClean()
        page.title_changed.emit()
        self.opened.emit(page)
        return page

    def page_of(self, file: Path) -> Page | None:
        """The tab that has a file open, or None."""
        pages = self.window.pages()
        return next((page for page in pages if page.model.file and same_file(page.model.file, file)), None)

    def open(self, file: Path, *, own: bool = True) -> Page | None:
        """Shows a file's graph: in its tab if it has one, else in a new one. None, and a message, if it has none.

        own: the graph is that file's; if not it is a copy, and saving it asks for a name.
        """
        there = self.page_of(file) if own else None
        if there is not None:
            self.window.tabs.setCurrentWidget(there)
            return there
        try:
            found = opened(file)
        except GraphError as error:
            self._refuse(file, error)
            return None
        spare = self.spare()
        loose = found.picture or not own
        page = self.window.open_document(found.document, None if loose else file.absolute())
        page.label = file.stem if loose else ""
        page.disk = None if loose else found.seen
        page.take_faults(found.faults)
        page.title_changed.emit()
        self._title(page)
        if spare is not None:
            self.window.close_page(spare)
        if own:
            self.remember(file)
        if found.faults:
            self._tell_faults(page)
        self.opened.emit(page)
        return page

    def begin(self, file: Path) -> Page | None:
        """As `open`, of what was typed to be worked on: a graph that is not there yet begins empty, under that name."""
        if not may_begin(file):
            return self.open(file)
        there = self.page_of(file)
        if there is not None:
            self.window.tabs.setCurrentWidget(there)
            return there
        page = self.window.open_document(Document(), file.absolute())
        answers = [Answer("&Close")]
        if (other := nearest_graph(file)) is not None:
            name = other.name.replace("&", "&&")
            answers.insert(0, Answer(f"&Open {name}", lambda: self._instead(page, other)))
        text = f"{file.name} is a new file: nothing of that name was in {file.absolute().parent}. Saving makes it."
        page.bars.ask("new", text, answers, kind="tells", focus=False)
        self.opened.emit(page)
        return page

    def _instead(self, page: Page, file: Path) -> None:
        """Opens the file that was meant; the one that was begun goes, unless something was made there."""
        if self.open(file) is not None and not page.changed:
            self.window.close_page(page)

    def open_all(self, files: Iterable[Path], *, begin: bool = False) -> None:
        """Opens several, the first of them in front; with `begin`, those that are not there yet are new graphs."""
        way = self.begin if begin else self.open
        pages = [page for file in files if (page := way(file)) is not None]
        if len(pages) > 1:
            self.window.tabs.setCurrentWidget(pages[0])

    def spare(self) -> Page | None:
        """The empty graph that an editor without files begins with: the first file takes its place."""
        pages = list(self.window.pages())
        if len(pages) != 1 or pages[0].model.file or pages[0].changed or pages[0].model.document.nodes:
            return None
        return pages[0]

    def _refuse(self, file: Path, error: GraphError) -> None:
        text = str(replace(error.problems[0], file=None))
        text = f"{file.name} was not opened: {' — '.join(line.strip() for line in text.splitlines())}"
        self.window.notices.ask("open", text, (Answer("&Close"),), kind="warns")
        if is_foreign(file):
            self.refused.emit(file)

    def _tell_faults(self, page: Page) -> None:
        count = len(page.faults)
        what = "One part of this file" if count == 1 else f"{count:,} parts of this file"
        text = f"{what} could not be read, and will be lost when the graph is saved under the same name."
        details = "\n".join(str(replace(problem, file=None)) for problem in page.faults)
        answers = (Answer("Save &as…", lambda: self.save_as(page)), Answer("&Close"))
        page.bars.ask("faults", text, answers, kind="warns", details=details, focus=False)

    def remember(self, file: Path) -> None:
        """Puts a file at the head of those opened last."""
        name = str(file.absolute())
        known = [other for other in self.recent() if other != name]
        self.window.settings.set("recent", [name, *known][:RECENT])

    def recent(self) -> list[str]:
        """The files opened last, the newest first."""
        return [name for name in self.window.settings.get("recent", []) if isinstance(name, str)]

    # --- saving

    def save(self, page: Page, then: Then = nothing) -> None:
        """Writes a graph to its file, then goes on.

        Asks for a name if it has none, and before it writes over what another wrote or what could not be read.
        """
        file = page.model.file
        if file is None:
            self.save_as(page, then)
        elif altered(file, page.disk):
            self._ask_over(page, file, f"{file.name} was changed by another program since it was opened.", then)
        elif page.faults:
            text = f"What could not be read of {file.name} is lost when it is written over."
            self._ask_over(page, file, text, then)
        else:
            self.write(page, file, then)

    def _ask_over(self, page: Page, file: Path, text: str, then: Then) -> None:
        def over() -> None:
            self.replacing.emit(file)
            self.write(page, file, then)

        self.window.tabs.setCurrentWidget(page)
        answers = (Answer("Save &over it", over), Answer("Save &as…", lambda: self.save_as(page, then)),
                   Answer("&Cancel"))  # fmt: skip
        page.bars.ask("over", text, answers, kind="warns")

    def write(self, page: Page, file: Path, then: Then = nothing) -> bool:
        """Writes a graph to a file, which is its own from then on. A failure is told with its cure; all stays open."""
        try:
            page.model.save(file)
        except GraphError as error:
            self._failed(page, file, error, then)
            return False
        page.disk = look(file)
        page.take_faults(())
        for name in ("faults", "over", "save", "changed", "new"):
            page.bars.drop(name)
        page.title_changed.emit()
        self._title(page)
        self.remember(file)
        self.window.tell(f"saved {file.name}")
        self.saved.emit(page)
        then()
        return True

    def _failed(self, page: Page, file: Path, error: GraphError, then: Then) -> None:
        told = " — ".join(line.strip() for line in str(replace(error.problems[0], file=None)).splitlines())
        self.window.tabs.setCurrentWidget(page)
        answers = (Answer("&Try again", lambda: self.save(page, then)),
                   Answer("Save &as…", lambda: self.save_as(page, then)), Answer("&Close"))  # fmt: skip
        page.bars.ask("save", f"{file.name}: {told}", answers, kind="warns")

    def save_as(self, page: Page, then: Then = nothing) -> None:
        """Asks for a name, and writes the graph under it."""
        self._choose(page, "Save as", lambda file: self.write(page, file, then))

    def save_copy(self, page: Page) -> None:
        """Asks for a name, and writes a copy there; the graph stays that of its own file."""

        def copy(file: Path) -> None:
            try:
                save(page.model.document, file)
            except GraphError as error:
                self._failed(page, file, error, nothing)
            else:
                self.remember(file)
                self.window.tell(f"saved a copy as {file.name}")

        self._choose(page, "Save a copy", copy)

    def _choose(self, page: Page, title: str, go: Callable[[Path], object]) -> None:
        self.window.tabs.setCurrentWidget(page)
        start = page.model.file or page.model.folder / f"{page.name}.json"
        dialog = QFileDialog(self.window, title, str(start.parent), FILTER)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("json")
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)  # a bar asks, where both names can be read
        dialog.selectFile(start.name)
        dialog.fileSelected.connect(lambda name: self._named(page, title, Path(name), go))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _named(self, page: Page, title: str, file: Path, go: Callable[[Path], object]) -> None:
        """Goes on with a name that was chosen, after asking what there is to ask."""
        other = self.page_of(file)
        again = Answer("&Another name…", lambda: self._choose(page, title, go))
        if other is not None and other is not page:
            text = f"{file.name} is open in another tab. Close that first, or choose another name."
            page.bars.ask("over", text, (again, Answer("&Cancel")), kind="warns")
        elif other is not page and stamp(file) is not None:
            answers = (Answer("&Replace it", lambda: go(file)), again, Answer("&Cancel"))
            page.bars.ask("over", f"There is a {file.name} already, which would be replaced.", answers)
        else:
            go(file)

    # --- the file again

    def reload(self, page: Page, what: str = "Revert") -> bool:
        """Takes the graph as its file has it, in one step that can be undone."""
        if page.model.file is None:
            return False
        try:
            found = opened(page.model.file)
        except GraphError as error:
            told = " — ".join(line.strip() for line in str(error.problems[0]).splitlines())
            page.bars.ask("save", f"The graph stays as it is. {told}", (Answer("&Close"),), kind="warns")
            return False
        self.risky.emit(page)
        put(page, found.document, what)
        page.disk = found.seen
        page.take_faults(found.faults)
        page.model.undo.setClean()
        for name in ("changed", "save"):
            page.bars.drop(name)
        if found.faults:
            self._tell_faults(page)
        self.window.tell(f"{page.name} is as its file has it; undo brings back what was here")
        return True

    def _title(self, page: Page | None) -> None:
        self.window.setWindowTitle(f"{page.name} — nodeflow" if page is not None else "nodeflow")
        self.window.setWindowFilePath(str(page.model.file) if page is not None and page.model.file else "")


def put(page: Page, document: Document, text: str) -> None:
    """Makes a page's graph another one, in one step of undo. What is alike stays, and keeps its looks."""
    change = delta(tables(page.model.document), tables(document), alike)
    if not change:
        return
    level = page.model.level
    page.model.enter(())
    page.model.do(Patch(change), text)
    with suppress(GraphError):  # the graph that was on show may be no more
        page.model.enter(level)


def alike(one: object, other: object) -> bool:
    """Whether two parts of documents are written alike."""
    return type(one) is type(other) and _written(one) == _written(other)


def _written(part: object) -> str:
    if isinstance(part, Document):
        return write(part)
    return compact(part.as_json() if isinstance(part, NodeEntry) else part)
