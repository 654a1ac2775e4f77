"""Rows of picture files that are too large to be held whole: read a band at a time, memory bounded.

PNG is packed as one stream in which each row leans on the one above. So bands are unpacked in order, and at the
beginning of each the state of the unpacker and the row above are kept: from there it can be read again at once.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from struct import pack, unpack
from typing import BinaryIO, Protocol

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QImageIOHandler, QImageReader, QPainter

BAND = 8 * 2**20
"""Bytes of a band when unpacked."""
EVEN = 64
"""Rows of a band are a multiple of it, so that bands shrunk to a half or a 64th still meet."""
AHEAD = 8
"""Bands of a JPEG that are read at once: what a screen shows at full size."""
CHUNK = 2**18
"""Bytes that are read of a file at a time."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
KINDS = {
    0: (1, QImage.Format.Format_Grayscale8),
    2: (3, QImage.Format.Format_RGB888),
    6: (4, QImage.Format.Format_RGBA8888),
}
"""Bytes a pixel, and Qt's format with the same bytes, by PNG's colour type. Others are rarely as large."""


class Bands(Protocol):
    """A file whose bands can be read. `rows`: of each band but the last."""

    rows: int

    def read(self, number: int, given_up: Callable[[], bool]) -> QImage | None:
        """One band; None if it was given up meanwhile.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is broken there.
        """


def bands_of(path: Path) -> Bands | None:
    """The bands of a file, or None if this form of picture can only be read whole."""
    reader = QImageReader(str(path))
    reader.setDecideFormatFromContent(True)
    size = reader.size()
    if not size.isValid():
        return None
    if bytes(reader.format().data()) == b"png":
        return png_bands(path)
    plain = reader.transformation() == QImageIOHandler.Transformation.TransformationNone
    if plain and reader.supportsOption(QImageIOHandler.ImageOption.ClipRect):
        return ClippedBands(path, size.width(), size.height())
    return None


