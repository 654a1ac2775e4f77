"""Edits of a document that know their inverse: the editor's undo, the command line's diff.

    Edit
    ├── AddNode, RemoveNode, RenameNode, SetNode   whole nodes; what leads to them follows
    ├── SetInput, SetMode, SetParameter, SetOutput, SetTitle, SetGraph
    ├── MoveNodes, SetView                         the picture only
    ├── Within                                     an edit of a graph that is defined within the file
    ├── Group                                      several, undone as one
    └── Patch                                      what another edit changed, as it was: every edit's inverse

In `view`, what an object lists under a node's id, or under "id.something", belongs to that node: it goes and is renamed
with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any, NoReturn

from nodeflow.delta import ABSENT, Absent, Delta, delta, patched
from nodeflow.document import ID, Document, Input, Mode, NodeEntry, Wire, as_input
from nodeflow.errors import GraphError, Problem, a_or_an
from nodeflow.likeness import nearest

JSON = Any


class Edit(ABC):
    """A change of a document. Documents are never changed in place, so an old one stays what it was."""

    @abstractmethod
    def change(self, document: Document) -> Document:
        """The document after this edit.

        Raises:
            GraphError: the edit does not suit this document; it says why.
        """

    def apply(self, document: Document) -> tuple[Document, Edit]:
        """The document after this edit, and the edit that leads back, to the byte.

        Raises:
            GraphError: the edit does not suit this document; it says why.
        """
        after = self.change(document)
        return after, Patch(delta(tables(after), tables(document)))


@dataclass(frozen=True, slots=True)
class AddNode(Edit):
    """A new node, at the end, or before another one."""

    node: str
    entry: NodeEntry
    before: str | None = None

    def change(self, document: Document) -> Document:
        _new_name(self.node, document.nodes, "node")
        entry = _checked(self.node, self.entry)
        if self.before is None:
            return replace(document, nodes={**document.nodes, self.node: entry})
        _known(self.before, document)
        nodes: dict[str, NodeEntry] = {}
        for name, other in document.nodes.items():
            if name == self.before:
                nodes[self.node] = entry
            nodes[name] = other
        return replace(document, nodes=nodes)


@dataclass(frozen=True, slots=True)
class RemoveNode(Edit):
    """A node goes, and with it the wires from it, its parameters, its outputs and its place in the view."""

    node: str

    def change(self, document: Document) -> Document:
        return _without(document, [self.node])


@dataclass(frozen=True, slots=True)
class RenameNode(Edit):
    """A node's id becomes another; wires, parameters, outputs and the view follow."""

    node: str
    name: str

    def change(self, document: Document) -> Document:
        _known(self.node, document)
        if self.name == self.node:
            return document
        _new_name(self.name, document.nodes, "node")
        return _followed(document, {self.node: self.name})


@dataclass(frozen=True, slots=True)
class SetNode(Edit):
    """A node becomes another one under its id: another type or version, other inputs."""

    node: str
    entry: NodeEntry

    def change(self, document: Document) -> Document:
        _known(self.node, document)
        return replace(document, nodes={**document.nodes, self.node: _checked(self.node, self.entry)})


@dataclass(frozen=True, slots=True)
class SetInput(Edit):
    """An input gets a value, a Wire, a list in which wires may stand, or nothing (ABSENT)."""

    node: str
    port: str
    value: Input | Absent

    def change(self, document: Document) -> Document:
        entry = _known(self.node, document)
        value = self.value if self.value is ABSENT else _value(self.value, self.node, self.port)
        changed = replace(entry, inputs=_put(entry.inputs, self.port, value))
        return replace(document, nodes={**document.nodes, self.node: changed})


@dataclass(frozen=True, slots=True)
class SetMode(Edit):
    """A node is "muted", "bypassed", or takes part in runs as it is ("")."""

    node: str
    mode: Mode

    def change(self, document: Document) -> Document:
        changed = _checked(self.node, replace(_known(self.node, document), mode=self.mode))
        return replace(document, nodes={**document.nodes, self.node: changed})


