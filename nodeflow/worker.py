"""The engine behind a pipe: `python -m nodeflow.worker` reads requests and writes events, one JSON line each.

Requests: {"do": "run", "id": 1, "graph": "<text of the file>", "name": "cat", "file", "folder", "out", "read", "until",
"device", "cache", "vram", "prefetch", "fetch", "previews"}, where "previews" is the handle of a `ring.Ring` if somebody
looks at pictures; {"do": "warm"} imports ahead what every run needs; {"do": "cancel"} stops the run that is going;
{"do": "quit"} and the end of the input end the process. Events are those of `nodeflow.events`, with "run": the
request's id; a preview is {"event": "previewed", "node", "slot", "sequence", "width", "height", "of", "count",
"shown"}, as `showing.Showing` has it; a request that cannot be run is answered by {"event": "refused", "problems":
[...]}. What nodes print goes to standard error.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO

from nodeflow.cache import Cache
from nodeflow.catalog import Catalog, open_catalog
from nodeflow.delivery import Delivery
from nodeflow.devices import device_names, devices
from nodeflow.document import parse
from nodeflow.errors import GraphError, Problem, told
from nodeflow.events import Ended, Event, Made, Previewed
from nodeflow.folders import hugging_face_cache, model_folders, results_folder, trouble_with
from nodeflow.graph import build
from nodeflow.residency import Residency
from nodeflow.ring import Ring
from nodeflow.runner import Engine
from nodeflow.session import Cancel, Permissions
from nodeflow.showing import Showing

MEMORY = 2 * 2**30
DISK = 10 * 2**30
PATIENCE = 3.0
"""Seconds that a node has to come to its next step once nobody listens any more."""

Say = Callable[[Mapping[str, Any]], None]


class Worker:
    """Runs requests one after the other, models and results kept warm between them."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._catalog: Catalog | None = None
        self._engines: dict[tuple[bool, str | None], Engine] = {}
        self._ring: Ring | None = None
        self.residency = Residency(relief=self._relieve)

    @property
    def catalog(self) -> Catalog:
        if self._catalog is None:
            self._catalog = open_catalog()
        return self._catalog

    def _relieve(self) -> None:
        for engine in self._engines.values():
            engine.cache.shed()

    def engine(self, kept: bool, device: str | None) -> Engine:
        """The engine for a device, with the results on disk or with none but its own."""
        known = self._engines.get((kept, device))
        if known is not None:
            return known
        if device not in (None, "cpu"):
            there = [place.name for place in devices()]
            for name in device_names(str(device)) or (str(device),):
                if name not in there:
                    raise GraphError(Problem(f'there is no device "{name}" here', f"there are: {', '.join(there)}"))
        packages = {plugin.module.partition(".")[0] for plugin in self.catalog.plugins} | {"nodeflow"}
        folder = results_folder() if kept else None
        results = Cache(folder, MEMORY, DISK, allowed=lambda module: module.partition(".")[0] in packages)
        engine = self._engines[kept, device] = Engine(cache=results, residency=self.residency, device=device)
        return engine

    def handle(self, request: Mapping[str, Any], cancel: Cancel) -> None:
        """Runs one request; whatever goes wrong is said, and the next one can come."""
        if request.get("do") == "warm":
            with suppress(Exception):  # the first run will meet it again, and say it
                self.warm()
            return
        run = request.get("id")

        def say(message: Mapping[str, Any]) -> None:
            self._say({**message, "run": run})

        try:
            last: Event | None = None
            with self.showing(request.get("previews"), say) as showing:
                for event in self.run(request, cancel):
                    if isinstance(event, Previewed):
                        if showing is not None:
                            showing.offer(event)
                    elif isinstance(event, Ended):
                        last = event
                    else:
                        say(event.as_json())
            if last is not None:
                say(last.as_json())  # after the last preview: nobody listens any more then
        except GraphError as error:
            say({"event": "refused", "problems": [fault.as_json() for fault in error.problems]})
        except BaseException as error:  # what nobody foresaw: the next request must be answered all the same
            problem = Problem(told(error)).as_json()
            say({"event": "refused", "problems": [problem], "trace": traceback.format_exc()})

    def warm(self) -> None:
        """Reads the catalog and imports torch, for which the first run would wait some seconds."""
        _ = self.catalog
        devices()

    def showing(self, handle: Any, say: Say) -> AbstractContextManager[Showing | None]:
        """Shows previews in the memory of that handle; nothing without one, or where it cannot be had."""
        if not isinstance(handle, dict):
            return nullcontext()
        if self._ring is None or self._ring.handle != handle:
            self._ring = None
            with suppress(OSError, ValueError, KeyError, TypeError):
                self._ring = Ring.open(handle)
        return nullcontext() if self._ring is None else Showing(self._ring, say)

    def run(self, request: Mapping[str, Any], cancel: Cancel) -> Iterator[Event]:
        """The events of one run, each output written as soon as it is made: a later node may end the process.

        Raises:
            GraphError: the graph is wrong.
        """
        text, file = request["graph"], request.get("file")
        folder = Path(request.get("folder") or Path.cwd())
        graph = build(parse(text, file), self.catalog, file=file, folder=folder)
        engine = self.engine(bool(request.get("cache", True)), request.get("device"))
        if not request.get("cache", True):
            engine.cache.clear()
        engine.prefetch = bool(request.get("prefetch", True))
        self.residency.limit(request.get("vram"))
        out = Path(request.get("out") or "outputs")
        if graph.outputs or any(step.spec.effect for step in graph.steps.values()):
            _prepare(out)
        delivery = Delivery(self.catalog)
        if fetch := frozenset(request.get("fetch") or ()):
            hugging_face_cache().mkdir(parents=True, exist_ok=True)  # or it would be no model folder yet
        read = *(Path(path) for path in request.get("read", [Path.cwd()])), *model_folders()
        permissions = Permissions(out, read, fetch)
        events = engine.run(
            graph, until=request.get("until"), permissions=permissions, about=text, cancel=cancel,
            previews=bool(request.get("previews")),
        )  # fmt: skip
        for event in events:
            if isinstance(event, Made):
                name = request.get("name", "graph")
                name += f"-{event.output}" if len(graph.outputs) > 1 else ""
                yield delivery.deliver(event, out / name, text)
            else:
                yield event


