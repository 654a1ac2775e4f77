"""A picture at the sizes that are looked at: its halves in memory, bands of a large file as they come into sight.

What takes long is done in a pool of threads; the pictures that come of it arrive by signals.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, floor, log2
from pathlib import Path
from threading import Event

from PySide6.QtCore import QObject, QPoint, QRect, QRectF, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QColor, QImage, QImageReader

from nodeflow_editor.viewer.bands import Bands, bands_of, halved, shrunk

WHOLE = 32 * 2**20
"""Pixels of a picture that is held whole: 128 MB, with its halves 171 MB."""
FIRST = 4 * 2**20
"""Pixels from which a file is read at reduced size first: a 4k x 2k PNG takes 0.2 s."""
OVERVIEW = 4096
"""Pixels of the longer side that a larger picture is held at: 64 MB for a square."""
SMALLEST = 512
"""The last half is no larger than that."""
BANDS = 256 * 2**20
"""Bytes of bands that are kept; those not seen for longest go first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a picture: what of which image covers which box of the picture, in the picture's own pixels."""

    image: QImage
    within: QRectF
    box: QRectF


@dataclass(frozen=True, slots=True)
class _Level:
    """From the pool: a picture of 1 / 2 ** number the size."""

    number: int
    image: QImage


@dataclass(frozen=True, slots=True)
class _Band:
    number: int
    image: QImage | None


@dataclass(frozen=True, slots=True)
class _File:
    bands: Bands


class _Over:
    """From the pool: a piece of work is done, and nothing more comes of it."""


