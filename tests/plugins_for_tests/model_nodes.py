"""Nodes that compute with models of the accounts. A test sets MACHINE first."""

from dataclasses import dataclass
from typing import Any

from accounts import Accounts, Weights

from nodeflow import QUIET, Context, Model, node

MACHINE: list[Accounts] = []


@node(category="m")
def weights(name: str, size: int = 10, broken: str = "") -> Weights:
    """A model."""
    return Weights(name, MACHINE[0], size, broken)


@node(category="m")
def patched(model: Weights) -> Weights:
    """The model itself."""
    return model


@node(category="m")
def use(
    model: Weights,
    after: Any = None,
    extra: Weights | None = None,
    seconds: float = 1.0,
    there: str = "",
    waits: str = "",
    room: int = 0,
    fails: str = "",
    *,
    ctx: Context = QUIET,
) -> str:
    """Computes for so many of the device's seconds, and returns when the moves that it `waits` for were told.

    Those in `there` it awaits before it takes its `room` of memory.
    """
    loaded = ctx.load(model)
    for told in there.split():
        MACHINE[0].await_move(told)
    with MACHINE[0].room(room):
        MACHINE[0].compute(seconds, loaded.block)
    for told in waits.split():
        MACHINE[0].await_move(told)
    MACHINE[0].synchronise()
    if fails:
        raise RuntimeError(fails)
    for _ in ctx.steps(range(1)):
        pass
    return f"{loaded.name} after {after}"


@dataclass(frozen=True)
class Picky(Model):
    """A model that only one device can run."""

    only: str

    @property
    def size(self) -> int:
        return 1

    def judge(self, device: Any) -> None:
        if str(device) != self.only:
            error = ValueError(f"{device} lacks what {self.only} has\n    take {self.only}")
            error.port = "only"  # type: ignore[attr-defined] # as Model.judge lets it
            raise error

    def build(self, device: Any) -> Any:
        raise AssertionError("it is refused before")

    lay_out = build  # type: ignore[assignment]


@node(category="m")
def picky(only: str = "cuda:0") -> Picky:
    """A model that only one device can run."""
    return Picky(only)


@node(category="m")
def taken(model: Picky, *, ctx: Context = QUIET) -> str:
    """Takes the model for granted."""
    return model.only


def _which(first: bool) -> set[str]:
    return {"a" if first else "b"}


@node(category="m", needs=_which)
def either(first: bool, a: Any = None, b: Any = None) -> Any:
    """One of two."""
    return a if first else b


@node(category="m")
def true(after: Any = None, *, ctx: Context = QUIET) -> bool:
    """True."""
    return True


@node(category="m")
def met(model: Weights, name: str, other: str, *, ctx: Context = QUIET) -> str:
    """Return only when a node of the other name runs at the same time."""
    ctx.load(model)
    MACHINE[0].meet(name, other)
    return f"{name} on {ctx.device}"


@node(category="m")
def pair(first: str, second: str) -> str:
    """Both."""
    return f"{first}, {second}"
