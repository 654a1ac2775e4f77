"""How a run looks: lines for pipes, bars for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodeflow.cli.output as output
from nodeflow.errors import Problem, WorkerDied

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Told = Mapping[str, Any]
"""An event as `Event.as_json` gives it."""

NAME_COLUMNS = 28
MOST_ROWS = 20
ECHO = len("^C^C") + 1
"""Columns that bars leave free: there a terminal prints ^C, which at its edge would begin a line that nobody erases."""
STOPPING = "stopping after this step; Ctrl+C again ends it at once"


class Report:
    """Takes a run's events as they come; this one prints the files' paths and the errors only (--quiet)."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.ended: Told | None = None
        self.delivered: list[Told] = []
        self.undelivered = 0
        self._began = time.monotonic()
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes down what was drawn; nothing comes after."""

    def take(self, event: Told) -> None:
        """Shows an event."""
        self._counts[event["event"]] += 1
        match event["event"]:
            case "began":
                for name, reason in event.get("left_out", {}).items():
                    self.left_out(name, reason)
            case "failed":
                self.failed(event)
            case "delivered":
                self.delivered.append(event)
            case "undelivered":
                self.undelivered += 1
                self.lost(event)
            case "ended":
                self.ended = event

    def died(self, error: WorkerDied) -> None:
        """Takes what the worker did not live to say: that its node failed, and that the run is over."""
        self.take(_last_words(error))
        counts, seconds = self._counts, time.monotonic() - self._began
        figures = {"ran": counts["finished"], "reused": counts["reused"], "failed": counts["failed"]}
        self.take({"event": "ended", "seconds": seconds, **figures, "cancelled": False, "names": {}})

    def code(self) -> int:
        """The exit code that the run comes to."""
        if self.ended is None:
            return output.FAILED
        if self.ended.get("cancelled"):
            return output.INTERRUPTED
        return output.FAILED if self.ended["failed"] or self.undelivered else output.DONE

    def left_out(self, name: str, reason: str) -> None:
        """Says which output the run will not make, and why."""
        output.warn(f'{self.file}: output "{name}" is left out: {reason}')

    def lost(self, event: Told) -> None:
        """Says which output could not be written, and why."""
        message, _, cure = str(event["message"]).partition("\n")
        told = f'output "{event["output"]}" cannot be written to {_near(event["path"])}: {message}'
        output.warn(str(Problem(told, cure.strip(), file=self.file)))

    def failed(self, event: Told) -> None:
        message, _, cure = str(event["message"]).partition("\n")
        output.warn(str(Problem(message, cure.strip(), event["node"], event.get("port"), self.file)))
        if "NODEFLOW_DEBUG" in os.environ and event.get("trace"):
            output.warn(event["trace"].rstrip())

    def heard(self, line: str) -> None:
        """Takes a line that a node printed. Called from another thread."""

    def stopping(self) -> None:
        """Says that the run will stop. Called from a signal's handler, so it may not print through a buffer."""
        os.write(2, f"{STOPPING}\n".encode())

    def summary(self) -> None:
        """What the run came to, after its last event: the paths of its files, and what is no file."""
        for event in self.delivered:
            for path in event["paths"]:
                output.say(_near(path))
            if event.get("kind"):
                output.say(f"{event['output']}: {event['kind']}, which cannot be written to a file")
            elif not event["paths"]:
                output.say(f"{event['output']} = {json.dumps(event.get('value'), ensure_ascii=False)}")
        output.flush()


class JsonReport(Report):
    """Each event as a line of JSON, and nothing else."""

    def take(self, event: Told) -> None:
        super().take(event)
        output.say_json({**event, "exit": self.code()} if event["event"] == "ended" else event, indent=None)
        output.flush()

    def died(self, error: WorkerDied) -> None:
        super().died(error)
        super().failed(_last_words(error))

    def failed(self, event: Told) -> None:
        """The line of JSON says it."""

    def left_out(self, name: str, reason: str) -> None:
        """The line of JSON says it."""

    def lost(self, event: Told) -> None:
        """The line of JSON says it."""

    def summary(self) -> None:
        output.flush()


class PlainReport(Report):
    """A line for each node that is done, at once."""

    def __init__(self, file: str, nodes: Iterable[str]) -> None:
        super().__init__(file)
        self.columns = min(NAME_COLUMNS, max(map(len, nodes), default=0))

    def take(self, event: Told) -> None:
        super().take(event)
        match event["event"]:
            case "finished":
                self.line(event["node"], output.seconds_text(event["seconds"]))
            case "fetched":
                self.fetched(event)
            case "reused":
                self.line(event["node"], "reused")
            case "failed":
                self.line(event["node"] or "the run", "failed")

    def fetched(self, event: Told) -> None:
        """Says how much of a model will come, and that it is there."""
        if event["done"] in (0, event["total"]) and event["total"]:
            done = "fetched" if event["done"] else "fetching"
            self.line(event["node"], f"{done} {output.size_text(event['total'])}")

    def heard(self, line: str) -> None:
        with suppress(output.PipeClosed):  # the thread that writes the report will see it too
            output.warn(line)

    def line(self, node: str, how: str) -> None:
        output.say(f"{node:<{self.columns}}  {how}")
        output.flush()

    def summary(self) -> None:
        for event in self.delivered:
            if isinstance(event.get("value"), dict):
                _say_table(event["value"])
        if self.ended is not None:
            output.say(summary_line(self.ended, self.undelivered))
        super().summary()


