"""What is done with the viewer's pictures: put on the clipboard, written to a file, taken by the mouse."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QFileDialog, QWidget

from nodeflow_editor.viewer.kept import Kept
from nodeflow_editor.viewer.saving import written
from nodeflow_editor.viewer.taking import carry, of_kept

if TYPE_CHECKING:
    from nodeflow_editor.viewer.panel import Viewer


def copy(viewer: Viewer) -> None:
    """Puts the picture in front on the clipboard."""
    kept = viewer.in_front()
    image = _image(viewer, kept)
    if kept is not None and image is not None:
        QGuiApplication.clipboard().setImage(image)
        viewer.told.emit(f"the picture is on the clipboard{kept.note}")


def save_as(viewer: Viewer) -> None:
    """Writes the picture in front to a file that is asked for."""
    if viewer.in_front() is None:
        viewer.told.emit("no picture to take")
        return
    name, _ = QFileDialog.getSaveFileName(viewer, "Save picture", "", "Pictures (*.png *.jpg *.webp)")
    if name:
        save(viewer, Path(name))


def save(viewer: Viewer, path: Path) -> None:
    """Writes the picture in front to a file, in the pool; one that is a file is copied with what it carries."""
    path, kept = path if path.suffix else path.with_suffix(".png"), viewer.in_front()
    picture = kept.origin if kept is not None and kept.is_file(path.suffix) else _image(viewer, kept)
    if kept is None or picture is None:
        return
    told = f"saved {path}{kept.note}"

    def work() -> None:
        try:
            written(path, picture)
            said = told
        except OSError as error:
            said = f"{path} was not written: {error.strerror or error}"
        with contextlib.suppress(RuntimeError):  # the window has gone meanwhile
            viewer.written.emit(said)

    viewer.pool.start(work)


def take(viewer: Viewer, widget: QWidget, kept: Kept | None) -> None:
    """Puts a picture into the mouse's hand."""
    data = of_kept(kept) if kept is not None else None
    if kept is None or data is None:
        viewer.told.emit("no picture to take: it is not read yet, or its file is gone")
        return
    first = kept.origins[kept.at]
    small = kept.source.smallest() if kept.source is not None else first if isinstance(first, QImage) else None
    carry(widget, data, small)


def _image(viewer: Viewer, kept: Kept | None) -> QImage | None:
    """A picture whole; None, which is told, if it is not held so."""
    source = kept.source if kept is not None else None
    image = source.whole() if source is not None else None
    if image is None or image.isNull():
        large = source is not None and not source.error and not source.reading
        told = "the picture is too large to be taken whole: copy its file" if large else "no picture to take"
        viewer.told.emit(told)
        return None
    return image
