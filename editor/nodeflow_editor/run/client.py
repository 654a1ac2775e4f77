"""The window's side of runs: requests that never wait, and what happens as Qt signals in the window's own thread."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from nodeflow.client import Worker
from nodeflow.document import Document
from nodeflow_editor.batches import Batch
from nodeflow_editor.run.history import History
from nodeflow_editor.run.mailbox import Mailbox
from nodeflow_editor.run.queue import Entry, RunQueue
from nodeflow_editor.run.work import CLOSING, PATIENCE, Start, Work

SLICE = 0.008
"""Seconds in which events are shown one after the other: a hundred pictures that come at once took 0.3 s."""


def start_worker(said: Callable[[str], None]) -> Worker:
    """A worker process of this Python."""
    return Worker(said=said)


class Runner(QObject):
    """Owns the worker process. Its methods return at once, and are called in the window's thread.

    Every run that is submitted comes to one `ended`. Steps of a node come twenty times a second at most, previews ten
    times, the newest first. `ended` has what `nodeflow.events.Ended` says, and "killed", the node at which the process
    had to be killed to stop the run, or "refused", if the graph was wrong. `worker_died` names the node that ended its
    process, or none; if no worker can be started, runs wait until `restart` or the next `submit`.

    Args:
        waiting: the runs that wait; on disk, in the user's folder, if None.
        history: where delivered pictures are remembered; nowhere if None.
        start: starts a worker.
        patience: seconds from a cancel to the kill.
    """

    began = Signal(int, int, object)  # run, nodes at most, {output: why it is left out}
    node_started = Signal(int, str)
    node_stepped = Signal(int, str, int, object, object, str)  # run, node, step, total, seconds left, text
    node_finished = Signal(int, str, float)
    node_reused = Signal(int, str)
    node_failed = Signal(int, object, object, str, str)  # run, node or None, input or None, message, trace
    previewed = Signal(int, str, object, QSize)  # run, node, a Batch: pictures made small, the size of each itself
    delivered = Signal(int, str, list, object)  # run, output, paths of files, a small value
    undelivered = Signal(int, str, str, str)  # run, output, path, message
    refused = Signal(int, list)  # run, problems as `nodeflow.errors.Problem.as_json` has them
    ended = Signal(int, dict)
    worker_died = Signal(int, str, str)
    printed = Signal(list)
    state_changed = Signal(str)
    queue_changed = Signal()
    history_changed = Signal()
    _woken = Signal()

    def __init__(
        self, waiting: RunQueue | None = None, history: History | None = None, *, start: Start = start_worker,
        patience: float = PATIENCE, parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.queue = waiting if waiting is not None else RunQueue()
        self.history = history
        self.state = "idle"
        self._mail = Mailbox()
        self._unshown: deque[Mapping[str, Any]] = deque()
        self._again: float | None = None
        """After how many seconds the mailbox is to be looked into; None if it calls by itself."""
        self._shelf = ThreadPoolExecutor(1, thread_name_prefix="editor-history")
        self._closed = False
        self._timer = QTimer(self, singleShot=True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._deliver)
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._work = Work(self._post, self.queue, start, patience=patience, delivered=self._remember)

    def submit(
        self, document: Document, file: str | None, folder: Path, out: Path, until: str | None = None, **how: Any
    ) -> int:
        """Puts a run at the end of the queue, and returns its number.

        Args:
            document: the graph.
            file: what messages call it, and its outputs are named after; "graph" if None.
            folder: where its subgraphs are, and the files that it may read.
            out: where files go.
            until: compute this node and what it needs, and nothing else.
            how: more that `nodeflow.client.Worker.run` takes, JSON-able, such as the device.
        """
        number = self.queue.number()
        name = Path(file).stem if file else "graph"
        title = document.title or name
        entry = Entry(number, "", title, name, file, str(folder.absolute()), str(out.absolute()), until, how=how)
        self._work.submit(entry, document)
        return number

    def again(self, entry: Entry) -> int:
        """Runs an entry of the queue, or one that was left by a crash, once more."""
        number = self.queue.number()
        self._work.submit(replace(entry, id=number, begun=False))
        return number

    def take_up(self, places: Sequence[int] | None = None) -> None:
        """Runs what a crash had left, all or those at these places of `queue.left_over`; the others are given up."""
        self._work.change(lambda waiting: waiting.take_up(places))

    def give_up(self) -> None:
        """Forgets what a crash had left."""
        self._work.change(lambda waiting: waiting.give_up())

    def move(self, run: int, to: int) -> None:
        """Puts a run that waits at the place `to` among those that wait, 0 being the next."""
        self._work.change(lambda waiting: waiting.move(run, to))

    def warm(self) -> None:
        """Starts the worker, before the first run waits for it."""
        self._work.warm()

    def cancel(self, run: int) -> None:
        """Takes a run out of the queue, or stops it: softly, and after `patience` with its process."""
        self._work.cancel(run)

    def cancel_all(self) -> None:
        """Empties the queue and stops what runs."""
        self._work.cancel_all()

    def kill(self) -> None:
        """Ends the present run and its process at once."""
        self._work.kill()

    def restart(self) -> None:
        """Another worker in place of the present one, which ends with its run; lets go of all models."""
        self._work.restart()

    def close(self, patience: float = CLOSING) -> bool:
        """Ends the worker; whether it is gone. This waits, for twice `patience` at most, and no signal comes after."""
        if self._closed:
            return True
        self._closed = True
        with contextlib.suppress(RuntimeError):  # at the program's end Qt may have taken it away already
            self._timer.stop()
        gone = self._work.close(patience)
        self._shelf.shutdown(wait=False)
        self.queue.close()
        return gone

    # --- from the threads to the window

    def _post(self, event: Mapping[str, Any]) -> None:
        if not self._closed and self._mail.put(event):
            self._woken.emit()

    def _remember(self, entry: Entry, event: Mapping[str, Any]) -> None:
        """Called by the thread that reads; a thumbnail takes longer than a run may be held up."""
        if self.history is not None and event["paths"]:
            self._shelf.submit(self._shelve, self.history, entry, event)

    def _shelve(self, history: History, entry: Entry, event: Mapping[str, Any]) -> None:
        if history.add(entry.title, event["output"], event["paths"], entry.graph) is not None:
            self._post({"event": "history"})

    def _deliver(self) -> None:
        """Shows what has come, a slice at a time: between two the window draws, and takes keys."""
        if not self._closed and not self._unshown:
            events, self._again = self._mail.take(time.monotonic())
            self._unshown.extend(events)
        last = time.monotonic() + SLICE
        while self._unshown and not self._closed and time.monotonic() < last:
            self._show(self._unshown.popleft())
        if self._unshown:
            self._again = 0.0  # and once more after these: the mailbox calls but once, and that call may have come now
        if self._again is not None and not self._closed:
            self._timer.start(math.ceil(self._again * 1000))

    def _show(self, event: Mapping[str, Any]) -> None:
        run, node = event.get("run", 0), event.get("node")
        match event["event"]:
            case "began":
                self.began.emit(run, event["nodes"], event.get("left_out", {}))
            case "started":
                self.node_started.emit(run, node)
            case "stepped":
                self.node_stepped.emit(run, node, event["step"], event["total"], event["left"], event["text"])
            case "finished":
                self.node_finished.emit(run, node, event["seconds"])
            case "reused":
                self.node_reused.emit(run, node)
            case "failed":
                self.node_failed.emit(run, node, event["port"], event["message"], event["trace"])
            case "previewed":
                self.previewed.emit(run, node, _batch(event), QSize(*event["of"]))
            case "delivered":
                self.delivered.emit(run, event["output"], list(event["paths"]), event["value"])
            case "undelivered":
                self.undelivered.emit(run, event["output"], event["path"], event["message"])
            case _:
                self._show_rest(run, event)

    def _show_rest(self, run: int, event: Mapping[str, Any]) -> None:
        """What is no event of the engine's, but for the end."""
        match event["event"]:
            case "ended":
                self.ended.emit(run, {key: value for key, value in event.items() if key not in ("event", "run")})
            case "refused":
                self.refused.emit(run, event["problems"])
            case "died":
                self.worker_died.emit(run, event["node"], event["message"])
            case "printed":
                self.printed.emit(event["lines"])
            case "state":
                self.state = event["state"]
                self.state_changed.emit(self.state)
            case "queue":
                self.queue_changed.emit()
            case "history":
                self.history_changed.emit()


def _batch(event: Mapping[str, Any]) -> Batch:
    width, height = event["width"], event["height"]
    pixels, each = memoryview(event["pixels"]), 3 * width * height
    made = (QImage(pixels[at * each : (at + 1) * each], width, height, 3 * width, QImage.Format.Format_RGB888).copy()
            for at in range(event["shown"]))  # fmt: skip
    return Batch(tuple(made), event["count"])
