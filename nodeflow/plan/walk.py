"""Walks a graph in the order of a run, each node without its numbers, and adds up what it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch.utils._python_dispatch import _disable_current_modes

from nodeflow.astray import explained
from nodeflow.calls import Callee, Wanted
from nodeflow.contents import Entry
from nodeflow.demands import Demand, OneByOne, Run
from nodeflow.devices import device_name, free_bytes, tensors_in
from nodeflow.document import Wire
from nodeflow.errors import GraphError, ModelError, NodeflowError, Problem
from nodeflow.events import Event
from nodeflow.foresight import Foresight, Outlook
from nodeflow.graph import Graph, Step
from nodeflow.leaves import called, judge, models_in
from nodeflow.plan.ceilings import Ceilings
from nodeflow.plan.ledger import Ledger, clock
from nodeflow.plan.networks import Rehearsed, furnish, networks_in
from nodeflow.plan.rehearsal import Outcome, PlanContext, Stage
from nodeflow.plan.sketch import Sketch, Unforeseen, quietly
from nodeflow.plan.told import Move, NodePlan, Output, Plan, described
from nodeflow.residency import Moved, Residency
from nodeflow.results import Results
from nodeflow.session import Cancel, Permissions
from nodeflow.values import Model

UNKNOWN = Output("?")
"""Stands for a value that is not known before the run, on wires and in what is told."""


@dataclass(frozen=True)
class _LaidOut(Model):
    """A model as residency sees it in a plan: of the same size, and built without its weights."""

    model: Model
    make: Callable[[Model, str], Any]

    @property
    def name(self) -> str:
        return called(self.model)

    @property
    def size(self) -> int:
        return self.model.size

    def build(self, device: Any) -> Any:
        return self.make(self.model, device_name(device))


class Planner:
    """Plans one run.

    Args:
        graph: what to run.
        device: where.
        until: this node and what it needs, and nothing else.
        vram: bytes that there are on the device, which models may take as in a run; what is free if None.
        ceilings: what the device can do; no times without them.
        permissions: where nodes may read; as in a run if None.

    Raises:
        GraphError: `until` names no node.
    """

    def __init__(
        self, graph: Graph, device: str, *, until: str | None = None, vram: int | None = None,
        ceilings: Ceilings | None = None, permissions: Permissions | None = None,
    ) -> None:  # fmt: skip
        if until is not None and (problem := graph.astray(until)):
            raise GraphError(problem)
        self.graph, self.device, self.ceilings = graph, device_name(device), ceilings
        self.targets = graph.targets() if until is None else (until,)
        self.order = graph.needed(self.targets)
        self.results = Results(graph, self.order, self.targets)
        self.names: dict[str, str] = {}
        self.wanted: dict[str, Wanted] = {}
        self.foresight = Foresight(graph, self.results, self.names, self.wanted, lambda _: False)
        self.cancel = Cancel()
        self.ledger = Ledger(ceilings.price if ceilings is not None else None)
        self.stage = Stage(self.ledger, Sketch(self.device), permissions or Permissions())
        self.residency = Residency({self.device: vram}, listen=self._moved)
        self.plan = Plan(limit={self.device: vram if vram is not None else free_bytes(self.device)})
        self._callees: dict[str, Callee] = {}
        self._sizes: dict[Model, tuple[int, int]] = {}
        """Parameters and bytes of the models that were laid out."""
        self._node = NodePlan("", "", self.device)
        self._loading = 0.0
        self._uses: dict[Model, int] = {}
        """The models that the present node loaded, and their bytes."""

    def run(self) -> Plan:
        """Walks the graph."""
        self.stage.calibrate()
        for name in self.order:
            step = self.graph.steps[name]
            if not (step.spec.asks or step.spec.effect) and all(parent in self.names for parent in step.parents()):
                self.names[name] = name
        walk = OneByOne(cast(Run, self))
        for at, target in enumerate(self.targets):
            for _ in walk.demand(self.targets, at):
                pass
            self.results.let_go((target,))
        self._tell_the_rest()
        return self.plan

    def _tell_the_rest(self) -> None:
        """Marks the nodes with faults, and lists those that could not be judged because of them.

        These are the nodes that take from one, and those that only such nodes need. A node that is still left out then
        is one that no lazy node wants.
        """
        failed, known = self.results.failed, {node.id for node in self.plan.nodes}
        left: dict[str, str] = {}
        users: dict[str, str] = {}
        for name in reversed(self.order):
            step = self.graph.steps[name]
            if name not in known and (name in failed or name in users):
                lost = next((node for node in step.parents() if node in failed), "")
                left[name] = f'needs "{lost}"' if lost or name not in users else f'only "{users[name]}" needs it'
            if name in failed or name in left:
                users |= {parent: name for parent in self._inputs(step) if parent not in users}
        at_fault = {problem.node for problem in self.plan.problems}
        own = [NodePlan(name, self.graph.steps[name].spec.id, self.device) for name in reversed(left)]
        self.plan.nodes += own
        for node in self.plan.nodes:
            node.faulty = node.id in at_fault
            node.unjudged = "" if node.faulty else left.get(node.id, "")

    @property
    def engine(self) -> Planner:
        """What has the residency."""
        return self

    def lacking(self, demands: Sequence[Demand]) -> list[Demand]:
        """Which demands are not met. One that failed counts as met: the other inputs of those below are planned too."""
        done, failed = self.results.entries, self.results.failed
        return [
            (node, whole)
            for node, whole in demands
            if node not in failed and node not in (done if whole else self.names)
        ]

    def settle(self, name: str, whole: bool, first: list[Demand]) -> list[Event]:
        """Names a node, or says what must be done first: as in a run, what it asks about, then its inputs' names."""
        step = self.graph.steps[name]
        if name not in self.names:
            asked = [(wire.node, True) for port, wire in step.wires() if port in step.spec.asks]
            first += reversed(self.lacking(asked))
            if first:
                return []
            if any(node in self.results.failed for node, _ in asked):
                self.results.fail(name)
                return []
            if step.spec.lazy and name not in self.wanted:
                self._ask(step)
            first += reversed(self.lacking([(node, False) for node in self._inputs(step)]))
            if first or name in self.results.failed:
                return []
            self.names[name] = name
        if whole:
            first += reversed(self.lacking([(node, True) for node in self._inputs(step)]))
            if not first and any(node in self.results.failed for node in self._inputs(step)):
                self.results.fail(name)
        return []

    def foresee(self, demanded: Iterable[str]) -> Outlook:
        """Tells residency what comes, as a run does; what makes later models is planned before the present node."""
        plan = self.foresight.plan(demanded)
        sources = [coming.node for coming in plan[1:] if coming.source and plan[0].models]
        if not sources:
            self.residency.expect([tuple(map(self._laid, coming.models)) for coming in plan])
        return Outlook([], sources)

    def _ask(self, step: Step) -> None:
        """Lets a lazy node say what it needs; all, if what it looks at is not known before the run."""
        asked = [self.results.take(wire) for port, wire in step.wires() if port in step.spec.asks]
        self.wanted[step.id] = _all
        if any(value is UNKNOWN for value in asked):
            return
        try:
            callee = self._callee(step)
            needed = callee.needed(
                step, callee.arguments(step, self.results.take, lambda port, _: port in step.spec.asks)
            )
        except Exception as error:
            self._fault(step, error)
            return
        asks = step.spec.asks
        self.wanted[step.id] = lambda port, index: port in asks or port in needed or (port, index) in needed

    def _inputs(self, step: Step) -> Iterator[str]:
        yield from (wire.node for wire in self._wires(step))

    def _wires(self, step: Step) -> Iterator[Wire]:
        wanted = self.wanted.get(step.id, _all)
        for port, value in step.inputs.items():
            if type(value) is Wire:
                if wanted(port, None):
                    yield value
            elif type(value) is list:
                yield from (item for at, item in enumerate(value) if type(item) is Wire and wanted(port, at))

    def _callee(self, step: Step) -> Callee:
        spec = step.spec
        if spec.id not in self._callees:
            self._callees[spec.id] = Callee(spec)
        return self._callees[spec.id]

    def _fault(self, step: Step, error: BaseException) -> None:
        text, port = explained(error, step, self.results.given(step))
        message, _, cure = text.partition("\n")
        self.plan.problems.append(Problem(message, cure.strip(), step.id, getattr(error, "port", None) or port))
        self.results.fail(step.id)

    def compute(self, step: Step) -> Iterator[Event]:
        """Plans a node whose inputs are there. There is nothing to report of it before the end."""
        self._compute(step)
        return iter(())

    def _compute(self, step: Step) -> None:
        node = self._node = NodePlan(step.id, step.spec.id, self.device)
        self.plan.nodes.append(node)
        memory = self.ledger.memory
        memory.begin()
        self._loading, self._uses = 0.0, {}
        try:
            values = self._values(step, node)
        except NodeflowError as error:
            self._fault(step, error)
            return
        node.peak, node.activations = dict(memory.peak), dict(memory.activations)
        node.models = {device: size for device, size in memory.models.items() if size}
        if values is None:
            self.results.fail(step.id)
            return
        try:
            judge(list(values), (self.device,))
        except ValueError as error:
            self._fault(step, error)
            return
        outputs = zip(step.spec.outputs, values, strict=True)
        node.outputs = {port.name: value if value is UNKNOWN else described(value) for port, value in outputs}
        tensors = tuple((tensor, tensor._version) for tensor in tensors_in(list(values)))
        self.results.keep(step.id, Entry(values, 0, (), False, tensors))

    def _values(self, step: Step, node: NodePlan) -> tuple[Any, ...] | None:
        """A node's outputs, none of them known where they cannot be; None if something is wrong."""
        nothing = (UNKNOWN,) * len(step.spec.outputs)
        blind = next((wire for wire in self._wires(step) if self.results.take(wire) is UNKNOWN), None)
        if blind is not None:
            node.unknown = f'takes from "{blind.node}", which is not known'
            return nothing
        callee = self._callee(step)
        given = callee.arguments(step, self.results.take, self.wanted.get(step.id, _all))
        if callee.mark.forecast is not None:
            return self._forecast(step, node, callee, given)
        if step.spec.effect:
            node.unknown = "writes files"
            return nothing
        outcome = self._rehearsed(step, callee, given)
        self._book(node, outcome)
        if outcome.problem is not None:
            self._judge(outcome)
            return None
        if outcome.unknown:
            node.unknown, node.seconds = outcome.unknown, None
            return nothing
        if damaged := self.results.damaged(step.id):
            port = next(port for port, wire in step.wires() if wire.node == damaged)
            cure = "work on a copy, such as image.pixels.clone()"
            self.plan.problems.append(Problem("the node changes it in place", cure, step.id, port))
            return None
        return callee.results(step, outcome.returned)

    def _rehearsed(self, step: Step, callee: Callee, given: Mapping[str, Any]) -> Outcome:
        if not step.spec.context:
            return quietly(lambda: self.stage.rehearse(step, given, lambda: callee.function(**given)))
        own = [self._laid(model) for model in models_in(list(given.values()))]
        with self.residency.using(own, self.device) as load:

            def loaded(model: Model) -> Any:
                module = load(self._laid(model))
                self._need(model)
                return module

            context = PlanContext(self.ledger, self.stage.permissions, loaded, self.device, self._node.notes.append)
            return quietly(lambda: self.stage.rehearse(step, given, lambda: callee.function(**given, ctx=context)))

    def _forecast(self, step: Step, node: NodePlan, callee: Callee, given: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What a node that can only be run says of its outputs; `...` stands for one that is not known."""
        forecast = callee.mark.forecast
        assert forecast is not None
        outcome = quietly(lambda: self.stage.rehearse(step, given, lambda: self._asked(callee, forecast, given)))
        node.unknown = outcome.unknown
        if outcome.problem is not None:
            self._judge(outcome)
            return None
        if outcome.unknown:
            return (UNKNOWN,) * len(step.spec.outputs)
        node.notes.append("its time is not known before it runs")
        values = outcome.returned if len(step.spec.outputs) > 1 else (outcome.returned,)
        return tuple(UNKNOWN if value is ... else self._hidden(value) for value in values)

    def _asked(self, callee: Callee, forecast: Callable[..., Any], given: Mapping[str, Any]) -> Any:
        for value in given.values():
            if isinstance(value, Path):
                self.stage.permissions.readable(value)
        return callee.ask(forecast, given)

    def _hidden(self, value: Any) -> Any:
        """A forecast's tensors have the right shape and no values that count."""
        for tensor in tensors_in(value):
            self.stage.sketch.forget(tensor)
        return value

    def _judge(self, outcome: Outcome) -> None:
        problem = outcome.problem
        assert problem is not None
        self.plan.problems.append(problem)
        self.plan.refused = self.plan.refused or (isinstance(outcome.error, ModelError) and "--vram" in problem.cure)

    def _book(self, node: NodePlan, outcome: Outcome) -> None:
        work = outcome.work
        assert work is not None
        node.flops, node.bytes, node.operators = work.flops, work.bytes, work.operators
        if self.ceilings is not None:
            node.seconds = work.seconds + self._loading + outcome.python
        own = self.ledger.memory.activations.get(self.device, 0) + sum(self._uses.values())
        self.plan.needed[self.device] = max(self.plan.needed.get(self.device, 0), own)

    def _laid(self, model: Model) -> _LaidOut:
        return _LaidOut(model, self._lay_out)

    def _need(self, model: Model) -> None:
        if model not in self._uses:
            parameters, size = self._sizes.get(model, (0, model.size))
            self._uses[model] = size
            self._node.parameters += parameters

    def _lay_out(self, model: Model, device: str) -> Any:
        """A model's module without weights. What it is built of is no activation, and its work is not the node's."""
        work, began, inside = self.ledger.work.copy(), clock(), self.ledger.inside
        try:
            with _disable_current_modes():
                loaded = model.lay_out()
            took = clock() - began
        except NotImplementedError as error:
            raise Unforeseen(f"loads {called(model)}, which cannot be laid out without its weights") from error
        parameters, size, tensors = furnish(loaded, self.stage.sketch, device)
        for tensor in tensors:
            self.ledger.memory.see(tensor, counts=False)
        for network in networks_in(loaded):
            network.forward = Rehearsed(network, self.ledger, self.stage.sketch)
        self._sizes[model] = parameters, size
        self.ledger.work = work
        self.ledger.memory.model(device, size)
        if self.ceilings is not None:
            self._loading += self.ceilings.loading(model.size) + took
        self.ledger.inside = inside + clock() - began
        return loaded

    def _moved(self, moved: Moved) -> None:
        """Takes down what residency does."""
        if moved.action == "reused":
            return
        assert isinstance(moved.model, _LaidOut)
        model = moved.model.model
        if moved.action == "evicted":
            self.ledger.memory.model(moved.device, -self._sizes[model][1])
        told = called(model), moved.device, moved.bytes, moved.resident
        self.plan.moves.append(Move(self._node.id, moved.action, *told))


def _all(port: str, index: int | None) -> bool:
    del port, index
    return True
