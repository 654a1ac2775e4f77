"""Muted and bypassed nodes, taken out of a flat graph before it is checked: what is left runs as if without them.

A muted node does not run, nor does a node that cannot do without what it gives; other inputs simply lack it. A
bypassed node stands aside: each of its outputs is replaced by the first wired input that fits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nodeflow.document import GRAPH, Input, NodeEntry, Wire
from nodeflow.spec import NodeSpec
from nodeflow.subgraphs import Flat, Place
from nodeflow.types import PortType, accepts

SpecOf = Callable[[str], NodeSpec | None]


@dataclass(slots=True)
class Absent:
    """What a run leaves out, each with the reason: `"up" is muted`.

    nodes: those that are muted or bypassed, and those that need them. outputs: the graph's outputs that they give.
    """

    nodes: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def without_absent(flat: Flat, spec_of: SpecOf) -> Absent:
    """Takes the nodes out of `flat` that do not run, leads wires past them, and drops outputs that nothing gives.

    Args:
        flat: the nodes; changed in place.
        spec_of: the type of a node by its id, None if it is not installed.
    """
    if not any(entry.mode for entry in flat.nodes.values()):
        return Absent()
    return _Modes(flat, spec_of).settled()


class _Modes:
    """Judges each node after those it takes from."""

    def __init__(self, flat: Flat, spec_of: SpecOf) -> None:
        self.flat, self.spec_of = flat, spec_of
        self.absent = Absent()
        self.kept: dict[str, NodeEntry] = {}
        self.leads: dict[Place, Wire] = {}
        """What stands for the outputs of bypassed nodes."""

    def settled(self) -> Absent:
        for name in _parents_first(self.flat.nodes):
            self.judge(name, self.flat.nodes[name])
        self.judge_late()
        for name, place in list(self.flat.outputs.items()):
            wire = self.led(Wire(*place))
            if wire is None:
                self.absent.outputs[name] = self.reason(place)
                del self.flat.outputs[name]
            else:
                self.flat.outputs[name] = (wire.node, wire.output)
        self.flat.nodes = {name: self.kept[name] for name in self.flat.nodes if name in self.kept}
        return self.absent

    def judge_late(self) -> None:
        """Judges those again that were judged before one that they take from, as in a circle one must be."""
        takers: dict[str, list[str]] = {}

        def note(name: str) -> None:
            for _, wire in self.kept[name].wires():
                takers.setdefault(wire.node, []).append(name)

        for name in self.kept:
            note(name)
        gone = [name for name in takers if name in self.absent.nodes]
        while gone:
            for name in takers.pop(gone.pop(), ()):
                if (entry := self.kept.pop(name, None)) is None:
                    continue
                self.keep(name, entry)
                if name in self.kept:
                    note(name)
                else:
                    gone.append(name)

    def judge(self, name: str, entry: NodeEntry) -> None:
        if entry.mode == "muted":
            cause = self.outermost(name)
            self.absent.nodes[name] = f'"{cause}" is {self.flat.nodes[cause].mode}'
        elif entry.mode == "bypassed":
            self.absent.nodes[name] = f'"{name}" is bypassed'
            self.bypass(name, entry)
        else:
            self.keep(name, entry)

    def outermost(self, name: str) -> str:
        """The node that somebody muted: of one within a subgraph, it may be the whole."""
        parts = name.split("/")
        paths = ("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        return next((path for path in paths if path in self.flat.nodes and self.flat.nodes[path].mode), name)

    def keep(self, name: str, entry: NodeEntry) -> None:
        spec, inputs = self.spec_of(entry.type), {}
        renamed = spec.renamed if spec else {}
        required = {port.name for port in spec.inputs if port.required} if spec else set()
        for port, value in entry.inputs.items():
            left, lost = self.rewired(value)
            if lost is not None and left is None:
                if renamed.get(port, port) in required:
                    self.absent.nodes[name] = self.reason(lost)
                    return
            else:
                inputs[port] = left
        self.kept[name] = replace(entry, inputs=inputs)

    def rewired(self, value: Input) -> tuple[Input, Place | None]:
        """What is left of an input, None if nothing is, and the first place that it has lost."""
        items = value if type(value) is list else [value]
        led = [(item, self.led(item) if type(item) is Wire else item) for item in items]
        lost = next(((item.node, item.output) for item, now in led if type(item) is Wire and now is None), None)
        left = [now for item, now in led if type(item) is not Wire or now is not None]
        if type(value) is list:
            return (left if left or lost is None else None), lost
        return (left[0] if left else None), lost

    def led(self, wire: Wire) -> Wire | None:
        """Where a wire comes from now; None from nowhere. One from a node that was never there is left to the check."""
        found: Wire | None = wire
        while found is not None and found.node in self.absent.nodes:
            found = self.leads.get((found.node, found.output))
        return found

    def reason(self, place: Place) -> str:
        node, output = place
        entry = self.flat.nodes[node]
        if entry.mode == "bypassed":
            return f'"{node}" is bypassed, and nothing that is wired into it fits its output "{output}"'
        return self.absent.nodes[node]

    def bypass(self, name: str, entry: NodeEntry) -> None:
        offered = [(wire, kind) for wire in self.wires(entry, self.ports(name, entry)) if (kind := self.given(wire))]
        for output, kind in self.outputs(name, entry):
            fitting = next((wire for wire, given in offered if accepts(kind, given) is None), None)
            if fitting is not None:
                self.leads[name, output] = fitting

    def wires(self, entry: NodeEntry, ports: Sequence[str]) -> Iterator[Wire]:
        """Where the wires into a bypassed node come from, in the order of its ports."""
        places = {port: at for at, port in enumerate(ports)}
        wired = sorted(entry.wires(), key=lambda found: places.get(found[0], len(places)))
        yield from (now for _, wire in wired if (now := self.led(wire)) is not None)

    def ports(self, name: str, entry: NodeEntry) -> Sequence[str]:
        if entry.type.startswith(GRAPH):
            return tuple(self.flat.parameters.get(name, ()))
        spec = self.spec_of(entry.type)
        renamed = {now: was for was, now in spec.renamed.items()} if spec else {}
        ports = [port.name for port in spec.inputs] if spec else []
        return [port if port in entry.inputs else renamed.get(port, port) for port in ports]

    def outputs(self, name: str, entry: NodeEntry) -> Iterable[tuple[str, PortType]]:
        """The outputs of a bypassed node and their types; none are known of one that is not installed."""
        if entry.type.startswith(GRAPH):
            inner = self.flat.dormant.get(name, {})
            return [(output, kind) for output, place in inner.items() if (kind := self.given(Wire(*place)))]
        spec = self.spec_of(entry.type)
        return [(port.name, port.type) for port in spec.outputs] if spec else []

    def given(self, wire: Wire) -> PortType | None:
        """The type that comes from there."""
        entry = self.flat.nodes.get(wire.node)
        spec = self.spec_of(entry.type) if entry else None
        port = spec.output(wire.output) if spec else None
        return port.type if port else None


def _parents_first(nodes: Mapping[str, NodeEntry]) -> list[str]:
    """The nodes, each after those it takes from; in a circle, where it happens to begin."""
    order: dict[str, None] = {}
    opened: set[str] = set()
    for first in nodes:
        stack = [first]
        while stack:
            name = stack[-1]
            if name in opened:
                order.setdefault(stack.pop())
                continue
            opened.add(name)
            stack += [wire.node for _, wire in nodes[name].wires() if wire.node in nodes and wire.node not in opened]
    return list(order)
