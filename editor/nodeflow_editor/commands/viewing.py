"""The viewer in the window: pictures of nodes and of files come to it, and actions bring it up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count as counted
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage

from nodeflow.document import Document
from nodeflow_editor.actions import Action, with_selection
from nodeflow_editor.batches import Batch
from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.page_marks import SIDE
from nodeflow_editor.viewer.kept import Origin
from nodeflow_editor.viewer.panel import Viewer

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window


FOLLOWED = "followed"
"""Set on the viewer: the picture that a run turned it to. Any other was chosen, and stays."""
NUMBER, NUMBERS = "viewer_number", counted(1)
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


def came(
    window: Window, page: Page, path: str, pictures: Batch | QImage, whole: QSize | None = None, *, filed: bool = False
) -> None:
    """A node's picture came. The viewer goes along with the run, unless a picture was chosen.

    Args:
        window: whose viewer it is for.
        page: the node's page.
        path: leads to the node.
        pictures: what came, which was made small on its way if it was large.
        whole: the size of each itself; None if that is theirs.
        filed: the pictures themselves came already, as files: these are for the strip alone.
    """
    viewer, batch = viewer_of(window), Batch.of(pictures) if isinstance(pictures, QImage) else pictures
    if viewer is None or not batch.pictures or batch.pictures[0].isNull():
        return
    if filed:
        viewer.sketch(key_of(page, path), batch.pictures)
    else:
        small = whole if whole != batch.pictures[0].size() else None
        _take(window, viewer, page, path, batch.pictures, small, batch.count)


def made(window: Window, page: Page, path: str, files: Sequence[Path]) -> None:
    """A node's pictures were written to files, which are looked at in place of what came during the run."""
    viewer = viewer_of(window)
    if viewer is not None:
        _take(window, viewer, page, path, files)


def _take(
    window: Window, viewer: Viewer, page: Page, path: str, pictures: Sequence[Origin], whole: QSize | None = None,
    count: int = 1,
) -> None:  # fmt: skip
    key, shown = key_of(page, path), viewer.current
    viewer.keep(key, f"{page.name}: {path}", pictures, whole, count)
    _follow(window, page, key, shown)


def _follow(window: Window, page: Page, key: str, shown: str) -> None:
    """Turns the viewer to a picture that a run has just made, if what it showed before, `shown`, was not chosen."""
    viewer = viewer_of(window)
    if viewer is None:
        return
    if not shown or (shown == viewer.property(FOLLOWED) and page is window.page and _goes_on(page, shown, key)):
        viewer.turn(key)
        viewer.setProperty(FOLLOWED, key)


def _goes_on(page: Page, shown: str, key: str) -> bool:
    """Whether a picture is what the run came to after the one that is shown. They do not always come in that order."""
    before, after = (one.removeprefix(key_of(page, "")).partition("/")[0] for one in (shown, key))
    known = page.scene.look(before).run if before in page.scene.nodes and not page.model.level else Run.IDLE
    if before == after or _needs(page.model.document, after, before):
        return True
    if _needs(page.model.document, before, after):
        return known not in (Run.DONE, Run.REUSED)  # else that of an earlier node came late
    return known is not Run.RUNNING  # between two that compute at once the viewer would flicker


def _needs(graph: Document, node: str, other: str) -> bool:
    """Whether a node takes what another gives, over others or not."""
    seen, stack = {node}, [node]
    while stack:
        entry = graph.nodes.get(stack.pop())
        fresh = {wire.node for _, wire in entry.wires()} - seen if entry is not None else set()
        if other in fresh:
            return True
        seen |= fresh
        stack += fresh
    return False


def view_node(window: Window, page: Page, node: str, at: int | None = None, *, raised: bool = True) -> bool:
    """Shows a node's picture in the viewer, or the one at that place of its batch; returns whether there is one."""
    viewer = viewer_of(window)
    if viewer is None or node not in page.scene.nodes:
        return False
    kept = _kept(viewer, page, node)
    picture = page.scene.look(node).picture
    if kept is not None:
        viewer.turn(kept, at)
    elif picture is not None:
        way = "/".join((*page.model.level, node))
        whole = QSize() if max(picture.width(), picture.height()) >= SIDE else None
        viewer.show(key_of(page, way), f"{page.name}: {node}", picture, whole)
    else:
        return False
    viewer.setProperty(FOLLOWED, None)
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

    def wanted(key: str, title: str, picture: Origin | Sequence[Origin]) -> None:
        viewer.show(key, title, picture)
        window.docks["viewer"].show()
        window.docks["viewer"].raise_()

    def chosen(page: Page) -> None:
        if page is window.page and len(page.scene.selection) == 1 and viewer.isVisible():
            (node,) = page.scene.selection
            view_node(window, page, node, raised=False)
        elif page is window.page and not page.scene.selection:
            viewer.setProperty(FOLLOWED, viewer.current)

    def glanced(page: Page, node: str, at: int) -> None:
        if viewer.isVisible():
            view_node(window, page, node, at, raised=False)

    def opened(page: Page) -> None:
        page.view.pictured.connect(lambda node, at: view_node(window, page, node, at))
        page.view.glanced.connect(lambda node, at: glanced(page, node, at))
        page.scene.selection_changed.connect(lambda: chosen(page))

    window.picture_wanted.connect(wanted)
    window.page_opened.connect(opened)
    return viewer


ACTIONS = (
    Action("view.picture", "Show picture in viewer", "View", view_chosen, ("V",), "picture",
           "Show the chosen node's picture in the viewer", with_selection),
)  # fmt: skip
