"""The graph that is being drawn: its nodes, outputs, parameters, and where each stands."""

import json
import math
import re
from collections.abc import Container
from typing import Any, Final

from nodeflow_comfyui.values import Wire
from nodeflow_comfyui.workflow import BYPASSED, JSON, MUTED, Node

COLUMN, ROW = 280, 160
"""Between nodes where the file has no places."""
LONGEST: Final = 48
FIRST: Final = (
    "model", "picture", "prompt", "second", "negative", "second_negative", "guidance", "seed", "steps", "width",
    "height", "count",
)  # fmt: skip
MODES: Final = {MUTED: "muted", BYPASSED: "bypassed"}


class Drawing:
    """Nodes by id, as a graph file has them."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, JSON]] = {}
        self.places: dict[str, list[float]] = {}
        self.folded: dict[str, bool] = {}
        self.colours: dict[str, str] = {}
        self.outputs: dict[str, str] = {}
        self.parameters: dict[str, str] = {}
        self.drawn: set[str] = set()
        """Nodes of ComfyUI's that there are nodes for."""
        self._taken: set[str] = set()
        self._told: set[str] = set()
        self._counts: dict[str, int] = {}
        self._beside: dict[str, int] = {}
        self._same: dict[str, Wire] = {}

    def name(self, role: str, node: Node) -> str:
        """An id that is free: what the node is for, and the number that ComfyUI gave it."""
        number = re.sub(r"[^A-Za-z0-9_-]+", "_", node.id)[:12].strip("_")
        stem = f"{role[:LONGEST] or 'node'}_{number}" if number else role[:LONGEST]
        found = self._free(stem, self._taken)
        self._taken.add(found)
        return found

    def add(self, node: Node, role: str, kind: str, /, **inputs: Any) -> Wire:
        """A node of ours, at the place of ComfyUI's. Inputs that are None are left out."""
        own = self.name(role, node)
        self.put(own, node, kind, inputs)
        return Wire(own)

    def beside(self, node: Node, role: str, kind: str, /, **inputs: Any) -> Wire:
        """One more node that ComfyUI's becomes, below its place; one and the same for the same inputs."""
        spelled = json.dumps([kind, node.mode, sorted(_spelled(inputs).items())], default=str)
        if spelled not in self._same:
            own = self.name(role, node)
            self._same[spelled] = Wire(own)
            count = self._beside[node.id] = self._beside.get(node.id, 0) + 1
            self.put(own, node, kind, inputs, down=node.size[1] + ROW * count - ROW / 2)
        return self._same[spelled]

    def put(self, own: str, node: Node, kind: str, inputs: dict[str, Any], down: float = 0) -> None:
        """A node under an id that `name` gave."""
        self.drawn.add(node.id)
        mode = {"mode": MODES[node.mode]} if node.mode in MODES else {}
        self.nodes[own] = {"type": kind, "version": 1, **mode, "inputs": _spelled(inputs)}
        if node.folded:
            self.folded[own] = True
        if node.colour:
            self.colours[own] = node.colour
        if node.place is not None:
            self.places[own] = [round(node.place[0]), round(node.place[1] + down)]

    def give(self, wire: Wire, name: str) -> None:
        """Makes an output of the graph, once."""
        if wire.text not in self._told:
            self._told.add(wire.text)
            self.outputs[self._free(_plain(name) or "image", self.outputs)] = wire.text

    def offer(self, name: str, wire: Wire, port: str) -> None:
        """Makes an input that people set a parameter of the graph, once, if it is typed in."""
        place = f"{wire.node}.{port}"
        if place not in self._told and not isinstance(self.nodes[wire.node]["inputs"].get(port), dict):
            self._told.add(place)
            self.parameters[self._free(name, self.parameters)] = place

    def _free(self, name: str, taken: Container[str]) -> str:
        """A name that is not taken: itself, or with the next number."""
        found = name
        while found in taken:
            count = self._counts[name] = self._counts.get(name, 1) + 1
            found = f"{name}_{count}"
        return found

    def offered(self) -> dict[str, str]:
        """The parameters, those first that people set most."""
        return dict(sorted(self.parameters.items(), key=lambda item: (_rank(item[0]), item[0])))

    def laid(self) -> dict[str, list[float]]:
        """Where each node stands; in columns by what it needs, where the file had no places."""
        if self.places or not self.nodes:
            low = max((place[1] for place in self.places.values()), default=0) + ROW
            lost = [name for name in self.nodes if name not in self.places]
            return self.places | {name: [COLUMN * at, low] for at, name in enumerate(lost)}
        depths: dict[str, int] = {}
        for name, entry in self.nodes.items():
            sources = [source for source in _sources(entry["inputs"]) if source in depths]
            depths[name] = 1 + max((depths[source] for source in sources), default=-1)
        rows: dict[int, int] = {}
        found: dict[str, list[float]] = {}
        for name, depth in depths.items():
            found[name] = [COLUMN * depth, ROW * rows.get(depth, 0)]
            rows[depth] = rows.get(depth, 0) + 1
        return found


def _rank(name: str) -> int:
    known = [rank for rank, own in enumerate(FIRST) if name.rstrip("_0123456789") == own]
    return known[0] if known else len(FIRST)


def _sources(inputs: dict[str, JSON]) -> list[str]:
    items = [item for value in inputs.values() for item in (value if isinstance(value, list) else [value])]
    return [item["$from"].partition(".")[0] for item in items if isinstance(item, dict) and "$from" in item]


def _spelled(inputs: dict[str, Any]) -> dict[str, JSON]:
    return {key: _value(value) for key, value in inputs.items() if value is not None}


def _value(value: Any, depth: int = 0) -> JSON:
    """A value as a graph file may hold it; what it may not, of nodes that are left as they are, becomes a text."""
    if isinstance(value, Wire):
        return {"$from": value.text}
    if isinstance(value, list) and depth < 20:
        return [_value(item, depth + 1) for item in value]
    if isinstance(value, dict) and depth < 20:
        return {
            f"_{key}" if str(key).startswith("$") else str(key): _value(item, depth + 1) for key, item in value.items()
        }
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", re.sub(r"%[^%]*%", "", name)).strip("_-")[:LONGEST]
