"""Graphs as nodes: a document with nodes of type "graph:NAME" becomes one flat list of plain nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from nodeflow.document import GRAPH, Document, Input, Mode, NodeEntry, Wire, read
from nodeflow.errors import GraphError
from nodeflow.faults import Faults
from nodeflow.likeness import nearest

MAX_NESTING = 32
MAX_NODES = 200_000
"""Graphs within graphs multiply: 17 levels of two would be 131,072 nodes from a file of a few lines."""

Place = tuple[str, str]


@dataclass(slots=True)
class Flat:
    """All plain nodes by their path ("upscale/sample"), and the graph's outputs as (node, output).

    groups: the graphs put in place, by path: a key that is the same for the same graph. parameters: of each of these,
    and of the whole at "". dormant: where the outputs of a bypassed graph would come from, by its path: it stands among
    the nodes itself, and its own nodes do so muted, for the types of these outputs.
    """

    nodes: dict[str, NodeEntry]
    faults: Faults
    groups: dict[str, str]
    outputs: dict[str, Place] = field(default_factory=dict)
    stands_for: dict[Place, Place] = field(default_factory=dict)
    parameters: dict[str, Mapping[str, str]] = field(default_factory=dict)
    dormant: dict[str, dict[str, Place]] = field(default_factory=dict)


def flatten(document: Document, file: str | None, folder: Path) -> Flat:
    """Puts the nodes of every subgraph in place of the node that stands for it.

    Args:
        document: the graph.
        file: what messages call it.
        folder: where files of subgraphs are; none outside it is read.
    """
    groups: dict[str, str] = {}
    flat = Flat({}, Faults(file, groups), groups, parameters={"": document.parameters})
    if not any(entry.type.startswith(GRAPH) for entry in document.nodes.values()):
        flat.nodes = dict(document.nodes)
        flat.outputs = {name: _place(place) for name, place in document.outputs.items()}
        return flat
    _Flattening(flat, folder.resolve()).add(document, "", {}, (), folder.resolve())
    if len(flat.nodes) + len(flat.groups) >= MAX_NODES:
        flat.nodes.clear()  # refused already; to judge so many as well would take minutes
        return flat
    flat.outputs = {name: _follow(flat, _place(place)) for name, place in document.outputs.items()}
    for path, outputs in flat.dormant.items():
        flat.dormant[path] = {name: _follow(flat, place) for name, place in outputs.items()}
    for name, entry in flat.nodes.items():
        flat.nodes[name] = replace(entry, inputs={port: _led(flat, value) for port, value in entry.inputs.items()})
    return flat


def _place(text: str) -> Place:
    node, _, output = text.partition(".")
    return node, output or "out"


def _follow(flat: Flat, place: Place) -> Place:
    seen = set()
    while place in flat.stands_for and place not in seen:
        seen.add(place)
        place = flat.stands_for[place]
    return place


def _led(flat: Flat, value: Input) -> Input:
    if type(value) is list:
        return [_led(flat, item) for item in value]
    return Wire(*_follow(flat, (value.node, value.output))) if type(value) is Wire else value


def _scoped(value: Input, prefix: str) -> Input:
    if type(value) is list:
        return [_scoped(item, prefix) for item in value]
    return Wire(prefix + value.node, value.output) if type(value) is Wire else value


def _cure(file: Path, document: Document, astray: bool) -> str:
    """What may be meant by the name of a graph that cannot be had."""
    if astray or file.exists():
        return f"graphs within this file: {', '.join(document.graphs)}" if document.graphs else ""
    here = [path.name for path in islice(file.parent.glob("*.json"), 1_000)]
    if close := nearest(file.name, [*document.graphs, *here]):
        return close
    cure = "a file's name is taken from the folder of the file that uses it"
    return f"{cure}; graphs within that one: {', '.join(document.graphs)}" if document.graphs else cure


@dataclass(slots=True)
class _Flattening:
    flat: Flat
    root: Path
    files: dict[Path, Document | str] = field(default_factory=dict)
    places: dict[tuple[Path, str], tuple[Path, str]] = field(default_factory=dict)
    asleep: bool = False
    """Whether within a bypassed graph, whose faults hinder nobody."""

    def fault(self, message: str, cure: str = "", node: str | None = None, port: str | None = None) -> None:
        if not self.asleep:
            self.flat.faults.add(message, cure, node, port)

    def add(
        self, document: Document, prefix: str, given: Mapping[str, Mapping[str, Input]], chain: tuple[str, ...],
        folder: Path,
    ) -> None:  # fmt: skip
        """Adds a graph's nodes below `prefix`; `given` holds inputs set from outside, by node."""
        for name, entry in document.nodes.items():
            inputs = {port: _scoped(value, prefix) for port, value in entry.inputs.items()}
            inputs.update(given.get(name, {}))
            path = prefix + name
            if len(self.flat.nodes) + len(self.flat.groups) >= MAX_NODES:
                self.flat.faults.add(f"the graph grows beyond {MAX_NODES:,} nodes when its subgraphs are put in place")
                return
            mode: Mode = "muted" if self.asleep else entry.mode
            if not entry.type.startswith(GRAPH) or (mode and not self.asleep):
                self.flat.nodes[path] = NodeEntry(entry.type, entry.version, inputs, mode=mode)
            if entry.type.startswith(GRAPH) and (self.asleep or mode != "muted"):
                self.put(document, path, replace(entry, inputs=inputs, mode=mode), chain, folder)

    def put(self, document: Document, path: str, entry: NodeEntry, chain: tuple[str, ...], folder: Path) -> None:
        """Puts the graph that a node stands for in its place; beside it, if it is bypassed."""
        awake, self.asleep = not self.asleep, self.asleep or entry.mode == "bypassed"
        found = self.find(document, entry.type.removeprefix(GRAPH), path, chain, folder)
        if found is not None:
            inner, key, place = found
            self.enter(inner, path, entry.inputs, (*chain, key), place)
            if awake and self.asleep:
                led = {name: self.flat.stands_for.pop((path, name), None) for name in (*inner.outputs, "out")}
                self.flat.dormant[path] = {name: place for name, place in led.items() if place is not None}
        self.asleep = not awake

    def enter(
        self, inner: Document, path: str, inputs: Mapping[str, Input], chain: tuple[str, ...], folder: Path
    ) -> None:
        self.flat.groups[path], self.flat.parameters[path] = chain[-1], inner.parameters
        given: dict[str, dict[str, Input]] = {}
        for port, value in inputs.items():
            place = inner.parameters.get(port)
            if place is None:
                known = ", ".join(inner.parameters) or "none"
                cure = nearest(port, inner.parameters) or f"its parameters are: {known}"
                self.fault(f'the graph has no parameter "{port}"', cure, path, port)
                continue
            node, _, inner_port = place.partition(".")
            given.setdefault(node, {})[inner_port] = value
        self.add(inner, f"{path}/", given, chain, folder)
        for name, text in inner.outputs.items():
            node, output = _place(text)
            self.flat.stands_for[path, name] = (f"{path}/{node}", output)
        if len(inner.outputs) == 1:
            node, output = _place(next(iter(inner.outputs.values())))
            self.flat.stands_for.setdefault((path, "out"), (f"{path}/{node}", output))

    def find(
        self, document: Document, name: str, path: str, chain: tuple[str, ...], folder: Path
    ) -> tuple[Document, str, Path] | None:
        """The graph that a node stands for, a key that is the same for the same graph, and the folder of its file."""
        inline = document.graphs.get(name)
        if len(chain) >= MAX_NESTING:
            self.fault(f"graphs stand within graphs more than {MAX_NESTING} deep", "make the innermost plainer", path)
            return None
        if inline is not None:
            return inline, f"{chain[-1] if chain else folder}#{name}", folder
        file, wrong = self.located(folder, name)
        key = str(file)
        if key in chain:
            names = " -> ".join(part.rpartition("/")[2] for part in (*chain, key))
            self.fault(f"the graph contains itself: {names}", "take one of these nodes out", path)
            return None
        found = wrong or self.opened(file, name)
        if isinstance(found, str):
            self.fault(found, _cure(file, document, bool(wrong)), path)
            return None
        return found, key, file.parent

    def located(self, folder: Path, name: str) -> tuple[Path, str]:
        """The file that a name means, and what is wrong with it; asked once, for a graph may be used 100,000 times."""
        known = self.places.get((folder, name))
        if known is None:
            file, wrong = folder, ""
            try:
                file = (folder / name).resolve()
                if not file.is_relative_to(self.root):
                    wrong = f'"{name}" lies outside the folder of this graph'
                elif file.exists() and not file.is_file():  # to open a pipe would wait for ever
                    wrong = f'"{name}" is no file'
            except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have, a circle of links
                wrong = f"{json.dumps(name)} cannot be a file: {error}"
            known = self.places[folder, name] = (file, wrong)
        return known

    def opened(self, file: Path, name: str) -> Document | str:
        """The graph in a file, or what is wrong with it."""
        if file not in self.files:
            if not file.exists():
                self.files[file] = f'there is no graph "{name}": looked for {file.name} in {file.parent}'
                return self.files[file]
            try:
                self.files[file] = read(file)
            except GraphError as error:
                self.files[file] = "; ".join(f"{name}: {problem.message}" for problem in error.problems[:3])
        return self.files[file]
