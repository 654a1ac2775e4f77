"""What can be done with chosen nodes: mute, bypass, rename, and the menu of what is under the mouse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QPoint, QPointF, QRectF
from PySide6.QtWidgets import QMenu

from nodeflow.edits import Edit, Group, RenameNode, SetMode
from nodeflow_editor.actions import Action, with_selection
from nodeflow_editor.canvas import hits, noting
from nodeflow_editor.canvas.inline import LineField
from nodeflow_editor.canvas.metrics import HEADER
from nodeflow_editor.commands.edit import chosen
from nodeflow_editor.commands.graphs import at_port
from nodeflow_editor.commands.wires import at_wire
from nodeflow_editor.marks import TITLE, reframed
from nodeflow_editor.wiring import bridged

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

ON_NODE = (
    "run.to_node", "view.picture", "value.edit", "", "edit.cut", "edit.copy", "edit.paste", "edit.duplicate", "",
    "node.rename", "node.mute", "node.bypass", "node.fold", "node.dissolve", "edit.remove", "", "node.colour",
    "arrange.frame", "arrange.layout", "", "graph.gather", "graph.enter", "graph.dissolve",
)  # fmt: skip
ON_FRAME = ("node.rename", "node.colour", "edit.remove")
ON_NOTE = (
    "note.edit", "", "edit.cut", "edit.copy", "edit.paste", "edit.duplicate", "edit.remove", "", "node.colour",
    "arrange.frame",
)  # fmt: skip
ON_CANVAS = (
    "create.add", "create.note", "create.find", "", "edit.paste", "edit.select_all", "", "view.fit", "view.full_size",
)  # fmt: skip


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
    """Types another id for the chosen node, on its title, or what the chosen frame or note says."""
    page = window.page
    if page is not None and not page.scene.selection and page.scene.frame_selection:
        page.view.title_wanted.emit(*page.scene.frame_selection)
    if page is not None and not page.scene.selection and len(page.scene.notes.selection) == 1:
        page.view.note_wanted.emit(*page.scene.notes.selection)
    if page is None or len(page.scene.selection) != 1:
        return
    (node,) = page.scene.selection
    left, top, wide, _ = page.scene.nodes[node].box()

    def done(text: str) -> None:
        window.do(RenameNode(node, text.strip()), "Rename node", page=page)

    LineField(page.view, QRectF(left + 4, top + 3, wide - 22, HEADER - 5), node, done)


def dissolve(window: Window) -> None:
    """Removes the chosen nodes and joins what was before them to what was behind."""
    page = window.page
    if page is None:
        return
    nodes = chosen(page)
    if nodes:
        what = "Dissolve nodes" if len(nodes) > 1 else "Dissolve node"
        window.do(bridged(page.model.graph, page.model.face, nodes), what)


def one_chosen(window: Window) -> bool:
    """Whether exactly one node is chosen."""
    return window.page is not None and len(window.page.scene.selection) == 1


def can_rename(window: Window) -> bool:
    """Whether one node, one frame or one note is chosen."""
    page = window.page
    if page is None or one_chosen(window):
        return page is not None
    return not page.scene.selection and 1 in (len(page.scene.frame_selection), len(page.scene.notes.selection))


def attach(window: Window) -> None:
    """Has each page's canvas open menus, and titles for typing."""

    def menu(page: Page, spot: QPoint, place: QPointF) -> None:
        made = QMenu(window)
        made.aboutToHide.connect(made.deleteLater)
        window.actions_table.refresh()
        x, y = place.x(), place.y()
        port, portal = hits.port_near(page.scene, x, y), hits.portal_at(page.scene, x, y)
        node = port is not None or (portal is None and hits.node_at(page.scene, x, y) is not None)
        note = not node and portal is None and noting.note_at(page.scene, x, y) is not None
        wires = [] if node or note else list(at_wire(window, page, place))
        frame = None if node or note or wires else hits.frame_title_at(page.scene, x, y)
        if frame is not None:
            page.scene.select_frame(frame.marked.number)
            window.actions_table.refresh()
        for offered in (*at_port(window, page, place), *wires):
            offered.setParent(made)
            made.addAction(offered)
        if node:
            made.addSeparator()
        on_mark = ON_NOTE if note else ON_FRAME
        for name in ON_NODE if node else () if wires else on_mark if note or frame is not None else ON_CANVAS:
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
            window.do(reframed(page.model.graph, [replace(frame, title=text)]), "Name frame", page=page)

        LineField(page.view, QRectF(box.x() + 8, box.y() + 4, min(box.width() - 16, 320), TITLE - 6), frame.title, done)

    def opened(page: Page) -> None:
        page.view.menu_wanted.connect(lambda spot, place: menu(page, spot, place))
        page.view.title_wanted.connect(lambda number: title(page, number))

    def settle() -> None:
        for field in window.findChildren(LineField):
            field.finish()

    window.page_opened.connect(opened)
    window.settling.connect(settle)


ACTIONS = (
    Action("node.rename", "Rename", "Node", rename, ("F2",), "node",
           "Give the chosen node another id, the chosen frame another title", can_rename),
    Action("node.mute", "Mute", "Node", mute, ("Ctrl+M",), "node",
           "The chosen nodes and what needs them do not run", with_selection),
    Action("node.bypass", "Bypass", "Node", bypass, ("Ctrl+B",), "node",
           "What comes into the chosen nodes goes past them", with_selection),
    Action("node.dissolve", "Dissolve", "Node", dissolve, ("Ctrl+Del", "Shift+Del"), "node",
           "Remove the chosen nodes and join what they stood between", with_selection),
)  # fmt: skip
