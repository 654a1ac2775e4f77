"""A graph from a file, be it JSON or a picture that carries one, with what the command line sets in it."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from nodeflow.catalog import Catalog
from nodeflow.document import GRAPH, Document, Wire, parse, read, survey, typed, with_values
from nodeflow.errors import GraphError, Problem
from nodeflow.jsontext import JSON, read_bytes, refuse
from nodeflow.spec import Port
from nodeflow.types import PortType, fault

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"nodeflow\0"
GRAPH_AT_MOST = 16 * 2**20
MOST_CHUNKS = 10_000
"""A picture has a handful before its pixels; a file made of nothing but empty chunks must not be walked for long."""
MAX_NESTING = 32
MADE = re.compile(r"(.+)-[0-9a-f]{8}(-\d+)?")
"""How a run names a picture: the graph, the output if there are several, eight digits, its number in a batch."""


def open_graph(path: Path) -> Document:
    """The graph in a file: JSON, or a PNG picture that nodeflow saved.

    Raises:
        GraphError: the file cannot be read, is no graph, or is a picture without one.
    """
    return parse(_source(path), os.fspath(path))


def survey_graph(path: Path) -> tuple[Document, list[Problem]]:
    """What can be read of the graph in a file, and the faults of its form.

    Raises:
        GraphError: the file cannot be read, is no graph at all, or is a picture without one.
    """
    return survey(_source(path), os.fspath(path))


def _source(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            if file.read(8) != SIGNATURE:
                return read_bytes(path)
            text = _carried(file)
    except (OSError, ValueError):
        return read_bytes(path)  # which says what is the matter
    if text is None:
        refuse(
            "this picture carries no graph",
            "pictures that nodeflow saved do, unless another program has saved them since",
            os.fspath(path),
        )
    return text


def name_for(path: Path, document: Document) -> str:
    """What the files of a run are called after: the graph's file; of a picture, the graph that it was made by."""
    name = path.stem
    made = MADE.fullmatch(name) if path.suffix.lower() == ".png" else None
    if made is None:
        return name
    name = made[1]
    return next((name.removesuffix(f"-{output}") for output in document.outputs if name.endswith(f"-{output}")), name)


def _carried(file: BinaryIO) -> bytes | None:
    """The text named "nodeflow" of a PNG, or None: none there, damaged, or over GRAPH_AT_MOST bytes."""
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return None
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return None
        if kind not in (b"tEXt", b"zTXt", b"iTXt") or length > GRAPH_AT_MOST + 1024:
            file.seek(length + 4, os.SEEK_CUR)
            continue
        data, check = file.read(length), file.read(4)
        if data.startswith(KEYWORD) and check == struct.pack(">I", zlib.crc32(kind + data)):
            return _text(kind, data[len(KEYWORD) :])
    return None


def _text(kind: bytes, rest: bytes) -> bytes | None:
    """What follows the keyword: tEXt is Latin-1, zTXt the same deflated, iTXt UTF-8, deflated or not."""
    try:
        if kind == b"tEXt":
            return rest.decode("latin-1").encode()
        if kind == b"zTXt":
            found = _inflated(rest[1:])
            return found and found.decode("latin-1").encode()
        _language, _translated, data = rest[2:].split(b"\0", 2)
        return _inflated(data) if rest[0] else data
    except (zlib.error, ValueError, IndexError):
        return None


def _inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, GRAPH_AT_MOST)
    return text if inflater.eof else None


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
        port = port_of(document, document.parameters.get(name, name), catalog, folder)
        try:
            document = with_values(document, {name: typed(text) if port is None else value_of(port.type, text)})
        except GraphError as error:
            wrong += [Problem(p.message, p.cure, p.node, p.port, p.file or file) for p in error.problems]
    return document, wrong


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
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
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
