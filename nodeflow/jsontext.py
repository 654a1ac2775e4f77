"""JSON text from strangers, and for people to read: bounded before it is parsed, laid out one way, saved whole."""

from __future__ import annotations

import codecs
import errno
import json
import math
import os
import re
import stat
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, NoReturn

from nodeflow.errors import GraphError, Problem
from nodeflow.regular import NotAFile, odd_kind, open_file

JSON = Any

MAX_BYTES = 64 * 2**20
"""A graph of 5,000 nodes is 1 MB. Python takes ten times a file's size to hold it, which a laptop still has."""
MAX_DEPTH = 64
"""A graph within a graph takes two levels and a form rarely five; every JSON reader's stack stands 64."""
WIDTH = 120

NO_MARKS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
CHUNK = 2**20
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
CURES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: your share of the disk is used up",
    errno.ENOENT: "make the folder first, or name another",
    errno.EISDIR: "this is a folder: name a file in it",
    errno.EINVAL: "name a file",
    errno.EROFS: "name a place on a disk that may be written to",
}

compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
"""A value on one line. ValueError or TypeError if it has no JSON form."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What JSON's grammar lets pass and a graph does not: `name` is the key that stands twice, or the number's text."""

    path: tuple[str | int, ...]
    name: str
    repeated: bool


class _Repeated(dict[str, JSON]):
    """An object some of whose keys stand twice."""

    def __init__(self, pairs: list[tuple[str, JSON]]) -> None:
        super().__init__(pairs)
        self.names = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]


class _NoNumber(float):
    """NaN, infinity, or a number too large to be one."""

    text: str


def loads(source: str | bytes, file: str | None) -> tuple[JSON, list[Flaw]]:
    """The value of a JSON text of bounded size and depth, and its flaws; `file` is what messages call it.

    Raises:
        GraphError: too large, too deep, not UTF-8, or not JSON.
    """
    text = bounded(source, file)
    odd: list[JSON] = []

    def made(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        odd.append(_Repeated(pairs))
        return odd[-1]  # type: ignore[no-any-return]

    def number(literal: str) -> float:
        value = float(literal)
        if math.isfinite(value):
            return value
        odd.append(_NoNumber(value))
        odd[-1].text = literal
        return odd[-1]  # type: ignore[no-any-return]

    try:
        value = json.loads(text, object_pairs_hook=made, parse_float=number, parse_constant=number)
    except json.JSONDecodeError as error:
        refuse(*_syntax(error, text), file)
    except RecursionError:
        refuse(f"the text is nested more than {MAX_DEPTH} deep", "it is no graph", file)
    except ValueError:  # the interpreter's own bound on the digits of an int
        refuse("the file holds a whole number of more than 4,300 digits", "write a smaller number", file)
    return value, list(_flaws(value, ())) if odd else []


def bounded(source: str | bytes, file: str | None) -> str:
    """The text, if it is UTF-8 and neither too large nor too deep; a byte order mark is dropped.

    Raises:
        GraphError: otherwise.
    """
    data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if len(data) > MAX_BYTES:
        too_large(len(data), file)
    if isinstance(source, bytes) and (encoding := _wide(source)):
        refuse(f"the text is {encoding}, and a graph is UTF-8", "save it again as UTF-8 text", file)
    try:
        text = source.removeprefix("\ufeff") if isinstance(source, str) else source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse(f"byte {error.start:,} is not UTF-8", "if this is a graph, save it again as UTF-8 text", file)
    if _too_deep(data):
        refuse(f"the text is nested more than {MAX_DEPTH} deep", "it is no graph", file)
    return text


def _wide(data: bytes) -> str:
    """The encoding of a text of two or four bytes a letter, by its mark or its first letter; "" of others."""
    marks = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16",
             codecs.BOM_UTF16_BE: "UTF-16"}  # fmt: skip
    for start in ("{", "[", "\n", "\r", " "):
        for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
            marks.setdefault(start.encode(name), name[:6].upper())
    return next((marks[start] for start in sorted(marks, key=len, reverse=True) if data.startswith(start)), "")


def _too_deep(data: bytes) -> bool:
    """Whether brackets outside of strings nest deeper than MAX_DEPTH. Text that is no JSON may be misjudged.

    Quotes and brackets are counted in C and a chunk at a time: there may be 64 million of them.
    """
    marks = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, NO_MARKS)
    depth = inside = 0
    for start in range(0, len(marks), CHUNK):
        parts = marks[start : start + CHUNK].split(b'"')
        depths = list(accumulate(array("b", b"".join(parts[inside::2]).translate(STEPS)), initial=depth))
        if max(depths) > MAX_DEPTH:
            return True
        depth, inside = depths[-1], (inside + len(parts) - 1) % 2
    return False


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """What a file holds, if it is not too large.

    Raises:
        GraphError: it is, or cannot be read.
    """
    data, size = read_start(path, 0)
    if size > MAX_BYTES:
        too_large(size, os.fspath(path))
    return data