class Source(QObject):
    """One picture. `size` is empty until it is known, `error` says why it cannot be shown."""

    changed = Signal()
    """More of it can be shown, or it is known that none can."""
    _came = Signal(object)

    def __init__(self, pool: QThreadPool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = pool
        self.size, self.error, self.reading = QSize(), "", False
        self._levels: dict[int, QImage] = {}
        self._file: Bands | None = None
        self._bands: OrderedDict[int, QImage] = OrderedDict()
        self._wanted: list[int] = []
        self._busy = False
        self._jobs = 0
        self._gone = Event()
        self._came.connect(self._take)

    @classmethod
    def of_image(cls, image: QImage, pool: QThreadPool, parent: QObject | None = None) -> Source:
        """A picture that is in memory."""
        made = cls(pool, parent)
        made.size = image.size()
        made._levels[0] = image
        if image.isNull():
            made.error = "the picture is empty"
        elif max(image.width(), image.height()) > SMALLEST:
            made._start(lambda: made._halve(0, image))
        return made

    @classmethod
    def of_file(cls, path: Path, pool: QThreadPool, parent: QObject | None = None) -> Source:
        """A picture in a file. It is read in the pool."""
        made = cls(pool, parent)
        made.reading = True
        made._start(lambda: made._open(path))
        return made

    @classmethod
    def of_call(cls, make: Callable[[], QImage], pool: QThreadPool, parent: QObject | None = None) -> Source:
        """A picture that is made in the pool. What hinders it is raised as ValueError, in a sentence."""
        made = cls(pool, parent)
        made.reading = True

        def work() -> None:
            try:
                image = make()
            except (ValueError, MemoryError) as error:
                made._post(str(error) or "there is not enough memory to show these together")
                return
            made._post(image.size())
            made._post(_Level(0, image))
            made._halve(0, image)

        made._start(work)
        return made

    @property
    def bytes(self) -> int:
        """What it holds."""
        return sum(image.sizeInBytes() for image in (*self._levels.values(), *self._bands.values()))

    def stop(self) -> None:
        """What the pool still does for it comes to an end."""
        self._gone.set()
        self._wanted.clear()

    def drop(self) -> None:
        """It is no longer looked at: it goes when the pool has come to an end with it."""
        self.stop()
        if not self._jobs:
            self.deleteLater()

    # --- what is in sight

    def pieces(self, box: QRect, scale: float) -> list[Piece]:
        """What covers a box of the picture at so many pixels of the screen by one of its own; more may come later."""
        sight = box & QRect(QPoint(0, 0), self.size)
        if sight.isEmpty() or not self._levels:
            return []
        wanted = max(0, floor(log2(1 / scale))) if scale < 1 else 0
        known = [number for number in self._levels if number <= wanted]
        level = max(known) if known else min(self._levels)
        step = 2.0**level
        made = [Piece(self._levels[level], _scaled(QRectF(sight), 1 / step), QRectF(sight))]
        if not known and self._file is not None:
            made += self._banded(sight, self._file)
        return made

    def _banded(self, sight: QRect, file: Bands) -> Iterator[Piece]:
        """The bands in sight that are there; the others are asked for, if all of them may be held at once."""
        numbers = range(sight.top() // file.rows, sight.bottom() // file.rows + 1)
        if len(numbers) * file.rows * self.size.width() * 4 > BANDS:
            return
        missing = [number for number in numbers if number not in self._bands]
        if missing != self._wanted:
            self._wanted = missing
            self._next()
        for number in numbers:
            if number in self._bands:
                self._bands.move_to_end(number)
                image = self._bands[number]
                top = number * file.rows
                part = sight & QRect(0, top, image.width(), image.height())
                yield Piece(image, QRectF(part.translated(0, -top)), QRectF(part))

    def pixel(self, x: int, y: int) -> tuple[QColor, bool] | None:
        """The colour of a pixel, and whether it is exact: not one of a smaller picture in place of it."""
        if not QRect(QPoint(0, 0), self.size).contains(x, y) or not self._levels:
            return None
        if 0 in self._levels:
            return self._levels[0].pixelColor(x, y), True
        if self._file is not None and (band := self._bands.get(y // self._file.rows)) is not None:
            return band.pixelColor(x, y % self._file.rows), True
        level = min(self._levels)
        image = self._levels[level]
        return image.pixelColor(min(x >> level, image.width() - 1), min(y >> level, image.height() - 1)), False

    def whole(self) -> QImage | None:
        """The picture at its full size, if it is held so."""
        return self._levels.get(0)

    def smallest(self) -> QImage | None:
        """The smallest of its sizes."""
        return self._levels[max(self._levels)] if self._levels else None

    # --- in the pool

    def _start(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            finally:
                self._post(_Over())

        self._jobs += 1
        self._pool.start(run)

    def _post(self, what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the window has gone meanwhile
            self._came.emit(what)

    def _open(self, path: Path) -> None:
        try:
            self._read(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._post(f"{path.name} cannot be shown: {reason or error}")
        except MemoryError:
            self._post(f"{path.name} cannot be shown: there is not enough memory")

    def _read(self, path: Path) -> None:
        with path.open("rb"):
            pass  # says what hinders, where Qt only says that something does
        reader = _reader(path)
        size = reader.size()
        if size.isValid():
            turned = reader.transformation().value & 4  # Qt's flag of a quarter turn
            self._post(size.transposed() if turned else size)
        pixels = size.width() * size.height()
        if not size.isValid() or pixels <= WHOLE:
            if pixels > FIRST and (first := self._reduced(path, size)) is not None:
                self._post(first)
            image = reader.read()
            if image.isNull():
                raise ValueError(reader.errorString())
            self._post(image.size())
            self._post(_Level(0, image))
            self._halve(0, image)
            return
        bands, first = bands_of(path), self._reduced(path, size)
        if first is None and bands is None:
            raise ValueError(f"it has {size.width()} x {size.height()} pixels, and its form is only read whole")
        if bands is not None:
            self._post(_File(bands))
            first = first or self._gathered(bands, size)
        if first is not None:
            self._post(first)
            self._halve(first.number, first.image)

    def _reduced(self, path: Path, size: QSize) -> _Level | None:
        """The picture read at reduced size, where its form allows that without reading it whole."""
        level = _overview(size)
        reader = _reader(path)
        reader.setScaledSize(halved(size, level))
        image = reader.read()
        return None if image.isNull() else _Level(level, image)

    def _gathered(self, bands: Bands, size: QSize) -> _Level | None:
        """The picture at reduced size, band by band; it is shown as it grows."""
        level, number, image = _overview(size), 0, None
        try:
            for number, image in enumerate(shrunk(bands, size, level, self._gone.is_set), 1):
                if number % 16 == 0:
                    self._post(_Level(level, image.copy()))
        except ValueError as error:
            if image is None:
                raise
            self._post(f"the rest of the file is broken, from row {number * bands.rows} on: {error}")
        return _Level(level, image) if image is not None and not self._gone.is_set() else None

    def _halve(self, level: int, image: QImage) -> None:
        """The halves of a picture, and theirs."""
        while max(image.width(), image.height()) > SMALLEST and not self._gone.is_set():
            level += 1
            image = image.scaled(
                halved(image.size(), 1), Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )  # fmt: skip
            self._post(_Level(level, image))

    def _fetch(self, file: Bands, number: int) -> None:
        try:
            self._post(_Band(number, file.read(number, self._gone.is_set)))
        except (OSError, ValueError, MemoryError) as error:
            self._post(_Band(number, None))
            self._post(f"rows from {number * file.rows} on cannot be read: {error}")

    # --- back from it

    def _take(self, what: object) -> None:
        match what:
            case QSize():
                self.size = what
            case _Level(number, image):
                self._levels[number] = image
            case _Band(number, made):
                self._wanted = [other for other in self._wanted if other != number]
                if made is not None:
                    self._bands[number] = made
                while sum(band.sizeInBytes() for band in self._bands.values()) > BANDS and len(self._bands) > 1:
                    self._bands.popitem(last=False)
            case str():
                self.error, self.reading = what, False
            case _Over():
                self._jobs -= 1
                self.reading = self._busy = False
                if self._gone.is_set() and not self._jobs:
                    self.deleteLater()
                    return
                self._next()
            case _File(bands):
                self._file = bands
        self.changed.emit()

    def _next(self) -> None:
        """Has the next band read; one at a time, for each reading leans on the one before."""
        file = self._file
        if self._busy or not self._wanted or file is None or self.reading:
            return
        self._busy = True
        number = self._wanted[0]
        self._start(lambda: self._fetch(file, number))


def _reader(path: Path) -> QImageReader:
    reader = QImageReader(str(path))
    reader.setDecideFormatFromContent(True)
    reader.setAutoTransform(True)
    return reader


def _overview(size: QSize) -> int:
    """How often a picture is halved to be held: at least once."""
    return max(1, ceil(log2(max(size.width(), size.height()) / OVERVIEW)))


def _scaled(box: QRectF, scale: float) -> QRectF:
    return QRectF(box.x() * scale, box.y() * scale, box.width() * scale, box.height() * scale)
