"""What a safetensors file says of itself: names, types, shapes and places of its tensors, none of which is read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from nodeflow.errors import ModelError

LONGEST = 100_000_000
"""Bytes of a header, as the format has it; the largest published ones take one or two million."""
DIMENSIONS = 8
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Of a number, by the name that the format has for its type."""
PICKLED = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl"})
CURE = "fetch it again"


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
        ModelError: the file is absent, pickled, cut off, or not what its header says.
    """
    try:
        told = os.stat(path)
    except OSError as error:
        cure = "check the name and the model folders"
        raise ModelError(f"{path} cannot be opened: {error.strerror}\n    {cure}") from error
    return _weights_header(path, told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=64)  # a node is asked for its identity, its result and its plan: each time the same files
def _weights_header(path: Path, size: int, mtime_ns: int) -> WeightsHeader:
    del mtime_ns
    with open(path, "rb") as file:
        start, first = file.read(8), file.read(1)
        length = int.from_bytes(start, "little")
        # a header of safetensors may well be 128 bytes more than a multiple of 256 long: its first byte then is 0x80
        if path.suffix in PICKLED or (first != b"{" and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80")):
            raise ModelError(
                f"{path} is a pickled checkpoint; those are refused, because opening one can run any code\n"
                "    convert it where you trust it: "
                "safetensors.torch.save_file(torch.load(path, weights_only=True), ...)"
            )
        if len(start) < 8 or length > size - 8:
            raise ModelError(f"{path} is cut off or no safetensors file: it has {size:,} bytes\n    {CURE}")
        if length > LONGEST:
            raise ModelError(
                f"{path} says that its header has {length:,} bytes; at most {LONGEST:,} are read\n    {CURE}"
            )
        text = first + file.read(length - 1) if length else b""
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError("it is no object")
        metadata = found.pop("__metadata__", None) or {}
        tensors = {name: _entry(path, name, said) for name, said in found.items()}
        _judge(sorted(tuple(said["data_offsets"]) for said in found.values()), size - 8 - length)
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("its metadata are no texts")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        fault = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ModelError(f"{path} has a damaged header: {fault}\n    {CURE}") from error
    return WeightsHeader(metadata, tensors)


def _entry(path: Path, name: str, said: Any) -> Entry:
    kind, shape, (start, stop) = said["dtype"], tuple(said["shape"]), said["data_offsets"]
    if kind not in BITS:
        raise ValueError(f'"{name}" is of the unknown type {kind!r}')
    if len(shape) > DIMENSIONS or not all(type(side) is int and side >= 0 for side in (*shape, start, stop)):
        raise ValueError(f'"{name}" has no sound shape or place')
    if math.prod(shape) * BITS[kind] != 8 * (stop - start):
        raise ValueError(f'"{name}", {kind} {list(shape)}, does not take the {stop - start:,} bytes it is given')
    return Entry(kind, shape, stop - start, path)


def _judge(places: list[tuple[int, int]], size: int) -> None:
    at = 0
    for start, stop in places:
        if start != at:
            raise ValueError(f"its tensors {'overlap' if start < at else 'leave a gap'} at byte {min(at, start):,}")
        at = stop
    if at != size:
        raise ValueError(f"its tensors take {at:,} bytes, but {size:,} are there")


def bytes_by_type(tensors: Mapping[str, Entry]) -> Iterator[tuple[str, int]]:
    """The types of tensors and the bytes that each takes, the most first."""
    found: dict[str, int] = {}
    for entry in tensors.values():
        found[entry.dtype] = found.get(entry.dtype, 0) + entry.bytes
    yield from sorted(found.items(), key=lambda item: -item[1])