def serve(source: TextIO, say: Say) -> None:
    """Answers requests until the input ends or asks to quit; then a run that is going has PATIENCE to stop."""
    worker = Worker(say)
    requests: queue.SimpleQueue[tuple[Mapping[str, Any], Cancel] | None] = queue.SimpleQueue()
    going: list[Cancel] = []
    """One for each request that is not answered yet: a cancel that comes before its run has begun counts as well."""
    idle = threading.Event()

    def listen() -> None:
        for line in source:
            request = _request(line)
            if request is None:
                say({"event": "refused", "problems": [Problem("a request that is no JSON object in a line").as_json()]})
            elif request.get("do") == "quit":
                break
            elif request.get("do") == "cancel":
                for cancel in tuple(going):
                    cancel.press()
            else:
                going.append(Cancel())
                requests.put((request, going[-1]))
        for cancel in tuple(going):
            cancel.press()
        requests.put(None)
        if not idle.wait(PATIENCE):
            if hasattr(os, "killpg") and os.getpgrp() == os.getpid():  # a group of our own, as `client.Worker` makes it
                os.killpg(0, signal.SIGKILL)
            os._exit(1)

    threading.Thread(target=listen, name="nodeflow-requests", daemon=True).start()
    while (received := requests.get()) is not None:
        worker.handle(*received)
        going.remove(received[1])
    idle.set()


def _prepare(out: Path) -> None:
    """Makes the output folder, so that a run of hours does not end at a folder that cannot be written."""
    if trouble := trouble_with(out):
        cure = "choose another output folder, or give yourself the right to write there"
        raise GraphError(Problem(f"cannot write to {out}: {trouble}", cure))


def _request(line: str) -> Mapping[str, Any] | None:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the client too, which knows what to do
    source = os.fdopen(os.dup(0), encoding="utf-8", errors="replace")
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a node that reads standard input must not take our requests
    os.dup2(2, 1)
    lock = threading.Lock()

    def say(message: Mapping[str, Any]) -> None:
        line = json.dumps(message, default=str)
        with lock:
            try:
                out.write(line + "\n")
                out.flush()
            except BrokenPipeError:
                os._exit(1)

    serve(source, say)
    sys.stdout.flush()
    os._exit(0)  # threads that a node left behind would keep the process otherwise


if __name__ == "__main__":
    main()
