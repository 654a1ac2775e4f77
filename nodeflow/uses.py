"""When each model is needed: the order in which models leave a device, the one whose next use is farthest first."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from nodeflow.values import Model

P = TypeVar("P")


class Uses:
    """The steps that need each model. `now` is the step that runs; a model counts as needed until its step is passed.

    Args:
        steps: the models that each coming step needs, in the order of the run.
    """

    def __init__(self, steps: Sequence[tuple[Model, ...]] = ()) -> None:
        self.now = 0
        self._steps: dict[Model, list[int]] = {}
        for step, models in enumerate(steps):
            for model in dict.fromkeys(models):
                self._steps.setdefault(model, []).append(step)

    def next(self, model: Model, since: float | None = None) -> float:
        """The first step from `since` on (from now on if None) that needs a model; infinite if none does."""
        steps = self._steps.get(model, [])
        at = bisect_left(steps, self.now if since is None else since)
        return steps[at] if at < len(steps) else math.inf

    def before(self, step: float) -> list[Model]:
        """The models that some step needs from now on and before that one."""
        return [model for model in self._steps if self.next(model) < step]

    def leaving(
        self, places: Iterable[P], model: Callable[[P], Model], used: Callable[[P], int], since: float | None = None
    ) -> list[P]:
        """Places in the order in which they are emptied (Belady 1966): the farthest next use from `since` on first.

        Args:
            places: whatever holds a model each.
            model: which.
            used: when it was used last, by a count; among models of equal need the one unused longest goes first.
            since: a step; now if None.
        """
        return sorted(places, key=lambda place: (-self.next(model(place), since), used(place)))
