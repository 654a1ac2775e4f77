"""What a run is asked for, and the order in which it computes that on one device: depth first, one node at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from nodeflow.calls import Callee
from nodeflow.errors import Cancelled
from nodeflow.events import Event
from nodeflow.foresight import Outlook
from nodeflow.graph import Graph, Step
from nodeflow.residency import Residency
from nodeflow.results import Results
from nodeflow.session import Cancel
from nodeflow.spec import NodeSpec

Demand = tuple[str, bool]
"""A node, and whether its result is wanted or its name alone."""


CLEAR = Outlook((), ())


class Blocked(Exception):
    """A node cannot be computed because one above it failed."""


class Kept(Protocol):
    """What outlives a run."""

    residency: Residency

    def callee(self, spec: NodeSpec, /) -> Callee: ...


class Run(Protocol):
    """What those need who decide which node is next."""

    graph: Graph
    results: Results
    names: dict[str, str]
    order: tuple[str, ...]
    cancel: Cancel

    @property
    def engine(self) -> Kept: ...
    def lacking(self, demands: Sequence[Demand]) -> list[Demand]: ...
    def settle(self, name: str, whole: bool, first: list[Demand]) -> list[Event]: ...
    def foresee(self, demanded: Iterable[str]) -> Outlook: ...
    def compute(self, step: Step) -> Iterator[Event]: ...
    def call_on(self, device: str, step: Step, emit: Callable[[Event], None]) -> tuple[Any, ...]: ...
    def conclude(
        self, step: Step, began: float, result: Callable[[], tuple[Any, ...]], *, aside: bool = False
    ) -> Iterator[Event]: ...


class OneByOne:
    """Computes demands one after the other."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def demand(self, targets: Sequence[str], at: int) -> Iterator[Event]:
        """Computes the target at that place; the later ones are only looked at, for what they will need.

        Each entry of the stack has what must be there before it goes on, the next one last.
        """
        run = self._run
        stack: list[tuple[str, bool, list[Demand]]] = [(targets[at], True, [])]
        steps, names, done, failed = run.graph.steps, run.names, run.results.done, run.results.failed
        while stack:
            name, whole, first = stack[-1]
            if name in done or name in failed or (not whole and name in names):
                stack.pop()
                continue
            if run.cancel.pressed:
                raise Cancelled
            if first:
                try:
                    if run.lacking(first[-1:]):
                        stack.append((*first[-1], []))
                    else:
                        first.pop()
                except Blocked:
                    run.results.fail(name)
                continue
            yield from run.settle(name, whole, first)
            if first or not whole or name in done or name in failed:
                continue
            step = steps[name]
            outlook = run.foresee(_demanded(stack, targets, at + 1)) if step.spec.context else CLEAR
            yield from outlook.refused
            if outlook.refused:
                stack = [entry for entry in stack if run.results.waited_for(entry[0])]
            elif outlook.sources:
                stack += [(source, True, []) for source in reversed(outlook.sources)]
            else:
                yield from run.compute(step)


def _demanded(stack: list[tuple[str, bool, list[Demand]]], targets: Sequence[str], at: int) -> Iterator[str]:
    """The nodes that a run asks for, the next one first."""
    for name, whole, first in reversed(stack):
        yield from (node for node, wanted in reversed(first) if wanted)
        if whole:
            yield name
    yield from (targets[place] for place in range(at, len(targets)))  # a slice would copy them all for each target
