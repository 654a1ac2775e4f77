"""Own pieces: parts of graphs under a name, each a graph file in a folder of the editor's own. No Qt."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from nodeflow.document import GRAPH, Document, NodeEntry, Wire, parse, read, save, write
from nodeflow.edits import AddNode, Edit, Group, MoveNodes, SetGraph
from nodeflow.errors import GraphError, Problem
from nodeflow_editor.border import Seam, plain
from nodeflow_editor.canvas.metrics import Point
from nodeflow_editor.faces import Face
from nodeflow_editor.graph_model import free_name
from nodeflow_editor.marks import tidy
from nodeflow_editor.pieces import KEPT, Pasted, copied, pasted
from nodeflow_editor.settings import data_folder
from nodeflow_editor.wire_view import wires_of

MOST = 2000
"""Pieces that are offered at most."""
LONGEST = 64
NAME = re.compile(rf"\w(?:[\w \-+(),']{{0,{LONGEST - 2}}}[\w\-+)'])?")
RULE = f"a name has letters, digits, spaces and - + ( ) , ' and is at most {LONGEST} long"
DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that mean no file under Windows."""
GONE = "removed"
"""The folder beside the pieces where those are that were removed or replaced."""


def folder() -> Path:
    """Where the pieces are."""
    return data_folder() / "pieces"


def path_of(name: str) -> Path:
    """The file of a piece."""
    return folder() / f"{name}.json"


def names() -> list[str]:
    """What pieces there are, by name; whether their files can be read is seen when one is taken."""
    try:
        with os.scandir(folder()) as entries:
            found = [entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json")]
    except OSError:
        return []
    return sorted(filter(is_name, found), key=str.lower)[:MOST]


def is_name(text: str) -> bool:
    """Whether a piece can be called so: it becomes the name of a file on any system."""
    return NAME.fullmatch(text) is not None and DEVICES.fullmatch(text) is None


def piece_of(
    graph: Document, faces: Callable[[str], Face], nodes: Collection[str], noted: Collection[int] = (), title: str = ""
) -> Document:
    """Chosen nodes and notes as a graph of their own.

    What leads in and out of it becomes its parameters and outputs: wires to nodes that were not chosen, inputs that
    need one and have none, what no other chosen node takes, and what leads in and out of the whole graph.
    """
    made = parse(copied(graph, nodes, noted))
    view = {name: table for name, table in made.view.items() if name != KEPT}
    seam = Seam(_within(graph.parameters, nodes), _within(graph.outputs, nodes))
    taken = {wire for entry in made.nodes.values() for _, wire in entry.wires()}
    outside = {
        wire: None for node, entry in graph.nodes.items() if node not in nodes
        for _, wire in entry.wires() if wire.node in nodes
    }  # fmt: skip
    for node, entry in made.nodes.items():
        before, face = graph.nodes[node].inputs, faces(node)
        for port, value in before.items():
            if wires_of(value) and port not in entry.inputs:
                seam.into(node, port)
        for needed in face.inputs:
            if needed.required and needed.name not in before:
                seam.into(node, needed.name)
        for output in face.outputs:
            if Wire(node, output.name) not in taken:
                outside.setdefault(Wire(node, output.name), None)
    for wire in outside:
        seam.out(wire)
    return replace(made, title=title, parameters=seam.parameters, outputs=seam.outputs, view=view)


def _within(table: Mapping[str, str], nodes: Collection[str]) -> dict[str, str]:
    return {name: place for name, place in table.items() if place.partition(".")[0] in nodes}


def keep(name: str, piece: Document) -> None:
    """Writes a piece; one of that name is put aside before.

    Raises:
        GraphError: it cannot be written; the message says what to do.
    """
    _judge(name)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        if path_of(name).exists():
            put_aside(name)
    except OSError as error:
        raise _failed(error) from None
    save(piece, path_of(name))


def rename(old: str, new: str) -> None:
    """Gives a piece another name.

    Raises:
        GraphError: there is one of that name, or the file cannot be renamed.
    """
    _judge(new)
    try:
        if path_of(new).exists() and not path_of(new).samefile(path_of(old)):
            raise GraphError(Problem(f'there is a piece "{new}" already', "choose another name"))
        path_of(old).rename(path_of(new))
    except OSError as error:
        raise _failed(error) from None


def put_aside(name: str) -> Path:
    """Takes a piece out of the list; its file stays, in the folder of those that are gone. Returns where.

    Raises:
        OSError: the file cannot be moved.
    """
    aside = folder() / GONE
    aside.mkdir(parents=True, exist_ok=True)
    target, number = aside / f"{name}.json", 1
    while target.exists():
        number += 1
        target = aside / f"{name}-{number}.json"
    path_of(name).rename(target)
    return target


def inserted(graph: Document, name: str, at: Point) -> Pasted:
    """The edit that puts a piece's nodes and notes into a graph, with the wires between them.

    Raises:
        GraphError: the file cannot be read.
    """
    return pasted(graph, write(read(path_of(name))), at)


def inserted_whole(graph: Document, name: str, at: Point) -> Pasted:
    """The edit that puts in one node which stands for a piece, and the piece into the file's own graphs.

    Raises:
        GraphError: the file cannot be read.
    """
    inner = read(path_of(name))
    kind = plain(name)
    edits: list[Edit] = []
    if graph.graphs.get(kind) != inner:
        kind = free_name(kind, graph.graphs)
        edits.append(SetGraph(kind, inner))
    node = free_name(kind, graph.nodes)
    edits += [AddNode(node, NodeEntry(GRAPH + kind)), MoveNodes({node: [tidy(at[0]), tidy(at[1])]})]
    return Pasted(Group(tuple(edits)), (node,))


def _judge(name: str) -> None:
    if not is_name(name):
        raise GraphError(Problem(f'"{name[:LONGEST]}" cannot be the name of a piece', RULE))


def _failed(error: OSError) -> GraphError:
    return GraphError(Problem(f"{error.filename}: {error.strerror}", f"see whether {folder()} can be written"))
