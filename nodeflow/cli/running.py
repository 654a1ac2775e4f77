"""`nodeflow run`: a graph computed by a worker process, so that this one never imports torch."""

from __future__ import annotations

import os
import secrets
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import nodeflow.cli.output as output
from nodeflow.carried import survey_graph
from nodeflow.catalog import open_catalog
from nodeflow.choices import mode
from nodeflow.cli.keeping import unkept
from nodeflow.cli.opening import name_for, with_seed, with_settings
from nodeflow.cli.reports import Report, report_for
from nodeflow.devices import size_of
from nodeflow.errors import GraphError, Problem, WorkerDied
from nodeflow.folders import results_folder, trouble_with
from nodeflow.hub import ALWAYS, ANY, hub_names
from nodeflow.likeness import nearest
from nodeflow.regular import odd_kind

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
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1, mps; cuda:0,cuda:1 for both.")
    ] = None,
    vram: Annotated[str | None, typer.Option(metavar="SIZE", help="What models may take on a device: 6GB.")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch models that the graph names by hf://.")] = False,
    no_prefetch: Annotated[bool, typer.Option("--no-prefetch", help="Load each model when its node asks.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute everything, remember nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Each event as a line of JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the files' paths and errors only.")] = False,
) -> None:
    """Compute a graph and write its outputs to files.

    What was computed before is taken from the cache. Ctrl+C stops after the present step; twice stops at once.
    """
    mode()  # a wrong word is told before a GPU meets it
    if not no_cache and (trouble := trouble_with(results_folder())):
        output.warn(unkept(trouble))
    memory = None if vram is None else size_of(vram)
    _judge_folder(out)
    document, checked = _prepared(graph, settings or [], seed, until, say_seed=not (as_json or quiet))
    how: dict[str, Any] = {"out": out, "until": until, "device": device, "cache": not no_cache}
    how |= {"vram": memory, "prefetch": not no_prefetch, "fetch": _fetched(fetch, settings or [])}
    report = report_for(str(graph), checked.steps, as_json=as_json, quiet=quiet)
    raise typer.Exit(_run(document, graph, report, how))


def _fetched(everything: bool, settings: list[str]) -> list[str]:
    """The models of the hub that the call asks for: all that the graph names, or those that it sets by name."""
    if everything or os.environ.get(ALWAYS, "") not in ("", "0"):
        return [ANY]
    return hub_names(setting.partition("=")[2] for setting in settings)


def _prepared(
    path: Path, settings: list[str], seed: str | None, until: str | None, *, say_seed: bool
) -> tuple[Document, Graph]:
    """The graph as it shall run, checked here so that a faulty one is told before torch is waited for."""
    from nodeflow.graph import build

    document, faults = survey_graph(path)
    catalog = open_catalog()
    file, folder = str(path), path.parent
    number, checked = None, None
    if seed is not None:
        try:
            number = _seed(seed)
            document = with_seed(document, number, catalog, folder, file)
        except GraphError as error:
            faults += error.problems
    document, wrong = with_settings(document, settings, catalog, folder, file)
    try:
        checked = build(document, catalog, file=file, folder=folder, known=[*faults, *wrong])
    except GraphError as error:
        faults = list(error.problems)
    if until is not None and (problem := _astray(until, document, checked)):
        faults.append(replace(problem, message=f"--until: {problem.message}", file=file))
    if faults or checked is None:
        raise GraphError(faults)
    if seed == "random":
        (output.say if say_seed else output.warn)(f"seed {number}")
    return document, checked


def _astray(until: str, document: Document, checked: Graph | None) -> Problem | None:
    """Why a run cannot go until that node. Of a faulty graph, the names within its subgraphs are not known."""
    if checked is not None:
        return checked.astray(until)
    found = until.partition("/")[0] in document.nodes
    return None if found else Problem(f'there is no node "{until}"', nearest(until, document.nodes))


def _judge_folder(out: Path) -> None:
    """Refuses an output folder that is something else already."""
    try:
        mode = out.stat().st_mode
    except OSError:  # not there yet; what else is the matter is told where it is made
        if out.is_symlink():
            told = f"--out {out}: this is a link that leads nowhere"
            raise GraphError(Problem(told, "mend the link, or name another folder")) from None
        return
    if not stat.S_ISDIR(mode):
        kind = "a file" if stat.S_ISREG(mode) else odd_kind(mode)
        cure = f"name a folder, such as --out {out.with_suffix('') if out.suffix else f'{out}s'}; files get their names"
        raise GraphError(Problem(f"--out {out}: this is {kind}, but files are written to a folder", cure))


def _seed(text: str) -> int:
    if text == "random":
        return secrets.randbelow(DRAWN_SEED)
    if text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= MOST_SEED:
        return int(text)
    raise GraphError(Problem(f"--seed {text}: expected a whole number from 0 to {MOST_SEED}, or random"))


def _run(document: Document, path: Path, report: Report, how: Mapping[str, Any]) -> int:
    from nodeflow.client import Worker

    with report, Worker(said=report.heard) as worker, _stoppable(worker, report):
        events = worker.run(
            document,
            name=name_for(path, document),
            file=str(path),
            folder=path.parent,
            read=[Path.cwd()],
            **how,
        )
        try:
            for event in events:
                report.take(event)
        except WorkerDied as error:
            report.died(error)
    report.summary()
    return report.code()


@contextmanager
def _stoppable(worker: Worker, report: Report) -> Iterator[None]:
    """Ctrl+C asks the run to stop; a second one, or the end of the terminal, ends it with its worker.

    Ctrl+Z halts both: the worker is in a group of its own, to which a terminal sends nothing.
    """
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

    def halt(_number: int, _frame: FrameType | None) -> None:
        worker.send_signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)  # goes on here when it is continued
        worker.send_signal(signal.SIGCONT)

    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {signal.SIGINT: stop, signal.SIGTERM: end}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = end
    if hasattr(signal, "SIGTSTP"):
        handlers[signal.SIGTSTP] = halt
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
