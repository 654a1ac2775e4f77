"""A node as data: all that checking, drawing and documenting it needs, without importing the plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nodeflow.types import JSON, PortType


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output, as data."""

    name: str
    type: PortType
    required: bool = False
    default: JSON = None
    help: str = ""
    widget: str = ""

    def as_json(self) -> dict[str, JSON]:
        data: dict[str, JSON] = {"name": self.name, "type": self.type.as_json()}
        data |= {"required": True} if self.required else {"default": self.default}
        return data | {key: getattr(self, key) for key in ("help", "widget") if getattr(self, key)}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Port:
        return cls(
            data["name"],
            PortType.from_json(data["type"]),
            data.get("required", False),
            data.get("default"),
            data.get("help", ""),
            data.get("widget", ""),
        )


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node as data: all that checking, drawing and documenting it needs. `run` knows how to find its function.

    asks: the inputs that `needs` and `identity` look at; they are computed first. lazy: whether the node says which
    of its other wired inputs it needs. effect: it writes something, so it runs even if nobody takes its output.
    """

    id: str
    version: int
    category: str
    title: str
    help: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    function: str
    plugin: str = ""
    asks: tuple[str, ...] = ()
    lazy: bool = False
    keyed: bool = False
    effect: bool = False
    context: bool = False
    formerly: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    def input(self, name: str) -> Port | None:
        """The input of that name, or None."""
        return next((port for port in self.inputs if port.name == name), None)

    def output(self, name: str) -> Port | None:
        """The output of that name, or None."""
        return next((port for port in self.outputs if port.name == name), None)

    def as_json(self) -> dict[str, JSON]:
        plain = {name: getattr(self, name) for name in SPEC_PLAIN}
        plain |= {"asks": list(self.asks), "formerly": list(self.formerly), "renamed": dict(self.renamed)}
        return plain | {
            "inputs": [port.as_json() for port in self.inputs],
            "outputs": [port.as_json() for port in self.outputs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> NodeSpec:
        return cls(
            **{name: data[name] for name in SPEC_PLAIN},
            inputs=tuple(Port.from_json(port) for port in data["inputs"]),
            outputs=tuple(Port.from_json(port) for port in data["outputs"]),
            asks=tuple(data["asks"]),
            formerly=tuple(data["formerly"]),
            renamed=data["renamed"],
        )


SPEC_PLAIN = (
    "id", "version", "category", "title", "help", "function", "plugin", "lazy", "keyed", "effect", "context",
)  # fmt: skip
