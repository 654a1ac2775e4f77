"""Runs a graph: demands its targets, reuses what the cache has, computes the rest, and tells by events."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nodeflow.astray import explained
from nodeflow.cache import Cache
from nodeflow.calls import Callee, Wanted, guarded, imported
from nodeflow.demands import CLEAR, Blocked, Demand, OneByOne
from nodeflow.devices import default_device, device_names, farewell, gone
from nodeflow.document import Wire
from nodeflow.errors import Cancelled, GraphError, RunError, let_go
from nodeflow.events import Began, Ended, Event, Failed, Finished, Made, Reused, Started
from nodeflow.fetching import fetched
from nodeflow.files import judged_by
from nodeflow.foresight import Foresight, Outlook, may_hold_recipes
from nodeflow.graph import Graph, Step
from nodeflow.hub import fetching
from nodeflow.identity import name_of
from nodeflow.lanes import Lanes
from nodeflow.leaves import judge, models_in
from nodeflow.loading import Loader
from nodeflow.residency import Residency
from nodeflow.results import Results, with_pictures
from nodeflow.session import Aside, Cancel, Permissions, RunContext, ends_the_run
from nodeflow.spec import NodeSpec

TRACE = 20
"""Frames of a failed node's traceback that are told, the innermost."""


class Engine:
    """What outlives a run: results, models on their devices, imported functions. One run at a time.

    Args:
        cache: results; in memory only, 1 GiB, if None.
        residency: models; each device's own budget if None.
        device: where nodes compute; the best there is if None, chosen when a node first asks. Of several, such as
            "cuda:0,cuda:1", each computes nodes that do not need each other's results, at the same time.
        prefetch: whether models of coming nodes are loaded while a node computes, where a device can do both at once.
    """

    def __init__(
        self, *, cache: Cache | None = None, residency: Residency | None = None, device: str | None = None,
        prefetch: bool = True,
    ) -> None:  # fmt: skip
        self.cache = cache if cache is not None else Cache(None, 2**30, 0)
        self.residency = residency if residency is not None else Residency(relief=self.cache.shed)
        self.prefetch = prefetch
        self._devices = () if device is None else device_names(device)
        self._callees: dict[str, Callee] = {}

    @property
    def several(self) -> bool:
        """Whether nodes compute on more than one device."""
        return len(self._devices) > 1

    @property
    def devices(self) -> tuple[str, ...]:
        """Where nodes compute."""
        self._devices = self._devices or (default_device(),)
        return self._devices

    @property
    def device(self) -> str:
        """Where nodes compute, or the first of several places."""
        return self.devices[0]

    def callee(self, spec: NodeSpec) -> Callee:
        """The function behind a spec, imported when first needed.

        Raises:
            PluginError: it cannot be imported.
        """
        known = self._callees.get(spec.id)
        if known is None or known.spec is not spec:
            known = self._callees[spec.id] = Callee(spec)
        return known

    def run(
        self,
        graph: Graph,
        *,
        until: str | None = None,
        permissions: Permissions | None = None,
        about: str = "",
        cancel: Cancel | None = None,
        previews: bool = False,
    ) -> Iterator[Event]:
        """Computes the graph's targets and yields what happens; the last event is Ended, with the outputs.

        A node that fails does not stop outputs that do not need it. Closing the iterator stops the run.

        Args:
            graph: what to run.
            until: compute this node and what it needs, and nothing else.
            permissions: where nodes may read and write; if None, they read below the working directory and the
                model folders, and write below `outputs`.
            about: the graph's text, which saved pictures carry.
            cancel: stops the run when pressed.
            previews: whether somebody looks at pictures of unfinished work, and of what nodes came to.

        Raises:
            GraphError: `until` names no node.
        """
        if until is not None and (problem := graph.astray(until)):
            raise GraphError(problem)
        targets = graph.targets() if until is None else (until,)
        run = _Run(self, graph, targets, permissions or Permissions(), about, cancel or Cancel(), previews)
        return with_pictures(run.events(), run.results) if previews else run.events()