def shrunk(bands: Bands, size: QSize, times: int, given_up: Callable[[], bool]) -> Iterator[QImage]:
    """The picture of a file with its sides halved so many times: after each band, as far as it is there.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is broken there.
    """
    image = QImage(halved(size, times), QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    for number in range(ceil(size.height() / bands.rows)):
        band = bands.read(number, given_up)
        if band is None:
            return
        small = band.scaled(
            halved(band.size(), times), Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )  # fmt: skip
        painter = QPainter(image)
        painter.drawImage(0, (number * bands.rows) >> times, small)
        painter.end()
        yield image


def halved(size: QSize, times: int) -> QSize:
    """A size halved so many times, rounded up."""
    return QSize(max(1, -(-size.width() >> times)), max(1, -(-size.height() >> times)))


class ClippedBands:
    """The bands of a form that Qt reads in part: JPEG. What is above is unpacked and dropped each time.

    So several are read at once: eight of a picture of 12,000 x 9,000 took 6.5 s one by one, and 0.6 s together.
    """

    def __init__(self, path: Path, wide: int, high: int) -> None:
        self._path, self._wide, self._high = path, wide, high
        self.rows = max(EVEN, BAND // (4 * wide) // EVEN * EVEN)
        self._ahead: dict[int, QImage] = {}

    def read(self, number: int, given_up: Callable[[], bool]) -> QImage | None:
        """One band; those below it are kept, as they are asked for next."""
        if given_up():
            return None
        if number not in self._ahead:
            self._ahead = self._several(number)
        return self._ahead.pop(number)

    def _several(self, number: int) -> dict[int, QImage]:
        reader = QImageReader(str(self._path))
        reader.setDecideFormatFromContent(True)
        top = number * self.rows
        reader.setClipRect(QRect(0, top, self._wide, min(AHEAD * self.rows, self._high - top)))
        image = reader.read()
        if image.isNull():
            raise ValueError(reader.errorString())
        tops = range(0, image.height(), self.rows)
        return {
            number + at: image.copy(0, above, self._wide, min(self.rows, image.height() - above))
            for at, above in enumerate(tops)
        }


@dataclass(slots=True)
class _State:
    """Where a PNG's bytes are read: how far in the file, what is left of its chunk, the unpacker, the row above."""

    place: int
    left: int
    unpacker: zlib._Decompress
    above: bytes

    def copy(self) -> _State:
        return _State(self.place, self.left, self.unpacker.copy(), self.above)


class PngBands:
    """The bands of a PNG of 8 bits a channel that is not interlaced."""

    def __init__(self, path: Path, wide: int, high: int, colour: int) -> None:
        self._path, self._wide, self._high, self._colour = path, wide, high, colour
        self._bytes, self._format = KINDS[colour]
        self.rows = max(EVEN, BAND // (4 * wide) // EVEN * EVEN)
        self._states = [_State(len(SIGNATURE), 0, zlib.decompressobj(), b"")]

    def read(self, number: int, given_up: Callable[[], bool]) -> QImage | None:
        """One band, and for the first time all above it."""
        image: QImage | None = None
        start = min(number, len(self._states) - 1)
        state = self._states[start].copy()
        with self._path.open("rb") as file:
            for at in range(start, number + 1):
                if given_up():
                    return None
                rows = min(self.rows, self._high - at * self.rows)
                image = self._unpacked(self._packed(file, state, rows), state.above, rows)
                row = image.copy(0, rows - 1, self._wide, 1).convertToFormat(self._format)
                state.above = bytes(row.constBits())[: self._wide * self._bytes]
                if at + 1 == len(self._states):
                    self._states.append(state.copy())
        return image

    def _packed(self, file: BinaryIO, state: _State, rows: int) -> bytes:
        """The next rows as the file has them: each with the byte that tells how it leans on others."""
        wanted = rows * (1 + self._wide * self._bytes)
        got = bytearray()
        while len(got) < wanted:
            fed = state.unpacker.unconsumed_tail or self._fed(file, state)
            try:
                piece = state.unpacker.decompress(fed, wanted - len(got))
            except zlib.error as error:
                raise ValueError(f"the file is damaged: {error}") from error
            if not piece and not fed:
                raise ValueError("the file ends too early")
            got += piece
        return bytes(got)

    def _fed(self, file: BinaryIO, state: _State) -> bytes:
        """More of the packed stream; empty at its end."""
        file.seek(state.place)
        while state.left == 0:
            head = file.read(8)
            if len(head) < 8 or head[4:] == b"IEND":
                return b""
            (length,) = unpack(">I", head[:4])
            if head[4:] == b"IDAT":
                state.left = length
            else:
                file.seek(length + 4, 1)
        fed = file.read(min(CHUNK, state.left))
        state.left -= len(fed)
        state.place = file.tell()
        if state.left == 0:
            state.place += 4  # the sum of the chunk
        return fed

    def _unpacked(self, packed: bytes, above: bytes, rows: int) -> QImage:
        """Rows as a picture: as a small PNG for Qt, beginning with the row above, for the first leans on it."""
        extra = 1 if above else 0
        if extra:
            packed = b"\x00" + above + packed
        head = pack(">IIBBBBB", self._wide, rows + extra, 8, self._colour, 0, 0, 0)
        parts = ((b"IHDR", head), (b"IDAT", zlib.compress(packed, 0)), (b"IEND", b""))
        file = SIGNATURE + b"".join(
            pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data)) for kind, data in parts
        )
        image = QImage.fromData(file)
        if image.isNull():
            raise ValueError("the file is damaged")
        return image.copy(0, extra, self._wide, rows)


def png_bands(path: Path) -> PngBands | None:
    """The bands of a PNG file, or None if its form is not one of those."""
    with path.open("rb") as file:
        head = file.read(33)
    if len(head) < 33 or head[:8] != SIGNATURE or head[12:16] != b"IHDR":
        return None
    wide, high, depth, colour, _, _, interlaced = unpack(">IIBBBBB", head[16:29])
    if depth != 8 or interlaced or colour not in KINDS:
        return None
    return PngBands(path, wide, high, colour)
