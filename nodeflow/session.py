"""The context that a running node gets: it reports, cancels, keeps files in bounds and loads through residency."""

from __future__ import annotations

import os
import queue
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from nodeflow.context import Context, count
from nodeflow.errors import Cancelled
from nodeflow.events import Event, Previewed, Stepped
from nodeflow.folders import model_folders
from nodeflow.regular import odd_kind
from nodeflow.values import Composition, Image, Model, Recipe

T = TypeVar("T")

REPORT = 0.05
"""Seconds between two reports of one node: a screen shows no more, and a thousand fast steps stay cheap."""
PREVIEW = 0.3
"""Seconds between two previews; decoding one costs as much as a few steps."""


class Cancel:
    """A run's stop button; `press` may be called from any thread."""

    def __init__(self) -> None:
        self._pressed = threading.Event()

    def press(self) -> None:
        self._pressed.set()

    @property
    def pressed(self) -> bool:
        return self._pressed.is_set()


@dataclass(frozen=True, slots=True)
class Permissions:
    """Where a run may read and write.

    out: files are written below this folder, and may be read there. read: files may be read below these; the working
    directory and the model folders (`folders.model_folders`) unless others are named. fetch: the models of the hub
    that may be fetched, by name, or "*" for all that the graph names.
    """

    out: Path = field(default_factory=lambda: Path("outputs"))
    read: tuple[Path, ...] = field(default_factory=lambda: (Path.cwd(), *model_folders()))
    fetch: frozenset[str] = frozenset()

    def readable(self, path: Path) -> Path:
        """The path, resolved.

        Raises:
            PermissionError: it lies outside the folders that may be read.
            ValueError: it leads to a pipe, a device or a socket, which a node could wait on for ever.
            OSError: its links lead in a circle.
        """
        resolved = _real(path)
        if any(resolved.is_relative_to(_real(folder)) for folder in (*self.read, self.out)):
            mode = _mode(path)
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise ValueError(f'"{path}" is {odd_kind(mode)}, not a file\n    name a file')
            return resolved
        folders = ", ".join(str(folder) for folder in self.read)
        inside = any(path.absolute().is_relative_to(folder.absolute()) for folder in self.read)
        link = f" is a link to {resolved}, which" if inside and ".." not in path.parts else ""
        cure = "copy it into one of them, name its folder in NODEFLOW_MODELS, or start nodeflow in a folder above it"
        raise PermissionError(f'"{path}"{link} lies outside the folders that a graph may read ({folders})\n    {cure}')

    def writable(self, name: Path) -> Path:
        """The path below the output folder, its folders made.

        Raises:
            PermissionError: it leads out of the output folder.
        """
        root = _real(self.out)
        resolved = _real(root / name)
        if not resolved.is_relative_to(root) or resolved == root:
            raise PermissionError(f'"{name}" leads out of the output folder {self.out}')
        resolved.parent.mkdir(parents=True, exist_ok=True)
        return resolved


def _real(path: Path) -> Path:
    """The path, its links followed; at links in a circle `Path.resolve` raises an error of its own in some Pythons."""
    return Path(os.path.realpath(path))


def _mode(path: Path) -> int:
    """The kind of file that a path leads to; that of a regular one where there is none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return stat.S_IFREG


def ends_the_run(error: BaseException, aside: bool = False) -> bool:
    """Whether an error is no node's: a cancel, or Ctrl+C, which Python raises in the main thread and unless ignored."""
    if isinstance(error, KeyboardInterrupt):
        here = not aside and threading.current_thread() is threading.main_thread()
        return here and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    return isinstance(error, Cancelled)


class RunContext(Context):
    """A node's view of its run. Every report goes through `emit`."""

    def __init__(
        self,
        node: str,
        *,
        emit: Callable[[Event], None],
        cancel: Cancel,
        permissions: Permissions,
        load: Callable[[Model], Any],
        device: str = "cpu",
        about: str = "",
        watched: bool = False,
    ) -> None:
        self.node, self.device, self.about = node, device, about
        self._emit, self._cancel, self._permissions, self._load = emit, cancel, permissions, load
        self._watched = watched
        self._text = ""
        self._drawn = 0.0

    def steps(
        self, items: Iterable[T], *, total: int | None = None, preview: Callable[[], Image] | None = None
    ) -> Iterator[T]:
        total = count(items, total)
        began = reported = time.monotonic()
        self._stop_if_asked()
        self._emit(Stepped(self.node, 0, total, None, self._text))
        for done, item in enumerate(items, 1):
            yield item
            self._stop_if_asked()
            now = time.monotonic()
            if now - reported >= REPORT or done == total:
                reported = now
                left = (now - began) / done * max(total - done, 0) if total is not None else None
                self._emit(Stepped(self.node, done, total, left, self._text))
            if preview is not None and self._watched and now - self._drawn >= PREVIEW:
                self._drawn = now
                self.preview(preview())

    def _stop_if_asked(self) -> None:
        if self._cancel.pressed:
            raise Cancelled

    def say(self, text: str) -> None:
        self._text = text

    def preview(self, image: Image) -> None:
        if self._watched:
            self._emit(Previewed(self.node, image))

    def load(self, recipe: Recipe) -> Any:
        if isinstance(recipe, Model):
            return self._load(recipe)
        if isinstance(recipe, Composition):
            return recipe.assemble(self.load)
        return super().load(recipe)

    def read(self, path: str | Path) -> Path:
        return self._permissions.readable(Path(path))

    def write(self, name: str | Path) -> Path:
        return self._permissions.writable(Path(name))


class Said(Generic[T]):
    """A queue of what is said, in which a preview that nobody has taken yet gives way to the next one of its node.

    So a node that shows more than anybody looks at fills no memory.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[T | _Shown] = queue.SimpleQueue()
        self._newest: dict[str, T] = {}
        self._lock = threading.Lock()

    def put(self, said: T) -> None:
        if not isinstance(said, Previewed):
            self._queue.put(said)
            return
        with self._lock:
            waits = said.node in self._newest
            self._newest[said.node] = said
        if not waits:
            self._queue.put(_Shown(said.node))

    def get(self) -> T:
        """What comes next, once it is there."""
        said = self._queue.get()
        if not isinstance(said, _Shown):
            return said
        with self._lock:
            return self._newest.pop(said.node)


@dataclass(frozen=True, slots=True)
class _Shown:
    """The place of a node's newest preview in the queue."""

    node: str


class Aside:
    """Calls a function in a thread of its own, and yields what it reports while it computes."""

    def __init__(self, compute: Callable[[Callable[[Event], None]], Any], cancel: Cancel) -> None:
        self._compute, self._cancel = compute, cancel
        self._said: Said[Event | None] = Said()
        self._returned: Any = None
        self._raised: BaseException | None = None

    def _work(self) -> None:
        try:
            self._returned = self._compute(self._said.put)
        except BaseException as error:
            self._raised = error
        finally:
            self._said.put(None)

    def events(self) -> Iterator[Event]:
        thread = threading.Thread(target=self._work, name="nodeflow-node", daemon=True)
        thread.start()
        try:
            while (event := self._said.get()) is not None:
                yield event
        except BaseException:
            self._cancel.press()
            raise
        thread.join()

    def result(self) -> Any:
        """What the function returned, once its events are over; raises what it raised."""
        if self._raised is not None:
            raise self._raised
        return self._returned