class _Gone(Exception):
    """A device can no longer be used: the run is over."""


class _Run:
    """One run: who has a name, who has a result, who failed. Nodes are demanded from the targets upwards."""

    def __init__(
        self, engine: Engine, graph: Graph, targets: tuple[str, ...], permissions: Permissions, about: str,
        cancel: Cancel, previews: bool,
    ) -> None:  # fmt: skip
        self.engine, self.graph, self.targets = engine, graph, targets
        self.permissions, self.about, self.cancel, self.previews = permissions, about, cancel, previews
        self.order = graph.needed(targets)
        self.names: dict[str, str] = {}
        self.wanted: dict[str, Wanted] = {}
        self.results = Results(graph, self.order, targets)
        self.ran = self.reused = self.broken = 0
        self.foresight = Foresight(graph, self.results, self.names, self.wanted, engine.cache.has)
        self.loader: Loader | None = None
        self.unsaid: dict[str, list[str]] = {}
        """The outputs of each node that are not handed out yet."""
        for name, (node, _) in self.results.outputs.items():
            self.unsaid.setdefault(node, []).append(name)

    def events(self) -> Iterator[Event]:
        began = time.monotonic()
        cancelled = False
        whole = self.targets == self.graph.targets()
        yield Began(len(self.order), self.graph.absent.outputs if whole else {})
        try:
            self._name_what_is_known()
            yield from fetched(self.graph, self.targets, self.engine.callee, self.permissions, self.cancel, self._fail)
            demand = Lanes(self, self.engine.devices).demand if self.engine.several else OneByOne(self).demand
            for at, target in enumerate(self.targets):
                yield from demand(self.targets, at)
                self.results.let_go((target,))
            while lost := self.results.lost():
                yield from demand(lost[:1], 0)
        except Cancelled:
            cancelled = True
        except _Gone:
            pass  # told as its node's failure
        finally:
            if self.loader is not None:
                self.loader.stop()
            self.engine.residency.expect(())
        made = {name: place for name, place in self.results.outputs.items() if place[0] in self.results.entries}
        outputs = {name: self.results.take(Wire(*place)) for name, place in made.items()}
        names = {name: self.names[node] for name, (node, _) in made.items()}
        seconds = time.monotonic() - began
        yield Ended(seconds, self.ran, self.reused, self.broken, cancelled, names, outputs)

    def _name_what_is_known(self) -> None:
        """Names every result that can be named before anything ran: all but those below a node that must ask first."""
        steps, names = self.graph.steps, self.names
        for name in self.order:
            step = steps[name]
            if step.spec.asks or step.spec.effect:
                continue
            try:
                names[name] = name_of(step, names)
            except KeyError:
                continue

    def settle(self, name: str, whole: bool, first: list[Demand]) -> list[Event]:
        """Names a node and takes its result from the cache, or adds to `first` what must be there before; backwards."""
        step = self.graph.steps[name]
        try:
            first += reversed(self._prepare(step) if name not in self.names else [])
            if first or not whole:
                return []
            hit = self.engine.cache.find(self.names[name])
            if hit is not None and len(hit.result) == len(step.spec.outputs):
                self._suited(step, hit.result)
                self.reused += 1
                self.results.keep(name, hit)
                return [Reused(name), *(self._made(name) if name in self.unsaid else ())]
            first += reversed(self._parents(step))
        except Blocked:
            self.results.fail(name)
        except BaseException as error:
            if ends_the_run(error):
                raise
            return [self._fail(step, error)]
        return []

    def _prepare(self, step: Step) -> list[Demand]:
        """Names a step's result, or says what must be done first: results that it asks about, names of the rest."""
        spec = step.spec
        asked = [(wire.node, True) for port, wire in step.wires() if port in spec.asks]
        if missing := self.lacking(asked):
            return missing
        callee = self.engine.callee(spec)
        needs, identity = callee.mark.needs, callee.mark.identity
        wanted = self.wanted.get(step.id, _all)
        content = ""
        if needs is not None or identity is not None:
            given = callee.arguments(step, self.results.take, lambda port, _: port in spec.asks)
            if needs is not None:
                wanted = self.wanted[step.id] = _only(callee.needed(step, given), spec.asks)
            if identity is not None:
                content = self._content(callee, identity, given)
        if spec.effect:
            content += f" {os.path.realpath(self.permissions.out)}"
        if missing := self.lacking([(node, False) for node in self._inputs(step, wanted)]):
            return missing
        names = self.names
        names[step.id] = name_of(step, names, content=content, wanted=None if wanted is _all else wanted)
        return []

    def _content(self, callee: Callee, identity: Callable[..., Any], given: Mapping[str, Any]) -> str:
        """What a node's `identity` says. Paths are judged here, as `ctx.read` would, before any file is opened."""
        for port in callee.asks_of[identity]:
            value = given.get(port)
            for path in value if isinstance(value, list) else (value,):
                if isinstance(path, Path):
                    self.permissions.readable(path)
        with judged_by(self.permissions.readable), fetching(self.permissions.fetch):
            return str(callee.ask(identity, given))

    def lacking(self, demands: Sequence[Demand]) -> list[Demand]:
        """Which of these are not there; raises Blocked if one never will be."""
        missing = []
        for node, whole in demands:
            if node in self.results.failed:
                raise Blocked
            if node not in (self.results.entries if whole else self.names):
                missing.append((node, whole))
        return missing

    def _parents(self, step: Step) -> list[Demand]:
        """The results that a step lacks to be computed."""
        wanted = self.wanted.get(step.id, _all)
        return self.lacking([(node, True) for node in self._inputs(step, wanted)])

    def _inputs(self, step: Step, wanted: Wanted) -> Iterator[str]:
        for port, value in step.inputs.items():
            if type(value) is Wire:
                if wanted(port, None):
                    yield value.node
            elif type(value) is list:
                for index, item in enumerate(value):
                    if type(item) is Wire and wanted(port, index):
                        yield item.node

    def _made(self, node: str) -> Iterator[Event]:
        """Hands out a node's outputs as soon as it has its result: what comes later may end the process."""
        for name in self.unsaid.pop(node):
            place = self.results.outputs[name]
            yield Made(name, self.names[node], self.results.take(Wire(*place)))

    def _fail(self, step: Step, error: BaseException) -> Failed:
        self.results.fail(step.id)
        self.broken += 1
        if isinstance(error, RunError):
            return Failed(step.id, error.message, error.port)
        if gone(error):
            return Failed(step.id, farewell(error))
        trace = "".join(traceback.format_exception(error, limit=-TRACE))
        message, port = explained(error, step, self.results.given(step))
        let_go(error)
        return Failed(step.id, message, port, trace)

    def compute(self, step: Step) -> Iterator[Event]:
        """Computes a node whose inputs are there."""
        yield Started(step.id)
        began = imported(self.engine.callee, step.spec)
        if not step.spec.context:
            yield from self.conclude(step, began, lambda: self._call(step))
            return
        device = self.engine.device
        aside = Aside(lambda emit: self.call_on(device, step, emit), self.cancel)
        yield from aside.events()  # outside `try`: a GeneratorExit here is the reader's, inside it is the node's
        yield from self.conclude(step, began, aside.result, aside=True)

    def conclude(
        self, step: Step, began: float, result: Callable[[], tuple[Any, ...]], *, aside: bool = False
    ) -> Iterator[Event]:
        """Keeps what a node came to, or tells its failure; `result` computes it here, or was computed aside."""
        try:
            values = result()
            seconds = time.monotonic() - began
            self._judge(step, 'changed its input "{}" in place', "work on a copy, such as image.pixels.clone()")
            self._suited(step, values)
            entry = self.engine.cache.put(self.names[step.id], values, seconds)
        except BaseException as error:
            if self.results.damaged(step.id):
                self.results.give_up_damaged()
                self.engine.cache.sift()
            if ends_the_run(error, aside):
                raise
            yield self._fail(step, error)
            if gone(error):
                raise _Gone from error
            return
        self.ran += 1
        self.results.keep(step.id, entry)
        yield Finished(step.id, seconds)
        if step.id in self.unsaid:
            yield from self._made(step.id)

    def _judge(self, step: Step, message: str, cure: str) -> None:
        """Raises RunError if an input was written to: it belongs to the engine, which gives it to others as well."""
        if damaged := self.results.damaged(step.id):
            port = next(port for port, wire in step.wires() if wire.node == damaged)
            raise RunError(step.id, f"{message.format(port)}\n    {cure}")

    def _suited(self, step: Step, values: tuple[Any, ...]) -> None:
        """Raises ValueError if no device of the run can run a model of these recipes: before it is waited for."""
        if any(may_hold_recipes(port.type) for port in step.spec.outputs) and models_in(list(values)):
            judge(list(values), self.engine.devices)

    def _given(self, step: Step) -> dict[str, Any]:
        self._judge(step, 'its input "{}" was written to after it had been given', "the one before must give a copy")
        return self.engine.callee(step.spec).arguments(step, self.results.take, self.wanted.get(step.id, _all))

    def _call(self, step: Step) -> tuple[Any, ...]:
        callee = self.engine.callee(step.spec)
        with guarded():
            return callee.results(step, callee.function(**self._given(step)))

    def call_on(self, device: str, step: Step, emit: Callable[[Event], None]) -> tuple[Any, ...]:
        """Calls a node with a context that reports to `emit`, computes on `device`, and loads models there."""
        residency, callee, given = self.engine.residency, self.engine.callee(step.spec), self._given(step)

        def compute() -> Any:
            with residency.using(models_in(list(given.values())), device) as load, guarded():
                ctx = RunContext(
                    step.id, emit=emit, cancel=self.cancel, permissions=self.permissions, load=load, device=device,
                    about=self.about, watched=self.previews,
                )  # fmt: skip
                return callee.function(**given, ctx=ctx)

        with residency.backend.computing_on(device):
            return callee.results(step, residency.retrying(compute, device))

    def foresee(self, demanded: Iterable[str]) -> Outlook:
        """Looks ahead, and tells residency and the loader of coming models."""
        plan, steps, residency = self.foresight.plan(demanded), self.graph.steps, self.engine.residency
        if not any(coming.models for coming in plan):
            return CLEAR
        refused = self.foresight.refused(plan, partial(residency.judge, devices=self.engine.devices))
        failed = [self._fail(steps[node], error) for node, error in refused.items() if self.results.waited_for(node)]
        sources = [coming.node for coming in plan[1:] if coming.source and plan[0].models]
        if failed or sources:
            return Outlook(failed, sources)
        residency.expect([coming.models for coming in plan])
        if self.engine.prefetch and not self.engine.several and residency.backend.overlaps(self.engine.device):
            self.loader = self.loader or Loader(residency, self.engine.device)
            self.loader.follow([model for coming in plan for model in coming.models])
        return CLEAR


def _all(port: str, index: int | None) -> bool:
    del port, index
    return True


def _only(needed: frozenset[Any], asks: tuple[str, ...]) -> Wanted:
    return lambda port, index: port in asks or port in needed or (index is not None and (port, index) in needed)


def run(graph: Graph, *, out: Path | None = None) -> dict[str, Any]:
    """Runs a graph in this process with nothing kept, and returns its outputs by name.

    Raises:
        RunError: the first node that failed.
    """
    permissions = Permissions(out) if out else Permissions()
    outputs: dict[str, Any] = {}
    for event in Engine().run(graph, permissions=permissions):
        if isinstance(event, Failed):
            raise RunError(event.node, event.message, port=event.port)
        if isinstance(event, Ended):
            outputs = dict(event.outputs)
    return outputs
