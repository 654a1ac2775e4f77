"""Nodes that misbehave."""

from typing import NamedTuple

from nodeflow import QUIET, Context, RunError, node


class Strange(BaseException):
    pass


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


class Two(NamedTuple):
    first: int
    second: int


def deep(n=0):
    return deep(n + 1)


RAISED = {
    "ValueError": ValueError("said\nin two lines"),
    "SystemExit": SystemExit(3),
    "Strange": Strange("odd"),
    "MemoryError": MemoryError(),
    "StopIteration": StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration(),
    "GeneratorExit": GeneratorExit(),
    "Unprintable": Unprintable(),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "RunError": RunError("elsewhere", "its own"),
    "Long": ValueError("x" * 1_000_000),
}


def fail(kind):
    if kind == "RecursionError":
        deep()
    raise RAISED[kind]


@node(category="w")
def boom(kind: str = "ValueError", x: int = 0) -> int:
    """Raises."""
    return fail(kind)


@node(category="w")
def boom_aside(kind: str = "ValueError", *, ctx: Context = QUIET) -> int:
    """Raises while it could report."""
    return fail(kind)


@node(category="w")
def lies(kind: str = "text") -> int:
    """Returns something else than it promised."""
    return {"text": "1", "none": None, "bool": True, "float": 1.0}[kind]


@node(category="w")
def lists_lies() -> list[int]:
    """A list with a wrong item."""
    return [1, "2"]


@node(category="w")
def too_few() -> Two:
    """One output of two."""
    return (1,)


@node(category="w")
def huge() -> int:
    """Beyond what others take."""
    return 11


@node(category="w")
def nan() -> float:
    """Not a number."""
    return float("nan")
