"""Nodes that do not need each other's results, computed at the same time: a list scheduler, one lane for each device.

What is demanded is settled as in a run on one device; nodes that are ready wait here for a lane, in the order of the
graph, and the lanes' threads say what happens in one queue. So the events of each node come in their order, those of
several nodes mixed. Nodes without a context compute between, in the reader's thread: they need no device.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nodeflow.calls import imported
from nodeflow.demands import Demand, Run
from nodeflow.errors import Cancelled
from nodeflow.events import Event, Started
from nodeflow.graph import Step
from nodeflow.leaves import models_in
from nodeflow.session import Said


class _Over(NamedTuple):
    """A lane is free again: what its node returned or raised."""

    device: str
    step: Step
    began: float
    values: tuple[Any, ...]
    error: BaseException | None

    def result(self) -> tuple[Any, ...]:
        if self.error is not None:
            raise self.error
        return self.values


class Lanes:
    """Computes demands on several devices.

    Args:
        run: the run.
        devices: a lane each.
    """

    def __init__(self, run: Run, devices: Sequence[str]) -> None:
        self._run, self._devices = run, devices
        self._places = {name: at for at, name in enumerate(run.order)}
        self._agenda: list[Demand] = []
        self._open: set[Demand] = set()
        self._waiting: dict[Demand, dict[Demand, None]] = {}
        self._ready: set[str] = set()
        self._busy: dict[str, str] = {}
        self._said: Said[Event | _Over] = Said()
        self._ended: BaseException | None = None
        self._begun = False

    def demand(self, targets: Sequence[str], at: int) -> Iterator[Event]:
        """Computes a target, and with the first one the later ones; they will be found done when their turn comes."""
        for demanded in reversed(targets[at : at + 1] if self._begun else targets[at:]):
            self._ask((demanded, True))
        self._begun = True
        try:
            while True:
                if self._ended is None:
                    yield from self._settle_all()
                    yield from self._dispatch()
                    if self._agenda:
                        continue
                if not self._busy:
                    break
                said = self._said.get()
                if isinstance(said, _Over):
                    yield from self._conclude(said)
                else:
                    yield said
        except BaseException:
            self._run.cancel.press()
            raise
        if self._ended is not None:
            raise self._ended

    def _ask(self, demand: Demand, waiter: Demand | None = None) -> None:
        if waiter is not None:
            self._waiting.setdefault(demand, {})[waiter] = None
        if demand not in self._open:
            self._open.add(demand)
            self._agenda.append(demand)

    def _settled(self, demand: Demand) -> bool:
        name, whole = demand
        results = self._run.results
        return name in results.done or name in results.failed or (not whole and name in self._run.names)

    def _close(self, name: str) -> None:
        """Lets those who wait for a node go on, as far as it is settled."""
        for demand in ((name, True), (name, False)):
            if self._settled(demand):
                self._open.discard(demand)
                self._agenda += self._waiting.pop(demand, ())

    def _settle_all(self) -> Iterator[Event]:
        while self._agenda:
            if self._run.cancel.pressed:
                self._end(Cancelled())
                return
            demand = self._agenda.pop()
            name, whole = demand
            if not self._settled(demand) and name not in self._ready and name not in self._busy.values():
                first: list[Demand] = []
                yield from self._run.settle(name, whole, first)
                for before in first:
                    self._ask(before, demand)
                if not first and whole and not self._settled(demand):
                    self._ready.add(name)
            self._close(name)

    def _dispatch(self) -> Iterator[Event]:
        """Starts what is ready, as long as a lane is free for it."""
        if self._run.cancel.pressed:
            self._end(Cancelled())
        for name in sorted(self._ready, key=self._places.__getitem__):
            step = self._run.graph.steps[name]
            if not self._run.results.waited_for(name):  # only a failed node would have taken it
                self._ready.discard(name)
            elif self._ended is not None or self._agenda:
                return
            elif not step.spec.context:
                self._ready.discard(name)
                events, unready = self._look_again(name)
                yield from events
                if not unready:
                    yield from self._guarded(self._run.compute(step))
                    self._done(name)
            elif self._run.names[name] in {self._run.names[node] for node in self._busy.values()}:
                continue  # the same result is being computed: it will be found
            elif free := [device for device in self._devices if device not in self._busy]:
                yield from self._begin(step, free)

    def _begin(self, step: Step, free: Sequence[str]) -> Iterator[Event]:
        waiting = sorted(self._ready, key=self._places.__getitem__)
        refused = self._run.foresee([step.id, *self._busy.values(), *waiting]).refused
        yield from refused
        if refused:
            self._agenda += [demand for demand in self._open if self._settled(demand)]
            return
        self._ready.discard(step.id)
        events, unready = self._look_again(step.id)
        yield from events
        if unready:
            return
        device = self._place(step, free)
        self._busy[device] = step.id
        yield Started(step.id)
        thread = threading.Thread(target=self._work, args=(device, step), name=f"nodeflow-{device}", daemon=True)
        thread.start()

    def _look_again(self, name: str) -> tuple[list[Event], bool]:
        """Whether a node is no longer ready: its result is there by another's work, or an input was given up."""
        first: list[Demand] = []
        events = self._run.settle(name, True, first)
        unready = bool(first) or self._settled((name, True))
        if unready:
            self._open.discard((name, True))
            self._ask((name, True))
        return events, unready

    def _place(self, step: Step, free: Sequence[str]) -> str:
        """The free device that holds most of a node's models, the first of equals."""
        results, residency = self._run.results, self._run.engine.residency
        taken = [results.take(wire) for _, wire in step.wires() if wire.node in results.entries]
        models = models_in(taken)
        return max(free, key=lambda device: sum(residency.resident(device).get(model, 0) for model in models))

    def _work(self, device: str, step: Step) -> None:
        began = imported(self._run.engine.callee, step.spec)
        values: tuple[Any, ...] = ()
        raised: BaseException | None = None
        try:
            values = self._run.call_on(device, step, self._said.put)
        except BaseException as error:
            raised = error
        self._said.put(_Over(device, step, began, values, raised))

    def _conclude(self, over: _Over) -> Iterator[Event]:
        del self._busy[over.device]
        yield from self._guarded(self._run.conclude(over.step, over.began, over.result, aside=True))
        self._done(over.step.id)

    def _guarded(self, events: Iterator[Event]) -> Iterator[Event]:
        """What ends the run ends it when all lanes are free."""
        while True:
            try:
                event = next(events)
            except StopIteration:
                return
            except BaseException as error:
                self._end(error)
                return
            yield event

    def _end(self, error: BaseException) -> None:
        self._ended = self._ended or error
        self._run.cancel.press()

    def _done(self, name: str) -> None:
        self._close(name)
        if not self._settled((name, True)) and self._ended is None:  # its result was damaged at once
            self._open.discard((name, True))
            self._ask((name, True))
