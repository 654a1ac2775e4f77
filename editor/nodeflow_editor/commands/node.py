"""What can be done with chosen nodes: mute, bypass, rename, and the menu of what is under the mouse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QPoint, QPointF, QRectF
from PySide6.QtWidgets import QMenu

from nodeflow.edits import Edit, Group, RemoveNode, RenameNode, SetMode
from nodeflow_editor.actions import Action, with_selection
from nodeflow_editor.canvas.inline import LineField
from nodeflow_editor.canvas.metrics import HEADER
from nodeflow_editor.commands.edit import chosen
from nodeflow_editor.commands.graphs import at_port
from nodeflow_editor.marks import TITLE, reframed
from nodeflow_editor.wiring import End, joined, reason

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

ON_NODE = (
    "create.find", "", "edit.cut", "edit.copy", "edit.paste", "edit.duplicate", "", "node.rename", "node.mute",
    "node.bypass", "node.dissolve", "edit.remove", "", "arrange.frame", "arrange.layout", "",
    "graph.gather", "graph.enter", "graph.dissolve",
)  # fmt: skip
ON_CANVAS = ("create.add", "create.find", "", "edit.paste", "edit.select_all", "", "view.fit", "view.full_size")


def _toggle(window: Window, mode: Literal["muted", "bypassed"], what: str) -> None:
    page = window.page
    if page is None:
        return
    nodes = chosen(page)
    on = any(page.model.graph.nodes[node].mode != mode for node in nodes)
    edits: tuple[Edit, ...] = tuple(SetMode(node, mode if on else "") for node in nodes)
    if edits:
        window.do(Group(edits), f"{what} nodes" if len(nodes) > 1 else f"{what} node")


def mute(window: Window) -> None:
    """Takes the chosen nodes out of runs, or back in."""
    _toggle(window, "muted", "Mute")


def bypass(window: Window) -> None:
    """Leads wires past the chosen nodes, or through them again."""
    _toggle(window, "bypassed", "Bypass")


def rename(window: Window) -> None:
    """Types another id for the chosen node, on its title."""
    page = window.page
    if page is None or len(page.scene.selection) != 1:
        return
    (node,) = page.scene.selection
    left, top, wide, _ = page.scene.nodes[node].box()

    def done(text: str) -> None:
        if window.do(RenameNode(node, text.strip()), "Rename node"):
            page.scene.select([text.strip()])

    LineField(page.view, QRectF(left + 4, top + 3, wide - 22, HEADER - 5), node, done)


def dissolve(window: Window) -> None:
    """Removes the chosen nodes and joins what was before them to what was behind."""
    page = window.page
    if page is None:
        return
    graph, edits = page.model.graph, []
    for node in chosen(page):
        bridges = list(_bridges(page, node))
        for edit in (RemoveNode(node), *(joined(graph, page.model.face, start, end) for start, end in bridges)):
            edits.append(edit)
    if edits:
        window.do(Group(tuple(edits)), "Dissolve node")


def _bridges(page: Page, node: str) -> list[tuple[End, End]]:
    """Wires that may lead past a node: from what fed it to what it fed, where that fits."""
    model = page.model
    feeds = [link for link in model.links([node]) if link.source not in page.scene.selection]
    takers = [link for link in model.links() if link.source == node and link.node not in page.scene.selection]
    found = []
    for taker in takers:
        end = End(taker.node, taker.port, False)
        starts = (End(feed.source, feed.output, True) for feed in feeds)
        start = next((one for one in starts if reason(model.graph, model.face, one, end) is None), None)
        if start is not None:
            found.append((start, end))
    return found


def one_chosen(window: Window) -> bool:
    """Whether exactly one node is chosen."""
    return window.page is not None and len(window.page.scene.selection) == 1


def attach(window: Window) -> None:
    """Has each page's canvas open menus, and titles for typing."""

    def menu(page: Page, spot: QPoint, place: QPointF) -> None:
        made = QMenu(window)
        made.aboutToHide.connect(made.deleteLater)
        window.actions_table.refresh()
        for offered in at_port(window, page, place):
            offered.setParent(made)
            made.addAction(offered)
            made.addSeparator()
        for name in ON_NODE if page.scene.selection else ON_CANVAS:
            if name:
                made.addAction(window.actions_table.made[name])
            else:
                made.addSeparator()
        made.popup(spot)

    def title(page: Page, number: int) -> None:
        item = next((item for item in page.scene.frames if item.marked.number == number), None)
        if item is None:
            return
        frame, box = item.marked, item.rect()

        def done(text: str) -> None:
            window.do(reframed(page.model.graph, [replace(frame, title=text)]), "Name frame")

        LineField(page.view, QRectF(box.x() + 8, box.y() + 4, min(box.width() - 16, 320), TITLE - 6), frame.title, done)

    def opened(page: Page) -> None:
        page.view.menu_wanted.connect(lambda spot, place: menu(page, spot, place))
        page.view.title_wanted.connect(lambda number: title(page, number))

    window.page_opened.connect(opened)


ACTIONS = (
    Action("node.rename", "Rename", "Node", rename, ("F2",), "node", "Give the chosen node another id", one_chosen),
    Action("node.mute", "Mute", "Node", mute, ("Ctrl+M",), "node",
           "The chosen nodes and what needs them do not run", with_selection),
    Action("node.bypass", "Bypass", "Node", bypass, ("Ctrl+B",), "node",
           "What comes into the chosen nodes goes past them", with_selection),
    Action("node.dissolve", "Dissolve", "Node", dissolve, ("Ctrl+Del", "Shift+Del"), "node",
           "Remove the chosen nodes and join what they stood between", with_selection),
)  # fmt: skip
