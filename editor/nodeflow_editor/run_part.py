"""Runs of the window's graphs: submits them, shows on their nodes what becomes of them, and tells how they end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QSize, QTimer, Signal

from nodeflow.document import Document
from nodeflow_editor.batches import Batch
from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.commands import viewing
from nodeflow_editor.faults import Fault, of_failure, of_json, of_problems
from nodeflow_editor.graph_model import Level
from nodeflow_editor.problems import Problems
from nodeflow_editor.run import client
from nodeflow_editor.run.history import PICTURES, History
from nodeflow_editor.run.queue import Entry, RunQueue
from nodeflow_editor.run.thumbnails import thumbnail
from nodeflow_editor.run_marks import PageRun, Progress, Renaming, how_it_ended, source, ways
from nodeflow_editor.seeds import seeded
from nodeflow_editor.trust import readable

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

TICK = 250
"""Milliseconds between two looks at the clock while something runs."""
OUT = "outputs"


@dataclass(slots=True)
class Going:
    """A run and the page that it was submitted from, if that is known.

    most: nodes at most, as the engine says. whole: nodes whose pictures came whole, as files. unwritten: outputs that
    could not be written.
    """

    run: PageRun
    page: Page | None
    most: int = 0
    whole: set[str] = field(default_factory=set)
    unwritten: int = 0


class RunPart(QObject):
    """Between the window and its Runner."""

    changed = Signal()
    """The run that is going, or how far it is."""
    ended = Signal(int, str)
    """A run is over, and how it ended: "done in 3.2 s"."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window = window
        self.problems = Problems.of_window(window)
        self.history = History(thumbnail=thumbnail)
        self.runner = client.Runner(RunQueue(), self.history, start=client.start_worker)
        self.going: Going | None = None
        self._runs: dict[int, Going] = {}
        self._seconds: dict[Page, dict[str, float]] = {}
        self._pictured: dict[Page, dict[str, float]] = {}
        """When the run began whose picture of a node is shown: pictures come late, the newest first."""
        self._clock = QTimer(self, interval=TICK)
        self._clock.timeout.connect(self._tick)
        runner = self.runner
        runner.began.connect(self._began)
        runner.node_started.connect(self._started)
        runner.node_stepped.connect(self._stepped)
        runner.node_finished.connect(lambda run, node, seconds: self._node_over(run, node, Run.DONE, seconds))
        runner.node_reused.connect(lambda run, node: self._node_over(run, node, Run.REUSED))
        runner.node_failed.connect(self._failed)
        runner.previewed.connect(self._previewed)
        runner.delivered.connect(self._delivered)
        runner.undelivered.connect(self._undelivered)
        runner.refused.connect(self._refused)
        runner.worker_died.connect(self._died)
        runner.ended.connect(self._ended)
        runner.state_changed.connect(self._stated)
        runner.queue_changed.connect(self._queued)
        window.page_opened.connect(lambda page: page.model.renamed.connect(partial(self._renamed, page)))
        window.page_closed.connect(self._forget)
        window.closing.connect(self._leave)
        window.destroyed.connect(lambda: runner.close())

    @staticmethod
    def of(window: Window) -> RunPart:
        """The runs of a window."""
        return next(part for part in window.parts if isinstance(part, RunPart))

    def _leave(self) -> None:
        """The window is gone at once: to end a worker that computes takes a second or two."""
        self.window.hide()
        self.close()

    def close(self) -> None:
        """Ends the worker. What waits is kept, and offered by the next editor."""
        self._clock.stop()
        self.runner.close()

    # --- asked for

    @property
    def out(self) -> Path:
        """Where files go."""
        return Path(self.window.settings.get("out", "") or OUT).expanduser().absolute()

    @property
    def device(self) -> str:
        """The device that runs are for; empty for the best there is."""
        return str(self.window.settings.get("device", ""))

    def submit(self, page: Page, node: str | None = None, times: int = 1) -> list[int]:
        """Puts runs of a page into the queue, each with its own seeds, and returns their numbers.

        A graph with faults is refused, and they are shown. With `node`, only what that node on show needs is computed.
        """
        checked = self.problems.checked(page)
        if checked.graph is None:
            return self._refuse(checked.faults)
        until = self._until(page, node) if node is not None else None
        astray = checked.graph.astray(until) if until is not None else None
        if astray is not None:
            return self._refuse(of_problems([astray]))
        if until is None and not checked.graph.targets():
            why = next(iter(checked.graph.absent.nodes.values()), "the graph has no nodes")
            self.window.tell(f"nothing to run: {why}")
            return []
        documents, seeds = seeded(page.model.document, times, page.model.catalog.get)
        if seeds is not None:
            page.model.do(seeds, "New seeds", at=())
            documents[-1] = page.model.document
        targets = (until,) if until is not None else checked.graph.targets()
        parents = {step: checked.graph.steps[step].parents() for step in checked.graph.needed(targets)}
        numbers = []
        for document in documents:
            numbers.append(self._submit(page, document, until))
            run = PageRun(numbers[-1], document, parents, targets, until, self._seconds.setdefault(page, {}))
            self._runs[run.number] = Going(run, page)
        self._stated(self.runner.state)
        return numbers

    def _submit(self, page: Page, document: Document, until: str | None) -> int:
        file = page.model.file
        named = str(file) if file is not None else f"{page.label}.json" if page.label else None
        how: dict[str, Any] = {"read": readable(self.window.settings, page.model.folder)}
        if self.device:
            how["device"] = self.device
        return self.runner.submit(document, named, page.model.folder, self.out, until, **how)

    def again(self, entry: Entry) -> int:
        """Runs an entry of the queue once more, as it was."""
        number = self.runner.again(entry)
        known = self._runs.get(entry.id)
        if known is not None:
            run = known.run
            fresh = PageRun(
                number, run.document, run.parents, run.targets, run.until, run.seconds, names=dict(run.names)
            )
            self._runs[number] = Going(fresh, known.page)
        return number

    def cancel(self) -> None:
        """Stops what runs: asked first, ended with its process after 3 s, or at once when it is asked again."""
        entries = self.runner.queue.entries()
        if self.runner.state == "cancelling":
            self.runner.kill()
        elif entries:
            self.runner.cancel(entries[0].id)

    def restart(self) -> None:
        """Another worker in place of this one."""
        self.runner.restart()
        self.window.tell("a new worker starts; models are loaded again when they are needed")

    def _refuse(self, faults: Any) -> list[int]:
        self.problems.wanted.emit()
        first = next(iter(faults), None)
        count = sum(fault.severity == "error" for fault in faults)
        what = "a problem" if count == 1 else f"{count:,} problems"
        place = f"{first.place}: " if first is not None and first.place else ""
        self.window.tell(f"not run: the graph has {what}. {place}{first.message if first is not None else ''}")
        return []

    @staticmethod
    def _until(page: Page, node: str) -> str:
        """The path of a node on show; of one that stands for a graph, that of the node which makes its first output."""
        model = page.model
        beginnings = ways(model.document, model.level)
        return (beginnings[0] if beginnings else "") + source(node, model.graph, model.subgraph)

    # --- told by the runner

    def page_of(self, run: int) -> Page | None:
        """The page that a run was submitted from; None if it is closed, or was never open here."""
        known = self._runs.get(run)
        page = known.page if known is not None else None
        return page if page is not None and self.problems.marks(page) is not None else None

    def run_of(self, run: int) -> PageRun | None:
        """What is known of a run; None if it is not from here."""
        known = self._runs.get(run)
        return known.run if known is not None else None

    def _of(self, run: int) -> Going:
        return self._runs.setdefault(run, Going(PageRun(run, Document(), {}, ()), None))

    def _began(self, run: int, nodes: int, left_out: Mapping[str, str]) -> None:
        self.going = going = self._of(run)
        going.most, going.run.going, going.run.began = nodes, True, time.monotonic()
        page = self.page_of(run)
        if page is not None and (marks := self.problems.marks(page)) is not None:
            marks.begin(going.run)
            marks.age()
            notes = [Fault(f'the output "{name}" is left out: {why}', severity="note", ran=True)
                     for name, why in left_out.items()]  # fmt: skip
            self.problems.ran(page, notes)
        self._clock.start()
        self.changed.emit()

    def _now(self, run: int, node: str) -> str:
        """What a node of a run is called now: it may have been renamed since the run was submitted."""
        return self._of(run).run.now(node)

    def _renamed(self, page: Page, level: Level, names: Mapping[str, str]) -> None:
        """What runs have told and will tell of nodes goes by their new ids."""
        renaming = Renaming(level, names, ways(page.model.document, level))
        for going in self._runs.values():
            if going.page is page:
                going.run.rename(renaming)
        if (seconds := self._seconds.get(page)) is not None:
            known = renaming.table(seconds)
            seconds.clear()
            seconds.update(known)
        self.problems.renamed(page, renaming)

    def _mark(self, run: int, node: str) -> None:
        page = self.page_of(run)
        marks = self.problems.marks(page) if page is not None else None
        if marks is not None and marks.run is self._of(run).run:
            marks.told(node)

    def _started(self, run: int, node: str) -> None:
        node = self._now(run, node)
        self._of(run).run.start(node, time.monotonic())
        self._mark(run, node)

    def _stepped(self, run: int, node: str, step: int, total: int | None, left: float | None, _text: str) -> None:
        node = self._now(run, node)
        self._of(run).run.step(node, step, total, left)
        self._mark(run, node)

    def _node_over(self, run: int, node: str, how: Run, seconds: float | None = None) -> None:
        node = self._now(run, node)
        self._of(run).run.end(node, how, seconds)
        self._mark(run, node)

    def _failed(self, run: int, node: str | None, port: str | None, message: str, trace: str) -> None:
        if node:
            self._node_over(run, node, Run.FAILED)
        place = self._now(run, node) if node else None
        self.problems.ran(self.page_of(run), [of_failure(message, place, port, trace)], more=True)

    def _previewed(self, run: int, node: str, batch: Batch, whole: QSize) -> None:
        page, going = self.page_of(run), self._of(run)
        marks = self.problems.marks(page) if page is not None else None
        if page is None or marks is None:
            return
        node, shown = going.run.now(node), self._pictured.setdefault(page, {})
        if going.run.began < shown.get(node, 0.0):
            return  # a later run's picture of this node came first
        shown[node] = going.run.began
        marks.picture(node, batch, going.run.document)
        viewing.came(self.window, page, node, batch, whole, filed=node in going.whole)

    def _delivered(self, run: int, output: str, paths: list[str], _value: Any) -> None:
        """The pictures of an output are files now, which are looked at in place of its preview: that is small."""
        page, going = self.page_of(run), self._of(run)
        pictures = [path for path in map(Path, paths) if path.suffix.lower() in PICTURES]
        node, _, port = going.run.document.outputs.get(output, "").partition(".")
        if page is None or not pictures or node not in going.run.document.nodes:
            return
        path = source(node, going.run.document, page.model.subgraph, port)
        going.whole.add(path)
        self._pictured.setdefault(page, {})[path] = going.run.began
        viewing.made(self.window, page, path, pictures)

    def _undelivered(self, run: int, output: str, path: str, message: str) -> None:
        self._of(run).unwritten += 1
        said, _, cure = message.partition("\n")
        fault = Fault(f'the output "{output}" could not be written to {path}: {said}', cure.strip(), ran=True)
        self.problems.ran(self.page_of(run), [fault], more=True)

    def _refused(self, run: int, problems: list[Mapping[str, Any]]) -> None:
        faults = of_json(problems)
        self.problems.ran(self.page_of(run), faults)
        self._refuse(faults)

    def _died(self, run: int, node: str, message: str) -> None:
        if node:
            self._node_over(run, node, Run.FAILED)
            node = self._now(run, node)
        self.problems.ran(self.page_of(run) if node else None, [of_failure(message, node, None, "")], more=True)
        self.problems.wanted.emit()
        place = f'"{node}": ' if node else ""
        self.window.tell(f"{place}{message}")

    def _ended(self, run: int, end: Mapping[str, Any]) -> None:
        going = self._of(run)
        page = self.page_of(run)
        marks = self.problems.marks(page) if page is not None else None
        if marks is not None and marks.run is going.run:
            marks.end()
        going.run.close()
        if self.going is going:
            self.going = None
        told = how_it_ended(end, going.unwritten)
        if not end.get("refused") and not (end["failed"] and not end["ran"] and not end["seconds"]):
            self.window.tell(told)
        if end["failed"] or going.unwritten:
            self.problems.wanted.emit()
        self.ended.emit(run, told)
        self.changed.emit()

    def _stated(self, state: str) -> None:
        if state == "running" and self.problems.general:
            self.problems.ran(None, [])
        if state == "idle":
            self._clock.stop()
        self.window.actions_table.refresh()
        self.changed.emit()

    def _forget(self, page: Page) -> None:
        """A page is closed: nothing is shown there any more, and a run holds nothing of it."""
        self._seconds.pop(page, None)
        self._pictured.pop(page, None)
        for going in self._runs.values():
            if going.page is page:
                going.page = None

    def _queued(self) -> None:
        over = [number for number, going in self._runs.items() if going.run.over]
        for number in over[:-KEPT]:
            del self._runs[number]
        self._stated(self.runner.state)

    # --- how far it is

    def _tick(self) -> None:
        page = self.page_of(self.going.run.number) if self.going is not None else None
        marks = self.problems.marks(page) if page is not None else None
        if marks is not None:
            marks.tick()
        self.changed.emit()

    def progress(self) -> Progress | None:
        """How far the run is that is going; None if none is."""
        if self.going is None:
            return None
        found = self.going.run.progress(time.monotonic())
        if self.going.run.targets:
            return found
        most = max(self.going.most, found.done, 1)
        return Progress(found.done, most, found.done / most, None)


KEPT = 64
"""Runs that are over and still known, so that they can be run again with marks on their page."""


def attach(window: Window) -> RunPart:
    """Has a window run graphs."""
    return RunPart(window)
