"""A pickled checkpoint as data: torch's archives, TorchScript's, torch's older files, and plain pickles."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from nodeflow.errors import ModelError
from nodeflow.headers import unreadable
from nodeflow.pickled.machine import Damaged, Effort, Machine, Window
from nodeflow.pickled.rebuilding import HARMLESS, Rebuilder, item_bytes, runs_code, storage_type
from nodeflow.pickled.values import Blob, Global, Storage
from nodeflow.regular import odd_kind, open_file

MAGIC = 0x1950A86A20F9469CFC6C
"""With which torch's files of before 1.6 begin."""
PROTOCOL = 1001
LONGEST_PICKLE = 256 * 2**20
"""Bytes of an archive's pickle, whose numbers lie outside of it; that of the largest models takes a few million."""
MOST_RECORDS = 200_000
AGAIN = "fetch it again"
STRANGERS = (
    (b"version https://git-lfs", "a pointer of Git LFS in place of the file", "fetch the file itself: git lfs pull"),
    (b"GGUF", "a file of GGUF", "name a checkpoint of PyTorch"),
    (b"\x89HDF", "a file of HDF5 (Keras)", "name a checkpoint of PyTorch"),
    (b"<!DOC", "a web page in place of the file", AGAIN),
    (b"<html", "a web page in place of the file", AGAIN),
    (b"\x1f\x8b", "packed by gzip", "unpack it first"),
)
"""How files begin that are often taken for checkpoints: what each is, and the cure."""
TAR = "is a tar archive, as PyTorch wrote them before 2017\n    save it anew with a PyTorch of that time"


class Record(NamedTuple):
    """A record of a zip archive: its bytes, and the check sum (CRC-32) with which they were written, 0 without one."""

    name: str
    place: int
    bytes: int
    check: int


