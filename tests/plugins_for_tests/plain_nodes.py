"""Nodes that the engine's tests wire up. CALLS has the name of each that ran, in order."""

import enum
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from nodeflow import QUIET, Context, SavedFile, node

CALLS: Counter[str] = Counter()
CONTENT = {"digest": "1"}
GATE = threading.Event()
LIVE: list[int] = []


class Side(enum.Enum):
    LEFT = "left"
    RIGHT = "right"


class Shape(BaseModel):
    width: int = Field(ge=1)
    name: str = "square"


SQUARE = Shape(width=2)


class Thing:
    """A class of its own, that is only wired."""

    def __init__(self, size=1):
        self.size = size


class Small(Thing):
    pass


class Pair(NamedTuple):
    first: int
    second: str


class Heavy:
    """Counts how many of it are alive."""

    def __init__(self):
        LIVE.append(1)

    def __del__(self):
        LIVE.pop()


@node(category="t")
def number(x: int = 0) -> int:
    """A number."""
    CALLS["number"] += 1
    return x


@node(category="t")
def real(x: float = 1.0) -> float:
    """A real number."""
    CALLS["real"] += 1
    return x


@node(category="t")
def add(a: int, b: int = 0) -> int:
    """The sum of two."""
    CALLS["add"] += 1
    return a + b


@node(category="t")
def total(xs: list[int], bias: int = 0) -> int:
    """The sum of many."""
    CALLS["total"] += 1
    return sum(x for x in xs if x is not None) + bias


@node(category="t")
def spread(xs: list[float]) -> str:
    """How the list arrived."""
    return repr(xs)


@node(category="t")
def places(xs: list[Path]) -> str:
    """How the list of paths arrived."""
    return repr([type(x).__name__ for x in xs])


@node(category="t")
def kinds(side: Side = Side.LEFT, shape: Shape = SQUARE, path: Path = Path(), x: float | Path = 1.0) -> str:
    """What arrived, by kind."""
    return f"{side!r} {shape!r} {path!r} {x!r}"


@node(category="t")
def sided(left: bool = True) -> Side:
    """A side."""
    return Side.LEFT if left else Side.RIGHT


@node(category="t")
def text(value: str = "") -> str:
    """A text, told with its type."""
    return f"{type(value).__name__} {value}"


@node(category="t")
def limited(x: Annotated[int, Field(ge=1, le=10)] = 1, y: Annotated[int | None, Field(ge=5)] = None) -> int:
    """A number within limits."""
    return x + (y or 0)


@node(category="t")
def method(name: Literal["ddim", "ddpm"] = "ddim") -> str:
    """A choice."""
    return name


@node(category="t")
def listed(n: int = 3) -> list[int]:
    """A list of numbers."""
    CALLS["listed"] += 1
    return list(range(n))


@node(category="t")
def spoil(xs: list[int]) -> int:
    """Changes the list that it was given."""
    xs.append(1000)
    return len(xs)


@node(category="t")
def pair(x: int = 1) -> Pair:
    """Two outputs."""
    CALLS["pair"] += 1
    return Pair(x, f"<{x}>")


@node(category="t")
def maybe(x: int | None = None) -> int | None:
    """A number, or nothing."""
    return x


@node(category="t")
def thing(size: int = 1) -> Thing:
    """A thing."""
    return Thing(size)


@node(category="t")
def small() -> Small:
    """A small thing."""
    return Small()


@node(category="t")
def use(thing: Thing, spare: Thing | None = None) -> int:
    """The size of a thing."""
    return thing.size


@node(category="t")
def anything(x: Any = None) -> str:
    """What came, by type."""
    return type(x).__name__


@node(category="t")
def heavy(x: int = 0) -> Heavy:
    """Something whose life is counted."""
    return Heavy()


@node(category="t")
def lift(x: Heavy) -> int:
    """How many heavy things are alive."""
    return len(LIVE)


@node(category="t", effect=True)
def sink(x: int, name: str = "sink") -> None:
    """Runs though nobody takes its output."""
    CALLS[name] += 1


@node(category="t", effect=True)
def save(x: int, name: str = "x.txt", *, ctx: Context = QUIET) -> SavedFile:
    """Writes a number."""
    CALLS["save"] += 1
    path = ctx.write(name)
    path.write_text(str(x))
    return SavedFile.at(path)


@node(category="t", needs=lambda which: (which,))
def pick(a: int | None = None, b: int | None = None, which: Literal["a", "b"] = "a") -> int:
    """One of two; the other is not computed."""
    CALLS["pick"] += 1
    return (a if which == "a" else b) or 0


@node(category="t", needs=lambda index: (("images", index),))
def item(images: list[int], index: int = 0) -> str:
    """One of many; the others are not computed."""
    return repr(images)


@node(
    category="t", needs=lambda mode: 1 / 0 if mode == "raises" else {"text": "a", "none": None}.get(mode, ("nobody",))
)
def astray(a: int = 0, mode: str = "unknown") -> int:
    """Its needs are wrong."""
    return a


@node(category="t", identity=lambda key: CONTENT["digest"] if key else str(time.perf_counter_ns()))
def content(key: bool = True, bias: int = 0) -> int:
    """Something from outside: the same while its fingerprint is."""
    CALLS["content"] += 1
    return bias


@node(category="t", identity=lambda path: str(Path(path).stat().st_size))
def opened(path: Path) -> int:
    """The size of a file."""
    return path.stat().st_size


@node(category="t")
def loop(steps: int = 3, pause: float = 0.0, *, ctx: Context = QUIET) -> int:
    """Counts its steps."""
    CALLS["loop"] += 1
    done = 0
    for _ in ctx.steps(range(steps)):
        time.sleep(pause)
        done += 1
        CALLS["step"] += 1
        GATE.set()
    return done


@node(category="t")
def reads(path: str, *, ctx: Context = QUIET) -> str:
    """A file's text, if it may be read."""
    return ctx.read(path).read_text()


@node(category="t")
def writes(name: str, *, ctx: Context = QUIET) -> str:
    """Where a file goes."""
    return str(ctx.write(name))


@node(category="t")
def slow(x: int = 0) -> int:
    """Slow enough that its result is worth a place on the disk."""
    CALLS["slow"] += 1
    time.sleep(0.06)
    return x


@node(category="t", version=3, formerly=("t.aged", "gone.old"), renamed={"was": "now"})
def fresh(now: int = 0) -> int:
    """A node of another name than before."""
    return now
