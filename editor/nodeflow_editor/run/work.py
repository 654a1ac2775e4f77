"""Between the window and the worker process: runs one graph after another, and ends what does not end. No Qt.

Nothing here is waited for: requests are carried out by a clerk's thread, events are read by another, and both post what
there is to tell. Models stay warm, as one worker does run after run until it dies or is restarted.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from nodeflow.document import Document, write
from nodeflow.errors import GraphError, WorkerDied, told
from nodeflow_editor.run.queue import Entry, RunQueue

PATIENCE = 3.0
"""Seconds that a run has to stop by itself once it is cancelled; then its process is killed."""
CLOSING = 1.0
"""The same when the window is closed."""


class Process(Protocol):
    """What is asked of a worker, as `nodeflow.client.Worker` has it."""

    @property
    def run(self) -> Callable[..., Iterator[dict[str, Any]]]: ...
    def warm(self) -> None: ...
    def cancel(self) -> None: ...
    def kill(self) -> None: ...
    def close(self, patience: float = ...) -> None: ...


Post = Callable[[Mapping[str, Any]], None]
Start = Callable[[Callable[[str], None]], Process]


class Work:
    """Runs what is in the queue.

    Besides the events of runs it posts {"event": "state", "state"}: "idle", "starting", "running" or "cancelling";
    "queue", as something has changed there; "refused" with "problems"; "died" with "node" and "message";
    {"event": "printed", "line"}. Every run that was submitted comes to one "ended", whatever happens to it.

    Args:
        post: told what there is to tell, from any thread.
        waiting: the runs that wait.
        start: starts a worker, which hands each line that a node prints to the function given.
        patience: seconds from a cancel to the kill.
        delivered: told what each run delivered, with its entry, in the thread that reads.
    """

    def __init__(
        self, post: Post, waiting: RunQueue, start: Start, *, patience: float = PATIENCE,
        delivered: Callable[[Entry, Mapping[str, Any]], None] | None = None,
    ) -> None:  # fmt: skip
        self._post, self._queue, self._start, self._patience = post, waiting, start, patience
        self._delivered = delivered
        self._changed = threading.Condition()
        self._process: Process | None = None
        self._answered = False
        """Whether the present process has ever said something: one that has not cannot be started."""
        self._entry: Entry | None = None
        self._cancelled = self._killed = self._closing = self._held = self._renew = False
        self._unwanted = False
        """Whether the run that is going was to end before the window was closed: else it waits for the next editor."""
        self._state = "idle"
        self._requests: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=target, name=f"editor-{name}", daemon=True)
            for name, target in (("clerk", self._serve), ("runs", self._work))
        ]
        for thread in self._threads:
            thread.start()

    # --- asked by the window; none of these waits

    def submit(self, entry: Entry, document: Document | None = None) -> None:
        """Puts a run at the end of the queue; the text of `document`, if there is one, is that of its graph."""
        self._requests.put(lambda: self._add(entry, document))

    def warm(self) -> None:
        """Starts the worker, if there is none, before a run waits for it."""
        self._requests.put(self._warm)

    def cancel(self, run: int) -> None:
        """Takes a run out of the queue, or stops it: asked first, after `patience` killed with its process."""
        self._requests.put(lambda: self._cancel(run))

    def cancel_all(self) -> None:
        """Empties the queue and stops what runs."""
        self._requests.put(self._cancel_all)

    def kill(self) -> None:
        """Ends the present run at once, with its process."""
        self._requests.put(self._kill)

    def restart(self) -> None:
        """Ends the process, and the run that is going with it, and starts another. The queue goes on."""
        self._requests.put(self._restart)

    def change(self, how: Callable[[RunQueue], object]) -> None:
        """Changes the queue, which writes to the disk, and runs what waits there then."""

        def changed() -> None:
            how(self._queue)
            self._wake()

        self._requests.put(changed)

    def close(self, patience: float = CLOSING) -> bool:
        """Ends all; whether nothing is left. Runs that wait stay in the queue.

        This waits, twice `patience` at most, and once more for a disk that takes long to write what was submitted.
        """
        self._requests.put(None)
        with self._changed:
            self._unwanted = self._cancelled or self._killed
            self._closing = self._cancelled = True
            process = self._process
            self._changed.notify_all()
        if process is not None:
            _ask_to_stop(process)
        clerk, reader = self._threads
        reader.join(patience)
        if reader.is_alive():
            self._kill()
            reader.join(patience)
        clerk.join(patience)
        return not reader.is_alive()

    # --- the clerk

    def _serve(self) -> None:
        while True:
            while self._requests.empty() and self._queue.sync():
                pass  # nobody waits for the disk: between two files a request may come
            request = self._requests.get()
            if request is None:
                return
            try:
                request()
            except Exception as error:  # or nothing could be cancelled any more
                self._post(_failed(0, error))

    def _wake(self) -> None:
        self._post({"event": "queue"})
        with self._changed:
            self._changed.notify_all()

    def _add(self, entry: Entry, document: Document | None) -> None:
        if document is not None:
            try:
                entry = replace(entry, graph=write(document))
            except GraphError as error:
                self._post(self._refused(entry.id, error))
                return
        self._queue.add(entry)
        with self._changed:
            self._held = False  # to submit a run is to try again
        self._wake()

    def _cancel(self, run: int) -> None:
        if self._queue.remove(run):
            self._post({"event": "queue"})
            self._post(_ended(run, cancelled=True))
            return
        with self._changed:
            if self._entry is None or self._entry.id != run or self._cancelled:
                return
            self._cancelled = True
            process = self._process
            self._tell("cancelling")
        timer = threading.Timer(self._patience, self._kill, (run,))
        timer.daemon = True
        timer.start()
        if process is not None:
            _ask_to_stop(process)

    def _cancel_all(self) -> None:
        for run in self._queue.clear():
            self._post(_ended(run, cancelled=True))
        self._post({"event": "queue"})
        if (entry := self._entry) is not None:
            self._cancel(entry.id)

    def _kill(self, run: int | None = None) -> None:
        """Kills the process if that run, or any if it is None, is going."""
        with self._changed:
            if self._entry is None or (run is not None and self._entry.id != run):
                return
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def _warm(self) -> None:
        with self._changed:
            self._renew = self._process is None and self._entry is None
            self._changed.notify_all()

    def _restart(self) -> None:
        with self._changed:
            self._held, self._renew = False, self._entry is None
            self._changed.notify_all()
        self._kill()

    # --- the reader

    def _work(self) -> None:
        while True:
            entry = None
            with self._changed:
                while not self._closing and not self._renew and (self._held or (entry := self._queue.begin()) is None):
                    self._changed.wait()
                closing, renew = self._closing, self._renew
                self._renew = False
                self._entry, self._killed, self._cancelled = entry, False, closing
            if closing:
                break
            if renew:
                self._end_process()
                if (process := self._process_there()) is not None:
                    process.warm()
            if entry is not None:
                self._requests.put(lambda: None)  # the queue's file was written: see `_serve`
                self._post({"event": "queue"})
                self._one(entry)
        self._end_process()

    def _one(self, entry: Entry) -> None:
        """Runs an entry, and once more if the worker turns out to have died while it was idle."""
        end = self._attempt(entry, again=True)
        if end is None and not self._held:
            end = self._attempt(entry, again=False)
        with self._changed:
            killed, self._killed, self._entry = self._killed, False, None
        if end is None or (self._closing and end["cancelled"] and not self._unwanted):
            self._queue.put_back(entry.id)
        else:
            self._queue.done(entry.id)
        self._post({"event": "queue"})
        if end is not None:
            self._post(end)
        if killed and not self._closing:
            self._process_there()
        self._tell("idle")

    def _attempt(self, entry: Entry, *, again: bool) -> Mapping[str, Any] | None:
        """The last event of a run; None if no worker can be had, which is told unless it shall be tried again."""
        process = self._process_there()
        if process is None:
            self._held = True
            return None
        if self._cancelled:
            return _ended(entry.id, cancelled=True)
        heard = False
        self._tell_going()
        try:
            for event in process.run(entry.graph, previews=True, **_how(entry)):
                if not heard:
                    heard = self._answered = True
                    self._tell_going()
                    if self._cancelled:  # it may have been asked before it knew of the run
                        _ask_to_stop(process)
                if event["event"] == "ended":
                    return {**event, "run": entry.id}
                if event["event"] == "delivered" and self._delivered is not None:
                    self._delivered(entry, event)
                self._post({**event, "run": entry.id})
        except GraphError as error:
            self._answered = True
            return self._refused(entry.id, error)
        except WorkerDied as error:
            return self._died(entry, error, heard, again)
        except Exception as error:  # of a worker that speaks otherwise than it should
            self._end_process()
            self._post(_failed(entry.id, error))
        return _ended(entry.id, failed=1)

    def _died(self, entry: Entry, error: WorkerDied, heard: bool, again: bool) -> Mapping[str, Any] | None:
        fresh = not self._answered
        self._end_process()
        if self._killed:
            return _ended(entry.id, cancelled=True, killed=error.node)
        if not heard and again and not self._closing:  # it may have died before anything was asked of it
            return None
        said = {"node": error.node, "message": error.message, "trace": error.printed}
        self._post({"event": "died", "run": entry.id, **said})
        if not heard and fresh:
            self._held = True
            return None
        self._process_there()
        return _ended(entry.id, failed=1)

    def _process_there(self) -> Process | None:
        """The worker, started if there is none; None if that fails, which is told."""
        with self._changed:
            if self._process is not None or self._closing:
                return self._process
        try:
            process = self._start(lambda line: self._post({"event": "printed", "line": line}))
        except OSError as error:
            run = self._entry.id if self._entry is not None else 0
            message = f"the worker process cannot be started: {error.strerror or error}"
            self._post({"event": "died", "run": run, "node": "", "message": message, "trace": ""})
            return None
        with self._changed:
            self._process, self._answered = process, False
            if self._killed:
                process.kill()
        return process

    def _end_process(self) -> None:
        with self._changed:
            process, self._process = self._process, None
        if process is not None:
            process.close(CLOSING)

    def _refused(self, run: int, error: GraphError) -> Mapping[str, Any]:
        problems = [problem.as_json() for problem in error.problems]
        self._post({"event": "refused", "run": run, "problems": problems})
        return _ended(run, refused=True)

    def _tell_going(self) -> None:
        with self._changed:
            self._tell("cancelling" if self._cancelled else "running" if self._answered else "starting")

    def _tell(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._post({"event": "state", "state": state})


def _ask_to_stop(process: Process) -> None:
    """Asks in a thread of its own: a process that reads nothing would hold up whoever asks."""
    threading.Thread(target=process.cancel, name="editor-cancel", daemon=True).start()


def _how(entry: Entry) -> dict[str, Any]:
    folder = Path(entry.folder)
    given = {"name": entry.name, "file": entry.file, "folder": folder, "out": Path(entry.out), "until": entry.until}
    read = [Path(name) for name in entry.how.get("read", [folder])]
    return {**entry.how, "read": read, **given}


def _failed(run: int, error: Exception) -> dict[str, Any]:
    """The failure of no node."""
    trace = "".join(traceback.format_exception(error))
    return {"event": "failed", "run": run, "node": None, "port": None, "message": told(error), "trace": trace}


def _ended(run: int, **more: Any) -> dict[str, Any]:
    """The end of a run that no worker told."""
    return {"event": "ended", "run": run, "seconds": 0.0, "ran": 0, "reused": 0, "failed": 0, "cancelled": False,
            "names": {}, **more}  # fmt: skip
