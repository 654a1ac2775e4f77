"""The other end of the pipe: starts a worker process, runs graphs in it, and names the node that killed it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nodeflow.document import Document, write
from nodeflow.errors import GraphError, Problem, WorkerDied
from nodeflow.ring import Ring

WAITING = "PASSIVE"
"""How torch's threads wait for each other: asleep. Spinning, as they do by themselves, took 20 s instead of 0.7 s for
one picture on two cores that were busy with something else, and gained nothing on idle ones."""
GROUPS = hasattr(os, "killpg")
NOISE = 200
"""Lines of the worker's standard error that are kept, to be shown if it dies."""


class Worker:
    """A worker process, and a process group of its own, in which its compilers and other children are.

    Use it as a context manager: a worker that ends well leaves only what its nodes left on purpose, and one that does
    not leaves nothing.

    Args:
        said: told each line that a node prints.
        command: how the process is started.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, *, said: Callable[[str], None] | None = None, command: Sequence[str] = ()) -> None:
        self._said = said
        self._ring: Ring | None = None
        with contextlib.suppress(OSError):  # without it there are no previews, and all else goes on
            self._ring = Ring.make()
        self._noise: deque[str] = deque(maxlen=NOISE)
        self._runs = 0
        self._sending = threading.RLock()  # a cancel comes from other threads, and from signal handlers
        try:
            self._process = subprocess.Popen(
                command or (sys.executable, "-P", "-m", "nodeflow.worker"),
                env={"OMP_WAIT_POLICY": WAITING, **os.environ},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                pass_fds=self._ring.inherited if self._ring is not None else (),
                process_group=0 if GROUPS else None,
            )
        except BaseException:
            if self._ring is not None:
                self._ring.close()
            raise
        self._drain = threading.Thread(target=self._listen, name="nodeflow-noise", daemon=True)
        self._drain.start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as noise:
            for line in noise:
                self._noise.append(line.rstrip("\n"))
                if self._said is not None:
                    self._said(line.rstrip("\n"))

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with (
            self._sending,
            contextlib.suppress(BrokenPipeError, ValueError),
        ):  # its death is seen where its answers are read
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def run(
        self,
        document: Document | str,
        *,
        name: str = "graph",
        file: str | None = None,
        folder: Path | None = None,
        out: Path = Path("outputs"),
        read: Sequence[Path] = (),
        until: str | None = None,
        device: str | None = None,
        cache: bool = True,
        vram: int | None = None,
        prefetch: bool = True,
        fetch: Sequence[str] = (),
        previews: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Runs a graph, or the text of one, and yields its events, each as `Event.as_json` has it; the last is "ended".

        With `previews`, pictures of unfinished work and of finished nodes come as {"event": "previewed", "node",
        "sequence", "width", "height", "of", "count", "shown", "pixels"}, RGB8; "of" is the width and height of the
        picture itself, which may be larger. Of a batch of "count" pictures, the first "shown" come, one after another.
        One that was overtaken before it was copied is left out.

        Raises:
            GraphError: the worker found the graph wrong.
            WorkerDied: the process ended during the run; the node that ran then is named. What was delivered stands.
        """
        self._runs += 1
        text = document if isinstance(document, str) else write(document)
        self._send({
            "do": "run", "id": self._runs, "graph": text, "name": name, "file": file,
            "folder": str((folder or Path()).absolute()), "out": str(out.absolute()),
            "read": [str(path.absolute()) for path in read or [Path()]],
            "until": until, "device": device, "cache": cache, "vram": vram, "prefetch": prefetch,
            "fetch": list(fetch),
            "previews": dict(self._ring.handle) if previews and self._ring is not None else None,
        })  # fmt: skip
        run, over = self._runs, False
        try:
            yield from self._answers(run)
            over = True
        finally:
            if not over:
                self.cancel()

    def _answers(self, run: int) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None
        running: list[str] = []
        for line in self._process.stdout:
            event = _event(line)
            if event.pop("run", None) != run:
                continue
            if event["event"] == "refused":
                raise GraphError([Problem(**problem) for problem in event["problems"]])
            if event["event"] == "previewed" and not self._copied(event):
                continue
            if event["event"] == "started":
                running.append(event["node"])
            elif event["event"] in ("finished", "failed") and event["node"] in running:
                running.remove(event["node"])
            yield event
            if event["event"] == "ended":
                return
        raise self._death(running[-1] if running else "")

    def _copied(self, event: dict[str, Any]) -> bool:
        """Puts a preview's pixels into its event; False if they were overwritten meanwhile."""
        size = event["width"] * event["height"] * 3 * event["shown"]
        pixels = self._ring.read(event.pop("slot"), event["sequence"], size) if self._ring is not None else None
        event["pixels"] = pixels
        return pixels is not None

    def _death(self, node: str) -> WorkerDied:
        if hasattr(os, "waitid") and self._process.returncode is None:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
                self.send_signal(signal.SIGKILL)  # as long as nobody asked how it ended, its number is not another's
        code = self._process.wait()
        self._drain.join(timeout=1)
        ending = f"exit code {code}" if code >= 0 else f"signal {_signal(-code)}"
        what = "the process that ran it ended" if node else "the worker process ended, with no node at work"
        return WorkerDied(node, f"{what} ({ending})\n    {_cure(code, node)}", printed="\n".join(self._noise))

    def warm(self) -> None:
        """Has the process import what every run needs, before the first one waits for it."""
        self._send({"do": "warm"})

    def cancel(self) -> None:
        """Asks the run to stop at its next step."""
        self._send({"do": "cancel"})

    def kill(self) -> None:
        """Ends the process at once, and what it has started: a compiler would go on for as long as it takes."""
        self._process.kill()
        if GROUPS:
            self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Sends a signal to the process and to what it has started, where there are process groups."""
        if GROUPS:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, of dead processes
                os.killpg(self._process.pid, number)

    def close(self, patience: float = 5.0) -> None:
        """Ends the process: asked first, killed when it does not listen."""
        self._send({"do": "quit"})
        with contextlib.suppress(BrokenPipeError, OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            well = self._process.wait(patience) == 0
        except subprocess.TimeoutExpired:
            well = False
        if not well:
            self.kill()
            self._process.wait()
        self._drain.join(timeout=1)  # a child that a node left behind may hold the pipe open for long
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._ring is not None:
            self._ring.close()
            self._ring = None


def _event(line: str) -> dict[str, Any]:
    """The event of a line; an empty one of a line that is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _cure(code: int, node: str) -> str:
    """What may be done about a process that ended so."""
    if code < 0 and code == -signal.SIGKILL:  # which Windows lacks, as it lacks codes below 0
        return "the system may have run out of memory: use smaller pictures or batches, or end other programs"
    if not node:
        return "run it again; if it ends again, report it with the output of `nodeflow info`"
    if code < 0:
        return "a fault in compiled code that it calls: update the node's plugin, or report it to its authors"
    return "a node ends by raising an error, never its process: report it to the authors of its plugin"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return str(number)
