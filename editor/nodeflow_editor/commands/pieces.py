"""Own pieces: kept from what is chosen, offered beside node types, renamed, removed, opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF
from PySide6.QtWidgets import QMenu

from nodeflow.document import GRAPH
from nodeflow.errors import GraphError
from nodeflow_editor import library
from nodeflow_editor.actions import Action, with_page, with_selection
from nodeflow_editor.canvas.moving import snapped
from nodeflow_editor.chooser import Choice, Chooser
from nodeflow_editor.commands.edit import chosen, cursor_place
from nodeflow_editor.files import Files
from nodeflow_editor.ranking import Candidate, ranked

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

KEY = "piece:"
"""Before the name of a piece among the keys of what the palette offers: no node type begins so."""
HELP = "a piece of your own: Enter puts its nodes here, Shift+Enter one that stands for them; the key Menu has more"
KEPT = "the chosen nodes and notes, with their values and the wires between them"
NONE = "no pieces are kept yet: choose some nodes and take Node > Keep as a piece…"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the palette offers beside node types: how it is found and shown, and what taking it does.

    run: is handed whether Shift was held.
    """

    candidate: Candidate
    choice: Choice
    run: Callable[[bool], None]


def offers(window: Window, page: Page, place: QPointF) -> dict[str, Offer]:
    """The pieces, to be put at a place of the scene."""

    def offer(name: str) -> Offer:
        shown = Choice(KEY + name, name, "own piece", window.look.accent, HELP)
        return Offer(
            Candidate.of(KEY + name, name, "own piece"), shown,
            lambda aside: insert(window, page, name, place, whole=aside),
        )  # fmt: skip

    return {KEY + name: offer(name) for name in library.names()}


def insert(window: Window, page: Page, name: str, place: QPointF, *, whole: bool) -> None:
    """Puts a piece into the graph: its nodes, or one that stands for them."""
    at = snapped(place.x()), snapped(place.y())
    try:
        made = (library.inserted_whole if whole else library.inserted)(page.model.graph, name, at)
    except GraphError as error:
        window.tell(f'the piece "{name}" was left: {error}')
        return
    if not made.nodes and not made.notes:
        window.tell(f'the piece "{name}" has nothing in it')
    elif window.do(made.edit, f"Insert {name}", page=page):
        page.scene.select(made.nodes, notes=made.notes)


def menu(window: Window, page: Page, place: QPointF, key: str, spot: QPoint, chooser: Chooser) -> None:
    """Opens the menu of a piece that is offered."""
    if not key.startswith(KEY):
        return
    name = key.removeprefix(KEY)
    made = QMenu(chooser)

    def add(title: str, run: Callable[[], object]) -> None:
        made.addAction(title).triggered.connect(lambda: (chooser.close(), run()))

    add("Insert its nodes", lambda: insert(window, page, name, place, whole=False))
    add("Insert as a subgraph", lambda: insert(window, page, name, place, whole=True))
    made.addSeparator()
    add("Open its file", lambda: Files.of(window).open(library.path_of(name)))
    add("Rename…", lambda: ask_other_name(window, name))
    add("Remove", lambda: remove(window, name))
    made.setActiveAction(made.actions()[0])
    made.popup(spot)


def keep(window: Window) -> None:
    """Asks what the chosen nodes are to be called as a piece, and keeps them."""
    page = window.page
    if page is None or not page.scene.selection:
        return
    nodes, noted = chosen(page), sorted(page.scene.notes.selection)
    model, first = page.model, page.model.graph.nodes[nodes[0]].type
    stem = first.removeprefix(GRAPH).removesuffix(".json") if first.startswith(GRAPH) else model.face(nodes[0]).title
    proposed = stem if library.is_name(stem) else "Piece"

    def done(name: str) -> None:
        try:
            library.keep(name, library.piece_of(model.graph, model.face, nodes, noted, name))
        except GraphError as error:
            window.tell(str(error))
            return
        window.tell(f'kept as the piece "{name}": Tab and its name put it into any graph')

    ask(window, "Name of the piece", "Keep as", done, proposed, what=KEPT, replaces=True)


def ask_other_name(window: Window, old: str) -> None:
    """Asks for another name of a piece."""

    def done(name: str) -> None:
        try:
            library.rename(old, name)
        except GraphError as error:
            window.tell(str(error))
            return
        window.tell(f'the piece "{old}" is called "{name}" now')

    ask(window, f"Another name for {old}", "Rename to", done, old)


def remove(window: Window, name: str) -> None:
    """Takes a piece out of the list; its file is put aside."""
    try:
        aside = library.put_aside(name)
    except OSError as error:
        window.tell(f"{error.filename}: {error.strerror}")
        return
    window.tell(f'the piece "{name}" is removed; its file is {aside}')


def ask(
    window: Window, hint: str, verb: str, done: Callable[[str], None], proposed: str, *, what: str = "",
    replaces: bool = False,
) -> Chooser:  # fmt: skip
    """Asks for a name, with those that there are in sight.

    what: is so called. replaces: whether one of the others may be taken.
    """
    known = library.names()
    candidates = [Candidate.of(name, name) for name in known]

    def find(text: str) -> Sequence[Choice]:
        wanted = " ".join(text.split())
        others = [
            Choice(item.title, item.title, "is replaced" if replaces else "is there already", "",
                   "the one there is is put aside, into the folder of those removed" if replaces else "")
            for item in ranked(wanted, candidates, {})
        ]  # fmt: skip
        if not library.is_name(wanted):
            return [Choice("", f"“{wanted[:40]}” cannot be a name", "", "", library.RULE)] if wanted else others
        if wanted.lower() in (name.lower() for name in known):
            return others
        return [Choice(wanted, f"{verb} “{wanted}”", "", window.look.accent, what), *others]

    def take(name: str, _: bool) -> None:
        if not name:
            window.tell(library.RULE)
        else:
            done(name)

    chooser = Chooser(find, window.look, hint, window)
    chooser.chosen.connect(take)
    chooser.line.setText(proposed)
    chooser.line.selectAll()
    chooser.show_at(window.mapToGlobal(QPoint(window.width() // 2 - 210, 90)))
    return chooser


def browse(window: Window) -> None:
    """Offers the pieces alone, at the cursor."""
    page = window.page
    if page is None:
        return
    place = cursor_place(page)
    found = offers(window, page, place)
    if not found:
        window.tell(NONE)
        return
    candidates = [offer.candidate for offer in found.values()]

    def find(text: str) -> Sequence[Choice]:
        return [found[item.key].choice for item in ranked(text, candidates, window.settings.get("used", {}))]

    chooser = Chooser(find, window.look, "Put in a piece", window)
    chooser.chosen.connect(lambda key, aside: found[key].run(aside))
    chooser.menu_wanted.connect(lambda key, spot: menu(window, page, place, key, spot, chooser))
    chooser.left.connect(page.setFocus)
    chooser.show_at(page.view.viewport().mapToGlobal(page.view.mapFromScene(place)) + QPoint(2, 2))


ACTIONS = (
    Action("piece.keep", "Keep as a piece…", "Node", keep, ("Ctrl+Shift+K",), "graph",
           "Keep the chosen nodes under a name, to be put into any graph", with_selection),
    Action("piece.browse", "Own pieces…", "Node", browse, ("Ctrl+K",), "graph",
           "Put in a piece that you have kept; its menu renames and removes it", with_page),
)  # fmt: skip
