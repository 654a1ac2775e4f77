"""Graph files on disk: what one holds, as far as it can be read, and whether it is still what it was. No Qt."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from nodeflow.carried import SIGNATURE, graph_text
from nodeflow.catalog import Catalog
from nodeflow.document import Document, survey
from nodeflow.errors import GraphError, Problem
from nodeflow.jsontext import read_bytes
from nodeflow_editor.faulty import readable
from nodeflow_editor.theme import core

HEAD = 65_536
"""Bytes of a file that tell what it is."""
MANY, ALIKE = 2_000, 0.75
"""Names that are looked at for one that may have been meant, and how much alike it must be."""
PICTURES: tuple[tuple[bytes, int, bytes], ...] = (
    (SIGNATURE, 0, b""), (b"\xff\xd8\xff", 0, b""), (b"GIF8", 0, b""), (b"BM", 0, b""), (b"II*\0", 0, b""),
    (b"MM\0*", 0, b""), (b"RIFF", 8, b"WEBP"), (b"", 4, b"ftypavif"),
)  # fmt: skip
"""How pictures begin, and what stands at a place further on."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was when somebody looked. `stamp` changes whenever it is written, `digest` when its content does."""

    stamp: tuple[int, int, int]
    digest: str


def stamp(path: Path) -> tuple[int, int, int] | None:
    """When a file was written, its size, and which file it is; None if there is none."""
    try:
        told = path.stat()
    except (OSError, ValueError):
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino


def may_begin(path: Path) -> bool:
    """Whether a graph may be begun under a name: it is that of a graph file, nobody has it, and its folder is there."""
    if path.suffix.lower() != ".json":
        return False
    try:
        path.stat()
    except FileNotFoundError:
        return Path(os.path.realpath(path)).parent.is_dir()
    except (OSError, ValueError):
        pass
    return False


def nearest_graph(path: Path) -> Path | None:
    """The graph file of the same folder with the name most alike: what may have been meant."""
    with suppress(OSError):
        names = (other.name for other in os.scandir(path.absolute().parent) if other.name.lower().endswith(".json"))
        close = get_close_matches(path.name, list(islice(names, MANY)), n=1, cutoff=ALIKE)
        return path.with_name(close[0]) if close else None
    return None


def look(path: Path) -> Seen | None:
    """A file as it is; None if there is none that can be read."""
    before = stamp(path)
    if before is None:
        return None
    with suppress(GraphError):
        return Seen(before, digest(read_bytes(path)))
    return None


def altered(path: Path, seen: Seen | None) -> bool:
    """Whether a file holds something else than when somebody looked; None for nothing. One that is gone holds none."""
    now = stamp(path)
    if now is None or (seen is not None and now == seen.stamp):
        return False
    again = look(path)
    return seen is None or again is None or again.digest != seen.digest


def digest(data: bytes) -> str:
    """What content is told apart by."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Opened:
    """A graph file that was opened: its graph, the faults of its form, whether it is a picture, and what was there."""

    document: Document
    faults: tuple[Problem, ...]
    picture: bool
    seen: Seen


def opened(path: Path) -> Opened:
    """The graph in a file, as far as it can be read. What cannot be read is left out of the document.

    Raises:
        GraphError: it cannot be read, or is no graph at all, or a picture without one.
    """
    before = stamp(path) or (0, 0, 0)
    text = graph_text(path)
    document, faults = survey(text, os.fspath(path))
    picture = head(path).startswith(SIGNATURE)
    return Opened(readable(document) if faults else document, tuple(faults), picture, Seen(before, digest(text)))


def head(path: Path) -> bytes:
    """The beginning of a file; nothing if it cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except (OSError, ValueError):
        return b""


def is_picture(path: Path) -> bool:
    """Whether a file begins as pictures do."""
    start = head(path)
    return any(start.startswith(first) and start[at : at + len(then)] == then for first, at, then in PICTURES)


def is_foreign(path: Path) -> bool:
    """Whether a file looks like another program's graph, or a picture that carries one."""
    start = head(path)
    if start.startswith(SIGNATURE) or start[8:12] == b"WEBP":
        return any(word in start for word in (b"workflow\0", b"prompt\0", b"workflow:", b"prompt:"))
    return b'"class_type"' in start or b'"last_node_id"' in start or (b'"links"' in start and b'"nodes"' in start)


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, be it there or not."""
    return os.path.realpath(one) == os.path.realpath(other)


def loader(catalog: Catalog) -> tuple[str, int, str] | None:
    """The node type that loads a picture, its version, and its input for the file; None if no plugin has one."""
    found = []
    for spec in catalog:
        port = next((port.name for port in spec.inputs if port.widget == "file"), None)
        first = spec.outputs[0].type if spec.outputs else None
        if port is not None and first is not None and str(core(first)) == "Image":
            found.append((spec.id, spec.version, port))
    return next((kind for kind in found if kind[0] == "image.load"), found[0] if found else None)
