"""The few icons of the toolbar, drawn as paths, so that they are sharp at every size and take the palette's colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from nodeflow_editor.theme import Palette

Name = Literal["run", "cancel", "queue", "device", "zoom", "problems"]
SIDE = 20
"""Units of the drawings, and pixels at 100 %."""
SCALES = (1, 2, 3)


def _run(path: QPainterPath) -> None:
    path.addPolygon(QPolygonF([QPointF(6, 4), QPointF(16, 10), QPointF(6, 16)]))
    path.closeSubpath()


def _cancel(path: QPainterPath) -> None:
    path.addRoundedRect(QRectF(5, 5, 10, 10), 1.5, 1.5)


def _queue(path: QPainterPath) -> None:
    for y in (5.5, 10.0, 14.5):
        path.addEllipse(QPointF(4.5, y), 1.1, 1.1)
        path.moveTo(8, y)
        path.lineTo(16.5, y)


def _device(path: QPainterPath) -> None:
    path.addRoundedRect(QRectF(5.5, 5.5, 9, 9), 1.5, 1.5)
    for at in (7.5, 10.0, 12.5):
        for start, end in (((at, 3.0), (at, 5.5)), ((at, 14.5), (at, 17.0)), ((3.0, at), (5.5, at)),
                           ((14.5, at), (17.0, at))):  # fmt: skip
            path.moveTo(*start)
            path.lineTo(*end)


def _zoom(path: QPainterPath) -> None:
    path.addEllipse(QPointF(8.5, 8.5), 5, 5)
    path.moveTo(12.3, 12.3)
    path.lineTo(16.5, 16.5)


def _problems(path: QPainterPath) -> None:
    path.addPolygon(QPolygonF([QPointF(10, 3.5), QPointF(17, 16), QPointF(3, 16)]))
    path.closeSubpath()
    path.moveTo(10, 8)
    path.lineTo(10, 11.8)
    path.addEllipse(QPointF(10, 13.8), 0.4, 0.4)


DRAWN: dict[Name, tuple[Callable[[QPainterPath], None], bool]] = {
    "run": (_run, True), "cancel": (_cancel, True), "queue": (_queue, False), "device": (_device, False),
    "zoom": (_zoom, False), "problems": (_problems, False),
}  # fmt: skip
"""Each icon, and whether it is filled."""


def outline(name: Name) -> QPainterPath:
    """The drawing, 20 units wide and high."""
    path = QPainterPath()
    DRAWN[name][0](path)
    return path


def icon(name: Name, palette: Palette, colour: str = "") -> QIcon:
    """An icon in a palette's colours: as it is, and as it is when nothing can be done."""
    made = QIcon()
    for mode, ink in ((QIcon.Mode.Normal, colour or palette.text), (QIcon.Mode.Disabled, palette.line)):
        for scale in SCALES:
            made.addPixmap(_drawn(name, QColor(ink), scale), mode)
    return made


def _drawn(name: Name, ink: QColor, scale: int) -> QPixmap:
    picture = QPixmap(SIDE * scale, SIDE * scale)
    picture.fill(Qt.GlobalColor.transparent)
    picture.setDevicePixelRatio(scale)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(ink, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    painter.setBrush(ink if DRAWN[name][1] else Qt.BrushStyle.NoBrush)
    painter.drawPath(outline(name))
    painter.end()
    return picture