@dataclass(frozen=True, slots=True)
class SetParameter(Edit):
    """A parameter leads to an input, "node.port", or is no more (ABSENT)."""

    name: str
    place: str | Absent

    def change(self, document: Document) -> Document:
        if not isinstance(self.place, Absent):
            _leads(self.name, self.place, document, "parameter")
        return replace(document, parameters=_put(document.parameters, self.name, self.place))


@dataclass(frozen=True, slots=True)
class SetOutput(Edit):
    """An output of the graph is taken from "node.port" or "node", or is no more (ABSENT)."""

    name: str
    place: str | Absent

    def change(self, document: Document) -> Document:
        if not isinstance(self.place, Absent):
            _leads(self.name, self.place, document, "output")
        return replace(document, outputs=_put(document.outputs, self.name, self.place))


@dataclass(frozen=True, slots=True)
class SetTitle(Edit):
    title: str

    def change(self, document: Document) -> Document:
        return replace(document, title=self.title)


@dataclass(frozen=True, slots=True)
class SetGraph(Edit):
    """A graph that nodes of type "graph:NAME" mean is defined, replaced, or no more (ABSENT)."""

    name: str
    graph: Document | Absent

    def change(self, document: Document) -> Document:
        if self.graph is not ABSENT:
            _new_name(self.name, (), "graph")
        return replace(document, graphs=_put(document.graphs, self.name, self.graph))


@dataclass(frozen=True, slots=True)
class MoveNodes(Edit):
    """Nodes stand elsewhere in the picture: [x, y] by node, or ABSENT for nowhere."""

    positions: Mapping[str, JSON]

    def change(self, document: Document) -> Document:
        placed = document.view.get("nodes")
        placed = dict(placed) if isinstance(placed, dict) else {}
        for node, position in self.positions.items():
            if position is ABSENT:
                placed.pop(node, None)
            else:
                placed[node] = list(position) if isinstance(position, tuple) else position
        return replace(document, view={**document.view, "nodes": placed})


@dataclass(frozen=True, slots=True)
class SetView(Edit):
    """A section of the view ("frames", "dots") becomes this, or is no more (ABSENT)."""

    section: str
    value: JSON | Absent

    def change(self, document: Document) -> Document:
        return replace(document, view=_put(document.view, self.section, self.value))


@dataclass(frozen=True, slots=True)
class Within(Edit):
    """An edit of the graph of that name, which is defined within the file."""

    graph: str
    edit: Edit

    def change(self, document: Document) -> Document:
        if self.graph not in document.graphs:
            _refuse(f'there is no graph "{self.graph}" in this file', nearest(self.graph, document.graphs))
        inner = self.edit.change(document.graphs[self.graph])
        return replace(document, graphs={**document.graphs, self.graph: inner})


@dataclass(frozen=True, slots=True)
class Group(Edit):
    """Several edits, one after the other, undone as one."""

    edits: tuple[Edit, ...]

    def change(self, document: Document) -> Document:
        for kind, run in groupby(self.edits, type):
            if kind is RemoveNode:  # at once: each alone looks through all wires, which at 5,000 nodes takes 10 s
                document = _without(document, [edit.node for edit in run if isinstance(edit, RemoveNode)])
            elif kind is AddNode:  # at once: each alone copies the table of all nodes, which takes 0.5 s
                document = _with(document, [edit for edit in run if isinstance(edit, AddNode)])
            else:
                for edit in run:
                    document = edit.change(document)
        return document


@dataclass(frozen=True, slots=True)
class Patch(Edit):
    """What an edit changed, as it was before. It suits the document that the edit made."""

    delta: Delta

    def change(self, document: Document) -> Document:
        return Document(**patched(tables(document), self.delta))


def tables(document: Document) -> dict[str, Any]:
    """The parts of a document by name, as `delta` takes them."""
    return {table.name: getattr(document, table.name) for table in fields(document)}


