"""The graph file: JSON text <-> Document. It knows the form of a file, and nothing of types, plugins or devices."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

from nodeflow.errors import GraphError, Problem, a_or_an
from nodeflow.jsontext import Flaw, block, escaped, judge_literal, kind, laid, loads, read_bytes, refuse
from nodeflow.jsontext import save as save_text
from nodeflow.likeness import foreign, misspelt_wire, nearest, slips

JSON = Any
Input = Any
"""What an input holds: a JSON value, a Wire, or a list in which wires may stand."""

FORMAT = 1
MIGRATIONS: dict[int, Callable[[dict[str, JSON]], dict[str, JSON]]] = {}
"""From each older format to the next. A migration lets pass what it does not understand; shapes are checked after."""

UNREAD = object()
"""Stands for the value of an input that could not be read, where a faulty file is judged as far as it goes."""
MAX_NODES = 100_000
MAX_PROBLEMS = 1_000
"""64 MB can hold millions of faults, and nobody reads the second thousand."""

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Ids of nodes, names of parameters, outputs and graphs: they stand before a dot, after --set, in file names."""
GRAPH = "graph:"
"""How the type of a node begins that stands for a graph: one defined within the file, or in another file."""
GRAPH_KEYS = frozenset(("nodeflow", "title", "parameters", "outputs", "nodes", "graphs", "view"))
NODE_KEYS = frozenset(("type", "version", "mode", "inputs"))
Mode = Literal["", "muted", "bypassed"]
"""How a node takes part in a run: as it is, not at all, or by letting through what is wired into it."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What an input takes: an output of another node."""

    node: str
    output: str = "out"

    def __str__(self) -> str:
        return self.node if self.output == "out" else f"{self.node}.{self.output}"


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node as the file states it. `extra` holds keys that this version of nodeflow does not know."""

    type: str
    version: int = 1
    inputs: Mapping[str, Input] = field(default_factory=dict)
    extra: Mapping[str, JSON] = field(default_factory=dict)
    mode: Mode = ""

    def wires(self) -> Iterator[tuple[str, Wire]]:
        """Every wire that comes in, with the input it enters."""
        for port, value in self.inputs.items():
            for item in value if type(value) is list else (value,):
                if type(item) is Wire:
                    yield port, item

    def as_json(self) -> dict[str, JSON]:
        inputs = {port: spelled(value) for port, value in self.inputs.items()}
        mode = {"mode": self.mode} if self.mode else {}
        return {"type": self.type, "version": self.version, **mode, "inputs": inputs, **self.extra}


@dataclass(frozen=True, slots=True)
class Document:
    """A graph file. Its mappings are never changed in place: an edit makes a new document that shares the rest.

    parameters: name -> "node.port". outputs: name -> "node.port", or "node" for its port "out". graphs: what nodes of
    type "graph:NAME" mean. view: the editor's, read by nothing else; `view["nodes"]` has positions by node. extra:
    keys that this version of nodeflow does not know.
    """

    title: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    nodes: Mapping[str, NodeEntry] = field(default_factory=dict)
    graphs: Mapping[str, Document] = field(default_factory=dict)
    view: Mapping[str, JSON] = field(default_factory=dict)
    extra: Mapping[str, JSON] = field(default_factory=dict)


def parse(text: str | bytes, file: str | None = None) -> Document:
    """Reads a graph. `file` is only what messages call it.

    Raises:
        GraphError: with every problem found; nothing is judged here that needs to know a node's type.
    """
    document, problems = survey(text, file)
    if problems:
        raise GraphError(problems)
    return document


def survey(text: str | bytes, file: str | None = None) -> tuple[Document, list[Problem]]:
    """What can be read of a graph, and the faults of its form. An input with one is UNREAD, other parts are left out.

    Raises:
        GraphError: it is no graph at all.
    """
    data, flaws = loads(text, file)
    if not isinstance(data, dict) or "nodeflow" not in data:
        refuse(*foreign(data), file)
    reader = _Reader(file)
    for flaw in flaws:
        reader.flaw(flaw)
    document = reader.graph(data, data["nodeflow"])
    more = [Problem(f"and {reader.unsaid:,} more problems", file=file)] if reader.unsaid else []
    return document, reader.problems + more


def read(path: str | os.PathLike[str]) -> Document:
    """The graph in a file.

    Raises:
        GraphError: the file cannot be read, or is no graph.
    """
    return parse(read_bytes(path), os.fspath(path))


def write(document: Document) -> str:
    """The canonical text: a value on one line where that fits, each node and each position on lines of its own.

    Raises:
        GraphError: a value in it has no JSON form (not a number, infinity, an object of Python).
    """
    return escaped(_graph_text(document, 0, {"nodeflow": str(FORMAT)})) + "\n"


def save(document: Document, path: str | os.PathLike[str]) -> None:
    """Writes the file whole or not at all: after a failure or a crash the old one still stands.

    Raises:
        GraphError: it cannot be written there, or `read` would refuse it; the message says what to do.
    """
    save_text(write(document), path)


def with_values(document: Document, values: Mapping[str, Input]) -> Document:
    """The document with inputs set, each named by a parameter or as "node.port".

    Raises:
        GraphError: a name means nothing here, or a value cannot stand in a file.
    """
    nodes, problems = dict(document.nodes), []
    for name, value in values.items():
        node, _, port = document.parameters.get(name, name).partition(".")
        if node not in nodes or not port:
            problems.append(_no_parameter(document, name))
            continue
        try:
            nodes[node] = replace(nodes[node], inputs={**nodes[node].inputs, port: as_input(value)})
        except ValueError as error:
            problems.append(Problem(str(error), node=node, port=port))
    if problems:
        raise GraphError(problems)
    return replace(document, nodes=nodes)


def typed(text: str) -> JSON:
    """What somebody typed on a command line: a JSON value if it is one, else the text itself."""
    try:
        value = json.loads(text)
        as_input(value)
    except (ValueError, RecursionError):
        return text
    return value


def as_input(value: JSON) -> Input:
    """An input's value with each {"$from": ...} in it made a Wire.

    Raises:
        ValueError: with what is wrong, as a sentence.
    """
    return [_item(item) for item in value] if type(value) is list else _item(value)


def _no_parameter(document: Document, name: str) -> Problem:
    node, dot, port = name.partition(".")
    if dot:
        cure = nearest(name, [f"{known}.{port}" for known in islice(document.nodes, 2_000)])
        return Problem(f'there is no node "{node}" whose input "{port}" could be set', cure)
    listed = ", ".join(islice(document.parameters, 12))
    listed = f"the graph's parameters are: {listed}" if listed else "it has none; name an input as node.port"
    return Problem(f'there is no parameter "{name}"', nearest(name, document.parameters) or listed)


def spelled(value: Input) -> JSON:
    """An input's value as the file has it."""
    if type(value) is list:
        return [{"$from": str(item)} if type(item) is Wire else item for item in value]
    return {"$from": str(value)} if type(value) is Wire else value


