"""The pictures that the viewer keeps, and what is held of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from PySide6.QtCore import QObject, QSize, QThreadPool
from PySide6.QtGui import QImage, QImageReader

from nodeflow_editor.batches import Grid, sheet
from nodeflow_editor.viewer.source import Source

KEPT = 30
"""Pictures and batches in the strip."""
ROOM = 768 * 2**20
"""Bytes of all pictures; those longest not looked at go first, but for A and B."""
SHEET = -1
"""Where the pictures of a batch stand side by side, among the places of single ones."""
SIDE, CELL = 4096, 512
"""Pixels of the longest side of a batch side by side, and of one picture in it that comes from a file."""
Origin = QImage | Path


@dataclass(slots=True)
class Kept:
    """A picture, or a batch of `count`, of which the first are there.

    origins: where they come from. whole: the size of each if they were made small on their way; empty if that is not
    known. at: which is looked at. together: whether all are, side by side. smalls: the same, made small.
    """

    title: str
    origins: tuple[Origin, ...]
    whole: QSize | None = None
    count: int = 1
    at: int = 0
    together: bool = False
    smalls: tuple[QImage, ...] = ()
    sources: dict[int, Source] = field(default_factory=dict)

    @property
    def place(self) -> int:
        """What of it is looked at."""
        return SHEET if self.together else self.at

    @property
    def source(self) -> Source | None:
        """That, if it is held."""
        return self.sources.get(self.place)

    @property
    def origin(self) -> Origin | None:
        """Where that comes from; None of several side by side."""
        return None if self.together else self.origins[self.at]

    @property
    def where(self) -> str:
        """Which of its batch it is; empty of a picture alone."""
        if self.count == 1:
            return ""
        first = f", of which the first {len(self.origins):,} are here" if len(self.origins) < self.count else ""
        return f"all {self.count:,}{first}" if self.together else f"{self.at + 1:,} of {self.count:,}{first}"

    def measures(self, size: QSize) -> str:
        """Its size in words; that of the picture itself as well where this is a small one."""
        if self.together:
            return "side by side"
        said = f"{size.width()} × {size.height()}"  # as people write sizes
        if self.whole is None:
            return said
        return f"{said}, a preview" + (
            "" if self.whole.isEmpty() else f" of {self.whole.width()} × {self.whole.height()}"
        )

    @property
    def note(self) -> str:
        """What to say where it is handed on; empty if it is one picture, and whole."""
        if self.together:
            return f": {len(self.origins):,} pictures side by side, made small"
        return ": a preview, made small; as an output of the graph it comes whole" if self.whole is not None else ""

    def is_file(self, ending: str) -> bool:
        """Whether it is a file of that form already."""
        return isinstance(self.origin, Path) and self.origin.suffix.lower() == ending.lower()

    def grid(self) -> Grid:
        """How all of them stand side by side."""
        first = (*self.smalls, *self.origins)[0]
        size = first.size() if isinstance(first, QImage) else QImageReader(str(first)).size()
        return Grid.of(len(self.origins), size.height() / size.width() if size.isValid() and size.width() else 1.0)


class Shelf:
    """All of them by key, the last that was looked at at the end, and B, which stays as it was when it was pinned.

    Args:
        pool: where pictures are read.
        parent: of the sources.
        grown: told that more of a key's picture is there.
        gone: told of keys that are kept no more.
    """

    def __init__(
        self, pool: QThreadPool, parent: QObject, grown: Callable[[str], None], gone: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._pool, self._parent, self._grown, self._gone = pool, parent, grown, gone
        self.kept: OrderedDict[str, Kept] = OrderedDict()
        self.b: Kept | None = None

    def put(self, key: str, kept: Kept) -> None:
        """Keeps what is new of a key; of a batch, the same place is looked at as before."""
        before = self.kept.pop(key, None)
        if before is not None:
            kept.at = min(before.at, len(kept.origins) - 1)
            kept.together = before.together and len(kept.origins) > 1
            self._drop(before, before.sources)
        self.kept[key] = kept

    def pin(self, key: str) -> Kept:
        """Keeps what is looked at of a key as B."""
        kept = self.kept[key]
        self.b = replace(kept, sources={kept.place: self.source(key)})
        return self.b

    def unpin(self) -> None:
        """Lets B go."""
        before, self.b = self.b, None
        held = {id(source) for kept in self.kept.values() for source in kept.sources.values()}
        if before is not None:
            self._drop(before, [place for place, source in before.sources.items() if id(source) not in held])

    def source(self, key: str, at: int | None = None) -> Source:
        """A key's picture: that which is looked at, or the one at that place of its batch."""
        kept = self.kept[key]
        place = kept.place if at is None else at
        if place not in kept.sources:
            made = kept.sources[place] = self._made(kept, place)
            made.changed.connect(lambda: self._grown(key))
        return kept.sources[place]

    def _made(self, kept: Kept, place: int) -> Source:
        if place == SHEET:
            pictures, grid = kept.smalls or kept.origins, kept.grid()
            return Source.of_call(lambda: _together(pictures, grid), self._pool, self._parent)
        origin = kept.origins[place]
        if isinstance(origin, QImage):
            return Source.of_image(origin, self._pool, self._parent)
        return Source.of_file(origin, self._pool, self._parent)

    def prepare(self, key: str) -> None:
        """Reads the neighbours of a batch's picture, if it is no large one: they are looked at next."""
        kept = self.kept[key]
        if kept.count > 1 and not kept.together and kept.source is not None and kept.source.whole() is not None:
            for near in (kept.at - 1, kept.at + 1):
                self.source(key, near % len(kept.origins))

    def tidy(self, current: str) -> None:
        """Lets go of what is more than is kept, in number and in bytes."""
        total = sum(source.bytes for kept in self.kept.values() for source in kept.sources.values())
        for key in list(self.kept):
            kept = self.kept[key]
            if key == current:
                spare = [place for place in kept.sources if place != kept.place and total > ROOM]
            elif len(self.kept) > KEPT or (total > ROOM and any(type(origin) is QImage for origin in kept.origins)):
                del self.kept[key]
                self._gone(key)
                spare = list(kept.sources)
            else:
                spare = list(kept.sources) if total > ROOM else []
            total -= sum(kept.sources[place].bytes for place in spare)
            self._drop(kept, spare)

    def stop(self) -> None:
        """Ends what is being read."""
        for kept in (*self.kept.values(), *([self.b] if self.b is not None else [])):
            for source in kept.sources.values():
                source.stop()

    def _drop(self, kept: Kept, places: Iterable[int]) -> None:
        """Lets go of what is held of a picture, but for what is B as well."""
        for place in list(places):
            source = kept.sources.pop(place)
            if self.b is None or source not in self.b.sources.values():
                source.drop()


def _together(pictures: Iterable[Origin], grid: Grid) -> QImage:
    """Pictures side by side; those of files are read small."""
    return sheet([_small(picture) for picture in pictures], grid, SIDE)


def _small(picture: Origin) -> QImage:
    if isinstance(picture, QImage):
        return picture
    reader = QImageReader(str(picture))
    reader.setDecideFormatFromContent(True)
    reader.setAutoTransform(True)
    size = reader.size()
    if size.isValid() and max(size.width(), size.height()) > CELL:
        scale = CELL / max(size.width(), size.height())
        reader.setScaledSize(QSize(max(1, round(size.width() * scale)), max(1, round(size.height() * scale))))
    image = reader.read()
    if image.isNull():
        raise ValueError(f"{picture.name} cannot be shown: {reader.errorString()}")
    return image
