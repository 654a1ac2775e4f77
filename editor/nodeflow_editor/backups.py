"""Copies of graphs that are being worked on, apart from the user's files: what a crash leaves of an editor. No Qt.

Each editor has a folder of its own with a lock, in it a folder a graph, in that the last few states as graph files and
`about.json`, which says what they are copies of. An editor that ends in order takes its folder away.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from nodeflow.document import Document, parse, read, write
from nodeflow.errors import GraphError
from nodeflow_editor.claims import Claim, abandoned, new_claim
from nodeflow_editor.disk import look, stamp
from nodeflow_editor.settings import state_folder, write_whole

KEPT = 5
"""States of one graph."""
BYTES = 256 * 2**20
"""What the copies of one editor may take together: the oldest go first. The newest of a graph always stays."""
STATE = re.compile("0[0-9]{19}")
"""How the file of a state is called: by nanoseconds since 1970."""
CRASHES = 20
"""Editors whose copies are kept until somebody is asked about them; the oldest go first."""


@dataclass(frozen=True, slots=True)
class About:
    """What a folder of copies is of: a file, or a graph that was never saved under that name.

    seen: the digest of the file that the copies go on from; empty if that is not known.
    """

    file: str | None
    name: str
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """A copy that a crash left, and its text. `seen` as About has it."""

    path: Path
    file: Path | None
    name: str
    time: float
    text: str
    seen: str = ""

    def document(self) -> Document:
        """The graph. It was parsed before it was offered."""
        return parse(self.text, str(self.path))

    def superseded(self) -> bool:
        """Whether its file holds the same, or was written later.

        A file that is still what the copy goes on from was not, whatever the clocks say: that of a file server may be
        ahead, and any may have been set back.
        """
        found = stamp(self.file) if self.file is not None else None
        if self.file is None or found is None:
            return False
        if self.seen and (there := look(self.file)) is not None and there.digest == self.seen:
            return self.same()
        return found[0] / 1e9 >= self.time or self.same()

    def same(self) -> bool:
        """Whether its file holds the same."""
        try:
            return self.file is not None and write(read(self.file)) == self.text
        except GraphError:
            return False


class Backups:
    """The copies of one editor, and those that others left. May be used from several threads.

    What cannot be written is told once by `trouble`, which is empty as long as all is well.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._root = folder or state_folder() / "backups"
        self._lock = threading.RLock()
        self._own: Claim | None = None
        self._found: list[Claim] = []
        self._closed = False
        self.trouble = ""
        with contextlib.suppress(OSError):
            if self._root.is_dir():
                self._found = list(abandoned(self._root, _worth))
        for claim in self._found[:-CRASHES]:
            claim.remove()
        self._found = self._found[-CRASHES:]

    @property
    def folder(self) -> Path:
        """Where all copies are."""
        return self._root

    def put(self, key: str, text: str, about: About) -> bool:
        """Keeps a state of a graph, and lets go of its oldest. Whether it could be written."""
        with self._lock:
            if self._closed:
                return False
            try:
                place = self._claimed().folder / key
                write_whole(place / "about.json", json.dumps(asdict(about)))
                write_whole(place / f"{time.time_ns():020}.json", text)
            except OSError as error:
                self.trouble = f"no backup could be written to {self._root}: {error.strerror or error}"
                return False
            self.trouble = ""
            self._rotate()
            return True

    def drop(self, key: str) -> None:
        """Lets go of all states of a graph: it was closed in order."""
        with self._lock:
            if self._own is not None:
                shutil.rmtree(self._own.folder / key, ignore_errors=True)

    def keep_aside(self, file: Path) -> Path | None:
        """Copies a file as it is, before it is written over in spite of a warning. Where to; None if it cannot be."""
        with self._lock, contextlib.suppress(OSError):
            place = self._root.with_name("replaced") / f"{time.time_ns():020}-{file.name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
            _bound(sorted(place.parent.iterdir()), KEPT * 4, BYTES)
            return place
        return None

    def left(self) -> list[Left]:
        """What crashes left: of each graph the newest state that can be read. Of one file's, the newest of all."""
        found: dict[str, Left] = {}
        with self._lock:
            for claim in self._found:
                for folder in _folders(claim.folder):
                    newest = _newest(folder)
                    if newest is None:
                        continue
                    key = str(newest.file) if newest.file is not None else str(folder)
                    if key not in found or found[key].time < newest.time:
                        found[key] = newest
        return sorted(found.values(), key=lambda left: left.time)

    def settle(self, left: Left) -> None:
        """Lets go of what was left of a graph, older copies of the same file included: it has been dealt with."""
        with self._lock:
            for claim in tuple(self._found):
                for folder in _folders(claim.folder):
                    about = _about(folder)
                    if folder == left.path.parent or (left.file is not None and about.file == str(left.file)):
                        shutil.rmtree(folder, ignore_errors=True)
                if not any(_folders(claim.folder)):
                    claim.remove()
                    self._found.remove(claim)

    def close(self, *, leave: bool = False) -> None:
        """Ends in order: what is left of this editor goes, unless the next one is to offer it."""
        with self._lock:
            self._closed = True
            for claim in self._found:
                claim.release()
            if self._own is not None:
                if leave and _worth(self._own.folder):
                    self._own.release()
                else:
                    self._own.remove()
            self._found, self._own = [], None

    def _claimed(self) -> Claim:
        if self._own is None:
            self._root.mkdir(parents=True, exist_ok=True)
            self._own = new_claim(self._root)
        return self._own

    def _rotate(self) -> None:
        if self._own is None:
            return
        spare: list[Path] = []
        for folder in _folders(self._own.folder):
            states = _states(folder)
            for path in states[:-KEPT]:
                path.unlink(missing_ok=True)
            spare += states[-KEPT:-1]
        newest = sum(states[-1].stat().st_size for folder in _folders(self._own.folder) if (states := _states(folder)))
        _bound(sorted(spare, key=lambda path: path.name), len(spare), max(BYTES - newest, 0))


def _bound(paths: list[Path], count: int, most: int) -> None:
    """Removes the first of these files until at most so many, with so many bytes, are there."""
    sizes = {path: path.stat().st_size for path in paths}
    total = sum(sizes.values())
    for at, path in enumerate(paths):
        if len(paths) - at <= count and total <= most:
            return
        path.unlink(missing_ok=True)
        total -= sizes[path]


def _folders(claim: Path) -> Iterator[Path]:
    if claim.is_dir():
        yield from (path for path in sorted(claim.iterdir()) if path.is_dir())


def _states(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if STATE.fullmatch(path.stem))


def _worth(claim: Path) -> bool:
    return any(_states(folder) for folder in _folders(claim))


def _about(folder: Path) -> About:
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        found = About(**json.loads((folder / "about.json").read_text("utf-8")))
        if all(isinstance(text, str) for text in (found.name, found.file or "", found.seen)):
            return found
    return About(None, "Recovered")


def _newest(folder: Path) -> Left | None:
    about = _about(folder)
    for path in reversed(_states(folder)):
        with contextlib.suppress(OSError, ValueError, GraphError):
            text = path.read_text("utf-8")
            parse(text)
            file = Path(about.file) if about.file is not None else None
            return Left(path, file, about.name, int(path.stem) / 1e9, text, about.seen)
    return None
