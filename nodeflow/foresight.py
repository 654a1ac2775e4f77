"""What a run is certain to compute next, and with which models: for eviction, for building ahead, and for budgets."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nodeflow.calls import Wanted
from nodeflow.document import Wire
from nodeflow.errors import ModelError
from nodeflow.events import Event
from nodeflow.graph import Graph, Step
from nodeflow.leaves import models_in
from nodeflow.results import Results
from nodeflow.types import PortType
from nodeflow.values import Model, Recipe

FAR = 64
"""How many coming nodes are looked at: eviction looks ahead, and a run stays linear in its nodes."""


class Coming(NamedTuple):
    """A node that will be computed unless one before it fails.

    models: what its inputs hold, as far as they are known. required: those of inputs that it cannot do without.
    source: whether it makes a recipe of nothing but typed-in values, so that it may as well be computed at once.
    """

    node: str
    models: tuple[Model, ...]
    required: tuple[Model, ...]
    source: bool = False


class Outlook(NamedTuple):
    """What looking ahead came to: the failures of nodes that cannot have their models, and nodes to compute before."""

    refused: Sequence[Event]
    sources: Sequence[str]


class Foresight:
    """Looks ahead in a run. A node whose need is not certain (a lazy one's input, a cached result) is left out.

    Args:
        graph: what runs.
        results: what is there already.
        names: the names of results, as far as they are known; a node without one may turn out to be known already.
        wanted: which inputs lazy nodes want, as far as they have said so.
        cached: whether a result of that name is remembered.
    """

    def __init__(
        self, graph: Graph, results: Results, names: Mapping[str, str], wanted: Mapping[str, Wanted],
        cached: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._graph, self._results, self._names, self._wanted, self._cached = graph, results, names, wanted, cached
        self._plain: bool | None = None
        self._sound: set[Model] = set()

    def plan(self, demanded: Iterable[str]) -> list[Coming]:
        """The nodes that will be computed for those that are demanded, in their order; the first runs now.

        Empty in a graph whose nodes make no recipes: its plan would say nothing of models.
        """
        if self._plain is None:
            specs = {id(step.spec): step.spec for step in self._graph.steps.values()}
            self._plain = not any(may_hold_recipes(port.type) for spec in specs.values() for port in spec.outputs)
        if self._plain:
            return []
        carried: dict[str, tuple[Model, ...]] = {}
        blocked = set(self._results.failed)
        plan: list[Coming] = []
        for node in self._nodes(demanded):
            if blocked.isdisjoint(wire.node for _, wire in self._wires(node)):
                plan.append(self._coming(self._graph.steps[node], carried))
            else:
                blocked.add(node)
        return plan

    def refused(self, plan: Iterable[Coming], judge: Callable[[Model], None]) -> dict[str, ModelError]:
        """The nodes that never will have a model that they need, and why; `judge` raises ModelError."""
        found: dict[str, ModelError] = {}
        for coming in plan:
            for model in coming.required:
                if model not in self._sound:
                    try:
                        judge(model)
                        self._sound.add(model)
                    except ModelError as error:
                        found.setdefault(coming.node, error)
        return found

    def _nodes(self, demanded: Iterable[str]) -> list[str]:
        order: dict[str, None] = {}
        seen: set[str] = set()
        for node in demanded:
            todo = [(node, False)]
            while todo:
                name, opened = todo.pop()
                if opened:
                    order[name] = None
                elif name not in seen and self._certain(name, first=not order):
                    seen.add(name)
                    todo.append((name, True))
                    todo += [(parent, False) for parent in reversed([wire.node for _, wire in self._wires(name)])]
                if len(order) >= FAR or len(seen) >= 4 * FAR:
                    return list(order)
        return list(order)

    def _certain(self, name: str, *, first: bool) -> bool:
        if name in self._results.entries or name in self._results.failed or name not in self._names:
            return False
        return first or not self._cached(self._names[name])

    def _wires(self, name: str) -> Iterator[tuple[str, Wire]]:
        wanted = self._wanted.get(name)
        for port, value in self._graph.steps[name].inputs.items():
            if type(value) is Wire:
                if wanted is None or wanted(port, None):
                    yield port, value
            elif type(value) is list:
                for index, item in enumerate(value):
                    if type(item) is Wire and (wanted is None or wanted(port, index)):
                        yield port, item

    def _coming(self, step: Step, carried: dict[str, tuple[Model, ...]]) -> Coming:
        required = {port.name for port in step.spec.inputs if port.required}
        models: dict[Model, bool] = {}
        for port, wire in self._wires(step.id):
            known = wire.node in self._results.entries
            for model in models_in(self._results.take(wire)) if known else carried.get(wire.node, ()):
                models[model] = models.get(model, False) or port in required
        recipes = any(may_hold_recipes(port.type) for port in step.spec.outputs)
        if step.spec.context:
            needed = tuple(model for model, needed in models.items() if needed)
            return Coming(step.id, tuple(models), needed, recipes and not any(step.wires()))
        # without a context it can load nothing: what it makes of recipes, another loads
        if recipes:
            carried[step.id] = tuple(models)
        return Coming(step.id, (), (), recipes and not any(step.wires()))


def may_hold_recipes(kind: PortType) -> bool:
    """Whether models may travel under a type; of a class that nobody has imported yet, that is not known."""
    if kind.kind != "class":
        return kind.kind == "any" or any(may_hold_recipes(item) for item in kind.items)
    return kind.name.partition(":")[0] not in sys.modules or _is_recipe(kind.name)


@functools.cache
def _is_recipe(name: str) -> bool:
    module, _, inner = name.partition(":")
    found: Any = sys.modules[module]
    for part in inner.split("."):
        found = getattr(found, part, None)
    return isinstance(found, type) and issubclass(found, Recipe)
