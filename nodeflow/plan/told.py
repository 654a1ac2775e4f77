"""What a plan says: of each node, of the models' moves, and of the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nodeflow.devices import amount
from nodeflow.errors import Problem
from nodeflow.values import Recipe

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""Of each tensor by its field's name: dtype and shape."""


@dataclass(frozen=True)
class Output:
    """One output: the kind of its value, and the tensors in it; kind "?" where it is not known before the run."""

    kind: str
    tensors: Shapes = field(default_factory=dict)

    def __str__(self) -> str:
        shapes = [f"{list(shape)}" for _, shape in self.tensors.values()]
        return " ".join([self.kind, *shapes])


@dataclass(slots=True)
class NodePlan:
    """What one node will take.

    outputs: by name. parameters: of the models it loads. flops, bytes, operators: what it computes. seconds: how long;
    None where that is not known. peak: the most bytes on each device while it runs, with the models that are there
    (models) and what is alive of results and steps between (activations). unknown: why it is not known before it runs.
    faulty: whether something is wrong with it. unjudged: why nothing can be said of it, where another node is faulty.
    """

    id: str
    type: str
    device: str
    outputs: dict[str, Output] = field(default_factory=dict)
    parameters: int = 0
    flops: float = 0
    bytes: float = 0
    operators: float = 0
    seconds: float | None = None
    peak: dict[str, int] = field(default_factory=dict)
    models: dict[str, int] = field(default_factory=dict)
    activations: dict[str, int] = field(default_factory=dict)
    unknown: str = ""
    faulty: bool = False
    unjudged: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Move:
    """A model that comes to a device or leaves it while a node runs; `resident` is what all take afterwards."""

    node: str
    action: str
    model: str
    device: str
    bytes: int
    resident: int


@dataclass(slots=True)
class Plan:
    """What a run will take.

    problems: what is wrong, all that could be found. seconds: of all nodes whose time is known. peak: the most on each
    device. needed: the most that a node needs there if every model it does not use is evicted first. limit: what there
    is. moves: models built and evicted, in order.
    """

    nodes: list[NodePlan] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    needed: dict[str, int] = field(default_factory=dict)
    limit: dict[str, int] = field(default_factory=dict)
    refused: bool = False
    """Whether a node's models were too large for the budget."""

    @property
    def seconds(self) -> float:
        return sum(node.seconds or 0 for node in self.nodes)

    @property
    def peak(self) -> dict[str, int]:
        most: dict[str, int] = {}
        for node in self.nodes:
            most |= {device: max(most.get(device, 0), size) for device, size in node.peak.items()}
        return most

    @property
    def unknown(self) -> list[NodePlan]:
        """The nodes that are not known before they run."""
        return [node for node in self.nodes if node.unknown]

    @property
    def fits(self) -> bool:
        """Whether every device has room for what the run needs there."""
        return not self.refused and all(self.needed.get(device, 0) <= size for device, size in self.limit.items())

    @property
    def only_size(self) -> bool:
        """Whether nothing but the room is wrong: models larger than the budget."""
        return all("--vram" in problem.cure for problem in self.problems)

    def verdict(self) -> str:
        """Whether it fits, as a sentence for each device."""
        told = "; ".join(self._verdict(device, size) for device, size in self.limit.items())
        partly = not self.refused and any(node.unjudged or node.faulty for node in self.nodes)
        return f"as far as it could be judged, {told}" if partly else told

    def _verdict(self, device: str, limit: int) -> str:
        peak, needed = self.peak.get(device, 0), self.needed.get(device, 0)
        if self.refused or needed > limit:
            least = f"it needs {amount(needed - limit)} more" if needed > limit else "the models of one node are larger"
            return f"does not fit: {device} has {amount(limit)}, and {least}"
        if peak > limit:
            return (
                f"fits tightly: the peak of {amount(peak)} is over the {amount(limit)} of {device}, so that the run "
                f"evicts models once memory runs out; it needs {amount(needed)}"
            )
        return f"fits: the peak is {amount(peak)} of {amount(limit)} on {device}"

    def as_json(self) -> dict[str, Any]:
        evicted = [dataclasses.asdict(move) for move in self.moves]
        return {
            "ok": not self.problems,
            "fits": self.fits,
            "verdict": self.verdict(),
            "seconds": self.seconds,
            "peak": self.peak,
            "needed": self.needed,
            "limit": self.limit,
            "nodes": [_node(node) for node in self.nodes],
            "moves": evicted,
            "unknown": [node.id for node in self.unknown],
            "problems": [problem.as_json() for problem in self.problems],
        }


def _node(node: NodePlan) -> dict[str, Any]:
    outputs = {
        name: {
            "kind": output.kind,
            "tensors": {
                place: {"dtype": kind, "shape": list(shape)} for place, (kind, shape) in output.tensors.items()
            },
        }
        for name, output in node.outputs.items()
    }
    plain = {item.name: getattr(node, item.name) for item in dataclasses.fields(node) if item.name != "outputs"}
    return plain | {"outputs": outputs}


def described(value: Any) -> Output:
    """What there is to say of a value without its numbers."""
    kind = type(value).__name__
    if hasattr(type(value), "untyped_storage"):
        return Output(kind, {"": _shape(value)})
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return Output(f"{kind} of {len(value)}")
    if isinstance(value, Recipe) or not dataclasses.is_dataclass(value):
        return Output(kind)
    inner = {item.name: getattr(value, item.name, None) for item in dataclasses.fields(value)}
    return Output(kind, {name: _shape(item) for name, item in inner.items() if hasattr(item, "untyped_storage")})


def _shape(tensor: Any) -> tuple[str, tuple[int, ...]]:
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