class LiveReport(PlainReport):
    """Bars for the run and for each node at work, with what is left of it; a line stays for each node that is done."""

    def __init__(self, file: str, nodes: Iterable[str]) -> None:
        super().__init__(file, nodes)
        from rich.console import Console  # deferred: `check` and the plain report have no use for rich
        from rich.constrain import Constrain
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        console = self.console = Console(file=sys.stdout, highlight=False)

        class Bars(Progress):
            def get_renderables(self) -> Iterable[Constrain]:
                return (Constrain(drawn, max(console.width - ECHO, 1)) for drawn in super().get_renderables())

        last = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self.progress: Progress = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[steps]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.fields[said]}", markup=False, table_column=last),
            console=console,
            transient=True,
            redirect_stderr=output.on_terminal(sys.stderr),  # errors come above the bars, unless a file takes them
            expand=True,
        )
        self.whole = self._add("the run", total=None)
        self.tasks: dict[str, TaskID] = {}
        self.done = self.total = 0
        self.progress.start()

    def _add(self, name: str, total: float | None) -> TaskID:
        shown = output.cut(name, NAME_COLUMNS).ljust(self.columns)
        return self.progress.add_task(shown, total=total, steps="", left="", said="")

    def close(self) -> None:
        self.progress.stop()

    def take(self, event: Told) -> None:
        super().take(event)
        match event["event"]:
            case "began":
                self.total = event["nodes"]
                self._count(0)
            case "started":
                self.tasks[event["node"]] = self._add(event["node"], total=None)
            case "stepped":
                self._step(event)
            case "finished" | "reused" | "failed":
                task = self.tasks.pop(event["node"], None)
                if task is not None:
                    self.progress.remove_task(task)
                self._count(1)

    def _count(self, more: int) -> None:
        self.done += more
        self.progress.update(
            self.whole, completed=self.done, total=self.total or None, steps=f"{self.done}/{self.total} nodes"
        )

    def fetched(self, event: Told) -> None:
        done, total = (output.size_text(event[key]) for key in ("done", "total"))
        over = event["done"] == event["total"]
        self.progress.update(self.whole, said="" if over else f"fetching {event['file']}: {done} of {total}")

    def _step(self, event: Told) -> None:
        if event["node"] not in self.tasks:
            self.tasks[event["node"]] = self._add(event["node"], total=None)
        total, left = event.get("total"), event.get("left")
        self.progress.update(
            self.tasks[event["node"]],
            completed=event["step"],
            total=total,
            steps=f"{event['step']}/{total}" if total else f"{event['step']}",
            left="" if left is None else f"{output.seconds_text(left)} left",
            said=output.cut(event.get("text") or "", output.WIDE),
        )

    def line(self, node: str, how: str) -> None:
        from rich.text import Text

        style = {"reused": "dim", "failed": "bold red"}.get(how, "")
        self.console.print(Text(f"{node:<{self.columns}}  {how}", style=style))

    def stopping(self) -> None:
        self.progress.update(self.whole, said="stopping; ^C ends it now")


def report_for(file: str, nodes: Iterable[str], *, as_json: bool, quiet: bool) -> Report:
    """The report that suits who reads."""
    if as_json:
        return JsonReport(file)
    if quiet:
        return Report(file)
    return LiveReport(file, nodes) if output.on_terminal() else PlainReport(file, nodes)


def summary_line(ended: Told, undelivered: int = 0) -> str:
    """`done in 12.6 s: 5 computed, 3 reused`; `undelivered` outputs could not be written."""
    failed = ended["failed"] or undelivered
    how = "stopped after" if ended.get("cancelled") else "failed after" if failed else "done in"
    parts = [f"{ended['ran']} computed"]
    parts += [f"{ended[key]} {key}" for key in ("reused", "failed") if ended[key]]
    parts += [f"{output.counted(undelivered, 'output')} not written"] if undelivered else []
    return f"{how} {output.seconds_text(ended['seconds'])}: {', '.join(parts)}"


def _last_words(error: WorkerDied) -> Told:
    """The event that a worker would have sent, had it lived."""
    told = {"message": error.message, "port": None, "trace": error.printed}
    return {"event": "failed", "node": error.node or None, **told}


def _say_table(figures: Told) -> None:
    """A table of figures, as long as a screen."""
    rows = [figures["columns"], *figures["rows"][:MOST_ROWS]]
    texts = [[f"{cell:.6g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    output.say(output.bold(figures["title"]))
    output.table(texts, right=range(len(figures["columns"])), indent=2)
    if len(figures["rows"]) > MOST_ROWS:
        output.say(f"  and {output.counted(len(figures['rows']) - MOST_ROWS, 'more row')}")


def _near(path: str) -> str:
    """The path as somebody in this folder would type it."""
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path
