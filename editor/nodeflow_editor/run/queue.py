"""The runs that wait, on disk: what an editor that crashed had not run yet is offered by the next one. No Qt.

Each editor has a folder of its own, with a lock beside it that goes with its process. A folder that nobody holds was
left by a crash.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nodeflow_editor.claims import Claim, abandoned, new_claim
from nodeflow_editor.settings import state_folder, write_whole

KNOWN = 64
"""Runs that are over and still known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that waits, or is going (`begun`): the text of its graph and how it is run.

    `how` holds more that `client.Worker.run` takes, such as the device.
    """

    id: int
    graph: str
    title: str = ""
    name: str = "graph"
    file: str | None = None
    folder: str = "."
    out: str = "outputs"
    until: str | None = None
    added: float = 0.0
    begun: bool = False
    how: Mapping[str, Any] = field(default_factory=dict)


KINDS: Mapping[str, Any] = {
    "id": int, "graph": str, "title": str, "name": str, "file": str | None, "folder": str, "out": str,
    "until": str | None, "added": int | float, "begun": bool, "how": dict,
}  # fmt: skip
"""What the fields of an entry may be: its file may be damaged."""


class RunQueue:
    """The runs that wait, in their order; all methods may be called from any thread. Those that only look never wait.

    What cannot be written is kept in memory alone, and `trouble` says why. What is written outlives the editor at once,
    and a power failure once `sync` was called: to wait for the disk at each change would hold up a hundred runs, and
    whoever wants to cancel them, for seconds.

    Args:
        folder: where the queues of all editors are; the user's own folder for state if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._root = folder if folder is not None else state_folder() / "queue"
        self._lock = threading.RLock()
        self._entries: list[Entry] = []
        self._over: deque[Entry] = deque(maxlen=KNOWN)
        self._unsynced: dict[Path, None] = {}
        self._numbers = itertools.count(1)
        self.trouble = ""
        self._own: Claim | None = None
        self._found: list[Claim] = []
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            self._found = list(abandoned(self._root, lambda folder: bool(_read(folder))))
            self._own = new_claim(self._root)
        except OSError as error:
            self.trouble = error.strerror or str(error)
        self._left = [entry for claim in self._found for entry in _read(claim.folder)]

    def number(self) -> int:
        """A number that no other run of this editor has."""
        return next(self._numbers)

    def entries(self) -> tuple[Entry, ...]:
        """All, in their order; those that are going come first."""
        return tuple(sorted(self._entries.copy(), key=lambda entry: not entry.begun))

    def entry(self, number: int) -> Entry | None:
        """The run of that number, for a while also when it is over."""
        return next((entry for entry in (*self._entries.copy(), *self._over.copy()) if entry.id == number), None)

    def add(self, entry: Entry) -> None:
        """Puts a run at the end."""
        with self._lock:
            self._entries.append(entry if entry.added else replace(entry, added=time.time()))
            self._write(self._entries[-1])
            self._write_order()

    def begin(self) -> Entry | None:
        """The next run, which is going from now on; None if none waits."""
        with self._lock:
            for at, entry in enumerate(self._entries):
                if not entry.begun:
                    self._entries[at] = replace(entry, begun=True)
                    self._write(self._entries[at])
                    return self._entries[at]
            return None

    def put_back(self, number: int) -> None:
        """A run that was going waits again, before the others."""
        with self._lock:
            for at, entry in enumerate(self._entries):
                if entry.id == number:
                    self._entries.insert(0, replace(self._entries.pop(at), begun=False))
                    self._write(self._entries[0])
                    self._write_order()

    def done(self, number: int) -> None:
        """A run is over."""
        with self._lock:
            self._drop([number])

    def remove(self, number: int) -> bool:
        """Takes a run out that waits; False if there is none of that number, or it is going."""
        with self._lock:
            waits = any(entry.id == number and not entry.begun for entry in self._entries)
            if waits:
                self._drop([number])
            return waits

    def clear(self) -> tuple[int, ...]:
        """Takes out all that wait, and says which."""
        with self._lock:
            numbers = tuple(entry.id for entry in self._entries if not entry.begun)
            self._drop(numbers)
            return numbers

    def move(self, number: int, to: int) -> bool:
        """Puts a run that waits at the place `to` among those that wait, 0 being the next."""
        with self._lock:
            waiting = [entry for entry in self._entries if not entry.begun]
            found = next((entry for entry in waiting if entry.id == number), None)
            if found is None:
                return False
            waiting.remove(found)
            waiting.insert(max(0, min(to, len(waiting))), found)
            self._entries = [entry for entry in self._entries if entry.begun] + waiting
            self._write_order()
            return True

    # --- what a crash left

    def left_over(self) -> tuple[Entry, ...]:
        """Runs of editors that crashed. One with `begun` was going then, and may be the reason."""
        return tuple(self._left)

    def take_up(self, numbers: Sequence[int] | None = None) -> tuple[Entry, ...]:
        """Puts left runs (those at these places of `left_over`, all if None) at the end; the others are given up."""
        with self._lock:
            chosen = self._left if numbers is None else [self._left[at] for at in numbers]
            taken = tuple(replace(entry, id=self.number(), begun=False) for entry in chosen)
            for entry in taken:
                self.add(entry)
            if self.trouble:  # they stand on the disk only where they were left: better offered twice than lost
                self._left = []
            else:
                self._give_up()
            return taken

    def give_up(self) -> None:
        """Forgets what was left."""
        with self._lock:
            self._give_up()

    def sync(self) -> bool:
        """Has the disk take one of the files for good that were written since; False if there are no more."""
        with self._lock:
            path = next(iter(self._unsynced), None)
            if path is None:
                return False
            del self._unsynced[path]
        with contextlib.suppress(OSError), path.open("r+b") as file:  # it may be gone: its run is over
            os.fsync(file.fileno())
        return True

    def close(self) -> None:
        """Ends the queue. What still waits stays on disk, and is offered by the next editor; what was left likewise."""
        with self._lock:
            for claim in self._found:
                claim.release()
            if self._own is not None:
                if self._entries:
                    self._own.release()
                else:
                    self._own.remove()
            self._found, self._own = [], None

    def _give_up(self) -> None:
        for claim in self._found:
            claim.remove()
        self._found, self._left = [], []

    def _drop(self, numbers: Sequence[int]) -> None:
        dropped = set(numbers)
        self._over += [entry for entry in self._entries if entry.id in dropped]
        self._entries = [entry for entry in self._entries if entry.id not in dropped]
        if self._own is not None:
            for number in numbers:
                with contextlib.suppress(OSError):
                    (self._own.folder / f"{number:08}.json").unlink(missing_ok=True)

    def _write(self, entry: Entry) -> None:
        if self._own is not None:
            path = self._own.folder / f"{entry.id:08}.json"
            try:
                write_whole(path, json.dumps(asdict(entry)), synced=False)
            except OSError as error:
                self.trouble = error.strerror or str(error)
            else:
                self.trouble, self._unsynced[path] = "", None

    def _write_order(self) -> None:
        if self._own is not None:
            path = self._own.folder / "order"
            with contextlib.suppress(OSError):  # without it the runs come in the order of their numbers
                write_whole(path, json.dumps([entry.id for entry in self._entries]), synced=False)
                self._unsynced[path] = None


def _read(folder: Path) -> list[Entry]:
    """The runs in a folder in their order; a file that is damaged is passed over."""
    found: dict[int, Entry] = {}
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            entry = Entry(**json.loads(path.read_text("utf-8")))
            if all(isinstance(getattr(entry, name), kinds) for name, kinds in KINDS.items()):
                found[entry.id] = entry
    order: list[int] = []
    with contextlib.suppress(OSError, ValueError, RecursionError):
        read = json.loads((folder / "order").read_text("utf-8"))
        order = [number for number in read if type(number) is int and number in found] if isinstance(read, list) else []
    return [found[number] for number in dict.fromkeys((*order, *found))]