@dataclass
class Archive:
    """What a pickled checkpoint holds.

    root: data (see `values`). records: those that were used. classes: the names that it wanted imported and that mean
    nothing here.
    """

    path: Path
    file: BinaryIO
    bytes: int
    root: Any = None
    records: list[Record] = field(default_factory=list)
    classes: dict[str, None] = field(default_factory=dict)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A pickled checkpoint, whose file stays open until the end of the block. Nothing of it is executed.

    Raises:
        ModelError: it is absent, damaged, no pickled checkpoint, or made to run code.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise ModelError(f"{path} is {odd_kind(mode)}, not a file\n    name a file of pickled weights")
        file = open_file(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        archive = Archive(path, file, os.fstat(file.fileno()).st_size)
        try:
            _Reader(archive).read()
        except Damaged as error:
            raise ModelError(f"{path} is no sound checkpoint: {error}\n    {AGAIN}") from error
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise ModelError(
                f"{path} is cut off or damaged: the list of its records is not sound\n    {AGAIN}"
            ) from error
        except OSError as error:
            raise unreadable(path, error) from error
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise ModelError(f"{path} holds something that no checkpoint holds\n    {AGAIN}") from error
        except MemoryError as error:
            raise ModelError(f"{path} takes more memory than there is, before any of its tensors") from error
        yield archive


class _Reader:
    """Reads one file. Storages are known by their keys; those of older files get their places after the pickle."""

    def __init__(self, archive: Archive) -> None:
        self.archive, self.effort = archive, Effort()
        self.rebuilder = Rebuilder(self._nested, self.effort)

    def read(self) -> None:
        file, size = self.archive.file, self.archive.bytes
        start = file.read(512)
        for begins, what, cure in STRANGERS:
            if start.startswith(begins):
                raise ModelError(f"{self.archive.path} is {what}\n    {cure}")
        if start[257:262] == b"ustar":
            raise ModelError(f"{self.archive.path} {TAR}")
        if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size:
            named = self.archive.path.suffix == ".safetensors"
            cure = "use it as it is" if named else "give it a name that ends in .safetensors"
            raise ModelError(f"{self.archive.path} is safetensors already\n    {cure}")
        if start[:4] == b"PK\x03\x04":
            self.archive.root = self._zipped(file)
        else:
            self.archive.root = self._stream(Window(file, 0, size))

    def _imported(self, name: Global) -> None:
        if runs_code(name):
            raise ModelError(
                f"{self.archive.path} wants to call {name}, of which no weights need anything: it was made to run code "
                "on the computer of whoever opens it; nothing of it was executed\n"
                "    do not open it by other means; get the model from somebody else"
            )
        if not str(name).startswith(HARMLESS):
            self.archive.classes[str(name)] = None

    def _machine(self, window: Window, persistent: Callable[[Any], Any]) -> Machine:
        return Machine(
            window, imported=self._imported, apply=self.rebuilder.apply, build=self.rebuilder.build,
            persistent=persistent, effort=self.effort,
        )  # fmt: skip

    def _zipped(self, file: BinaryIO) -> Any:
        with zipfile.ZipFile(file) as archive:
            records = {info.filename: info for info in archive.infolist()}
        if len(records) > MOST_RECORDS:
            raise Damaged(f"it has {len(records):,} records")
        name = next((name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")), None)
        if name is None:
            raise Damaged("it is a zip archive, but has no data.pkl, so it is none of PyTorch's")
        home = name.removesuffix("data.pkl")
        order = records.get(f"{home}byteorder")
        if order is not None and order.file_size == 3:  # "big"
            raise Damaged("its numbers are in the order of big ends")
        place, length = self._record(file, records[name])
        if length > LONGEST_PICKLE:
            raise Damaged(f"its data.pkl has {length:,} bytes, where at most {LONGEST_PICKLE:,} are read")
        known: dict[str, Storage] = {}

        def persistent(told: Any) -> Any:
            kind, key, count = _storage(told)
            if key not in known:
                info = records.get(f"{home}data/{key}")
                if info is None:
                    raise Damaged(f"it lacks its record data/{key}")
                offset, held = self._record(file, info)
                dtype = storage_type(kind)
                if count * item_bytes(dtype) > held and item_bytes(dtype) < 16:
                    raise Damaged(f"its record data/{key} has {held:,} bytes, not {count * item_bytes(dtype):,}")
                known[key] = Storage(dtype, held, offset)
            found = known[key]
            dtype = storage_type(kind)
            return found if dtype == found.dtype else Storage(dtype, found.bytes, found.offset)

        return self._machine(Window(file, place, place + length), persistent).run()

    def _record(self, file: BinaryIO, info: zipfile.ZipInfo) -> tuple[int, int]:
        """Where the bytes of a record are, and how many. A record that is packed could be far larger than its file."""
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise Damaged(f"its record {info.filename} is packed, which PyTorch never does")
        back = file.tell()  # the pickle is being read from the same file
        file.seek(info.header_offset)
        head = file.read(30)
        file.seek(back)
        if head[:4] != b"PK\x03\x04":
            raise Damaged(f"its record {info.filename} is not where the archive says")
        place = info.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        if place + info.file_size > self.archive.bytes:
            raise Damaged(f"its record {info.filename} goes beyond the end of the file")
        self.archive.records.append(Record(info.filename, place, info.file_size, info.CRC))
        return place, info.file_size

    def _stream(self, window: Window) -> Any:
        """A file of torch before 1.6, or a plain pickle."""

        def refuse(told: Any) -> Any:
            del told
            raise Damaged("it wants something from outside of it")

        first = self._machine(window, refuse).run()
        return self._older(window) if first == MAGIC else first

    def _older(self, window: Window) -> Any:
        """Magic, protocol, system, data, keys; then the numbers of each key behind their count."""
        known: dict[str, Storage] = {}

        def persistent(told: Any) -> Any:
            kind, key, count = _storage(told)
            dtype = storage_type(kind)
            whole = known.setdefault(key, Storage(dtype, count * item_bytes(dtype)))
            view = told[5] if len(told) > 5 else None
            if view is None:
                return whole
            shift, held = view[1] * item_bytes(dtype), view[2] * item_bytes(dtype)
            if shift < 0 or shift + held > whole.bytes:
                raise Damaged("it holds a view that does not lie within its numbers")
            return Storage(dtype, held, whole=whole, shift=shift)

        protocol, system = (self._machine(window, persistent).run() for _ in range(2))
        if protocol != PROTOCOL or not isinstance(system, dict):
            raise Damaged(f"it is of the protocol {protocol if type(protocol) is int else '?'}, which is not known")
        if system.get("little_endian") is False:
            raise Damaged("its numbers are in the order of big ends")
        root = self._machine(window, persistent).run()
        keys = self._machine(window, persistent).run()
        for key in keys:
            count = int.from_bytes(window.read(8), "little")
            storage = known.get(_key(key))
            if storage is None or count * item_bytes(storage.dtype) != storage.bytes:
                raise Damaged("its numbers are not those that its pickle names")
            storage.offset = window.skip(storage.bytes)
        if any(storage.offset < 0 for storage in known.values()):
            raise Damaged("it lacks some of its numbers")
        return root

    def _nested(self, blob: Any) -> Any:
        """The storage in an older file of torch that a pickle holds as bytes."""
        if not isinstance(blob, Blob):
            raise Damaged("it holds numbers that are no bytes")
        file, back = self.archive.file, self.archive.file.tell()
        outer, self.rebuilder = self.rebuilder, Rebuilder(_too_deep, self.effort)
        try:
            if blob.offset:
                return self._stream(Window(file, blob.offset, blob.offset + blob.length))
            data = blob.data or b""  # protocols 0 to 2 write bytes as a text, so they are nowhere in the file
            found = self._stream(Window(io.BytesIO(data), 0, len(data)))
            if isinstance(found, Storage):
                found.data, found.offset = data[found.place : found.place + found.bytes], 0
            return found
        finally:
            self.rebuilder = outer
            file.seek(back)


def _storage(told: Any) -> tuple[Any, str, Any]:
    """The type, the key and the count of the numbers that a pickle wants from outside of it."""
    if told[0] != "storage":
        raise Damaged("it wants something from outside of it")
    return told[1], _key(told[2]), told[4]


def _key(told: Any) -> str:
    if not isinstance(told, str | int):  # spelled out, anything else may be without end
        raise Damaged("it holds numbers without a key")
    return str(told)


def _too_deep(blob: Any) -> Any:
    del blob
    raise Damaged("it holds files within files within files")
