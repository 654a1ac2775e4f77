"""A picture file drawn small, as history keeps it. May be called from any thread."""

from __future__ import annotations

from math import floor, log2
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QSize, Qt
from PySide6.QtGui import QImage, QImageReader, QImageWriter

from nodeflow_editor.viewer.bands import EVEN, bands_of, shrunk

QUALITY = 85


def thumbnail(path: Path, side: int) -> bytes | None:
    """The picture as a JPEG or PNG file of at most `side` pixels; None if it cannot be read."""
    reader = QImageReader(str(path))
    reader.setDecideFormatFromContent(True)
    size, form, fitted = reader.size(), reader.imageFormat(), QSize()
    if size.isValid() and max(size.width(), size.height()) > side:
        fitted = size.scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio).expandedTo(QSize(1, 1))
        reader.setScaledSize(fitted)
    image = reader.read()
    if image.isNull() and fitted.isValid():
        image = _by_bands(path, size, fitted).convertToFormat(form)
    if image.isNull():
        return None
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QImageWriter(buffer, QByteArray(b"png" if image.hasAlphaChannel() else b"jpeg"))
    if not image.hasAlphaChannel():
        writer.setQuality(QUALITY)
    return bytes(data.data()) if writer.write(image) else None


def _by_bands(path: Path, size: QSize, fitted: QSize) -> QImage:
    """A picture that Qt does not read whole: 16,384 x 16,384 pixels are more than it takes. Null if it is damaged."""
    image = QImage()
    try:
        bands = bands_of(path)
        if bands is not None:
            times = floor(log2(max(size.width(), size.height()) / max(fitted.width(), fitted.height())))
            for image in shrunk(bands, size, min(times, floor(log2(EVEN))), lambda: False):  # noqa: B007 # the last
                pass
    except (OSError, ValueError, MemoryError):
        return QImage()
    if image.isNull():
        return image
    return image.scaled(fitted, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
