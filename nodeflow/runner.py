"""Runs a graph: demands its targets, reuses what the cache has, computes the rest, and tells by events."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nodeflow.cache import Cache
from nodeflow.calls import Callee, Wanted, guarded
from nodeflow.document import Wire
from nodeflow.errors import Cancelled, GraphError, Problem, RunError, told
from nodeflow.events import Began, Ended, Event, Failed, Finished, Reused, Started
from nodeflow.graph import Graph, Step
from nodeflow.identity import name_of
from nodeflow.residency import Residency, default_device, models_in
from nodeflow.session import Aside, Cancel, Permissions, RunContext
from nodeflow.spec import NodeSpec

FORESIGHT = 64
"""How many coming nodes are asked which models they will need: eviction looks ahead, and stays linear."""
TRACE = 20
"""Frames of a failed node's traceback that are told, the innermost."""


class Engine:
    """What outlives a run: results, models on their devices, imported functions. One run at a time.

    Args:
        cache: results; in memory only, 1 GiB, if None.
        residency: models; each device's own budget if None.
        device: where nodes compute; the best there is if None, chosen when a node first asks.
    """

    def __init__(
        self, *, cache: Cache | None = None, residency: Residency | None = None, device: str | None = None
    ) -> None:
        self.cache = cache if cache is not None else Cache(None, 2**30, 0)
        self.residency = residency if residency is not None else Residency(relief=self.cache.shed)
        self._device = device
        self._callees: dict[str, Callee] = {}

    @property
    def device(self) -> str:
        if self._device is None:
            self._device = default_device()
        return self._device

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
            permissions: where nodes may read and write; the working directory and its `outputs` if None.
            about: the graph's text, which saved pictures carry.
            cancel: stops the run when pressed.
            previews: whether somebody looks at pictures of unfinished work.

        Raises:
            GraphError: `until` names no node.
        """
        if until is not None and until not in graph.steps:
            raise GraphError(Problem(f'there is no node "{until}" to run until'))
        targets = graph.targets() if until is None else (until,)
        run = _Run(self, graph, targets, permissions or Permissions(), about, cancel or Cancel(), previews)
        return run.events()


class _Blocked(Exception):
    """A node cannot be computed because one above it failed."""


Demand = tuple[str, bool]
"""A node, and whether its result is wanted or its name alone."""


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
        self.results: dict[str, tuple[Any, ...]] = {}
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.ran = self.reused = self.broken = 0
        self.positions: dict[str, dict[str, int]] = {}
        self.places: dict[str, int] = {}
        self.parents = {name: graph.steps[name].parents() for name in self.order}
        self.users = users = dict.fromkeys(self.order, 0)
        for parents in self.parents.values():
            for node in parents:
                users[node] += 1
        self.handed_out = {name: place for name, place in graph.outputs.items() if place[0] in users}
        for node in (*targets, *(node for node, _ in self.handed_out.values())):
            users[node] += 1

    def events(self) -> Iterator[Event]:
        began = time.monotonic()
        cancelled = False
        yield Began(len(self.order))
        try:
            self._name_what_is_known()
            for target in self.targets:
                yield from self._demand(target)
                self._let_go((target,))
        except Cancelled:
            cancelled = True
        finally:
            self.engine.residency.expect(())
        made = {name: place for name, place in self.handed_out.items() if place[0] in self.results}
        outputs = {name: self._take(Wire(*place)) for name, place in made.items()}
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

    def _demand(self, target: str) -> Iterator[Event]:
        """Computes one target. Each entry of the stack has what must be there before it goes on, the next one last."""
        stack: list[tuple[str, bool, list[Demand]]] = [(target, True, [])]
        steps, names, done, failed = self.graph.steps, self.names, self.done, self.failed
        while stack:
            name, whole, first = stack[-1]
            if name in done or name in failed or (not whole and name in names):
                stack.pop()
                continue
            if self.cancel.pressed:
                raise Cancelled
            try:
                if first:
                    if self._lacking(first[-1:]):
                        stack.append((*first[-1], []))
                    else:
                        first.pop()
                    continue
                step = steps[name]
                first += reversed(self._prepare(step) if name not in names else [])
                if first or not whole:
                    continue
                hit = self.engine.cache.get(names[name])
                if hit is not None and len(hit) == len(step.spec.outputs):
                    self.reused += 1
                    self._keep(name, hit)
                    yield Reused(name)
                    continue
                first += reversed(self._parents(step))
            except _Blocked:
                failed.add(name)
                self._let_go(self.parents[name])
                continue
            except (KeyboardInterrupt, Cancelled):
                raise
            except BaseException as error:
                yield self._fail(step, error)
                continue
            if not first:
                yield from self._compute(step)

    def _prepare(self, step: Step) -> list[Demand]:
        """Names a step's result, or says what must be done first: results that it asks about, names of the rest."""
        spec = step.spec
        asked = [(wire.node, True) for port, wire in step.wires() if port in spec.asks]
        if missing := self._lacking(asked):
            return missing
        callee = self.engine.callee(spec)
        needs, identity = callee.mark.needs, callee.mark.identity
        wanted = self.wanted.get(step.id, _all)
        content = ""
        if needs is not None or identity is not None:
            given = callee.arguments(step, self._take, lambda port, _: port in spec.asks)
            if needs is not None:
                wanted = self.wanted[step.id] = _only(callee.needed(step, given), spec.asks)
            if identity is not None:
                content = str(callee.ask(identity, given))
        if spec.effect:
            content += f" {self.permissions.out.resolve()}"
        if missing := self._lacking([(node, False) for node in self._inputs(step, wanted)]):
            return missing
        names = self.names
        names[step.id] = name_of(step, names, content=content, wanted=None if wanted is _all else wanted)
        return []

    def _lacking(self, demands: list[Demand]) -> list[Demand]:
        missing = []
        for node, whole in demands:
            if node in self.failed:
                raise _Blocked
            if node not in (self.results if whole else self.names):
                missing.append((node, whole))
        return missing

    def _parents(self, step: Step) -> list[Demand]:
        """The results that a step lacks to be computed."""
        wanted = self.wanted.get(step.id, _all)
        return self._lacking([(node, True) for node in self._inputs(step, wanted)])

    def _inputs(self, step: Step, wanted: Wanted) -> Iterator[str]:
        for port, value in step.inputs.items():
            if type(value) is Wire:
                if wanted(port, None):
                    yield value.node
            elif type(value) is list:
                for index, item in enumerate(value):
                    if type(item) is Wire and wanted(port, index):
                        yield item.node

    def _take(self, wire: Wire) -> Any:
        values = self.results[wire.node]
        if len(values) == 1:
            return values[0]
        spec = self.graph.steps[wire.node].spec
        positions = self.positions.get(spec.id)
        if positions is None:
            positions = self.positions[spec.id] = {port.name: index for index, port in enumerate(spec.outputs)}
        return values[positions[wire.output]]

    def _keep(self, name: str, values: tuple[Any, ...]) -> None:
        """Keeps a result until the last node that may take it is done."""
        self.done.add(name)
        self.results[name] = values
        self._let_go(self.parents[name])

    def _let_go(self, nodes: Iterable[str]) -> None:
        """Says that one user less waits for each of these; what nobody waits for any more is dropped."""
        users = self.users
        for node in nodes:
            users[node] -= 1
            if not users[node]:
                self._drop(node)

    def _drop(self, node: str) -> None:
        stack = [node]
        while stack:
            node = stack.pop()
            self.results.pop(node, None)
            if node in self.done or node in self.failed:
                continue
            for parent in self.parents[node]:  # it never will be computed, so it takes nothing either
                self.users[parent] -= 1
                if not self.users[parent]:
                    stack.append(parent)

    def _fail(self, step: Step, error: BaseException) -> Failed:
        self.failed.add(step.id)
        self.broken += 1
        self._let_go(self.parents[step.id])
        if isinstance(error, RunError):
            return Failed(step.id, error.message, error.port)
        return Failed(step.id, told(error), None, "".join(traceback.format_exception(error, limit=-TRACE)))

    def _compute(self, step: Step) -> Iterator[Event]:
        yield Started(step.id)
        began = time.monotonic()
        aside: Aside | None = None
        if step.spec.context:
            aside = Aside(lambda emit: self._call(step, emit), self.cancel)
            yield from aside.events()  # outside `try`: a GeneratorExit here is the reader's, inside it is the node's
        try:
            values = aside.result() if aside is not None else self._call(step, None)
        except (KeyboardInterrupt, Cancelled):
            raise
        except BaseException as error:
            yield self._fail(step, error)
            return
        seconds = time.monotonic() - began
        self.engine.cache.put(self.names[step.id], values, seconds)
        self.ran += 1
        self._keep(step.id, values)
        yield Finished(step.id, seconds)

    def _call(self, step: Step, emit: Callable[[Event], None] | None) -> tuple[Any, ...]:
        """Calls the node; with `emit` it gets a context that reports there."""
        engine, cancel, callee = self.engine, self.cancel, self.engine.callee(step.spec)
        given = callee.arguments(step, self._take, self.wanted.get(step.id, _all))
        if emit is None:
            with guarded():
                return callee.results(step, callee.function(**given))
        self._foresee(step)
        device = engine.device

        def compute() -> Any:
            with engine.residency.using(models_in(list(given.values())), device) as load, guarded():
                ctx = RunContext(
                    step.id, emit=emit, cancel=cancel, permissions=self.permissions, load=load, device=device,
                    about=self.about, watched=self.previews,
                )  # fmt: skip
                return callee.function(**given, ctx=ctx)

        return callee.results(step, engine.residency.retrying(compute, device))

    def _foresee(self, step: Step) -> None:
        """Tells residency which models the coming nodes will load, as far as their recipes are known."""
        own = models_in([self._take(wire) for _, wire in step.wires() if wire.node in self.results])
        if not own:
            return
        coming = [own]
        self.places = self.places or {name: at for at, name in enumerate(self.order)}
        at = self.places[step.id]
        for name in self.order[at + 1 : at + 1 + FORESIGHT]:
            if name not in self.results:
                wires = [wire for _, wire in self.graph.steps[name].wires() if wire.node in self.results]
                coming.append(models_in([self._take(wire) for wire in wires]))
        self.engine.residency.expect(coming)


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
