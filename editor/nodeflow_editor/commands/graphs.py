"""Graphs within graphs: make one of nodes, take one apart, enter and leave, expose ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QAction

from nodeflow.document import GRAPH
from nodeflow.errors import GraphError
from nodeflow_editor.actions import Action, with_selection
from nodeflow_editor.border import plain
from nodeflow_editor.canvas import hits
from nodeflow_editor.canvas.inline import LineField
from nodeflow_editor.canvas.metrics import HEADER
from nodeflow_editor.commands.wires import of_port
from nodeflow_editor.files import Files
from nodeflow_editor.graph_dock import GraphDock
from nodeflow_editor.interface import exposed_input, opened_output
from nodeflow_editor.subgraphing import dissolved, gathered, regraphed

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window


def gather(window: Window) -> None:
    """Puts the chosen nodes into a graph of their own, within the file."""
    page = window.page
    if page is None:
        return
    boxes, chosen = {node: item.box() for node, item in page.scene.nodes.items()}, page.scene.selection
    pictures = (page.scene.nodes[node].measures.picture for node in chosen)
    high = max((picture[3] for picture in pictures if picture is not None), default=0.0)
    try:
        made = gathered(page.model.graph, chosen, boxes, notes=page.scene.notes.selection, picture=high)
    except GraphError as error:
        window.tell(str(error))
        return
    if window.do(made.edit, "Make subgraph"):
        page.scene.select(made.nodes)
        window.tell("a graph within this one: double-click its node to enter it; the dock Graph has its name and ports")


def dissolve(window: Window) -> None:
    """Puts the nodes of the chosen subgraph in its place."""
    page, node = window.page, _graph_node(window)
    if page is None or node is None:
        return
    try:
        made = dissolved(page.model.graph, node)
    except GraphError as error:
        window.tell(str(error))
        return
    if window.do(made.edit, "Dissolve subgraph"):
        page.scene.select(made.nodes)


def enter(window: Window) -> None:
    """Shows the graph that the chosen node stands for."""
    page, node = window.page, _graph_node(window)
    if page is not None and node is not None:
        go_into(window, page, node)


def go_into(window: Window, page: Page, node: str) -> None:
    """Shows the graph that a node stands for: here if it is in this file, else in a tab of its own."""
    model = page.model
    name = model.graph.nodes[node].type.removeprefix(GRAPH)
    try:
        if name in model.graph.graphs:
            model.enter((*model.level, name))
            return
        Files.of(window).open(model.folder / name)
    except GraphError as error:
        window.tell(str(error))


def leave(window: Window) -> None:
    """Shows the graph around this one, with the node chosen that stands for this one."""
    page = window.page
    if page is None or not page.model.level:
        return
    name = page.model.level[-1]
    page.model.enter(page.model.level[:-1])
    users = [node for node, entry in page.model.graph.nodes.items() if entry.type == GRAPH + name]
    page.scene.select(users[:1] if not page.scene.selection & set(users) else page.scene.selection)


def rename(window: Window) -> None:
    """Types another name for the graph that the chosen node stands for."""
    page, node = window.page, _graph_node(window)
    if page is None or node is None:
        return
    old = page.model.graph.nodes[node].type.removeprefix(GRAPH)
    if old not in page.model.graph.graphs:
        window.tell(f"{old} is a file: rename it where files are, and the node's type after it")
        return
    left, top, wide, _ = page.scene.nodes[node].box()

    def done(text: str) -> None:
        try:
            edit = regraphed(page.model.graph, old, plain(text.strip()))
        except GraphError as error:
            window.tell(str(error))
            return
        window.do(edit, "Rename subgraph", page=page)

    LineField(page.view, QRectF(left + 4, top + 3, wide - 22, HEADER - 5), old, done)


def _graph_node(window: Window) -> str | None:
    """The one chosen node, if it stands for a graph."""
    page = window.page
    if page is None or len(page.scene.selection) != 1:
        return None
    (node,) = page.scene.selection
    entry = page.model.graph.nodes.get(node)
    return node if entry is not None and entry.type.startswith(GRAPH) else None


def graph_chosen(window: Window) -> bool:
    """Whether the one chosen node stands for a graph."""
    return _graph_node(window) is not None


def within(window: Window) -> bool:
    """Whether a graph within the file is on show."""
    return window.page is not None and bool(window.page.model.level)


def at_port(window: Window, page: Page, place: QPointF) -> Iterator[QAction]:
    """What a menu offers for the port that is there."""
    near = hits.port_near(page.scene, place.x(), place.y())
    if near is None:
        return
    node, port, out = near
    made = QAction(f"Expose {node}.{port} as {'an output' if out else 'a parameter'} of the graph", window)
    made.triggered.connect(lambda: expose(window, page, node, port, out=out))
    yield made
    yield from of_port(window, page, node, port, out=out)


def expose(window: Window, page: Page, node: str, port: str, *, out: bool) -> None:
    """Makes an input a parameter of the graph, or what a node gives an output of it."""
    model = page.model
    try:
        if out:
            edit = opened_output(model.document, model.level, node, port)
            model.do(edit, "Expose output", at=model.level[:-1])
        else:
            model.do(exposed_input(model.graph, node, port), "Expose parameter")
    except GraphError as error:
        window.tell(str(error))


def attach(window: Window) -> GraphDock:
    """The dock of the graph's own title, parameters and outputs; graphs are entered by a double click."""
    dock = GraphDock(window)
    window.add_dock("graph", "Graph", dock, Qt.DockWidgetArea.RightDockWidgetArea)

    def opened(page: Page) -> None:
        page.view.entered.connect(lambda node: go_into(window, page, node))
        page.model.level_changed.connect(lambda _: window.actions_table.refresh())

    window.page_opened.connect(opened)
    return dock


ACTIONS = (
    Action("graph.gather", "Make subgraph of selection", "Node", gather, ("Ctrl+Shift+G",), "graph",
           "Put the chosen nodes into a graph of their own", with_selection),
    Action("graph.dissolve", "Dissolve subgraph", "Node", dissolve, ("Ctrl+Alt+G",), "graph",
           "Put the nodes of the chosen subgraph in its place", graph_chosen),
    Action("graph.enter", "Enter subgraph", "Node", enter, ("Alt+Down",), "graph",
           "Show the graph that the chosen node stands for", graph_chosen),
    Action("graph.leave", "Leave subgraph", "Node", leave, ("Alt+Up",), "graph",
           "Show the graph around this one", within),
    Action("graph.rename", "Rename subgraph", "Node", rename, ("Shift+F2",), "graph",
           "Give the graph another name; all nodes that stand for it follow", graph_chosen),
)  # fmt: skip
