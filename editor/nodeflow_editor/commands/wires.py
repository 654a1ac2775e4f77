"""Wires: drawn as lines or as portals, followed to their ends, cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF
from PySide6.QtGui import QAction

from nodeflow_editor.actions import Action, with_selection
from nodeflow_editor.canvas import hits
from nodeflow_editor.graph_model import Link
from nodeflow_editor.wire_view import as_portals, is_portal
from nodeflow_editor.wiring import cut

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window


def chosen_wires(page: Page) -> list[Link]:
    """The wires from the chosen nodes; where there are none, those into them."""
    chosen = page.scene.selection
    links = [item.link for item in page.scene.wires_at(chosen)]
    return [link for link in links if link.source in chosen] or [link for link in links if link.node in chosen]


def are_portals(page: Page, links: Iterable[Link]) -> bool:
    """Whether all of these are drawn as portals."""
    return all(is_portal(page.model.graph, link.key) for link in links)


def turn(window: Window, page: Page, links: Collection[Link]) -> None:
    """Draws wires as portals; as lines again if all of them are."""
    on = not are_portals(page, links)
    what = "wires" if len(links) > 1 else "wire"
    edit = as_portals(page.model.graph, [link.key for link in links], on=on)
    window.do(edit, f"Show {what} as {'portals' if on else 'lines'}", page=page)


def portals(window: Window) -> None:
    """Draws the wires of the chosen nodes as portals, or as lines again."""
    page = window.page
    links = chosen_wires(page) if page is not None else []
    if page is not None and links:
        turn(window, page, links)
    else:
        window.tell("the chosen nodes have no wires")


def shows_portals(window: Window) -> bool:
    """Whether the wires of the chosen nodes are portals."""
    page = window.page
    if page is None or not page.scene.selection or not page.scene.outlets.items:
        return False
    links = chosen_wires(page)
    return bool(links) and are_portals(page, links)


def of_port(window: Window, page: Page, node: str, port: str, *, out: bool) -> Iterator[QAction]:
    """What a menu offers for the wires of a port."""
    links = [link for link in page.model.links(None if out else [node])
             if ((link.source, link.output) if out else (link.node, link.port)) == (node, port)]  # fmt: skip
    if links:
        yield _made(window, _title(page, links, f"wires of {node}.{port}"), lambda: turn(window, page, links))


def at_wire(window: Window, page: Page, place: QPointF) -> Iterator[QAction]:
    """What a menu offers for the wire, or the end of portals, that is there."""
    found = hits.portal_at(page.scene, place.x(), place.y())
    near = hits.link_near(page.scene, place.x(), place.y()) if found is None else None
    links = list(found[0]) if found is not None else [near] if near is not None else []
    if not links:
        return
    what = "wire" if len(links) == 1 else "wires"
    yield _made(window, _title(page, links, what), lambda: turn(window, page, links))
    ends = [links[0].source, links[0].node] if len(links) == 1 else [links[0].source]
    for node in ends:
        if node in page.scene.nodes:
            yield _made(window, f"Go to {node}", partial(go_to, page, [node]))
    many = f"Cut {len(links)} wires" if len(links) > 1 else "Cut wire"
    yield _made(window, many, lambda: window.do(cut(page.model.graph, links), many, page=page))


def go_to(page: Page, nodes: Collection[str]) -> None:
    """Chooses nodes and brings them into sight."""
    page.scene.select(nodes)
    page.view.bring(page.scene.bounds(page.scene.selection))


def _title(page: Page, links: Collection[Link], what: str) -> str:
    one, lines = len(links) == 1 and what == "wire", are_portals(page, links)
    return f"Show {what} as {('a line' if one else 'lines') if lines else ('a portal' if one else 'portals')}"


def _made(window: Window, title: str, run: Callable[[], object]) -> QAction:
    made = QAction(title, window)
    made.triggered.connect(lambda _=False: run())
    return made


ACTIONS = (
    Action("wires.portals", "Wires as portals", "Node", portals, ("P",), "wires",
           "Show the wires from the chosen nodes as short ends with a name; a click on one leads to the other",
           with_selection, shows_portals),
)  # fmt: skip
