"""`nodeflow run`: a graph computed by a worker process, so that this one never imports torch."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import nodeflow.cli.output as output
from nodeflow.catalog import open_catalog
from nodeflow.cli.opening import name_for, open_graph, with_seed, with_settings
from nodeflow.cli.reports import Report, report_for
from nodeflow.document import nearest
from nodeflow.errors import GraphError, Problem

if TYPE_CHECKING:
    from types import FrameType

    from nodeflow.client import Worker
    from nodeflow.document import Document
    from nodeflow.graph import Graph

MOST_SEED = 2**53 - 1
DRAWN_SEED = 2**32
"""Seeds are drawn below this: short enough to be typed again."""


def run(
    graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="A graph, or a picture that carries one.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter, or an input: node.port.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where files go.")] = Path("outputs"),
    until: Annotated[str | None, typer.Option(metavar="NODE", help="Compute this node and what it needs.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="N|random", help="The graph's seed.")] = None,
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1, mps.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute everything, remember nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Each event as a line of JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the files' paths and errors only.")] = False,
) -> None:
    """Compute a graph and write its outputs to files.

    What was computed before is taken from the cache. Ctrl+C stops after the present step; twice stops at once.
    """
    document, checked = _prepared(graph, settings or [], seed, until, say_seed=not (as_json or quiet))
    raise typer.Exit(_run(document, checked, graph, out, until, device, not no_cache, as_json, quiet))


def _prepared(
    path: Path, settings: list[str], seed: str | None, until: str | None, *, say_seed: bool
) -> tuple[Document, Graph]:
    """The graph as it shall run, checked here so that a faulty one is told before torch is waited for."""
    from nodeflow.graph import build

    document = open_graph(path)
    catalog = open_catalog()
    file, folder = str(path), path.parent
    if seed is not None:
        number = _seed(seed)
        document = with_seed(document, number, catalog, folder, file)
        if seed == "random":
            (output.say if say_seed else output.warn)(f"seed {number}")
    document = with_settings(document, settings, catalog, folder, file)
    checked = build(document, catalog, file=file, folder=folder)
    if until is not None and until not in checked.steps:
        raise GraphError(Problem(f'--until: there is no node "{until}"', nearest(until, checked.steps), file=file))
    return document, checked


def _seed(text: str) -> int:
    if text == "random":
        return secrets.randbelow(DRAWN_SEED)
    if text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= MOST_SEED:
        return int(text)
    raise GraphError(Problem(f"--seed {text}: expected a whole number from 0 to {MOST_SEED}, or random"))


def _run(
    document: Document, checked: Graph, path: Path, out: Path, until: str | None, device: str | None,
    cache: bool, as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    from nodeflow.client import Worker

    report = report_for(str(path), checked.steps, as_json=as_json, quiet=quiet)
    with report, Worker(said=report.heard) as worker, _stoppable(worker, report):
        events = worker.run(
            document,
            out=out,
            until=until,
            device=device,
            cache=cache,
            name=name_for(path, document),
            file=str(path),
            folder=path.parent,
            read=[Path.cwd()],
        )
        for event in events:
            report.take(event)
    report.summary()
    if report.ended is None:
        return output.FAILED
    if report.ended.get("cancelled"):
        return output.INTERRUPTED
    return output.FAILED if report.ended["failed"] else output.DONE


@contextmanager
def _stoppable(worker: Worker, report: Report) -> Iterator[None]:
    """Ctrl+C asks the run to stop; a second one, or the end of the terminal, ends it with its worker."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            worker.kill()
            raise KeyboardInterrupt
        asked = True
        report.stopping()
        worker.cancel()

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {signal.SIGINT: stop, signal.SIGTERM: end}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = end
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