def read_start(path: str | os.PathLike[str], most: int = MAX_BYTES) -> tuple[bytes, int]:
    """What a file holds, and its size; of one over MAX_BYTES the first `most` bytes.

    Raises:
        GraphError: it cannot be read.
    """
    name = os.fspath(path)
    try:
        with open_file(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            data = stream.read(most if size > MAX_BYTES else MAX_BYTES + 1)
    except FileNotFoundError:
        beside = Path(name).parent
        what = "there is no such file" if beside.is_dir() else f"there is no folder {beside}"
        refuse(what, "look at the name, and at the folder you are in", name)
    except NotAFile as error:
        folder = error.kind == "a folder"
        cure = "name a file in it" if folder else "save what comes out of it to a file, and name that"
        refuse(f"this is {error.kind}{'' if folder else ', not a file'}", cure, name)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        told = getattr(error, "strerror", None) or error
        refuse(f"the file cannot be read: {told}", "look at its name and at who may read it", name)
    return data, size


def save(text: str, path: str | os.PathLike[str]) -> None:
    """Writes a file whole or not at all: after a failure or a crash the old one still stands. Permissions stay.

    Raises:
        GraphError: it cannot be written there, or is beyond what `loads` takes; the message says what to do.
    """
    data = bounded(text, os.fspath(path)).encode()
    try:
        target = Path(os.path.realpath(path))  # a link stays a link: the file that it leads to is replaced
        mode = _mode(target)
        fresh = target.with_name(f".nodeflow-{os.urandom(6).hex()}.tmp")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if mode is not None:
                fresh.chmod(mode)
            os.replace(fresh, target)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        cure = CURES.get(error.errno or 0, "choose a place where you may write, or change who may write here")
        refuse(f"not saved: {error.strerror or error}; what stood there is unchanged", cure, os.fspath(path))


def _mode(target: Path) -> int | None:
    """The permissions of a file that may be replaced; None if there is none."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "this is a folder")
    if not stat.S_ISREG(mode):  # a device or a pipe is no more once a file has taken its name
        raise OSError(errno.EINVAL, f"this is {odd_kind(mode)}, not a file")
    if not os.access(target, os.W_OK):  # the rename itself would ask the folder only
        raise PermissionError(errno.EACCES, "the file is read-only")
    return stat.S_IMODE(mode)


def laid(value: JSON, indent: int = 0, lead: int = 0, levels: int = 0) -> str:
    """JSON text of a value that starts at column `indent + lead`: on one line if that fits, else an entry a line.

    The outermost `levels` of objects and lists are always broken.
    """
    if type(value) is str:
        return encode_basestring(value)
    if type(value) is int:
        return str(value)
    if not isinstance(value, dict | list) or not value:
        return compact(value)
    inner, brackets, entries = indent + 2, "[]", []
    if isinstance(value, list):
        entries = [laid(item, inner, 0, levels - 1) for item in value]
    else:
        brackets = "{}"
        for key, item in value.items():
            name = f"{encode_basestring(key)}: "
            entries.append(name + laid(item, inner, len(name), levels - 1))
    if levels <= 0:
        line = f"{brackets[0]}{', '.join(entries)}{brackets[1]}"
        if indent + lead + len(line) < WIDTH and "\n" not in line:
            return line
    return block(brackets, entries, indent)


def block(brackets: str, entries: list[str], indent: int) -> str:
    """Entries a line each within brackets; `indent` is that of the closing one."""
    pad = "\n" + " " * (indent + 2)
    inside = f",{pad}".join(entries)
    return f"{brackets[0]}{pad}{inside}\n{' ' * indent}{brackets[1]}"


def escaped(text: str) -> str:
    """JSON text that UTF-8 can hold: halves of surrogate pairs, which JSON may spell but no encoding has, escaped."""
    return text if text.isascii() else LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def judge_literal(value: JSON, depth: int = MAX_DEPTH // 2) -> None:
    """Raises ValueError unless a literal may stand in a file; it is nested at most `depth` levels."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number: expected a finite one")
    if not isinstance(value, dict | list):
        if value is not None and type(value) not in KINDS:
            raise ValueError(f"{type(value).__name__} has no JSON form")
        return
    if not depth:
        raise ValueError(f"the value is nested deeper than {MAX_DEPTH // 2} levels")
    if isinstance(value, dict) and "$from" in value:
        raise ValueError('"$from" inside a value: a wire is a whole input, or an item of a list')
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise ValueError("the keys of an object must be texts")
    for item in value.values() if isinstance(value, dict) else value:
        judge_literal(item, depth - 1)


def kind(value: JSON) -> str:
    """What messages call a value: "a list", "null"."""
    return "null" if value is None else KINDS.get(type(value), "a number")


def refuse(message: str, cure: str, file: str | None) -> NoReturn:
    """Raises GraphError with this one problem of the whole file."""
    raise GraphError(Problem(message, cure, file=file)) from None


def too_large(size: int, file: str | None) -> NoReturn:
    """Raises GraphError for a file of that many bytes."""
    refuse(f"the file has {size / 2**20:,.0f} MB; a graph has at most {MAX_BYTES >> 20} MB", "it is no graph", file)


def _syntax(error: json.JSONDecodeError, text: str) -> tuple[str, str]:
    if not text.strip():
        return "the file is empty", "take it from a backup"
    place = f"line {error.lineno}, column {error.colno}"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return f"the text ends too early, at {place}: {error.msg}", "copy or download the file again, whole"
    return f"this is not JSON, from {place}: {error.msg}", "look there for a comma, quote or bracket amiss"


def _flaws(value: JSON, path: tuple[str | int, ...]) -> Iterator[Flaw]:
    if isinstance(value, _Repeated):
        yield from (Flaw(path, name, repeated=True) for name in value.names)
    elif isinstance(value, _NoNumber):
        yield Flaw(path, value.text, repeated=False)
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(item, dict | list | _NoNumber):
                yield from _flaws(item, (*path, key))
