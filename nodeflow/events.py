"""What a run says while it goes: frozen, small, JSON-able. The only way out of the engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodeflow.values import Image, Mask


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a run or to one of its nodes."""

    def as_json(self) -> dict[str, Any]:
        """{"event": "finished", "node": "sample", ...}."""
        data: dict[str, Any] = {"event": type(self).__name__.lower()}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, Image | Mask) and field.metadata.get("json", True):
                data[field.name] = value
        return data


@dataclass(frozen=True, slots=True)
class Began(Event):
    """The run starts: at most `nodes` nodes will be looked at.

    `left_out` has the graph's outputs that it will not make, each with the reason: a node is muted or bypassed.
    """

    nodes: int
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started(Event):
    """A node starts to compute."""

    node: str


@dataclass(frozen=True, slots=True)
class Stepped(Event):
    """A node's loop went on: `step` of `total` done, about `left` seconds to go. Unknown figures are None."""

    node: str
    step: int
    total: int | None
    left: float | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fetched(Event):
    """So many of `total` bytes of what a node names on the hub are there; `file` is the one that comes now.

    These come before the node's Started, and before anything is computed.
    """

    node: str
    file: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Previewed(Event):
    """A picture of the work so far, or of what a node came to (`final`)."""

    node: str
    image: Image | Mask
    final: bool = False


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """A node computed its result, in so many seconds of wall time."""

    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Reused(Event):
    """A node's result was in the cache; nothing above it was computed for it."""

    node: str


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """A node failed. Other outputs go on."""

    node: str
    message: str
    port: str | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Made(Event):
    """An output of the graph is computed. `name` is its result's; `value` stays in the process, see `Delivered`."""

    output: str
    name: str
    value: Any = dataclasses.field(default=None, metadata={"json": False}, compare=False)


@dataclass(frozen=True, slots=True)
class Delivered(Event):
    """An output of the graph is there: written to the files `paths`, or small enough to be said as `value`.

    `kind` names what is neither: no plugin writes such a value to a file. Else it is empty.
    """

    output: str
    paths: tuple[str, ...]
    value: Any = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Undelivered(Event):
    """An output of the graph is computed but could not be written to `path`. The message ends with the cure."""

    output: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The run is over.

    `outputs` maps each output that was computed to its value; it stays in the process. `names` maps it to the name of
    its result, which is the same whenever the same thing was computed.
    """

    seconds: float
    ran: int
    reused: int
    failed: int
    cancelled: bool = False
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    outputs: Mapping[str, Any] = dataclasses.field(default_factory=dict, metadata={"json": False}, compare=False)
