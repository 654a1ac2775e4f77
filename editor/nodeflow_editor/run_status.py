"""How a run is going, in the status bar and in the window's title, which the taskbar shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QLabel, QProgressBar, QToolButton

from nodeflow_editor.faults import counted
from nodeflow_editor.icons import icon
from nodeflow_editor.problems import Problems
from nodeflow_editor.run_marks import Progress, about
from nodeflow_editor.run_part import RunPart

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

STATES = {"starting": "starting the worker…", "cancelling": "stopping… (3 s at most, then its process is ended)"}
WIDE, MARGIN = 160, 8


class RunStatus(QObject):
    """A bar, the nodes done of all, the time left; the number of problems."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, self._part, self._problems = window, RunPart.of(window), Problems.of_window(window)
        self.bar, self.label, self.count = QProgressBar(window), QLabel(window), QToolButton(window)
        self.bar.setFixedWidth(WIDE)
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setAccessibleName("Progress of the run")
        self.count.setAutoRaise(True)
        self.count.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.count.setToolTip("Problems of this graph (Ctrl+Shift+M)")
        self.count.clicked.connect(window.actions_table.made["dock.problems"].trigger)
        for widget in (self.label, self.bar, self.count):
            widget.hide()
            window.statusBar().addPermanentWidget(widget)
        window.statusBar().setContentsMargins(0, 0, MARGIN, 0)
        self._before = ""
        self._part.changed.connect(self.refresh)
        self._problems.changed.connect(lambda _: self._tell_count())
        window.page_changed.connect(lambda _: self._tell_count())
        window.look_changed.connect(lambda _: self._tell_count())

    def refresh(self) -> None:
        """Shows what there is now."""
        runner = self._part.runner
        state, progress = runner.state, self._part.progress()
        text = STATES.get(state, "")
        if progress is not None and state != "cancelling":
            text = described(progress)
        waiting = sum(not entry.begun for entry in runner.queue.entries())
        if waiting and state == "idle" and self._problems.general:
            text = f"{waiting} waiting: no worker can be started"
        elif waiting and text:
            text += f" · {waiting} waiting"
        self.label.setText(text)
        self.label.setVisible(bool(text))
        self.bar.setVisible(state != "idle")
        if progress is not None:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * progress.share))
        elif state == "starting":
            self.bar.setRange(0, 0)  # busy, nobody knows how long
        self._entitle(f"{progress.share * 100:.0f} % · " if progress is not None else "")

    def _entitle(self, text: str) -> None:
        """Puts how far it is before the window's title."""
        title = self._window.windowTitle()
        own = title.removeprefix(self._before) if self._before and title.startswith(self._before) else title
        if title != text + own:
            self._window.setWindowTitle(text + own)
        self._before = text

    def _tell_count(self) -> None:
        faults = self._problems.of(self._window.page)
        text = counted(faults)
        self.count.setText(text)
        worst = faults[0].severity if faults else "note"
        colour = {"error": "bad", "warning": "warning", "note": "dim"}[worst]
        self.count.setIcon(icon("problems", self._window.look, getattr(self._window.look, colour)))
        self.count.setVisible(bool(text))


def described(progress: Progress) -> str:
    """A run's progress in words: "4 of 9 nodes, about 12 s left"."""
    left = f", about {about(progress.left)} left" if progress.left else ""
    return f"{progress.done:,} of {progress.all:,} nodes{left}"


def attach(window: Window) -> RunStatus:
    """Gives a window's status bar what tells of runs."""
    return RunStatus(window)
