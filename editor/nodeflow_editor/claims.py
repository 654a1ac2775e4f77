"""Folders that belong to one running editor: with a lock beside them that goes with its process. No Qt.

A folder that nobody holds was left by a crash.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class Claim:
    """A folder and the lock that says whose it is."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError if somebody else holds it."""
        self.folder = folder
        self._path = folder.with_name(f"{folder.name}.lock")
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._descriptor)
        except OSError:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Lets go of the folder; what is in it stays for the next editor."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """Removes the folder, and lets go."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if sys.platform == "win32":  # where an open file cannot be removed
            self.release()
        with contextlib.suppress(OSError):
            self._path.unlink()
        if sys.platform != "win32":
            self.release()


def _lock(descriptor: int) -> None:
    """Holds a file for as long as it is open; raises OSError at once if another process does."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def new_claim(root: Path) -> Claim:
    """A folder of one's own.

    Raises:
        OSError: none can be made there.
    """
    for _ in range(100):
        folder = root / f"{time.time_ns():x}-{os.getpid()}"
        try:
            claim = Claim(folder)  # before the folder is there, or another editor would take it for abandoned
            folder.mkdir()
        except OSError:
            if not root.is_dir() or not os.access(root, os.W_OK):
                raise
            continue
        return claim
    raise OSError(f"no lock can be had in {root}")


def abandoned(root: Path, worth: Callable[[Path], bool]) -> Iterator[Claim]:
    """The folders of editors that are no more, the oldest first; those that are not `worth` keeping are removed."""
    for path in sorted(root.iterdir()):
        folder = path.with_suffix("") if path.suffix == ".lock" else path
        if path.suffix == ".lock" and folder.is_dir():
            continue  # it comes by itself
        with contextlib.suppress(OSError):
            claim = Claim(folder)
            if worth(folder):
                yield claim
            else:
                claim.remove()
