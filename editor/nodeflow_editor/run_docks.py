"""What stands around the graphs for their runs: a toolbar, the status, docks, and the offer to go on with old runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nodeflow_editor import (
    history_dock,
    hover,
    leaving,
    output_dock,
    plugins_dock,
    problems_dock,
    queue_dock,
    run_status,
    toolbar,
)
from nodeflow_editor.bars import Answer
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.soon import soon

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def offer(window: Window) -> None:
    """Asks what shall become of runs that an editor left that ended suddenly: nothing of it starts by itself."""
    runner = RunPart.of(window).runner
    count = len(runner.queue.left_over())
    if not count:
        return

    def show() -> None:
        window.docks["queue"].show()
        window.docks["queue"].raise_()

    what = "One run was" if count == 1 else f"{count:,} runs were"
    text = f"{what} left in the queue when the editor ended last time."
    answers = (Answer("&Show", show), Answer("&Forget", runner.give_up), Answer("&Later"))
    window.notices.ask("queue", text, answers, focus=False)


def attach(window: Window) -> None:
    """Asks once the window is there."""
    soon(window, lambda: offer(window))


PARTS: tuple[Callable[[Window], object], ...] = (
    problems_dock.attach, queue_dock.attach, history_dock.attach, output_dock.attach, plugins_dock.attach,
    toolbar.attach, run_status.attach, hover.attach, leaving.attach, attach,
)  # fmt: skip
