"""What the command line sets in a graph, and what it calls the files of a run."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from nodeflow.catalog import Catalog
from nodeflow.document import GRAPH, Document, Wire, read, typed, with_values
from nodeflow.errors import GraphError, Problem
from nodeflow.jsontext import JSON
from nodeflow.spec import Port
from nodeflow.types import PortType, fault

MAX_NESTING = 32
NAMES = 500
"""Nodes among whose inputs the nearest name is sought: a message must not take seconds."""
MADE = re.compile(r"(.+)-[0-9a-f]{8}(-\d+)?")
"""How a run names a picture: the graph, the output if there are several, eight digits, its number in a batch."""


def name_for(path: Path, document: Document) -> str:
    """What the files of a run are called after: the graph's file; of a picture, the graph that it was made by."""
    name = path.stem
    made = MADE.fullmatch(name) if path.suffix.lower() == ".png" else None
    if made is None:
        return name
    name = made[1]
    return next((name.removesuffix(f"-{output}") for output in document.outputs if name.endswith(f"-{output}")), name)


def with_settings(
    document: Document, settings: Sequence[str], catalog: Catalog, folder: Path, file: str | None = None
) -> tuple[Document, list[Problem]]:
    """The document with each `name=value` of --set in it, and what is wrong with those that could not be set."""
    wrong: list[Problem] = []
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            wrong.append(Problem(f'--set {setting}: expected name=value, such as --set "prompt=a red circle"'))
            continue
        if problem := _misnamed(document, name, catalog, folder):
            wrong.append(replace(problem, file=file))
            continue
        port = port_of(document, document.parameters.get(name, name), catalog, folder)
        try:
            document = with_values(document, {name: typed(text) if port is None else value_of(port.type, text)})
        except GraphError as error:
            wrong += [Problem(p.message, p.cure, p.node, p.port, p.file or file) for p in error.problems]
    return document, wrong


def _misnamed(document: Document, name: str, catalog: Catalog, folder: Path) -> Problem | None:
    """What is wrong with a name that means neither a parameter nor an input of one of the graph's own nodes."""
    node, dot, port = name.partition(".")
    if name in document.parameters or (port and node in document.nodes):
        return None
    places = _places(document, catalog, folder)
    if node in document.nodes:
        own = [place for place in dict.fromkeys(places.values()) if place.startswith(f"{node}.")]
        cure = f"name one of its inputs: {_some(own)}" if own else "it has no inputs"
        return Problem(f'"{node}" is a node, and what can be set is an input of it', cure)
    outer = node.partition("/")[0]
    if name in places:
        return Problem(f'"{node}" is within the graph that "{outer}" stands for', f'set "{places[name]}" instead')
    within = outer != node and outer in document.nodes
    likeness = 0.8 if within else 0.6  # within a graph all names begin alike
    near = [place for place in places.values() if not dot and place.partition(".")[2] == name]
    near += difflib.get_close_matches(name, [*document.parameters, *places, *places.values()], 1, likeness)
    meant = next((places.get(close, close) for close in near), "")
    if meant:
        cure = f'did you mean "{meant}"?'
    elif within:
        own = [place for place in dict.fromkeys(places.values()) if place.startswith(f"{outer}.")]
        cure = f'of the graph that "{outer}" stands for, parameters can be set: {_some(own) or "it has none"}'
    elif dot:
        cure = f"the graph's nodes are: {_some(document.nodes)}"
    else:
        known = _some(document.parameters)
        cure = f"the graph's parameters are: {known}" if known else "it has none; name an input as node.port"
    said = f'node "{node}" whose input "{port}" could be set' if dot else f'parameter "{name}"'
    return Problem(f"there is no {said}", cure)


def _some(names: Iterable[str], most: int = 12) -> str:
    return ", ".join(islice(names, most))


def _places(document: Document, catalog: Catalog, folder: Path) -> dict[str, str]:
    """Inputs as they are called in the whole graph, "upscale/first.width", with the names that --set has for them."""
    found: dict[str, str] = {}
    for name, entry in islice(document.nodes.items(), NAMES):
        for port in _ports(document, entry.type, catalog, folder):
            found[_place_of(document, f"{name}.{port}", folder)] = f"{name}.{port}"
    return found


def _place_of(document: Document, place: str, folder: Path, depth: int = 0) -> str:
    """Where "upscale.width" leads to, within subgraphs too: "upscale/first.width"."""
    name, _, port = place.partition(".")
    kind = document.nodes[name].type if name in document.nodes else ""
    inner = _inner(document, kind.removeprefix(GRAPH), folder) if kind.startswith(GRAPH) else None
    if inner is None or port not in inner[0].parameters or depth > MAX_NESTING:
        return place
    return f"{name}/{_place_of(inner[0], inner[0].parameters[port], inner[1], depth + 1)}"


def value_of(kind: PortType, text: str) -> JSON:
    """What somebody typed for an input of that type: a text stays the text it is, all else is read as JSON."""
    value = typed(text)
    if kind.kind in ("str", "path") or (kind.kind == "choice" and text in kind.values):
        return text
    if kind.kind == "union" and fault(kind, value) is not None and fault(kind, text) is None:
        return text
    return value


def port_of(document: Document, place: str, catalog: Catalog, folder: Path, depth: int = 0) -> Port | None:
    """The input that "node.port" leads to, within subgraphs too; None if that cannot be told."""
    name, _, port = place.partition(".")
    entry = document.nodes.get(name)
    if entry is None or depth > MAX_NESTING:
        return None
    if not entry.type.startswith(GRAPH):
        spec = catalog.get(entry.type)
        return spec.input(spec.renamed.get(port, port)) if spec else None
    inner = _inner(document, entry.type.removeprefix(GRAPH), folder)
    if inner is None or port not in inner[0].parameters:
        return None
    return port_of(inner[0], inner[0].parameters[port], catalog, inner[1], depth + 1)


def _inner(document: Document, name: str, folder: Path) -> tuple[Document, Path] | None:
    if name in document.graphs:
        return document.graphs[name], folder
    path, root = (Path(os.path.realpath(place)) for place in (folder / name, folder))
    if not path.is_relative_to(root):
        return None
    with suppress(GraphError):  # the check of the whole graph says what is wrong with it
        return read(path), path.parent
    return None


def with_seed(document: Document, seed: int, catalog: Catalog, folder: Path, file: str | None = None) -> Document:
    """The document with its parameter "seed" set; without such a parameter, every seed that no wire leads to.

    Raises:
        GraphError: it has neither.
    """
    names = ["seed"] if "seed" in document.parameters else list(_seeds(document, catalog, folder))
    if not names:
        cure = "give the graph a parameter seed, or leave --seed away"
        raise GraphError(Problem('it has no parameter "seed" and no input that is a seed', cure, file=file))
    return with_values(document, dict.fromkeys(names, seed))


def _seeds(document: Document, catalog: Catalog, folder: Path) -> Iterator[str]:
    for name, entry in document.nodes.items():
        for port in _ports(document, entry.type, catalog, folder):
            place = f"{name}.{port}"
            found = port_of(document, place, catalog, folder)
            if found is not None and found.widget == "seed" and not isinstance(entry.inputs.get(port), Wire):
                yield place


def _ports(document: Document, kind: str, catalog: Catalog, folder: Path) -> Iterator[str]:
    if kind.startswith(GRAPH):
        inner = _inner(document, kind.removeprefix(GRAPH), folder)
        parameters: Mapping[str, str] = inner[0].parameters if inner else {}
        yield from parameters
    elif spec := catalog.get(kind):
        yield from (port.name for port in spec.inputs)