def _item(value: JSON) -> Input:
    if not isinstance(value, Wire | dict) or (isinstance(value, dict) and "$from" not in value):
        judge_literal(value)
        if isinstance(value, dict) and value and (wrong := misspelt_wire(value)):
            raise ValueError(wrong)
        return value
    keys = {"$from": str(value)} if isinstance(value, Wire) else value
    node, dot, output = keys["$from"].partition(".") if isinstance(keys["$from"], str) else ("", "", "")
    astray = isinstance(value, Wire) and value.node != node
    if len(keys) > 1 or not ID.fullmatch(node) or (dot and not output) or astray:
        shown = json.dumps(keys, ensure_ascii=False, default=repr)[:80]
        raise ValueError(f'{shown} is no wire: expected {{"$from": "node"}} or {{"$from": "node.output"}}')
    return Wire(node, output or "out")


def _graph_text(document: Document, indent: int, head: Mapping[str, str]) -> str:
    inner = indent + 2
    parts = dict(head)
    for key, levels in (("title", 0), ("parameters", 0), ("outputs", 0)):
        if value := getattr(document, key):
            parts[key] = _value_text(value, key, inner, levels)
    nodes = [f"{laid(name)}: {_node_text(name, node, inner + 2)}" for name, node in document.nodes.items()]
    parts["nodes"] = block("{}", nodes, inner) if nodes else "{}"
    if document.graphs:
        graphs = [f"{laid(name)}: {_graph_text(graph, inner + 2, {})}" for name, graph in document.graphs.items()]
        parts["graphs"] = block("{}", graphs, inner)
    if document.view:
        parts["view"] = _value_text(document.view, "view", inner, 2)
    for key, value in document.extra.items():
        parts[key] = _value_text(value, key, inner, 0)
    return block("{}", [f"{laid(key)}: {text}" for key, text in parts.items()], indent)


