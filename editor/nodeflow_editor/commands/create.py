"""New nodes at the cursor, chosen by typing; actions by the same door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF

from nodeflow_editor import examples
from nodeflow_editor.actions import Action, with_page
from nodeflow_editor.canvas.moving import snapped
from nodeflow_editor.chooser import Choice, Chooser
from nodeflow_editor.commands import notes, pieces
from nodeflow_editor.commands.edit import cursor_place
from nodeflow_editor.creating import Kind, added, fitting, kinds
from nodeflow_editor.ranking import Candidate, ranked
from nodeflow_editor.theme import category_colour, hue
from nodeflow_editor.wiring import End

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

NOTE = "note:"
"""Stands for a note among the keys of node types, which have no colon at the end."""
NOT_NOW = "not now"
MANY = 40
"""Chosen nodes that Shift+Enter tries to wire, at most."""


def offer(window: Window, page: Page, place: QPointF, start: End | None) -> Chooser:
    """Opens the list of node types at a place of the scene; with a wire in hand only those that fit it."""
    found = kinds(window.catalog, page.model)
    known = {kind.candidate.key: kind for kind in (fitting(page.model, found, start) if start else found)}
    besides = others(window, page, place) if start is None else {}
    candidates = [*(kind.candidate for kind in known.values()), *(offer.candidate for offer in besides.values())]
    used, common = window.settings.get("used", {}), examples.common(examples.folder())

    def find(text: str) -> Sequence[Choice]:
        return [besides[item.key].choice if item.key in besides else _choice(known[item.key], window)
                for item in ranked(text, candidates, used, common=common)]  # fmt: skip

    def take(key: str, aside: bool) -> None:
        if key in besides:
            besides[key].run(aside)
            count(window, key)
        else:
            _add(window, page, known[key], place, start, aside=aside)

    hint = "Add a node" if start is None else f"Wire {start.node}.{start.port} to"
    chooser = Chooser(find, window.look, hint, window)
    chooser.chosen.connect(take)
    chooser.menu_wanted.connect(lambda key, spot: pieces.menu(window, page, place, key, spot, chooser))
    chooser.left.connect(page.setFocus)
    chooser.show_at(page.view.viewport().mapToGlobal(page.view.mapFromScene(place)) + QPoint(2, 2))
    return chooser


def others(window: Window, page: Page, place: QPointF) -> dict[str, pieces.Offer]:
    """What is offered beside node types: a note, and one's own pieces."""
    shown = Choice(NOTE, "Note", "canvas", hue("yellow", window.look), "a text on the canvas; Enter begins it")
    note = pieces.Offer(
        Candidate.of(NOTE, "Note", "text comment remark"), shown, lambda _: notes.Typing.of(window).begin(page, place)
    )
    return {NOTE: note, **pieces.offers(window, page, place)}


def count(window: Window, key: str) -> None:
    """Notes that something was taken: what is used most is offered first."""
    used = dict(window.settings.get("used", {}))
    used[key] = used.get(key, 0) + 1
    window.settings.set("used", used)


def _choice(kind: Kind, window: Window) -> Choice:
    face = kind.face
    return Choice(kind.candidate.key, face.title, face.category, category_colour(face.category, window.look), face.help)


def _add(window: Window, page: Page, kind: Kind, place: QPointF, start: End | None, *, aside: bool) -> None:
    wires: tuple[End, ...] = (start,) if start is not None else ()
    if aside and start is None:
        wires = _ends(page)
    corner = snapped(place.x()), snapped(place.y() - 14)
    if start is not None and not start.out:
        corner = snapped(place.x() - 240), corner[1]
    made = added(page.model.graph, page.model.face, kind, corner, wires)
    if window.do(made.edit, f"Add {kind.face.title}"):
        page.scene.select([made.node])
        count(window, kind.candidate.key)
    page.setFocus()


def _ends(page: Page) -> tuple[End, ...]:
    """The outputs of the chosen nodes."""
    nodes = [node for node in page.model.graph.nodes if node in page.scene.selection][:MANY]
    return tuple(End(node, port.name, True) for node in nodes for port in page.model.face(node).outputs)


def add(window: Window) -> None:
    """Offers node types at the cursor."""
    if window.page is not None:
        offer(window, window.page, cursor_place(window.page), None)


def find_node(window: Window) -> None:
    """Finds nodes by name, type or value, and goes to the one chosen."""
    page = window.page
    if page is None:
        return
    faces = {node: page.model.face(node) for node in page.model.graph.nodes}
    candidates = []
    for node, entry in page.model.graph.nodes.items():
        values = " ".join(str(value)[:200] for value in entry.inputs.values() if type(value) in (str, int, float))
        candidates.append(Candidate.of(node, node, faces[node].title, entry.type, values))

    def find(text: str) -> Sequence[Choice]:
        return [
            Choice(item.key, item.key, faces[item.key].title, category_colour(faces[item.key].category, window.look),
                   item.beside[:120])
            for item in ranked(text, candidates, {})
        ]  # fmt: skip

    def go(node: str, _: bool) -> None:
        if node in page.scene.nodes:
            page.scene.select([node])
            page.view.fit(page.scene.bounds([node]))
        page.setFocus()

    chooser = Chooser(find, window.look, "Find a node", window)
    chooser.chosen.connect(go)
    chooser.left.connect(page.setFocus)
    chooser.show_at(_upper_middle(window))


def command(window: Window) -> None:
    """Offers all actions that can be done now, and by name those that cannot: they are there."""
    table = window.actions_table
    table.refresh()
    ready: list[Candidate] = []
    others: list[Candidate] = []
    for name, action in table.known.items():
        fits = ready if table.made[name].isEnabled() else others
        fits.append(Candidate.of(name, action.title, action.menu, action.help))
    used = window.settings.get("commands", {})

    def find(text: str) -> Sequence[Choice]:
        known = table.known
        now = [Choice(item.key, item.title, table.made[item.key].shortcut().toString(), "", known[item.key].help)
               for item in ranked(text, ready, used)]  # fmt: skip
        later = ranked(text, others, used) if text.strip() else []
        return now + [Choice(item.key, item.title, NOT_NOW, "", known[item.key].help) for item in later]

    def run(name: str, _: bool) -> None:
        if not table.made[name].isEnabled():
            window.tell(f"{table.known[name].title}: not now, as there is nothing that it could be done to")
            return
        window.settings.set("commands", {**used, name: used.get(name, 0) + 1})
        table.made[name].trigger()

    chooser = Chooser(find, window.look, "Do anything", window)
    chooser.chosen.connect(run)
    chooser.show_at(_upper_middle(window))


def _upper_middle(window: Window) -> QPoint:
    return window.mapToGlobal(QPoint(window.width() // 2 - 210, 90))


def attach(window: Window) -> None:
    """Has each page's canvas ask for nodes by double-click, and by wires let go over it."""

    def opened(page: Page) -> None:
        page.view.palette_wanted.connect(lambda place, start: offer(window, page, place, start))

    window.page_opened.connect(opened)


ACTIONS = (
    Action("create.add", "Add node…", "Node", add, ("Tab", "Shift+A"), "create",
           "Type a few letters of what the node does", with_page),
    Action("create.find", "Find node…", "Edit", find_node, ("Ctrl+F",), "find",
           "By name, type or value", with_page),
    Action("create.command", "All commands…", "Help", command, ("Ctrl+Shift+P",), "find",
           "Type a few letters of what is to be done"),
)  # fmt: skip
