"""One node called without its numbers: its context, what it cost, what came out, and whose fault it was."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from nodeflow.astray import explained
from nodeflow.context import Context, count
from nodeflow.devices import tensors_in
from nodeflow.errors import Problem
from nodeflow.files import headers_only, judged_by
from nodeflow.graph import Step
from nodeflow.hub import not_fetched
from nodeflow.plan.ledger import Ledger, Work, clock
from nodeflow.plan.sketch import Ports, Reader, Sketch, Unforeseen
from nodeflow.residency import computing
from nodeflow.session import Permissions
from nodeflow.values import Composition, Image, Model, Recipe

T = TypeVar("T")

PATIENCE = 3.0
"""CPU seconds after which the rest of a loop is taken to be as its last step was."""
WALKED = 8
"""Steps of a loop that are walked at least."""
CALIBRATION = 50
"""Calls of a small network by which the walk's own cost is measured: 30 milliseconds."""
CHEAP = 2**20
"""Bytes up to which a file is read for a plan; of weights no more than the header is, however large they are."""


class PlanContext(Context):
    """What a node gets in place of its run: it loads networks without weights, and writes nothing."""

    def __init__(
        self, ledger: Ledger, permissions: Permissions, load: Callable[[Model], Any], device: str,
        noted: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.device = device
        self._ledger, self._permissions, self._load, self._noted = ledger, permissions, load, noted

    def steps(
        self, items: Iterable[T], *, total: int | None = None, preview: Callable[[], Image] | None = None
    ) -> Iterator[T]:
        del preview  # whether somebody will look is not known, and does not belong to the result
        total, began, ledger = count(items, total), clock(), self._ledger
        coming = iter(items)
        for done, item in enumerate(coming, 1):
            before = ledger.work.copy()
            yield item
            left = (total or 0) - done
            if left > 1 and done >= WALKED and clock() - began > PATIENCE:
                ledger.work.add(ledger.work.since(before), left - 1)
                self._noted(
                    f"{done + 1} of {total} steps were walked; the others are taken to be like the last of them"
                )
                yield from deque(coming, maxlen=1)
                return

    def load(self, recipe: Recipe) -> Any:
        if isinstance(recipe, Model):
            return self._load(recipe)
        if isinstance(recipe, Composition):
            return recipe.assemble(self.load)
        return super().load(recipe)

    def read(self, path: str | Path) -> Path:
        found = self._permissions.readable(Path(path))
        if found.suffix != ".safetensors" and found.is_file() and found.stat().st_size > CHEAP:
            raise Unforeseen(f'reads "{path}"')
        return found

    def write(self, name: str | Path) -> Path:
        raise Unforeseen(f'writes "{name}"')


@dataclass(slots=True)
class Outcome:
    """How a rehearsal went: what came back, or why that is not known, or what is wrong; its work and CPU seconds."""

    returned: Any = None
    unknown: str = ""
    problem: Problem | None = None
    error: BaseException | None = None
    work: Work | None = None
    python: float = 0.0


class Stage:
    """Where nodes are rehearsed, one after the other. `glue` is what the walk itself costs an operator, in seconds."""

    def __init__(self, ledger: Ledger, sketch: Sketch, permissions: Permissions) -> None:
        self.ledger, self.sketch, self.permissions = ledger, sketch, permissions
        self.glue = [0.0, 0.0]

    def calibrate(self) -> None:
        """Measures what the walk itself costs an operator, on tensors with values and on others."""
        if any(self.glue):
            return
        network = nn.Sequential(nn.Identity(), nn.SiLU(), nn.ReLU(), nn.Flatten()).eval()
        known = torch.ones(1, 4, 4)
        for at, tensor in enumerate((known, self.sketch.laid_out(known))):
            with computing(), self.sketch, self.ledger, Reader(self.sketch):
                network(tensor)  # the first time, torch prepares its fake tensors
                inside, booked, began = self.ledger.inside, self.ledger.booked[at], clock()
                for _ in range(CALIBRATION):
                    network(tensor)
                took = clock() - began
            self.glue[at] = max(0.0, took - (self.ledger.inside - inside)) / (self.ledger.booked[at] - booked)

    def rehearse(self, step: Step, given: Mapping[str, Any], call: Callable[[], Any]) -> Outcome:
        """Calls a node's function under fake tensors. It never raises what the node raises."""
        ledger, sketch = self.ledger, self.sketch
        sketch.trace((tensor, port) for port, value in given.items() for tensor in tensors_in(value))
        reader = Reader(sketch)
        outcome, ledger.work = Outcome(), Work()
        began, inside, booked = clock(), ledger.inside, tuple(ledger.booked)
        try:
            with ExitStack() as stack:
                for mode in (headers_only(), judged_by(self.permissions.readable), computing(), sketch, ledger, reader):
                    stack.enter_context(mode)
                outcome.returned = call()
        except Unforeseen as unforeseen:
            outcome.unknown = str(unforeseen)
        except Exception as error:
            if name := not_fetched(error):
                outcome.unknown = f'names "{name}", which is not fetched yet'
            else:
                outcome.error, outcome.problem = error, _problem(step, error, given, reader, sketch)
        outcome.work = ledger.work
        own = clock() - began - (ledger.inside - inside)
        walked = zip(self.glue, ledger.booked, booked, strict=True)
        outcome.python = max(0.0, own - sum(glue * (now - then) for glue, now, then in walked))
        return outcome


def _problem(step: Step, error: Exception, given: Mapping[str, Any], reader: Reader, sketch: Sketch) -> Problem:
    text, port = explained(error, step, given)
    message, _, cure = text.partition("\n")
    if isinstance(error, RuntimeError) and not cure:
        inputs = [f"{port} is {shape}" for port, value in given.items() if (shape := _shapes(value))]
        message = message.removeprefix("RuntimeError: ")
        cure = f"its inputs do not go together: {'; '.join(inputs)}"
    failed, ports = sketch.blamed
    looked = [ports, *reversed(reader.looked)] if failed is error else [*reversed(reader.looked)]
    return Problem(message, cure.strip(), step.id, getattr(error, "port", None) or port or _port(step, message, looked))


def _port(step: Step, message: str, looked: Iterable[Ports]) -> str | None:
    """The input that a complaint is about: of the operator that failed, else the last whose shape was looked at, else
    the first that is named, else the only one that is wired.
    """
    wired = list(dict.fromkeys(port for port, _ in step.wires()))
    for ports in looked:
        if ports:
            return max(ports, key=wired.index) if ports <= set(wired) else None
    said = [(found.start(), port) for port in wired if (found := re.search(rf"\b{port}\b", message, re.IGNORECASE))]
    if said:
        return min(said)[1]
    return wired[0] if len(wired) == 1 else None


def _shapes(value: Any) -> str:
    return ", ".join(str(list(tensor.shape)) for tensor in tensors_in(value)[:3])