def _value_text(value: JSON, key: str, indent: int, levels: int) -> str:
    try:
        return laid(value, indent, len(key) + 4, levels)
    except (ValueError, TypeError) as error:
        raise GraphError(Problem(f'"{key}" cannot be written: {error}')) from error


def _node_text(name: str, node: NodeEntry, indent: int) -> str:
    try:
        return laid(node.as_json(), indent, len(name) + 4)
    except (ValueError, TypeError) as error:
        raise GraphError(Problem(f"cannot be written: {error}", node=name)) from error


class _Reader:
    """Makes documents of JSON values, and goes on past what is wrong, so as to tell it all."""

    def __init__(self, file: str | None) -> None:
        self.file, self.nodes, self.unsaid = file, 0, 0
        self.problems: list[Problem] = []

    def fault(self, message: str, cure: str = "", node: str | None = None, port: str | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(message, cure, node, port, self.file))
        else:
            self.unsaid += 1

    def flaw(self, flaw: Flaw) -> None:
        """Tells a repeated key or a number that is none, at the node and input it stands at."""
        outer, path = self.file, flaw.path
        while len(path) > 2 and path[0] == "graphs":
            self.file, path = f"{self.file or ''}#{path[1]}", path[2:]
        node = str(path[1]) if len(path) > 1 and path[0] == "nodes" else None
        port = str(path[3]) if node and len(path) > 3 and path[2] == "inputs" else None
        place = ".".join(map(str, path))
        if not flaw.repeated:
            said = f"{flaw.name} is no JSON number" + ("" if port else f' ("{place}")')
            self.fault(said, "write a finite number", node, port)
        elif path == ("nodes",):
            self.fault(f'two nodes of one id: "{flaw.name}"', "rename one of them", flaw.name)
        elif node and path[2:] == ("inputs",):
            self.fault("the input is given twice", "keep one of the two", node, flaw.name)
        else:
            self.fault(f'the key "{flaw.name}" stands twice in "{place or "the graph"}"', "keep one of the two", node)
        self.file = outer

    def graph(self, data: dict[str, JSON], version: JSON) -> Document:
        data = self.current(data, version)
        title = data.get("title", "")
        if not isinstance(title, str):
            self.fault(f'"title" must be a text, but is {kind(title)}')
        self.slips(data, GRAPH_KEYS)
        if "nodes" not in data and not slips(data, ("nodes",)):
            self.fault('"nodes" is missing', 'a graph without nodes has "nodes": {}')
        found = self.table(data, "nodes")
        self.nodes += len(found)
        if self.nodes > MAX_NODES:
            refuse(f"the file has more than {MAX_NODES:,} nodes", "make several graphs of it", self.file)
        nodes = {name: self.node(name, node) for name, node in found.items()}
        return Document(
            title=title,
            parameters=self.places(data, "parameters", nodes),
            outputs=self.places(data, "outputs", nodes),
            nodes=nodes,
            graphs=self.graphs(data, version),
            view=self.table(data, "view"),
            extra={key: value for key, value in data.items() if key not in GRAPH_KEYS},
        )

    def current(self, data: dict[str, JSON], version: JSON) -> dict[str, JSON]:
        """The graph in today's format."""
        if type(version) is not int:
            refuse(f'"nodeflow" must be the number {FORMAT}, but is {kind(version)}', "", self.file)
        if version > FORMAT:
            told = f"the file has format {version}, made by a newer nodeflow; this one reads up to {FORMAT}"
            refuse(told, "update nodeflow", self.file)
        for older in range(version, FORMAT):
            if older not in MIGRATIONS:
                refuse(f"there is no format {version} of nodeflow", f"expected {FORMAT}", self.file)
            data = MIGRATIONS[older](data)
        return data

    def graphs(self, data: dict[str, JSON], version: JSON) -> dict[str, Document]:
        outer, made = self.file, {}
        for name, graph in self.table(data, "graphs").items():
            self.name("graph", name)
            self.file = f"{outer or ''}#{name}"
            if isinstance(graph, dict):
                made[name] = self.graph(graph, graph.get("nodeflow", version))
            else:
                self.fault(f"a graph must be an object, but is {kind(graph)}")
            self.file = outer
        return made

    def slips(self, data: dict[str, JSON], known: frozenset[str], node: str | None = None) -> None:
        """Tells keys that are nearly those of a graph or a node; others are kept for whoever knows them."""
        for key, meant in slips(data, known):
            self.fault(f'there is no key "{key}"', f'did you mean "{meant}"?', node)

    def table(self, data: dict[str, JSON], key: str, node: str | None = None) -> dict[str, JSON]:
        found = data.get(key, {})
        if isinstance(found, dict):
            return found
        self.fault(f'"{key}" must be an object, but is {kind(found)}', node=node)
        return {}

    def node(self, name: str, data: JSON) -> NodeEntry:
        self.name("node", name)
        if not isinstance(data, dict):
            self.fault(f"a node must be an object, but is {kind(data)}", node=name)
            return NodeEntry("")
        form, version = data.get("type"), data.get("version", 1)
        self.slips(data, NODE_KEYS, name)
        if form is None and slips(data, ("type",)):
            form = ""
        elif not isinstance(form, str) or not form:
            told = f"must be a text, but is {kind(form)}" if form not in (None, "") else "is missing"
            self.fault(f'"type" {told}', "name the node's type, such as image.load", name)
            form = ""
        if type(version) is not int or version < 1:
            self.fault('"version" must be a whole number from 1', node=name)
            version = 1
        mode = data.get("mode", "")
        if mode not in ("muted", "bypassed") and "mode" in data:
            shown = json.dumps(mode, ensure_ascii=False)[:40]
            self.fault(f'"mode" must be "muted" or "bypassed", but is {shown}', "a node that runs has none", name)
            mode = ""
        inputs = {}
        for port, value in self.table(data, "inputs", name).items():
            try:
                inputs[port] = as_input(value)
            except ValueError as error:
                inputs[port] = UNREAD
                if not any((told.node, told.port, told.file) == (name, port, self.file) for told in self.problems):
                    self.fault(str(error), node=name, port=port)
        return NodeEntry(form, version, inputs, {key: data[key] for key in data if key not in NODE_KEYS}, mode)

    def places(self, data: dict[str, JSON], key: str, nodes: Mapping[str, NodeEntry]) -> dict[str, str]:
        what, form = key[:-1], '"node.port"' if key == "parameters" else '"node" or "node.port"'
        good: dict[str, str] = {}
        for name, place in self.table(data, key).items():
            self.name(what, name)
            if not isinstance(place, str):
                self.fault(f'{what} "{name}" must be {form}, but is {kind(place)}')
                continue
            node, dot, port = place.partition(".")
            if node not in nodes:
                cure = nearest(node, nodes) if len(self.problems) < 20 else ""
                self.fault(f'{what} "{name}" leads to node "{node}", which is not there', cure)
            elif not port and (dot or key == "parameters"):
                self.fault(f'{what} "{name}" must be {form}, but is "{place}"')
            else:
                good[name] = place
        return good

    def name(self, what: str, name: str) -> None:
        if not ID.fullmatch(name):
            shown = json.dumps(name[:70], ensure_ascii=False)
            cure = "use letters a to z, digits, _ and -, 64 of them at most"
            self.fault(f"{shown} cannot be the name of {a_or_an(what)}", cure, name if what == "node" else None)
