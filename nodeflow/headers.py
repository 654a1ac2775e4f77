"""What a safetensors file says of itself: names, types, shapes and places of its tensors, none of which is read."""

from __future__ import annotations

import errno
import json
import math
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from nodeflow.errors import ModelError
from nodeflow.regular import odd_kind, open_file

LONGEST = 100_000_000
"""Bytes of a header, as the format has it; the largest published ones take one or two million."""
DIMENSIONS = 8
SHOWN = 80
"""Characters of a wrong value that a message quotes."""
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Of a number, by the name that the format has for its type."""
PICKLED = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl"})
CURE = "fetch it again"
UNREADABLE = {
    errno.ENOENT: ("is not there", "check the name and the model folders"),
    errno.ENOTDIR: ("is not there", "check the name and the model folders"),
    errno.EACCES: ("may not be read by this user", "change its permissions and those of its folder, or copy it"),
    errno.EPERM: ("may not be read by this user", "change its permissions and those of its folder, or copy it"),
    errno.ELOOP: ("is a link that leads to itself", "remove the link, or let it lead to the file"),
    errno.EIO: ("cannot be read: its disk fails", "check the disk, and fetch the file again to another"),
    errno.ENAMETOOLONG: ("has a name that is too long", "check the name"),
    errno.EMFILE: ("cannot be opened: too many files are open", "close some, or raise the limit (ulimit -n)"),
}
"""What is the matter, by the system's number for it, and what helps."""


class Entry(NamedTuple):
    """A tensor: its type as the format names it, its shape, the bytes it takes, and the file it is in."""

    dtype: str
    shape: tuple[int, ...]
    bytes: int
    file: Path


@dataclass(frozen=True)
class WeightsHeader:
    """What a file's header holds. metadata: what its writer said of it. tensors: by name."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Entry]


def weights_header(path: Path) -> WeightsHeader:
    """The header of a safetensors file, judged: its tensors lie within the file, one behind the other.

    Raises:
        ModelError: the file is absent, unreadable, pickled, cut off, or not what its header says.
    """
    try:
        told = os.stat(path)
        if not stat.S_ISREG(told.st_mode):
            raise ModelError(f"{path} is {odd_kind(told.st_mode)}, not a file\n    name a safetensors file")
        return _weights_header(path, told.st_size, told.st_mtime_ns)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str | os.PathLike[str], error: OSError) -> ModelError:
    """What to say of a file, or a folder, that the system does not let us read."""
    usual = f"cannot be read: {error.strerror or error}", "check the disk it is on"
    words, cure = UNREADABLE.get(error.errno or 0, usual)
    if error.errno == errno.ENOENT and Path(path).is_symlink():
        words = f"is a link to {Path(path).readlink()}, which is not there"
        cure = "remove the link, or let it lead to the file"
    return ModelError(f"{os.fspath(path)} {words}\n    {cure}")


@lru_cache(maxsize=64)  # a node is asked for its identity, its result and its plan: each time the same files
def _weights_header(path: Path, size: int, mtime_ns: int) -> WeightsHeader:
    del mtime_ns
    with open_file(path) as file:
        start, first = file.read(8), file.read(1)
        length = int.from_bytes(start, "little")
        # a header of safetensors may well be 128 bytes more than a multiple of 256 long: its first byte then is 0x80
        if path.suffix in PICKLED or (first != b"{" and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80")):
            raise ModelError(
                f"{path} is a pickled checkpoint; those are refused, because opening one can run any code\n"
                f"    convert it: nodeflow convert {shlex.quote(os.fspath(path))}"
            )
        if len(start) < 8 or length > size - 8:
            raise ModelError(f"{path} is cut off or no safetensors file: it has {size:,} bytes\n    {CURE}")
        if length > LONGEST:
            raise ModelError(
                f"{path} says that its header has {length:,} bytes; at most {LONGEST:,} are read\n    {CURE}"
            )
        text = first + file.read(length - 1) if length else b""
    try:
        return _read(path, text, size - 8 - length)
    except ValueError as error:
        raise ModelError(f"{path} has a damaged header: {error}\n    {CURE}") from error


def _read(path: Path, text: bytes, size: int) -> WeightsHeader:
    """What a header says; ValueError in our own words if that is not sound."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its {len(text):,} bytes are no JSON{amiss(error)}") from error
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object, but expected one of tensors by name")
    metadata = found.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its __metadata__ are not texts by name")
    tensors = {name: _entry(path, name, said) for name, said in found.items()}
    _judge(sorted((*said["data_offsets"], name) for name, said in found.items()), size)
    return WeightsHeader(metadata, tensors)


def _entry(path: Path, name: str, said: Any) -> Entry:
    if not isinstance(said, dict):
        raise ValueError(f"{short(name)} is {short(said)}, but expected its dtype, shape and data_offsets")
    if lacking := [key for key in ("dtype", "shape", "data_offsets") if key not in said]:
        raise ValueError(f"{short(name)} does not say its {' and '.join(lacking)}")
    kind, shape, places = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(kind, str) or kind not in BITS:
        raise ValueError(f"{short(name)} has the dtype {short(kind)}, but expected one of {', '.join(BITS)}")
    if not _counts(shape) or len(shape) > DIMENSIONS:
        expected = f"up to {DIMENSIONS} whole numbers from 0"
        raise ValueError(f"{short(name)} has the shape {short(shape)}, but expected {expected}")
    if not _counts(places) or len(places) != 2:
        raise ValueError(f"{short(name)} has the data_offsets {short(places)}, but expected two whole numbers from 0")
    start, stop = places
    if math.prod(shape) * BITS[kind] != 8 * (stop - start):
        raise ValueError(
            f"{short(name)}, {kind} {short(shape)}, does not take the {stop - start:,} bytes it is given, from byte "
            f"{start:,} to {stop:,}"
        )
    return Entry(kind, tuple(shape), stop - start, path)


def _counts(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    # asked 5,000 times of one file, in half the time that a generator takes
    return not [number for number in value if type(number) is not int or number < 0]


def amiss(error: ValueError | RecursionError) -> str:
    """Where a text ceases to be JSON, as far as the error of reading it tells: " at byte 12"."""
    if isinstance(error, RecursionError):
        return ", but brackets within brackets"
    at = getattr(error, "pos", getattr(error, "start", None))
    return "" if at is None else f" at byte {at:,}"


def short(value: Any) -> str:
    """A value out of a stranger's JSON, as JSON has it, in a few characters."""
    try:
        text = json.dumps(value) if not isinstance(value, list | dict) or len(value) < SHOWN else "a long list"
    except RecursionError:  # to read it takes a little less of the stack than to write it
        text = "brackets within brackets"
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _judge(places: list[tuple[int, int, str]], size: int) -> None:
    at, last = 0, ""
    for start, stop, name in places:
        if start < at:
            raise ValueError(f"{short(last)} and {short(name)} overlap at byte {start:,}")
        if start > at:
            raise ValueError(f"its tensors leave a gap at byte {at:,}, before {short(name)}")
        at, last = stop, name
    if at != size:
        raise ValueError(f"its tensors take {at:,} bytes, but {size:,} are there")


def bytes_by_type(tensors: Mapping[str, Entry]) -> Iterator[tuple[str, int]]:
    """The types of tensors and the bytes that each takes, the most first."""
    found: dict[str, int] = {}
    for entry in tensors.values():
        found[entry.dtype] = found.get(entry.dtype, 0) + entry.bytes
    yield from sorted(found.items(), key=lambda item: -item[1])
