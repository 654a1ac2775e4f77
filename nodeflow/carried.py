"""The graph in a file: JSON, or a PNG picture that carries the graph it was made by."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from nodeflow.document import Document, parse, survey
from nodeflow.errors import Problem
from nodeflow.jsontext import read_bytes, refuse
from nodeflow.regular import open_file

SIGNATURE = b"\x89PNG\r\n\x1a\n"
OTHERS = (b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
"""How other pictures begin: JPEG, GIF, BMP, TIFF."""
ONLY_PNG = "those that nodeflow saved as PNG do; `nodeflow import` reads ComfyUI's, WebP and JPEG too"
KEYWORD = b"nodeflow\0"
GRAPH_AT_MOST = 16 * 2**20
MOST_CHUNKS = 10_000
"""A picture has a handful before its pixels; a file made of nothing but empty chunks must not be walked for long."""


def open_graph(path: Path) -> Document:
    """The graph in a file: JSON, or a PNG picture that nodeflow saved.

    Raises:
        GraphError: the file cannot be read, is no graph, or is a picture without one.
    """
    return parse(graph_text(path), os.fspath(path))


def survey_graph(path: Path) -> tuple[Document, list[Problem]]:
    """What can be read of the graph in a file, and the faults of its form.

    Raises:
        GraphError: the file cannot be read, is no graph at all, or is a picture without one.
    """
    return survey(graph_text(path), os.fspath(path))


def graph_text(path: Path) -> bytes:
    """The text of the graph in a file; that of a JSON file is all of it, and is not judged.

    Raises:
        GraphError: the file cannot be read, or is a picture without a graph.
    """
    try:
        with open_file(path) as file:
            start = file.read(12)
            if not start.startswith(SIGNATURE):
                if start.startswith(OTHERS) or (start[:4] == b"RIFF" and start[8:] == b"WEBP"):
                    refuse("this picture carries no graph", ONLY_PNG, os.fspath(path))
                return read_bytes(path)
            file.seek(len(SIGNATURE))
            text = _carried(file)
    except (OSError, ValueError):
        return read_bytes(path)  # which says what is the matter
    if text is None:
        refuse(
            "this picture carries no graph",
            "those that nodeflow saved do, until another program saves them; `nodeflow import` reads ComfyUI's",
            os.fspath(path),
        )
    return text


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
