"""Results by the name of what they were computed from: in memory, and on disk between runs and processes.

Both are bounded by bytes and forget what was used least recently. Several processes may share one folder. Nothing
that goes wrong with the disk is an error of the run: a damaged entry is a miss, an unwritable one stays in memory.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from nodeflow.contents import Entry, Result, measured
from nodeflow.storage import Allowed, Damaged, Packed, Unstorable, fetch, pack

WORTH_WRITING = 0.05
"""Seconds of computing from which a result goes to disk. To write and read back takes 0.016 s for a picture of
512 x 512 and 0.08 s for one of 1024 x 1024 (2 busy cores), so that what is quicker is as soon computed again."""
AIR = 10
"""Eviction frees a tenth of the disk's bound at once, so that not every write has to look at the whole folder."""
LOOK_AGAIN = 16
"""A process looks at the folder again after it wrote a sixteenth of the bound: others write there as well."""
STALE_SECONDS = 3600.0
"""Age at which the unfinished file of another process is a dead one's."""
SUFFIX = ".safetensors"
KEY = re.compile(r"[0-9a-f]{8,128}")
UNFINISHED = re.compile(r"\.[0-9a-f]{8,128}\.\d+\.[0-9a-f]+\.tmp")


class Stored(NamedTuple):
    """A result on disk: its key, bytes, and when it was last used (seconds since the epoch)."""

    key: str
    bytes: int
    used: float
    path: Path


@dataclass(slots=True)
class Stats:
    """What a cache did since it was opened. `unwritten` counts the results that did not reach the disk, by reason.

    `hits` includes `disk_hits`; `entries` and `memory_bytes` are what memory holds now.
    """

    hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    entries: int = 0
    memory_bytes: int = 0
    evicted: int = 0
    written: int = 0
    damaged: int = 0
    unwritten: Counter[str] = field(default_factory=Counter)


def ours(module: str) -> bool:
    """Whether classes of `module` are nodeflow's own; a run admits its plugins' as well."""
    return module.partition(".")[0] == "nodeflow"


