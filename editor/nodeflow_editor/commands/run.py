"""Running: the graph in front, a part of it, and the end of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodeflow_editor.actions import Action, with_page
from nodeflow_editor.commands.value import Values
from nodeflow_editor.run_part import RunPart

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def settled(window: Window) -> bool:
    """Takes what is being typed; whether it was taken. What is refused stays open, with the reason."""
    window.settling.emit()
    values = next((part for part in window.parts if isinstance(part, Values)), None)
    return values is None or values.field is None or values.field.over


def run(window: Window) -> None:
    """Runs the graph in front."""
    if window.page is not None and settled(window):
        RunPart.of(window).submit(window.page)


def run_to_node(window: Window) -> None:
    """Computes the chosen node and what it needs."""
    page = window.page
    if page is not None and len(page.scene.selection) == 1 and settled(window):
        (node,) = page.scene.selection
        RunPart.of(window).submit(page, node)


def cancel(window: Window) -> None:
    """Stops what runs."""
    RunPart.of(window).cancel()


def cancel_all(window: Window) -> None:
    """Stops what runs, and empties the queue."""
    RunPart.of(window).runner.cancel_all()


def restart(window: Window) -> None:
    """Starts another worker."""
    RunPart.of(window).restart()


def show(name: str) -> Action:
    """The action that shows a dock and puts the keys into it, or hides it."""
    keys = {"problems": ("Ctrl+Shift+M",), "queue": ("Ctrl+Shift+Q",), "history": ("Ctrl+Shift+H",)}.get(name, ())

    def toggle(window: Window) -> None:
        dock = window.docks[name]
        if dock.isVisible() and not dock.visibleRegion().isEmpty():
            dock.hide()
            return
        dock.show()
        dock.raise_()
        dock.widget().setFocus()

    def visible(window: Window) -> bool:
        return name in window.docks and not window.docks[name].isHidden()

    return Action(f"dock.{name}", name.capitalize(), "Window", toggle, keys, "run", checked=visible)


def one_node(window: Window) -> bool:
    """Whether one node is chosen."""
    return window.page is not None and len(window.page.scene.selection) == 1


def under_way(window: Window) -> bool:
    """Whether anything runs or waits."""
    part = next((part for part in getattr(window, "parts", ()) if isinstance(part, RunPart)), None)
    return part is not None and bool(part.runner.queue.entries())


ACTIONS = (
    Action("run.run", "Run", "Run", run, ("Ctrl+Return", "Ctrl+Enter"), "run", "Compute all outputs of the graph",
           with_page),
    Action("run.to_node", "Run to the chosen node", "Run", run_to_node, ("Ctrl+Shift+Return", "Ctrl+Shift+Enter"),
           "run", "Compute the chosen node and what it needs, and nothing else", one_node),
    Action("run.cancel", "Cancel", "Run", cancel, ("Ctrl+Alt+Return", "Ctrl+Alt+Enter"), "cancel",
           "Stop the run; a second time ends it at once, with its worker", under_way),
    Action("run.cancel_all", "Cancel all", "Run", cancel_all, ("Ctrl+Alt+Shift+Return",), "cancel",
           "Stop the run, and empty the queue", under_way),
    Action("run.restart", "Restart the worker", "Run", restart, (), "worker",
           "End the run that is going and let go of all models; the queue goes on"),
    *(show(name) for name in ("problems", "queue", "history", "output", "plugins")),
)  # fmt: skip
