"""The viewer in the window: pictures of nodes and of files come to it, and actions bring it up."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from nodeflow_editor.actions import Action, with_selection
from nodeflow_editor.viewer.panel import Viewer

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window


NUMBER, NUMBERS = "viewer_number", count(1)
"""Pages are told apart by numbers: their places in memory are given to others when they close."""


def viewer_of(window: Window) -> Viewer | None:
    """The window's viewer."""
    dock = window.docks.get("viewer")
    widget = dock.widget() if dock is not None else None
    return widget if isinstance(widget, Viewer) else None


def key_of(page: Page, path: str) -> str:
    """What the viewer keeps a node's picture by; `path` leads through graphs: "upscale/sample"."""
    number = page.property(NUMBER)
    if number is None:
        number = next(NUMBERS)
        page.setProperty(NUMBER, number)
    return f"node:{number}:{path}"


def came(window: Window, page: Page, path: str, image: QImage) -> None:
    """A node's picture came, at its full size."""
    viewer = viewer_of(window)
    if viewer is not None and not image.isNull():
        viewer.keep(key_of(page, path), f"{page.name}: {path}", image)


def view_node(window: Window, page: Page, node: str, *, raised: bool = True) -> bool:
    """Shows a node's picture in the viewer; returns whether there is one."""
    viewer = viewer_of(window)
    if viewer is None or node not in page.scene.nodes:
        return False
    kept = _kept(viewer, page, node)
    picture = page.scene.look(node).picture
    if kept is not None:
        viewer.turn(kept)
    elif picture is not None:
        way = "/".join((*page.model.level, node))
        viewer.show(key_of(page, way), f"{page.name}: {node}", picture)
    else:
        return False
    if raised:
        window.docks["viewer"].show()
        window.docks["viewer"].raise_()
    return True


def _kept(viewer: Viewer, page: Page, node: str) -> str | None:
    """The last picture of a node: of a graph's, that of any of its nodes."""
    start = key_of(page, "")
    for key in reversed(viewer.keys()):
        if key.startswith(start):
            path = key.removeprefix(start)
            inner = page.model.level and path.endswith(f"/{node}")
            if path == node or inner or (not page.model.level and path.startswith(f"{node}/")):
                return key
    return None


def view_chosen(window: Window) -> None:
    """Shows the picture of the chosen node in the viewer."""
    page = window.page
    if page is not None and not any(view_node(window, page, node) for node in sorted(page.scene.selection)):
        window.tell("the chosen node has no picture yet: run the graph")


def attach(window: Window) -> Viewer:
    """The dock, and what leads to it: a double click on a node's picture, a chosen node, pictures of files."""
    viewer = Viewer(window)
    window.add_dock("viewer", "Viewer", viewer, Qt.DockWidgetArea.RightDockWidgetArea)
    viewer.dress(window.look)
    viewer.told.connect(window.tell)
    window.look_changed.connect(viewer.dress)
    window.closing.connect(viewer.close_pictures)

    def wanted(key: str, title: str, picture: QImage | Path) -> None:
        viewer.show(key, title, picture)
        window.docks["viewer"].show()
        window.docks["viewer"].raise_()

    def chosen(page: Page) -> None:
        if page is window.page and len(page.scene.selection) == 1 and viewer.isVisible():
            (node,) = page.scene.selection
            view_node(window, page, node, raised=False)

    def opened(page: Page) -> None:
        page.view.pictured.connect(lambda node: view_node(window, page, node))
        page.scene.selection_changed.connect(lambda: chosen(page))

    window.picture_wanted.connect(wanted)
    window.page_opened.connect(opened)
    return viewer


ACTIONS = (
    Action("view.picture", "Show picture in viewer", "View", view_chosen, ("V",), "picture",
           "Show the chosen node's picture in the viewer", with_selection),
)  # fmt: skip
