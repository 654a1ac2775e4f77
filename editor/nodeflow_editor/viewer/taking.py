"""Pictures taken by the mouse: out of the viewer, its strip or the history, onto the canvas or into another program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDrag, QImage, QMouseEvent, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

from nodeflow_editor.pasting import OWN
from nodeflow_editor.viewer.kept import Kept
from nodeflow_editor.viewer.sight import Mode, Sight

SIDE = 96
"""Pixels of the small picture beside the mouse."""


def of_files(paths: Sequence[Path]) -> QMimeData:
    """Pictures that are files, as files."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path.absolute())) for path in paths])
    data.setData(OWN, b"")
    return data


def of_image(image: QImage, note: str = "") -> QMimeData:
    """A picture that is in no file. note: what is to be known of it where it is taken."""
    data = QMimeData()
    data.setImageData(image)
    data.setData(OWN, note.encode())
    return data


def of_kept(kept: Kept) -> QMimeData | None:
    """What the viewer keeps: files as they are, several that are seen side by side all; None if nothing is held."""
    wanted = kept.origins if kept.together else (kept.origins[kept.at],)
    files = [origin for origin in wanted if isinstance(origin, Path)]
    if len(files) == len(wanted):
        return of_files(files) if all(map(Path.is_file, files)) else None
    image = kept.source.whole() if kept.source is not None else None if kept.together else wanted[0]
    return of_image(image, kept.note) if isinstance(image, QImage) and not image.isNull() else None


def carry(widget: QWidget, data: QMimeData, small: QImage | QPixmap | None = None) -> None:
    """Puts something into the mouse's hand; returns when it was let go."""
    drag = QDrag(widget)
    drag.setMimeData(data)
    shown = QPixmap.fromImage(small) if isinstance(small, QImage) else small
    if shown is not None and not shown.isNull():
        keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        drag.setPixmap(shown.scaled(SIDE, SIDE, keep, smooth))
        drag.setHotSpot(QPoint(-8, -8))  # what it is let go on is to be seen
    drag.exec(Qt.DropAction.CopyAction)


class Hold(QObject):
    """Watches the picture in sight: a drag takes it where all of it is seen and nothing to pan, with Ctrl anywhere."""

    def __init__(self, sight: Sight, take: Callable[[], None]) -> None:
        super().__init__(sight)
        self._sight, self._take = sight, take
        self._from: QPointF | None = None
        sight.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 # Qt's
        if not isinstance(event, QMouseEvent):
            return False
        left = Qt.MouseButton.LeftButton
        if event.type() == QEvent.Type.MouseButtonPress and event.button() is left:
            self._from = event.position() if self._may(event) else None
        elif event.type() == QEvent.Type.MouseMove and self._from is not None and event.buttons() & left:
            if (event.position() - self._from).manhattanLength() >= QApplication.startDragDistance():
                self._let_go(event)
                self._take()
            return True
        elif event.type() == QEvent.Type.MouseButtonRelease:
            self._from = None
        return False

    def _may(self, event: QMouseEvent) -> bool:
        held = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        wiping = self._sight.mode is Mode.WIPE
        return self._sight.source is not None and (held or (self._sight.fitted and not wiping))

    def _let_go(self, event: QMouseEvent) -> None:
        """Whoever takes a picture away has the button let go elsewhere: the sight is told so, as of no click."""
        self._from = None
        kind, none = QEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton
        over = QMouseEvent(kind, event.position(), event.globalPosition(), none, none, event.modifiers())
        self._sight.mouseReleaseEvent(over)
