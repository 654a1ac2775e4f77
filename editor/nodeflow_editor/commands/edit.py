"""Changing a graph: undo, the clipboard, removing, choosing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPointF
from PySide6.QtGui import QCursor, QGuiApplication

from nodeflow.edits import Edit, Group, RemoveNode
from nodeflow.errors import GraphError
from nodeflow_editor.actions import Action, with_page, with_some
from nodeflow_editor.canvas.moving import counted
from nodeflow_editor.dropping import Dropping
from nodeflow_editor.marks import reframed
from nodeflow_editor.notepad import renoted
from nodeflow_editor.pieces import Pasted, copied, pasted

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window


def undo(window: Window) -> None:
    """Takes the last step back."""
    if window.page is not None:
        window.page.model.undo.undo()


def redo(window: Window) -> None:
    """Does again what was undone."""
    if window.page is not None:
        window.page.model.undo.redo()


def can_undo(window: Window) -> bool:
    """Whether there is a step to take back."""
    return window.page is not None and window.page.model.undo.canUndo()


def can_redo(window: Window) -> bool:
    """Whether a step was undone."""
    return window.page is not None and window.page.model.undo.canRedo()


def select_all(window: Window) -> None:
    """Chooses every node and note."""
    if window.page is not None:
        scene = window.page.scene
        scene.select(scene.nodes, notes=scene.notes.items)


def chosen(page: Page) -> list[str]:
    """The chosen nodes in the file's order."""
    return [node for node in page.model.graph.nodes if node in page.scene.selection]


def with_marks(window: Window) -> bool:
    """Whether nodes, notes or frames are chosen."""
    return with_some(window) or (window.page is not None and bool(window.page.scene.frame_selection))


def remove(window: Window) -> None:
    """Removes the chosen nodes with the wires from them and the chosen notes, or the chosen frame."""
    page = window.page
    if page is None:
        return
    nodes, notes, frames = chosen(page), page.scene.notes.selection, page.scene.frame_selection
    edits: list[Edit] = [RemoveNode(node) for node in nodes]
    if frames:
        edits.append(reframed(page.model.graph, removed=frames))
    if notes:
        edits.append(renoted(page.model.graph, removed=notes))
    if edits:
        what = counted(len(nodes), len(notes)) if nodes or notes else "frame"
        window.do(Group(tuple(edits)), f"Remove {what}")


def copy(window: Window) -> None:
    """Puts the chosen nodes and notes on the clipboard, as the text of a graph."""
    page = window.page
    if page is not None and with_some(window):
        QGuiApplication.clipboard().setText(
            copied(page.model.graph, page.scene.selection, page.scene.notes.selection)
        )  # fmt: skip


def cut(window: Window) -> None:
    """Copies the chosen nodes, and removes them."""
    copy(window)
    remove(window)


def paste(window: Window) -> None:
    """Puts the clipboard's nodes at the cursor."""
    _paste(window, keep=False)


def paste_wired(window: Window) -> None:
    """Puts the clipboard's nodes at the cursor, with the wires that came into them."""
    _paste(window, keep=True)


def _paste(window: Window, *, keep: bool) -> None:
    page = window.page
    if page is None:
        return
    place, data = cursor_place(page), QGuiApplication.clipboard().mimeData() or QMimeData()  # Qt may have none
    text = data.text()
    graph = text.lstrip().startswith("{")  # else it is no more than what was copied last, somewhere
    if not graph and (data.hasUrls() or data.hasImage()):
        Dropping.of(window).drop(data, place, "Paste")
        return
    try:
        made = pasted(page.model.graph, text, (place.x(), place.y()), keep=keep)
    except GraphError as error:
        window.tell(f"not pasted: {error}" if graph else "the clipboard holds no nodes and no picture")
        return
    _put(window, page, made, "Paste")


def duplicate(window: Window) -> None:
    """Makes copies of the chosen nodes beside them, fed by the same wires."""
    page = window.page
    if page is not None and with_some(window):
        text = copied(page.model.graph, page.scene.selection, page.scene.notes.selection)
        _put(window, page, pasted(page.model.graph, text, keep=True), "Duplicate")


def _put(window: Window, page: Page, made: Pasted, text: str) -> None:
    what = counted(len(made.nodes), len(made.notes))
    if what and window.do(made.edit, f"{text} {what}"):
        page.scene.select(made.nodes, notes=made.notes)


def cursor_place(page: Page) -> QPointF:
    """Where the mouse is in the scene; the middle of what is in sight if it is elsewhere."""
    port = page.view.viewport()
    spot = port.mapFromGlobal(QCursor.pos())
    return page.view.at(spot if port.rect().contains(spot) else port.rect().center())


ACTIONS = (
    Action("edit.undo", "Undo", "Edit", undo, ("Ctrl+Z",), "undo", when=can_undo),
    Action("edit.redo", "Redo", "Edit", redo, ("Ctrl+Shift+Z", "Ctrl+Y"), "undo", when=can_redo),
    Action("edit.cut", "Cut", "Edit", cut, ("Ctrl+X",), "copy", when=with_some),
    Action("edit.copy", "Copy", "Edit", copy, ("Ctrl+C",), "copy", "Copy as the text of a graph", with_some),
    Action("edit.paste", "Paste", "Edit", paste, ("Ctrl+V",), "copy",
           "Paste at the cursor: nodes, files, or a picture, which gets a node that loads it", with_page),
    Action("edit.paste_wired", "Paste with wires", "Edit", paste_wired, ("Ctrl+Shift+V",), "copy",
           "Paste at the cursor, fed by what fed the copied nodes", with_page),
    Action("edit.duplicate", "Duplicate", "Edit", duplicate, ("Ctrl+D",), "copy", when=with_some),
    Action("edit.remove", "Remove", "Edit", remove, ("Del", "Backspace"), "copy", when=with_marks),
    Action("edit.select_all", "Select all", "Edit", select_all, ("Ctrl+A",), "select", when=with_page),
)  # fmt: skip
