"""Tensors from their places in one file into safetensors, one after the other: memory holds a piece of one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from nodeflow.devices import amount
from nodeflow.errors import ModelError
from nodeflow.headers import BITS, unreadable
from nodeflow.pickled.archives import AGAIN, Archive
from nodeflow.pickled.values import Tensor

PIECE = 16 * 2**20
"""Bytes that are copied at a time."""
MOST_TIMES = 4
"""What is written may take this many times the bytes of what is read: names that share numbers get their own."""
ROOM = 2**20
Progress = Callable[[int], None]
"""Told of bytes that are done."""


def bytes_of(tensor: Tensor) -> int:
    """What a tensor takes in safetensors."""
    return tensor.count * BITS[tensor.dtype] // 8


def shared(tensors: Mapping[str, Tensor]) -> int:
    """How many tensors hold numbers that another one holds as well."""
    places = Counter((tensor.storage.place, tensor.start, tensor.shape, tensor.strides) for tensor in tensors.values())
    return sum(count for count in places.values() if count > 1)


def digest(archive: Archive, progress: Progress) -> str:
    """SHA-256 of the whole file. On the way its records are held against the check sums with which they were written.

    Raises:
        ModelError: a record is not what was written, or the file cannot be read.
    """
    found = hashlib.sha256()

    def pieces(count: int) -> Iterator[bytes]:
        for at in range(0, count, PIECE):
            block = _read(archive.file, min(PIECE, count - at))
            found.update(block)
            progress(len(block))
            yield block

    at = 0
    archive.file.seek(0)
    for record in sorted(archive.records, key=lambda record: record.place):
        if record.place < at:
            raise ModelError(f"{archive.path} is damaged: its records lie within each other\n    {AGAIN}")
        for _ in pieces(record.place - at):
            pass
        check = 0
        for block in pieces(record.bytes):
            check = zlib.crc32(block, check)
        if record.check not in (0, check):  # 0: torch.serialization.set_crc32_options(False) wrote it
            raise ModelError(
                f"{archive.path} is damaged: its record {record.name} is not what was written, "
                f"by its check sum\n    {AGAIN}"
            )
        at = record.place + record.bytes
    for _ in pieces(archive.bytes - at):
        pass
    return found.hexdigest()


def write(
    archive: Archive, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], out: Path, *, force: bool,
    progress: Progress,
) -> int:  # fmt: skip
    """Writes tensors whole or not at all; returns the file's bytes.

    Args:
        archive: whose file they are in.
        tensors: by name.
        metadata: what the file says of itself.
        out: where to.
        force: whether a file that is there may be replaced.
        progress: told of bytes that are written.

    Raises:
        ModelError: there is such a file already; there is no room; or the tensors take far more than their file.
    """
    order = sorted(tensors, key=lambda name: (-BITS[tensors[name].dtype], name))  # as safetensors does: all are aligned
    head, total = _header(order, tensors, metadata)
    if total > MOST_TIMES * archive.bytes + ROOM:
        raise ModelError(
            f"{archive.path} has {archive.bytes:,} bytes, but its tensors would take {total:,}\n"
            "    name another checkpoint, or a part of it by --key"
        )
    refuse_existing(out, force)
    try:
        free = shutil.disk_usage(out.parent).free
    except OSError as error:
        raise ModelError(f"{out} cannot be written: {error.strerror}\n    name another file by --out") from error
    if free < total + len(head):
        raise ModelError(
            f"{out} takes {amount(total)}, but only {amount(free)} are free there\n    --out names another"
        )
    partial = out.with_name(f"{out.name}.{os.getpid()}.partial")
    try:
        with open(partial, "xb") as file:
            file.write(head)
            for name in order:
                for piece in numbers(archive.file, tensors[name]):
                    file.write(piece)
                    progress(len(piece))
        refuse_existing(out, force)
        os.replace(partial, out)
    except OSError as error:
        told = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        raise ModelError(f"{out} cannot be written: {told}\n    nothing is left of it; --out names another") from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing is left either
            partial.unlink(missing_ok=True)
    return len(head) + total


def refuse_existing(out: Path, force: bool) -> None:
    """Refuses to replace a file, unless that is wished; and what is no file always.

    Raises:
        ModelError: something is there.
    """
    try:
        mode = out.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP) and out.is_symlink():
            raise ModelError(f"{out} is a link that leads nowhere\n    remove it, or name another by --out") from error
        return
    if not stat.S_ISREG(mode):
        raise ModelError(f"{out} is there already, and no file\n    name another by --out")
    if not force:
        raise ModelError(f"{out} is there already\n    --force replaces it, --out names another")


def _header(order: list[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[bytes, int]:
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    at = 0
    for name in order:
        tensor = tensors[name]
        stop = at + bytes_of(tensor)
        entries[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, stop]}
        at = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, at


def numbers(file: BinaryIO, tensor: Tensor) -> Iterator[bytes]:
    """A tensor's numbers, row by row, in pieces."""
    size = BITS[tensor.dtype] // 8
    begin, length = tensor.start * size, tensor.count * size
    if not length:
        return
    held, place = tensor.storage.data, tensor.storage.place + begin
    if is_contiguous(tensor):
        for at in range(0, length, PIECE):
            count = min(PIECE, length - at)
            yield held[begin + at : begin + at + count] if held is not None else _read_at(file, place + at, count)
        return
    import numpy as np  # deferred: tensors that are stored out of order are few

    reach = (sum((side - 1) * step for side, step in zip(tensor.shape, tensor.strides, strict=True)) + 1) * size
    source = held[begin : begin + reach] if held is not None else _read_at(file, place, reach)
    strides = [step * size for step in tensor.strides]
    view = np.ndarray(tensor.shape, f"V{size}", source, strides=strides)
    if length <= PIECE:
        yield view.tobytes()
    else:
        yield from (row.tobytes() for row in view)


def is_contiguous(tensor: Tensor) -> bool:
    """Whether its numbers stand row by row, one behind the other."""
    step = 1
    for side, stride in zip(reversed(tensor.shape), reversed(tensor.strides), strict=True):
        if side != 1 and stride != step:
            return False
        step *= side
    return True


def _read_at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return _read(file, count)


def _read(file: BinaryIO, count: int) -> bytes:
    try:
        found = file.read(count)
    except OSError as error:
        raise unreadable(file.name, error) from error
    if len(found) != count:
        raise ModelError(f"{file.name} became shorter while it was read\n    wait until it is whole, then try again")
    return found
