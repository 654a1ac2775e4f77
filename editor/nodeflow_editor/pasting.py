"""Pictures that are in no file: they become one before a node can load them.

They lie in a folder of the editor's own, not beside the graph: that may be in no folder yet, and nothing is written
unasked to other folders. Where each lies is told, as a graph that is handed on needs it beside it. None is removed.
"""

from __future__ import annotations

import hashlib
from itertools import count
from pathlib import Path

from PySide6.QtCore import QBuffer, QIODevice, QMimeData, QSaveFile
from PySide6.QtGui import QImage

from nodeflow_editor.settings import data_folder

OWN = "application/x-nodeflow-picture"
"""Marks files that were taken hold of as pictures, in the viewer or the history, whatever graph they carry."""
FAST = 80
"""How hard Qt packs a PNG: 4096 x 4096 pixels take 0.1 s so, and 0.4 s at its best."""


def folder() -> Path:
    """Where pasted pictures are."""
    return data_folder() / "pasted"


def picture_of(data: QMimeData) -> QImage | None:
    """The picture that was copied or dropped; None if what there is means files of this computer, or text."""
    if any(url.isLocalFile() for url in data.urls()) or not data.hasImage():
        return None
    found = data.imageData()
    return found if isinstance(found, QImage) else QImage()


def kept(picture: QImage) -> Path:
    """The PNG file of a picture: the same one for the same picture.

    Raises:
        OSError: it cannot be written, or there is no picture.
    """
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if picture.isNull() or not picture.save(buffer, "PNG", FAST):  # type: ignore[call-overload] # Qt takes a name
        raise OSError(0, "the picture cannot be read")
    data = bytes(buffer.data().data())
    name = hashlib.blake2b(data, digest_size=8).hexdigest()
    for number in count(1):
        path = folder() / (f"{name}.png" if number == 1 else f"{name}-{number}.png")
        if not path.exists():
            _write(path, data)
        elif path.read_bytes() != data:
            continue  # somebody has painted in it since: another graph needs it so
        break
    return path


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = QSaveFile(str(path))
    whole = file.open(QIODevice.OpenModeFlag.WriteOnly) and file.write(data) == len(data)
    if not whole or not file.commit():
        raise OSError(0, file.errorString())
