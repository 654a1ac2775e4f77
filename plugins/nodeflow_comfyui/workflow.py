"""A graph of ComfyUI, whichever of its files it came from."""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

JSON = Any
ACTIVE: Final = 0
MUTED: Final = 2
BYPASSED: Final = 4


class UnreadableError(ValueError):
    """The file is none of ComfyUI's, or a damaged one. `cure` says what to do."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure


class Link(NamedTuple):
    """What an input takes: an output of a node, by its number."""

    node: str
    slot: int


class Port(NamedTuple):
    """An output as the file names it."""

    name: str
    kind: str


@dataclass
class Node:
    """One node. inputs: a Link or a value by name. values: those of its widgets whose names are not known, in order.

    own: what its widgets hold, also those that a link overrides. place, size: in ComfyUI's canvas; None where the file
    has none. kinds: the type of each input, in order: what a bypassed node passes on. proxies: of a subgraph, whose
    widget each of its values is: the id of the node within, "-1" for its own input, and the name. folded: whether it is
    drawn as its header alone. colour: the name of the one that it was given, or none.
    """

    id: str
    kind: str
    title: str = ""
    inputs: dict[str, JSON] = field(default_factory=dict)
    outputs: list[Port] = field(default_factory=list)
    values: list[JSON] = field(default_factory=list)
    own: dict[str, JSON] = field(default_factory=dict)
    mode: int = ACTIVE
    place: tuple[float, float] | None = None
    size: tuple[float, float] = (210.0, 100.0)
    kinds: dict[str, str] = field(default_factory=dict)
    proxies: list[tuple[str, str]] = field(default_factory=list)
    folded: bool = False
    colour: str = ""

    @property
    def said(self) -> str:
        """`KSampler (3)`, `KSampler "Second pass" (7)`: how messages call it."""
        title = f' "{self.title}"' if self.title and self.title != self.kind else ""
        return f"{self.kind}{title} ({self.id})"


@dataclass
class Workflow:
    """form: of which of ComfyUI's files it came. frames: its groups. notes: its texts. definitions: of subgraphs, by
    id. run: what was sent to run along with it, where a picture has both.
    """

    form: str
    nodes: dict[str, Node] = field(default_factory=dict)
    frames: list[dict[str, JSON]] = field(default_factory=list)
    notes: list[dict[str, JSON]] = field(default_factory=list)
    definitions: dict[str, dict[str, JSON]] = field(default_factory=dict)
    run: "Workflow | None" = None
