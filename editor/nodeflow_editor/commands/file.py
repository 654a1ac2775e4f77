"""Graphs and files: new, open, save, close."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QFileDialog, QMenu

from nodeflow_editor import examples
from nodeflow_editor.actions import Action, with_page
from nodeflow_editor.chooser import Choice, Chooser
from nodeflow_editor.closing import Closing
from nodeflow_editor.files import FILTER, Files
from nodeflow_editor.ranking import Candidate, ranked

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

IN_MENU = 10
"""Files that the menu lists; the list to type in has them all."""


def new(window: Window) -> None:
    """An empty graph in a new tab."""
    Files.of(window).new()


def ask_open(window: Window) -> None:
    """Asks for files, and opens them."""
    page, recent = window.page, Files.of(window).recent()
    folder = page.model.folder if page is not None and page.model.file else Path(recent[0]).parent if recent else None
    dialog = QFileDialog(window, "Open", str(folder or Path.cwd()), "Graphs and pictures (*.json *.png);;" + FILTER)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    dialog.filesSelected.connect(lambda names: Files.of(window).open_all(Path(name) for name in names))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()


def ask_recent(window: Window) -> None:
    """Offers the files opened last, by typing."""
    files = Files.of(window)
    known = {name: Path(name) for name in files.recent()}
    candidates = [Candidate.of(name, path.stem, path.name, str(path.parent)) for name, path in known.items()]

    def find(text: str) -> Sequence[Choice]:
        found = ranked(text, candidates, {}) if text else candidates
        return [Choice(item.key, known[item.key].name, _note(known[item.key]), "", item.key) for item in found]

    chooser = Chooser(find, window.look, "Open recent", window)
    chooser.chosen.connect(lambda name, _: files.open(known[name]))
    chooser.show_at(window.mapToGlobal(QPoint(window.width() // 2 - 210, 90)))


def ask_example(window: Window) -> None:
    """Offers the graphs that come with nodeflow, by typing; the one chosen opens as a copy."""
    place = examples.folder()
    known = {str(one.file): one for one in examples.examples(place)} if place is not None else {}
    candidates = [Candidate.of(name, one.title, one.file.stem, one.group) for name, one in known.items()]

    def find(text: str) -> Sequence[Choice]:
        found = ranked(text, candidates, {}) if text else candidates
        return [Choice(item.key, item.title, known[item.key].group, "", known[item.key].help) for item in found]

    chooser = Chooser(find, window.look, "Open an example", window)
    chooser.chosen.connect(lambda name, _: Files.of(window).open(known[name].file, own=False))
    chooser.show_at(window.mapToGlobal(QPoint(window.width() // 2 - 210, 90)))


def _note(path: Path) -> str:
    return str(path.parent) if path.exists() else "not there any more"


def list_recent(window: Window, menu: QMenu) -> None:
    """Fills the menu of files opened last; those that are gone are marked, and cannot be chosen."""
    files = Files.of(window)
    menu.clear()
    for number, name in enumerate(files.recent()[:IN_MENU], 1):
        path = Path(name)
        there = path.exists()
        shown = f"{path.name}  ({path.parent.name})" if there else f"{path.name}  (not there any more)"
        action = menu.addAction(f"&{number % 10}  {shown.replace('&', '&&')}")
        action.setToolTip(name)
        action.setEnabled(there)
        action.triggered.connect(lambda _=False, path=path: files.open(path))
    menu.addSeparator()
    clear = menu.addAction("&Clear this list")
    clear.setEnabled(bool(files.recent()))
    clear.triggered.connect(lambda: window.settings.set("recent", []))


def save(window: Window) -> None:
    """Writes the graph in front to its file."""
    if window.page is not None:
        Files.of(window).save(window.page)


def save_as(window: Window) -> None:
    """Writes the graph in front under another name, which is its own from then on."""
    if window.page is not None:
        Files.of(window).save_as(window.page)


def save_copy(window: Window) -> None:
    """Writes a copy of the graph in front."""
    if window.page is not None:
        Files.of(window).save_copy(window.page)


def revert(window: Window) -> None:
    """Takes the graph in front as its file has it."""
    if window.page is not None:
        Files.of(window).reload(window.page)


def can_revert(window: Window) -> bool:
    """Whether there is a file that the graph differs from."""
    return window.page is not None and window.page.model.file is not None and window.page.changed


def close(window: Window) -> None:
    """Closes the tab in front."""
    if window.page is not None:
        Closing.of(window).close(window.page)


def reopen(window: Window) -> None:
    """Opens the tab that was closed last."""
    Closing.of(window).reopen()


def can_reopen(window: Window) -> bool:
    """Whether a tab was closed."""
    return bool(Closing.of(window).closed)


def leave(window: Window) -> None:
    """Ends the editor."""
    window.close()


def turn(window: Window, by: int) -> None:
    """Goes to another tab, round and round."""
    count = window.tabs.count()
    if count:
        window.tabs.setCurrentIndex((window.tabs.currentIndex() + by) % count)
        if window.page is not None:
            window.page.setFocus()


def answer(window: Window) -> None:
    """Goes to the question above the graph, else to that above all graphs."""
    if not (window.page is not None and window.page.bars.go()) and not window.notices.go():
        window.tell("nothing is asked")


def several(window: Window) -> bool:
    """Whether there are tabs to go to."""
    return window.tabs.count() > 1


def attach(window: Window) -> QMenu:
    """Gives "Open recent" its menu."""
    menu = QMenu(window)
    menu.setToolTipsVisible(True)
    menu.aboutToShow.connect(lambda: list_recent(window, menu))
    window.actions_table.made["file.recent"].setMenu(menu)
    return menu


ACTIONS = (
    Action("file.new", "New", "File", new, ("Ctrl+N",), "open", "An empty graph in a new tab"),
    Action("file.open", "Open…", "File", ask_open, ("Ctrl+O",), "open", "Graphs, and pictures that carry one"),
    Action("file.recent", "Open recent", "File", ask_recent, ("Ctrl+Shift+O",), "open", "The files opened last"),
    Action("file.example", "Open an example…", "File", ask_example, ("Ctrl+Alt+O",), "open",
           "A copy of one of the graphs that come with nodeflow"),
    Action("file.reopen", "Reopen closed tab", "File", reopen, ("Ctrl+Shift+T",), "open", when=can_reopen),
    Action("file.save", "Save", "File", save, ("Ctrl+S",), "save", when=with_page),
    Action("file.save_as", "Save as…", "File", save_as, ("Ctrl+Shift+S",), "save", when=with_page),
    Action("file.save_copy", "Save a copy…", "File", save_copy, (), "save",
           "The graph stays that of its own file", with_page),
    Action("file.revert", "Revert", "File", revert, (), "save",
           "Take the graph as its file has it; undo brings your changes back", can_revert),
    Action("file.close", "Close tab", "File", close, ("Ctrl+W", "Ctrl+F4"), "close", when=with_page),
    Action("file.quit", "Quit", "File", leave, ("Ctrl+Q",), "close"),
    Action("window.next_tab", "Next tab", "Window", lambda window: turn(window, 1), ("Ctrl+Tab", "Ctrl+PgDown"),
           "tabs", when=several),
    Action("window.previous_tab", "Previous tab", "Window", lambda window: turn(window, -1),
           ("Ctrl+Shift+Tab", "Ctrl+PgUp"), "tabs", when=several),
    Action("window.answer", "Go to the question", "Window", answer, ("F8",), "tabs",
           "The bar above the graph; its buttons are pressed by their underlined letters"),
)  # fmt: skip
