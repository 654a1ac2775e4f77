"""Graphs of other programs, turned into ours by importers: functions that packages name as entry points."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from nodeflow.catalog import Catalog
from nodeflow.document import Document, parse, write
from nodeflow.errors import GraphError, NodeflowError, PluginError, Problem, a_or_an
from nodeflow.faults import MORE
from nodeflow.graph import build
from nodeflow.jsontext import MAX_BYTES, compact, read_start, refuse, too_large

GROUP = "nodeflow.importers"
"""The entry points: `NAME = "package:function"`. They stand apart from the plugins, whose import mostly pays torch."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What is to be told of one node. node: what the other program calls it. ours: its id in the graph, or ""."""

    node: str
    ours: str
    message: str

    def as_json(self) -> dict[str, str]:
        return {"node": self.node, "ours": self.ours, "message": self.message}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A graph that was another program's.

    source: what it was read from, in words. graph: the JSON value of a graph file, versions aside. nodes: how many the
    other program counts. left: nodes that stand in the graph as they were, as nobody knows them here. differs: what
    will be otherwise than in the other program.
    """

    source: str
    graph: Mapping[str, Any]
    nodes: int
    left: tuple[Remark, ...] = ()
    differs: tuple[Remark, ...] = ()


Importer = Callable[[bytes, Collection[str]], Foreign | None]
"""What an entry point names: of a file's first 64 MB and the ids of installed node types, the graph, or None if the
file is not of its program. ValueError, with a cure on a second line, if it is but cannot be read.
"""


def read_foreign(path: Path, catalog: Catalog) -> tuple[Document, Foreign]:
    """The graph in a file of another program, called after it, each node in the version that is installed.

    Raises:
        GraphError: the file cannot be read, no importer knows it, or it is damaged.
        PluginError: an importer is broken.
    """
    name = os.fspath(path)
    data, size = read_start(path)
    if size > MAX_BYTES and data.lstrip()[:1] in (b"{", b"["):
        too_large(size, name)
    found = _imported(data, frozenset(spec.id for spec in catalog), name)
    document = parse(compact({"nodeflow": 1, "title": path.stem, **found.graph}), name)
    return _current(document, catalog), found


def _imported(data: bytes, known: Collection[str], name: str) -> Foreign:
    """What the first importer makes of it that knows it; failures as `read_foreign`."""
    names = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        names.append(point.name)
        try:
            importer: Importer = point.load()
            found = importer(data, known)
            if found is not None and not isinstance(found, Foreign):
                raise TypeError(f"it returned {a_or_an(type(found).__name__)}, not a Foreign")
        except ValueError as error:
            message, _, cure = str(error).partition("\n")
            refuse(message, cure.strip(), name)
        except NodeflowError:
            raise
        except (Exception, SystemExit) as error:
            told = f'the importer "{point.name}" ({point.value}) failed: {type(error).__name__}: {error}'
            raise PluginError(f"{told}\n    please report it, with the file if you can") from error
        if found is not None:
            return found
    message = "this is no file of a program that can be imported"
    cure = f"known are those of {', '.join(names)}" if names else "no importer is installed"
    if b'"nodeflow"' in data[:4096] or b"nodeflow\0" in data[:65536]:
        message, cure = "this is a graph of nodeflow already", "run or check it as it is"
    raise GraphError(Problem(message, cure, file=name))


def _current(document: Document, catalog: Catalog) -> Document:
    nodes = {}
    for name, entry in document.nodes.items():
        spec = catalog.get(entry.type)
        nodes[name] = entry if spec is None else replace(entry, version=spec.version)
    return replace(document, nodes=nodes)


def faults_of(document: Document, catalog: Catalog, left: Collection[str]) -> list[Problem]:
    """What `check` would say of the graph, aside from the nodes that were left as they are."""
    try:
        build(parse(write(document)), catalog)
    except GraphError as error:
        found = [problem for problem in error.problems if problem.node not in left]
        return [problem for problem in found if not (left and problem.message.endswith(MORE))]  # of those left as well
    return []
