"""By keyboard: from area to area of the window, from node to node of the graph, and which keys there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nodeflow.document import Wire
from nodeflow_editor import focus
from nodeflow_editor.actions import Action, with_page
from nodeflow_editor.canvas.metrics import Box
from nodeflow_editor.keys import Keys, sheet
from nodeflow_editor.keys_sheet import KeysSheet
from nodeflow_editor.keys_window import KeysWindow
from nodeflow_editor.neighbours import Way, beyond, farthest, nearest

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

_NOTE = "note:"
"""Before the number of a note: no node's id has a colon."""
LONG = 600
"""Characters of a note that are told."""
NAMED = 4
"""Wired inputs that are told of a node that was gone to."""


def to_node(way: Way, *, more: bool = False) -> Callable[[Window], None]:
    """An action that goes to the next node in a direction; at first to that in the middle of what is in sight."""

    def run(window: Window) -> None:
        page = window.page
        if page is None or not (page.scene.nodes or page.scene.notes.items):
            return
        scene = page.scene
        boxes: dict[str, Box] = {node: item.box() for node, item in scene.nodes.items()}
        chosen = {node: boxes[node] for node in scene.selection}
        for number, note in scene.notes.items.items():
            boxes[_NOTE + str(number)] = note.box()
            if number in scene.notes.selection:
                chosen[_NOTE + str(number)] = note.box()
        if chosen:
            found = beyond(boxes, farthest(chosen, way), way)
        else:
            sight = page.view.at(page.view.viewport().rect().center())
            found = nearest(boxes, (sight.x(), sight.y()))
        if found is None:
            window.tell(f"no node stands further {way}")
            return
        if found.startswith(_NOTE):
            at = int(found.removeprefix(_NOTE))
            scene.select((), notes=[at], more=more)
            box, said = scene.notes.items[at].frame(), f"Note: {scene.notes.items[at].marked.text[:LONG]}"
        else:
            scene.select([found], more=more)
            box, said = scene.nodes[found].frame(), told(page, found)
        page.view.reveal(box)
        page.view.setAccessibleDescription(said)
        window.tell(said)

    return run


def told(page: Page, node: str) -> str:
    """A node in a sentence, for the status bar and for those who hear the screen."""
    face, entry = page.model.face(node), page.model.graph.nodes[node]
    wires = [f"{port} from {value}" for port, value in entry.inputs.items() if type(value) is Wire]
    faults = [f"{port}: {why}" if port else why for port, why in page.scene.look(node).faults.items()]
    more = [f"{len(wires) - NAMED} more"] if len(wires) > NAMED else []
    parts = [f"{face.title} ({node})", face.absent, entry.mode, *faults[:1], ", ".join([*wires[:NAMED], *more])]
    return "; ".join(part for part in parts if part)


def keys_of(window: Window) -> Keys:
    """The window's keys: what is changed is kept in its settings, and holds at once."""

    def keep(chosen: dict[str, list[str]]) -> None:
        window.settings.set("keys", chosen)
        window.actions_table.set_keys(chosen)

    return Keys(window.actions_table.known.values(), window.settings.get("keys", {}), keep)


def change_keys(window: Window) -> None:
    """Opens the window in which keys are changed."""
    found = window.findChild(KeysWindow) or KeysWindow(keys_of(window), window)
    found.show()
    found.activateWindow()


def show_keys(window: Window) -> None:
    """Shows all keys at a glance."""
    found = window.findChild(KeysSheet)
    if found is None:
        found = KeysSheet(sheet(keys_of(window)), window)
        found.change.clicked.connect(found.close)
        found.change.clicked.connect(lambda: change_keys(window))
    found.show()
    found.activateWindow()


ACTIONS = (
    Action("go.left", "Go to the node at the left", "", to_node("left"), ("Ctrl+Left",), when=with_page),
    Action("go.right", "Go to the node at the right", "", to_node("right"), ("Ctrl+Right",), when=with_page),
    Action("go.up", "Go to the node above", "", to_node("up"), ("Ctrl+Up",), when=with_page),
    Action("go.down", "Go to the node below", "", to_node("down"), ("Ctrl+Down",), when=with_page),
    Action("go.more_left", "Choose the node at the left as well", "", to_node("left", more=True),
           ("Ctrl+Shift+Left",), when=with_page),
    Action("go.more_right", "Choose the node at the right as well", "", to_node("right", more=True),
           ("Ctrl+Shift+Right",), when=with_page),
    Action("go.more_up", "Choose the node above as well", "", to_node("up", more=True),
           ("Ctrl+Shift+Up",), when=with_page),
    Action("go.more_down", "Choose the node below as well", "", to_node("down", more=True),
           ("Ctrl+Shift+Down",), when=with_page),
    Action("go.next", "Next area", "Window", lambda window: focus.go_on(window, 1), ("F6",), "areas",
           "Hand the keys to the next part of the window: canvas, docks, bars"),
    Action("go.previous", "Previous area", "Window", lambda window: focus.go_on(window, -1), ("Shift+F6",), "areas",
           "Hand the keys to the part of the window before"),
    Action("go.canvas", "Canvas", "Window", focus.go_to_canvas, ("Ctrl+0",), "areas",
           "Hand the keys to the canvas", with_page),
    Action("help.keys", "Keys at a glance", "Help", show_keys, ("F1",), "keys",
           "All keys, and what the mouse does on the canvas"),
    Action("help.change_keys", "Keys…", "Help", change_keys, ("Ctrl+Alt+K",), "keys",
           "Give actions other keys"),
)  # fmt: skip
