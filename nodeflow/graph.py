"""A checked graph: every node of a known type, every input of the right kind, no cycles, an order to run in."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodeflow.catalog import Catalog
from nodeflow.document import UNREAD, Document, Input, NodeEntry, Wire
from nodeflow.errors import GraphError, Problem
from nodeflow.likeness import nearest
from nodeflow.modes import Absent, without_absent
from nodeflow.spec import NodeSpec, Port
from nodeflow.subgraphs import Flat, flatten
from nodeflow.types import PortType, accepts, beyond, fault

MAX_CYCLES = 20
ADVISED = 20
"""Faults for which the nearest name is looked for: that takes milliseconds each, and a file can hold 100,000."""


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a checked graph: its type, and what each input holds: a JSON value, a Wire, or a list of both."""

    id: str
    spec: NodeSpec
    inputs: Mapping[str, Input]

    def wires(self) -> Iterator[tuple[str, Wire]]:
        """Every wire that comes in, with the input it enters."""
        for port, value in self.inputs.items():
            if type(value) is Wire:
                yield port, value
            elif type(value) is list:
                yield from ((port, item) for item in value if type(item) is Wire)

    def parents(self) -> tuple[str, ...]:
        """The nodes that it takes from, each once."""
        found: dict[str, None] = {}
        for value in self.inputs.values():
            if type(value) is Wire:
                found[value.node] = None
            elif type(value) is list:
                found |= {item.node: None for item in value if type(item) is Wire}
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps in an order in which each comes after those it takes from; outputs as (node, output).

    absent: the nodes and outputs that the file has and a run leaves out, since a node is muted or bypassed.
    """

    steps: Mapping[str, Step]
    outputs: Mapping[str, tuple[str, str]]
    title: str = ""
    absent: Absent = field(default_factory=Absent)

    def targets(self) -> tuple[str, ...]:
        """What a whole run computes: the outputs and every node with an effect; of a graph with neither, its ends."""
        wanted = [node for node, _ in self.outputs.values()]
        wanted += [step.id for step in self.steps.values() if step.spec.effect]
        if not wanted and not self.absent.outputs:
            taken = {wire.node for step in self.steps.values() for _, wire in step.wires()}
            wanted = [name for name in self.steps if name not in taken]
        return tuple(dict.fromkeys(wanted))

    def astray(self, node: str) -> Problem | None:
        """Why a run cannot go until that node; None if it can."""
        if node in self.steps:
            return None
        if reason := self.absent.nodes.get(node):
            return Problem(f'node "{node}" does not run: {reason}', "let it run, or run until another node")
        if node in self.outputs:
            cure = f'name the node that makes it: "{self.outputs[node][0]}"'
            return Problem(f'"{node}" is an output, and no node', cure)
        return Problem(f'there is no node "{node}"', nearest(node, self.steps))

    def needed(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """The targets and all they are made from, deepest first: what is needed together stands together."""
        done: dict[str, None] = {}
        stack = list(reversed(targets))
        opened: set[str] = set()
        while stack:
            name = stack[-1]
            if name in opened:
                stack.pop()
                done.setdefault(name)
                continue
            opened.add(name)
            stack += [node for node in reversed(self.steps[name].parents()) if node not in opened]
        return tuple(done)


def build(
    document: Document, catalog: Catalog, *, file: str | None = None, folder: Path | None = None,
    known: Sequence[Problem] = (),
) -> Graph:  # fmt: skip
    """Checks a document against the catalog.

    Args:
        document: the graph.
        catalog: the node types there are.
        file: what messages call the graph.
        folder: where its subgraphs' files are; the working directory if None.
        known: faults of the file that were found already; they are told before the others.

    Raises:
        GraphError: with every problem in the graph, not the first alone.
    """
    flat = flatten(document, file, folder or Path.cwd())
    checker = _Checker(flat, catalog, known)
    absent = without_absent(flat, checker.spec)
    steps = checker.steps()
    order = checker.order(steps)
    checker.outputs()
    checker.parameters()
    if problems := flat.faults.all(known):
        raise GraphError(problems)
    return Graph({name: steps[name] for name in order}, flat.outputs, document.title, absent)


class _Checker:
    """Collects the faults of one graph."""

    def __init__(self, flat: Flat, catalog: Catalog, known: Sequence[Problem]) -> None:
        self.flat, self.catalog, self.known = flat, catalog, known
        self.specs: dict[str, NodeSpec | None] = {}
        self.inputs: dict[str, dict[str, Port]] = {}
        self.required: dict[str, tuple[str, ...]] = {}
        self.fitting: set[tuple[str, str, bool, str, str]] = set()

    def fault(self, node: str | None, port: str | None, message: str, cure: str = "") -> None:
        self.flat.faults.add(message, cure, node, port)

    @property
    def advising(self) -> bool:
        return len(self.known) + len(self.flat.faults) < ADVISED

    def nearest(self, name: str, known: Iterable[str]) -> str:
        return nearest(name, known) if self.advising else ""

    def spec(self, kind: str) -> NodeSpec | None:
        if kind not in self.specs:
            spec = self.specs[kind] = self.catalog.get(kind)
            if spec is not None:
                self.inputs[spec.id] = {port.name: port for port in spec.inputs}
                self.required[spec.id] = tuple(port.name for port in spec.inputs if port.required)
        return self.specs[kind]

    def steps(self) -> dict[str, Step]:
        """Every node whose type is known, each judged on its own and with its wires."""
        steps = {}
        for name, entry in self.flat.nodes.items():
            spec = self.spec(entry.type)
            if spec is None:
                self.unknown(name, entry.type)
                continue
            if entry.version > spec.version:
                message = f"made with version {entry.version} of {spec.id}; version {spec.version} is installed"
                self.fault(name, None, message, f'update the plugin "{spec.plugin}"')
            inputs = self.renamed(entry, spec)
            steps[name] = Step(name, spec, inputs)
            ports = self.inputs[spec.id]
            for port, value in inputs.items():
                self.judge(name, spec, ports.get(port), port, value)
            for port in self.required[spec.id]:
                if port not in inputs:
                    kind = ports[port].type
                    cure = "type a value in, or wire one" if kind.typed_in else f"wire a node that gives {kind}"
                    self.fault(name, port, "is missing", cure)
        return steps

    def renamed(self, entry: NodeEntry, spec: NodeSpec) -> Mapping[str, Input]:
        if not spec.renamed or not (spec.renamed.keys() & entry.inputs.keys()):
            return entry.inputs
        return {spec.renamed.get(port, port): value for port, value in entry.inputs.items()}

    def unknown(self, name: str, kind: str) -> None:
        if not kind or kind.startswith("graph:"):  # of these it has been told already what is wrong
            return
        cure = self.catalog.cure(kind, look=self.advising)
        self.fault(name, None, f'there is no node type "{kind}"', cure)

    def judge(self, name: str, spec: NodeSpec, port: Port | None, given: str, value: Input) -> None:
        if port is None:
            known = ", ".join(self.inputs[spec.id]) or "none"
            cure = self.nearest(given, self.inputs[spec.id]) or f"inputs of {spec.id}: {known}"
            self.fault(name, given, f"{spec.id} has no such input", cure)
        elif value is UNREAD:
            return
        elif type(value) is Wire:
            self.wire(name, spec, port, value, port.type)
        elif type(value) is list and any(type(item) is Wire for item in value):
            self.items(name, spec, port, value)
        elif value is None and not port.required and port.default is None:
            return
        elif not port.type.typed_in:
            self.fault(
                name, given, f"expected a wire of {port.type}, found a value", f"wire a node that gives {port.type}"
            )
        elif reason := fault(port.type, value):
            self.fault(name, given, reason)

    def items(self, name: str, spec: NodeSpec, port: Port, value: list[Any]) -> None:
        """Judges a list in which wires stand."""
        lists = [kind for kind in (port.type, *port.type.items) if kind.kind == "list"]
        if port.type.kind == "any":
            lists = [PortType("list", items=(port.type,))]
        if not lists:
            self.fault(name, port.name, f"expected one {port.type}, found a list", "wire one output")
            return
        target = lists[0].items[0] if len(lists) == 1 else PortType("union", items=tuple(k.items[0] for k in lists))
        for item in value:
            if type(item) is Wire:
                self.wire(name, spec, port, item, target)
            elif reason := fault(target, item):
                self.fault(name, port.name, reason)
        if len(lists) == 1 and (reason := beyond(lists[0], value)):
            self.fault(name, port.name, reason.partition(", found")[0] + f", found {len(value)}")

    def wire(self, name: str, spec: NodeSpec, port: Port, wire: Wire, target: PortType) -> None:
        entry = self.flat.nodes.get(wire.node)
        if entry is None:
            if wire.node in self.flat.groups:
                self.fault(name, port.name, f'the graph at "{wire.node}" has no output "{wire.output}"')
                return
            cure = self.nearest(wire.node, self.flat.nodes) or "wire it to a node of this graph"
            self.fault(name, port.name, f'the wire comes from "{wire.node}", which does not exist', cure)
            return
        source = self.spec(entry.type)
        key = (spec.id, port.name, target is port.type, source.id if source else "", wire.output)
        if source is None or key in self.fitting:
            return
        output = source.output(wire.output)
        if output is None:
            known = ", ".join(f'"{wire.node}.{out.name}"' for out in source.outputs)
            self.fault(name, port.name, f'"{wire.node}" has no output "{wire.output}"', f"it has {known}")
        elif reason := accepts(target, output.type):
            place = wire.node if wire.output == "out" else f"{wire.node}.{wire.output}"
            self.fault(name, port.name, reason.replace("the wire", f'"{place}"', 1))
        else:
            self.fitting.add(key)

    def order(self, steps: Mapping[str, Step]) -> list[str]:
        sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
        for name, step in steps.items():
            sorter.add(name, *(wire.node for _, wire in step.wires() if wire.node in steps))
        try:
            return list(sorter.static_order())
        except graphlib.CycleError:
            self.cycles(steps)
            return []

    def cycles(self, steps: Mapping[str, Step]) -> None:
        """Names one cycle of each knot of nodes, node by node."""
        import networkx as nx  # deferred: it takes 0.4 CPU seconds to import, as much as a whole check may

        links = nx.DiGraph()
        links.add_edges_from((wire.node, name) for name, step in steps.items() for _, wire in step.wires())
        knots = [knot for knot in nx.strongly_connected_components(links) if len(knot) > 1]
        knots += [{name} for name in nx.nodes_with_selfloops(links)]
        for knot in sorted(knots, key=min)[:MAX_CYCLES]:
            path = _around(links, knot)
            shown = path if len(path) <= 40 else [*path[:20], f"... {len(path) - 40} more ...", *path[-20:]]
            self.fault(path[0], None, f"a cycle: {' -> '.join(shown)}", "take one of these wires away")

    def outputs(self) -> None:
        for name, (node, output) in self.flat.outputs.items():
            entry = self.flat.nodes.get(node)
            spec = self.spec(entry.type) if entry else None
            if entry is None:
                self.fault(None, None, f'output "{name}" is "{node}.{output}", which does not exist')
            elif spec is not None and spec.output(output) is None:
                known = ", ".join(f'"{node}.{out.name}"' for out in spec.outputs)
                self.fault(
                    node, None, f'output "{name}" asks for "{output}", which it does not have', f"it has {known}"
                )

    def parameters(self) -> None:
        """Judges where the parameters lead, through the parameters of subgraphs to the input of a node."""
        for name, place in self.flat.parameters[""].items():
            node, _, port = place.partition(".")
            while node in self.flat.groups and port in self.flat.parameters[node]:
                inner, _, port = self.flat.parameters[node][port].partition(".")
                node = f"{node}/{inner}"
            entry = self.flat.nodes.get(node)
            spec = self.spec(entry.type) if entry else None
            told = f'parameter "{name}" leads to "{node}.{port}"'
            if node in self.flat.groups:
                known = self.flat.parameters[node]
                self.fault(None, None, f'{told}: the graph has no parameter "{port}"', self.nearest(port, known))
            elif spec is not None and spec.renamed.get(port, port) not in self.inputs[spec.id]:
                cure = self.nearest(port, self.inputs[spec.id])
                self.fault(None, None, f'{told}: {spec.id} has no input "{port}"', cure)


def _around(links: Mapping[str, Iterable[str]], knot: set[str]) -> list[str]:
    """A cycle of a knot: each of its nodes leads on within it, so a walk comes back to where it was."""
    walked: dict[str, int] = {}
    name = min(knot)
    while name not in walked:
        walked[name] = len(walked)
        name = next(after for after in links[name] if after in knot)
    return [*list(walked)[walked[name] :], name]
