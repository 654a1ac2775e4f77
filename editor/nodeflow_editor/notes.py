"""Who has which graph file open: a small note a file and editor, apart from the graphs. No Qt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from nodeflow_editor.settings import state_folder, write_whole

DAY = 86_400.0
"""Seconds after which a note of an editor whose process cannot be looked at counts as forgotten."""


@dataclass(frozen=True, slots=True)
class Note:
    """An editor that has a file open. `born` tells its process from a later one of the same number."""

    file: str
    pid: int
    host: str
    born: str
    since: float

    def alive(self) -> bool:
        """Whether that editor is still there, as far as can be told."""
        if self.host != socket.gethostname() or sys.platform == "win32":  # where to ask a process is to end it
            return time.time() - self.since < DAY
        return running(self.pid) and self.born in ("", born(self.pid))


def running(pid: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def born(pid: int) -> str:
    """When a process was started, as the system counts; empty where it does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


class Notes:
    """The notes of all editors of this user. Where none can be written nobody is warned, and that is all."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or state_folder() / "open"
        self._own: set[Path] = set()

    def others(self, file: Path) -> list[Note]:
        """The other editors that have a file open; notes of those that are no more are removed."""
        return [note for path, note in self._read(file) if path not in self._own]

    def put(self, file: Path) -> None:
        """Notes that this editor has a file open."""
        path = self._place(file)
        told = Note(os.path.realpath(file), os.getpid(), socket.gethostname(), born(os.getpid()), time.time())
        with contextlib.suppress(OSError):
            write_whole(path, json.dumps(asdict(told)))
            self._own.add(path)

    def drop(self, file: Path) -> None:
        """Takes this editor's note away."""
        path = self._place(file)
        self._own.discard(path)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Takes all of this editor's notes away."""
        for path in tuple(self._own):
            self._own.discard(path)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _place(self, file: Path) -> Path:
        return self._folder / f"{_key(file)}-{socket.gethostname()[:40]}-{os.getpid()}.json"

    def _read(self, file: Path) -> Iterator[tuple[Path, Note]]:
        for path in sorted(self._folder.glob(f"{_key(file)}-*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                note = Note(**json.loads(path.read_text("utf-8")))
                if note.alive():
                    yield path, note
                else:
                    path.unlink(missing_ok=True)


def _key(file: Path) -> str:
    return hashlib.blake2b(os.path.realpath(file).encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
