"""A picture written to a file that somebody named: whole, or what was there stands. May be called from any thread."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QIODevice, QSaveFile
from PySide6.QtGui import QImage, QImageWriter

CHUNK = 2**20
"""Bytes that are copied at a time."""


def written(path: Path, picture: QImage | Path) -> None:
    """Writes a picture in the form that the file's ending names; a file is copied with all that it carries.

    Raises:
        OSError: it cannot be written, or there is no such form.
    """
    file = QSaveFile(str(path))
    if not file.open(QIODevice.OpenModeFlag.WriteOnly):
        raise OSError(0, file.errorString())
    if isinstance(picture, Path):
        with picture.open("rb") as source:
            while chunk := source.read(CHUNK):
                if file.write(chunk) != len(chunk):
                    raise OSError(0, file.errorString())
    else:
        writer = QImageWriter(file, QByteArray(path.suffix[1:].lower().encode()))
        if not writer.write(picture):
            raise OSError(0, writer.errorString())
    if not file.commit():
        raise OSError(0, file.errorString())
