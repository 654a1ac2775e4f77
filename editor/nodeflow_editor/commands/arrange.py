"""Where nodes stand: layout, alignment, frames, steps by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nodeflow.edits import Group, MoveNodes
from nodeflow_editor.actions import Action, with_selection, with_some
from nodeflow_editor.arranging import Side, aligned, spread
from nodeflow_editor.canvas.layout import layered
from nodeflow_editor.canvas.metrics import Box, Point
from nodeflow_editor.canvas.moving import SNAP
from nodeflow_editor.marks import carried, framed, stretched, tidy
from nodeflow_editor.notepad import shifted

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window


def boxes(page: Page) -> dict[str, Box]:
    """The boxes of the chosen nodes, in the file's order."""
    return {node: page.scene.nodes[node].box() for node in page.model.graph.nodes if node in page.scene.selection}


def move(window: Window, places: Mapping[str, Point], text: str) -> None:
    """Moves nodes, in one step of undo; frames that held them grow so that they still do."""
    page = window.page
    if places and page is not None:
        before = {node: page.scene.nodes[node].box() for node in places}
        after = {node: (x, y, *before[node][2:]) for node, (x, y) in places.items()}
        moved = MoveNodes({node: [tidy(x), tidy(y)] for node, (x, y) in places.items()})
        window.do(Group((moved, *stretched(page.model.graph, before, after))), text)


def lay_out(window: Window) -> None:
    """Puts the chosen nodes in columns by what they need; their upper left corner stays."""
    page = window.page
    if page is None:
        return
    known = boxes(page)
    found = layered(page.model.graph, known, {node: box[2:] for node, box in known.items()})
    left, top = min(box[0] for box in known.values()), min(box[1] for box in known.values())
    move(window, {node: (x + left, y + top) for node, (x, y) in found.items()}, "Lay out")


def align(side: Side) -> Callable[[Window], None]:
    """An action that aligns."""

    def run(window: Window) -> None:
        if window.page is not None:
            move(window, aligned(boxes(window.page), side), f"Align {side}")

    return run


def distribute(*, down: bool) -> Callable[[Window], None]:
    """An action that spreads nodes evenly."""

    def run(window: Window) -> None:
        if window.page is not None:
            move(window, spread(boxes(window.page), down=down), "Spread")

    return run


def step(dx: float, dy: float) -> Callable[[Window], None]:
    """An action that moves the chosen nodes by some lines of the grid."""

    def run(window: Window) -> None:
        if window.page is not None:
            across, down = dx * SNAP, dy * SNAP
            places = {node: [tidy(box[0] + across), tidy(box[1] + down)] for node, box in boxes(window.page).items()}
            graph, notes = window.page.model.graph, window.page.scene.notes.selection
            moved = (MoveNodes(places),) if places else ()
            edit = Group((*moved, *carried(graph, places, across, down), *shifted(graph, notes, (across, down))))
            window.do(edit, "Move", merge=f"step:{','.join([*sorted(places), *map(str, sorted(notes))])}")

    return run


def frame(window: Window) -> None:
    """Draws a frame around the chosen nodes and notes."""
    page = window.page
    if page is None:
        return
    noted = [page.scene.notes.items[number].box() for number in page.scene.notes.selection]
    if window.do(framed(page.model.graph, "Frame", [*boxes(page).values(), *noted]), "Add frame"):
        page.view.title_wanted.emit(page.scene.frames[-1].marked.number)


def several(window: Window) -> bool:
    """Whether at least two nodes are chosen."""
    return window.page is not None and len(window.page.scene.selection) > 1


ACTIONS = (
    Action("arrange.layout", "Lay out", "Node", lay_out, ("Ctrl+L",), "arrange",
           "Put the chosen nodes in columns by what they need", with_selection),
    Action("arrange.frame", "Frame", "Node", frame, ("Ctrl+G",), "arrange",
           "Draw a frame around the chosen nodes", with_some),
    Action("arrange.left", "Align left", "Node", align("left"), ("Ctrl+Alt+Left",), "align", when=several),
    Action("arrange.centre", "Align centres", "Node", align("centre"), (), "align", when=several),
    Action("arrange.right", "Align right", "Node", align("right"), ("Ctrl+Alt+Right",), "align", when=several),
    Action("arrange.top", "Align top", "Node", align("top"), ("Ctrl+Alt+Up",), "align", when=several),
    Action("arrange.middle", "Align middles", "Node", align("middle"), (), "align", when=several),
    Action("arrange.bottom", "Align bottom", "Node", align("bottom"), ("Ctrl+Alt+Down",), "align", when=several),
    Action("arrange.across", "Spread across", "Node", distribute(down=False), (), "align", when=several),
    Action("arrange.down", "Spread down", "Node", distribute(down=True), (), "align", when=several),
    Action("arrange.step_left", "Move left", "", step(-1, 0), ("Left",), when=with_some),
    Action("arrange.step_right", "Move right", "", step(1, 0), ("Right",), when=with_some),
    Action("arrange.step_up", "Move up", "", step(0, -1), ("Up",), when=with_some),
    Action("arrange.step_down", "Move down", "", step(0, 1), ("Down",), when=with_some),
)  # fmt: skip