class Folder:
    """The disk's half: `ab/abcd....safetensors`, written whole or not at all, safe for many processes at once.

    A file is only ever replaced or removed, never changed, so a reader sees one version of it. Each process knows
    what it wrote itself and looks again every sixteenth of the bound: n processes exceed it by n sixteenths, or by one
    result each, at most.
    """

    def __init__(self, path: Path, limit: int, allowed: Allowed) -> None:
        self.path, self.limit, self.allowed = path, limit, allowed
        self._lock = threading.Lock()
        self._total = limit  # as good as full, until the first write looks
        self._since = 0

    def file(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"a cache key is 8 to 128 hexadecimal digits, not {key!r}")
        return self.path / key[:2] / f"{key}{SUFFIX}"

    def read(self, key: str) -> Result:
        """The result, marked as used now; raises what `storage.fetch` raises."""
        result = fetch(self.file(key), self.allowed, self.limit)
        self.touch(key)
        return result

    def touch(self, key: str) -> None:
        """Marks an entry as used now."""
        with contextlib.suppress(OSError):  # a folder that we may only read still serves
            os.utime(self.file(key))

    def write(self, key: str, packed: Packed, used: Callable[[], None]) -> None:
        """Writes an entry; `used` is called before anything is evicted, to mark what memory knows to be in use.

        Raises:
            OSError: the disk is full, or the folder may not be written; nothing is left behind.
        """
        path = self.file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._reserve(packed.size, used)
        unfinished = path.with_name(f".{key}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            with open(unfinished, "xb") as file:
                packed.write(file)
            # no fsync: after a power cut the file may be short, which its checksum tells
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise

    def _reserve(self, size: int, used: Callable[[], None]) -> None:
        self._since += size
        self._total += size
        if self._total <= self.limit and self._since <= self.limit // LOOK_AGAIN:
            return
        used()
        entries = sorted(self.entries(), key=lambda entry: entry.used)
        total = sum(entry.bytes for entry in entries)
        if total + size > self.limit:
            goal = self.limit - self.limit // AIR - size
            for entry in entries:
                if total <= goal:
                    break
                with contextlib.suppress(OSError):  # another process was quicker, or its system keeps open files
                    entry.path.unlink()
                total -= entry.bytes
        self._total, self._since = total + size, size

    def entries(self) -> Iterator[Stored]:
        """All entries, in no order; what dead processes left unfinished is removed on the way."""
        for inner in self._listed(self.path):
            if re.fullmatch("[0-9a-f]{2}", inner.name) and inner.is_dir(follow_symlinks=False):
                for file in self._listed(inner.path):
                    with contextlib.suppress(OSError):  # gone since it was listed
                        yield from self._seen(file)

    def _listed(self, path: str | Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(path) as found:
                return list(found)
        except OSError:  # not there yet, or a folder that somebody removes
            return []

    def _seen(self, file: os.DirEntry[str]) -> Iterator[Stored]:
        key, dot, _ = file.name.partition(SUFFIX)
        if not file.is_file(follow_symlinks=False):
            return  # nobody's entry, whatever its name says; a new entry of that name takes the place of a pipe
        if dot and KEY.fullmatch(key) and file.name == key + SUFFIX:
            stat = file.stat(follow_symlinks=False)
            yield Stored(key, stat.st_size, stat.st_mtime, Path(file.path))
        elif UNFINISHED.fullmatch(file.name) and file.stat().st_mtime < time.time() - STALE_SECONDS:
            Path(file.path).unlink()

    def remove(self, key: str) -> None:
        with contextlib.suppress(OSError):
            self.file(key).unlink()


class Cache:
    """Remembers results by key. Thread-safe; a result given back is the very one that was put.

    So nobody may change it: a result in memory whose tensors were written to is a miss, and no longer kept.

    Args:
        folder: where results live between runs; None for memory only.
        memory_bytes: what the results in memory may take, by estimate.
        disk_bytes: what the folder may take.
        allowed: of which modules classes may be rebuilt from disk.
        damaged: told the key and the reason when an entry turns out to be damaged.
    """

    def __init__(
        self,
        folder: Path | None,
        memory_bytes: int,
        disk_bytes: int,
        *,
        allowed: Allowed = ours,
        damaged: Callable[[str, str], None] | None = None,
    ) -> None:
        self.memory_bytes = memory_bytes
        self.disk = Folder(folder, disk_bytes, allowed) if folder is not None else None
        self._tell = damaged
        self._lock = threading.Lock()
        self._memory: OrderedDict[str, Entry] = OrderedDict()
        self._on_disk: set[str] = set()
        self._used: set[str] = set()
        self._stats = Stats()

    def get(self, key: str) -> Result | None:
        """The result, or None. Its tensors are where they were when it was put, or on the CPU if it was on disk."""
        entry = self.find(key)
        return entry.result if entry is not None else None

    def find(self, key: str) -> Entry | None:
        """The same with what it holds."""
        with self._lock:
            entry = self._memory.get(key)
            if entry is not None and entry.tensors and not entry.intact():
                self._drop(key)
                entry = None
            if entry is not None:
                self._memory.move_to_end(key)
                if key in self._on_disk:
                    self._used.add(key)
                if not entry.guards:
                    self._stats.hits += 1
                    return entry
        if entry is None and self.disk is not None:
            entry = self._read(self.disk, key)
        stands = entry is not None and all(guard.stands() for guard in entry.guards)
        with self._lock:
            self._stats.hits += stands
            self._stats.misses += not stands
        return entry if stands else None

    def has(self, key: str) -> bool:
        """Whether `find` would find something, as far as can be told without reading it; that is no use of it."""
        with self._lock:
            entry = self._memory.get(key)
        if entry is not None:
            return entry.intact()
        return self.disk is not None and self.disk.file(key).exists()

    def put(self, key: str, result: Result, seconds: float) -> Entry:
        """Remembers a result that took so many seconds to compute; never fails for want of room or permission.

        Raises:
            ValueError: it holds a tensor that cannot be kept; see `contents.measured`.
        """
        entry = measured(result)
        with self._lock:
            self._keep(key, entry)
        if self.disk is not None and seconds >= WORTH_WRITING:
            self._write(self.disk, key, result)
        return entry

    def sift(self) -> None:
        """Drops from memory the results whose tensors were written to."""
        with self._lock:
            for key in [key for key, entry in self._memory.items() if not entry.intact()]:
                self._drop(key)

    def forget(self, key: str) -> None:
        """Drops a result from memory and disk."""
        with self._lock:
            self._drop(key)
        if self.disk is not None:
            self.disk.remove(key)

    def clear(self) -> None:
        """Drops all results from memory and disk."""
        with self._lock:
            for key in list(self._memory):
                self._drop(key)
        for entry in self.stored():
            entry.path.unlink(missing_ok=True)

    def shed(self) -> int:
        """Drops from memory the results that an accelerator holds, when it runs out; returns their bytes."""
        with self._lock:
            before = self._stats.memory_bytes
            for key in [key for key, entry in self._memory.items() if entry.afar]:
                self._drop(key)
            return before - self._stats.memory_bytes

    def stored(self) -> list[Stored]:
        """What is on disk, least recently used first."""
        return sorted(self.disk.entries(), key=lambda entry: entry.used) if self.disk is not None else []

    def stats(self) -> Stats:
        """The figures as they are now; a copy."""
        with self._lock:
            now = self._stats
            return replace(now, entries=len(self._memory), unwritten=now.unwritten.copy())

    def _keep(self, key: str, entry: Entry, on_disk: bool = False) -> None:
        if key in self._memory:
            self._drop(key)
        if entry.bytes > self.memory_bytes:
            return
        self._memory[key] = entry
        stats = self._stats
        stats.memory_bytes += entry.bytes
        if on_disk:
            self._on_disk.add(key)
        while stats.memory_bytes > self.memory_bytes:
            self._drop(next(iter(self._memory)))
            stats.evicted += 1

    def _drop(self, key: str) -> None:
        entry = self._memory.pop(key, None)
        if entry is not None:
            self._stats.memory_bytes -= entry.bytes
            self._on_disk.discard(key)

    def _read(self, disk: Folder, key: str) -> Entry | None:
        try:
            entry = measured(disk.read(key))
        except (OSError, MemoryError):
            return None
        except Damaged as error:
            disk.remove(key)
            with self._lock:
                self._stats.damaged += 1
            if self._tell is not None:
                self._tell(key, str(error))
            return None
        with self._lock:
            self._stats.disk_hits += 1
            self._keep(key, entry, on_disk=True)
        return entry

    def _write(self, disk: Folder, key: str, result: Result) -> None:
        try:
            packed = pack(result, disk.allowed)
            if packed.size > disk.limit:
                raise Unstorable("larger than the whole cache on disk")
            disk.write(key, packed, self._touch_used)
        except (Unstorable, OSError, MemoryError) as error:
            reason = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
            with self._lock:
                self._stats.unwritten[reason] += 1
            return
        with self._lock:
            self._stats.written += 1
            if key in self._memory:
                self._on_disk.add(key)

    def _touch_used(self) -> None:
        with self._lock:
            used, self._used = self._used, set()
        for key in used:
            if self.disk is not None:
                self.disk.touch(key)