def _with(document: Document, edits: Iterable[AddNode]) -> Document:
    """The document with nodes added, one after the other."""
    for last, run in groupby(edits, lambda edit: edit.before is None):
        if not last:
            for edit in run:
                document = edit.change(document)
            continue
        nodes = dict(document.nodes)
        for edit in run:
            _new_name(edit.node, nodes, "node")
            nodes[edit.node] = _checked(edit.node, edit.entry)
        document = replace(document, nodes=nodes)
    return document


def _without(document: Document, names: Iterable[str]) -> Document:
    gone = set()
    for name in names:
        if name in gone:
            _refuse(f'there is no node "{name}"', "it has just been removed")
        _known(name, document)
        gone.add(name)
    return _followed(document, dict.fromkeys(gone))


def _followed(document: Document, renamed: Mapping[str, str | None]) -> Document:
    """The document with nodes renamed, or removed where the new name is None; all that names them follows."""

    def places(table: Mapping[str, str]) -> dict[str, str]:
        made = {}
        for name, place in table.items():
            node, dot, port = place.partition(".")
            if node not in renamed:
                made[name] = place
            elif (now := renamed[node]) is not None:
                made[name] = f"{now}{dot}{port}"
        return made

    def section(table: Any) -> Any:
        if not isinstance(table, dict) or not any(key.partition(".")[0] in renamed for key in table):
            return table
        made = {}
        for key, value in table.items():
            node, dot, rest = key.partition(".")
            if (now := renamed.get(node, node)) is not None:
                made[f"{now}{dot}{rest}"] = value
        return made

    return replace(
        document,
        parameters=places(document.parameters),
        outputs=places(document.outputs),
        nodes={
            now: _rewired(entry, renamed)
            for name, entry in document.nodes.items()
            if (now := renamed.get(name, name)) is not None
        },
        view={name: section(table) for name, table in document.view.items()},
    )


def _rewired(entry: NodeEntry, renamed: Mapping[str, str | None]) -> NodeEntry:
    if not any(wire.node in renamed for _, wire in entry.wires()):
        return entry
    inputs = {}
    for port, value in entry.inputs.items():
        items = value if type(value) is list else [value]
        kept = [item for item in items if type(item) is not Wire or renamed.get(item.node, item.node) is not None]
        moved = [
            Wire(renamed[item.node] or "", item.output) if type(item) is Wire and item.node in renamed else item
            for item in kept
        ]
        if moved or not items:  # a list whose last wire went is an input that is not given
            inputs[port] = moved if type(value) is list else moved[0]
    return replace(entry, inputs=inputs)


def _put(table: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    if value is not ABSENT:
        return {**table, key: value}
    return {name: kept for name, kept in table.items() if name != key}


def _value(value: Input, node: str, port: str) -> Input:
    try:
        return as_input(value)
    except ValueError as error:
        raise GraphError(Problem(str(error), node=node, port=port)) from error


def _checked(node: str, entry: NodeEntry) -> NodeEntry:
    if entry.mode not in ("", "muted", "bypassed"):
        _refuse(f'"{entry.mode}" is no mode of a node', 'expected "muted", "bypassed", or "" for one that runs')
    return replace(entry, inputs={port: _value(value, node, port) for port, value in entry.inputs.items()})


def _known(node: str, document: Document) -> NodeEntry:
    entry = document.nodes.get(node)
    if entry is None:
        _refuse(f'there is no node "{node}"', nearest(node, document.nodes))
    return entry


def _new_name(name: str, taken: Iterable[str], what: str) -> None:
    if not ID.fullmatch(name):
        cure = "use letters, digits, _ and -, 64 of them at most"
        _refuse(f'"{name[:70]}" cannot be the name of {a_or_an(what)}', cure)
    if name in taken:
        _refuse(f'there is {a_or_an(what)} "{name}" already', "choose another name")


def _leads(name: str, place: str, document: Document, what: str) -> None:
    _new_name(name, (), what)
    node, dot, port = place.partition(".")
    _known(node, document)
    if not port and (dot or what == "parameter"):
        _refuse(f'{what} "{name}": "{place}" names no port', 'write "node.port"')


def _refuse(message: str, cure: str) -> NoReturn:
    raise GraphError(Problem(message, cure))
