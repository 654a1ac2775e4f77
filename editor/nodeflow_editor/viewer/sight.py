"""The picture on the screen: zoomed, panned, its channels, another one beside it."""

from __future__ import annotations

from enum import Enum
from math import floor

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)  # fmt: skip
from PySide6.QtWidgets import QWidget

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.theme import BODY, DARK, Palette
from nodeflow_editor.viewer.pixels import Channel, difference, seen
from nodeflow_editor.viewer.source import Source

STEP = 2**0.25
"""One notch of the wheel."""
CLOSEST = 64.0
HARD = 2.0
"""Pixels of the screen by one of the picture from which pixels are drawn as squares."""
CHECKER = 8
"""Pixels of a square under what is transparent."""
GRIP = 6
"""How far from the divider a press still means it."""
SLACK = 3
"""Pixels that the mouse may slip in a click."""
PART = 60
"""Pixels that an arrow key moves the picture by."""


class Mode(Enum):
    """How the pinned picture B is shown."""

    ONE = "one"
    WIPE = "wipe"
    DIFFERENCE = "difference"


class Sight(QWidget):
    """Shows a Source, and a second one over it. Lengths are pixels of the screen: one of the picture is `scale`."""

    hovered = Signal(object)
    """The place of the mouse as a QPointF, or None."""
    looked = Signal()
    """Another part, scale, side or mode."""
    clicked = Signal(QPointF)
    """A click on pictures side by side, at that place of them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.source: Source | None = None
        self.pinned: Source | None = None
        self.side, self.mode = "A", Mode.ONE
        self.channel, self.exposure, self.gain = Channel.COLOUR, 0.0, 1.0
        self.scale, self.corner = 1.0, QPointF(0, 0)
        """`corner`: the place of the picture at the widget's upper left."""
        self.fitted, self.divider = True, 0.5
        self._palette, self._checker = DARK, QPixmap()
        self._held: QPointF | None = None
        self._parting = self._slipped = self._opened = False
        self.several = self.together = False
        """Whether the picture is of a batch, so that Left and Right lead to others, and all are seen side by side."""
        self._before: QSize | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Picture")
        self.setMinimumSize(160, 60)
        self.dress(DARK)

    # --- what is shown

    def dress(self, palette: Palette) -> None:
        """Takes a palette."""
        self._palette = palette
        tile = QPixmap(2 * CHECKER, 2 * CHECKER)
        tile.fill(QColor(palette.panel))
        painter = QPainter(tile)
        for x, y in ((0, 0), (CHECKER, CHECKER)):
            painter.fillRect(x, y, CHECKER, CHECKER, QColor(palette.line))
        painter.end()
        self._checker = tile
        self.update()

    def show_source(self, source: Source | None) -> None:
        """Shows another picture; one of the same size at the same place."""
        before = self.source.size if self.source is not None else QSize()
        if self.source is not None:
            self.source.changed.disconnect(self._more)
        self.source = source
        if source is not None:
            source.changed.connect(self._more)
            self._before = None if self.fitted else before
            self._more()
        self.update()

    def pin(self, source: Source | None) -> None:
        """Keeps a picture as B, to be compared; None for none."""
        if self.pinned is not None:
            self.pinned.changed.disconnect(self.update)
        self.pinned = source
        if source is None:
            self.side, self.mode = "A", Mode.ONE
        else:
            source.changed.connect(self.update)
        self._again()

    def _more(self) -> None:
        """More of it is there. One of another size than the picture before is shown whole."""
        size = self.source.size if self.source is not None else QSize()
        if self.fitted or (self._before is not None and not size.isEmpty() and size != self._before):
            self.fit()
        if not size.isEmpty():
            self._before = None
        self.update()

    def shown(self) -> Source | None:
        """The picture that is looked at: A or B."""
        return self.pinned if self.side == "B" and self.pinned is not None else self.source

    def turn(self, side: str) -> None:
        """Shows A or B."""
        self.side = side if self.pinned is not None else "A"
        self._again()

    def set_mode(self, mode: Mode) -> None:
        """Shows B so; without one there is nothing to compare."""
        self.mode = mode if self.pinned is not None else Mode.ONE
        self._again()

    def set_channel(self, channel: Channel) -> None:
        self.channel = channel
        self._again()

    def set_exposure(self, stops: float) -> None:
        self.exposure = stops
        self._again()

    def set_gain(self, gain: float) -> None:
        self.gain = gain
        self._again()

    def _again(self) -> None:
        self.update()
        self.looked.emit()

    # --- where it is looked at

    @property
    def ratio(self) -> float:
        """Pixels of the screen by one of the widget."""
        return self.devicePixelRatioF()

    def place(self, spot: QPointF) -> QPointF:
        """The place of the picture under a place of the widget."""
        return self.corner + spot * (self.ratio / self.scale)

    def _stretch(self, source: Source) -> float:
        """Pixels of A by one of this picture: B is seen at the width of A."""
        own = self.source.size.width() if self.source is not None else 0
        return own / source.size.width() if own and source.size.width() else 1.0

    def scale_of(self, source: Source) -> float:
        """Pixels of the screen by one of a picture."""
        return self.scale * self._stretch(source)

    def under(self, spot: QPointF) -> list[tuple[Source, QPoint]]:
        """The picture that is seen at a place of the widget, and which of its pixels; A and B where both are."""
        one, other = self.source, self.pinned
        if one is None or other is None:
            seen = [one]
        elif self.mode is Mode.DIFFERENCE:
            seen = [one, other]
        elif self.mode is Mode.WIPE:
            seen = [one if spot.x() < self.width() * self.divider else other]
        else:
            seen = [self.shown()]
        place, found = self.place(spot), []
        for source in seen:
            if source is not None:
                own = place / self._stretch(source)
                found.append((source, QPoint(floor(own.x()), floor(own.y()))))
        return found

    def fit(self) -> None:
        """Shows all of the picture, as large as fits; a small one at its own size."""
        self.fitted = True
        size = self.source.size if self.source is not None else QSize()
        if not size.isEmpty():
            wide, high = self.width() * self.ratio, self.height() * self.ratio
            self.scale = max(min(wide / size.width(), high / size.height()), 1e-4)
            if self.scale >= 1:
                self.scale = float(min(floor(self.scale), 8))
            self.corner = QPointF(
                size.width() / 2 - wide / 2 / self.scale, size.height() / 2 - high / 2 / self.scale
            )  # fmt: skip
        self._again()

    def zoom(self, scale: float, around: QPointF | None = None) -> None:
        """Sets the scale; the place of the widget `around` (the middle if None) stays where it is."""
        size = self.source.size if self.source is not None else QSize()
        if size.isEmpty():
            return
        smallest = min(1.0, 16 / max(size.width(), size.height()))
        middle = around if around is not None else QPointF(self.width() / 2, self.height() / 2)
        fixed = self.place(middle)
        self.fitted = False
        self.scale = min(max(scale, smallest), CLOSEST)
        self.corner = fixed - middle * (self.ratio / self.scale)
        self._again()

    def pan(self, dx: float, dy: float) -> None:
        """Moves the picture by so many pixels of the widget; its edge stays in sight."""
        self.fitted = False
        size = self.source.size if self.source is not None else QSize()
        step = self.ratio / self.scale
        x, y = self.corner.x() - dx * step, self.corner.y() - dy * step
        wide, high = self.width() * step, self.height() * step
        self.corner = QPointF(
            min(max(x, -0.9 * wide), size.width() - 0.1 * wide), min(max(y, -0.9 * high), size.height() - 0.1 * high)
        )
        self._again()

    # --- painting

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002, N802 # Qt's
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._palette.canvas))
        source = self.source
        if source is None or source.size.isEmpty():
            self._say(painter, source.error if source is not None and source.error else self._waiting(source))
            return
        ratio = self.ratio
        frame = QSize(round(self.width() * ratio), round(self.height() * ratio))
        box = QRectF(-self.corner * self.scale, QPointF(source.size.width(), source.size.height()) * self.scale
                     - self.corner * self.scale)  # fmt: skip
        painter.scale(1 / ratio, 1 / ratio)
        painter.setBrushOrigin(QPointF(round(box.x()), round(box.y())))
        painter.fillRect(box & QRectF(QPointF(0, 0), frame.toSizeF()), QBrush(self._checker))
        painter.setClipRect(box)
        if self.mode is Mode.DIFFERENCE and self.pinned is not None:
            apart = difference(self._drawn(source, frame), self._drawn(self.pinned, frame), self.gain)
            painter.drawImage(0, 0, seen(apart, self.channel, 0.0))
        elif self.mode is Mode.WIPE and self.pinned is not None:
            self._wiped(painter, source, self.pinned, frame)
        else:
            one = self.shown()
            assert one is not None
            painter.drawImage(0, 0, seen(self._drawn(one, frame), self.channel, self.exposure))
        painter.setClipping(False)
        painter.resetTransform()
        self._labels(painter)

    def _waiting(self, source: Source | None) -> str:
        if source is not None:
            return "reading…"
        return "Nothing to show yet.\nRun a graph, double-click a node's picture, or drop a picture here."

    def _say(self, painter: QPainter, text: str) -> None:
        painter.setFont(font(BODY + 1))
        painter.setPen(QColor(self._palette.dim))
        box = self.rect().adjusted(20, 20, -20, -20)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text)

    def _drawn(self, source: Source, frame: QSize) -> QImage:
        """What of a picture is in sight, as large as the widget. B is drawn at the width of A."""
        image = QImage(frame, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        scale, corner = self.scale_of(source), self.corner / self._stretch(source)
        sight = QRectF(corner, frame.toSizeF() / scale).toAlignedRect()
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scale < HARD and scale != 1.0)
        for piece in source.pieces(sight, scale):
            target = QRectF((piece.box.topLeft() - corner) * scale, piece.box.size() * scale)
            if scale == 1.0:
                target = QRectF(target.topLeft().toPoint(), target.size())
            painter.drawImage(target, piece.image, piece.within)
        painter.end()
        return image

    def _wiped(self, painter: QPainter, one: Source, other: Source, frame: QSize) -> None:
        part = round(frame.width() * self.divider)
        for source, left, right in ((one, 0, part), (other, part, frame.width())):
            painter.save()
            painter.setClipRect(QRect(left, 0, right - left, frame.height()), Qt.ClipOperation.IntersectClip)
            painter.drawImage(0, 0, seen(self._drawn(source, frame), self.channel, self.exposure))
            painter.restore()

    def _labels(self, painter: QPainter) -> None:
        """Which picture is where: only while there are two."""
        if self.pinned is None:
            return
        wiping, apart = self.mode is Mode.WIPE, self.mode is Mode.DIFFERENCE
        if wiping:
            x = round(self.width() * self.divider)
            painter.setPen(QPen(QColor(self._palette.canvas), 3.0))
            painter.drawLine(x, 0, x, self.height())
            painter.setPen(QPen(QColor(self._palette.text), 1.0))
            painter.drawLine(x, 0, x, self.height())
        names = ("A", "B") if wiping else ("A − B",) if apart else (self.side,)  # a minus sign
        painter.setFont(font(BODY, bold=True))
        for number, name in enumerate(names):
            wide = painter.fontMetrics().horizontalAdvance(name) + 16
            label = QRectF(10 if number == 0 else self.width() - 10 - wide, 10, wide, 24)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._palette.raised))
            painter.drawRoundedRect(label, 5, 5)
            painter.setPen(QColor(self._palette.text))
            painter.drawText(label, Qt.AlignmentFlag.AlignCenter, name)

    # --- hands

    def event(self, event: QEvent) -> bool:
        tab = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Tab and event.type() == QEvent.Type.KeyPress
        if tab and self.pinned is not None:
            event.ignore()  # else Qt takes it for the next widget: with two pictures it turns between them
            return False
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        if self.fitted:
            self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        turned = event.angleDelta().y() or event.angleDelta().x()
        self.zoom(self.scale * STEP ** (turned / 120), event.position())
        event.accept()

    def _on_divider(self, x: float) -> bool:
        return self.mode is Mode.WIPE and abs(x - self.width() * self.divider) <= GRIP

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._parting = event.button() is Qt.MouseButton.LeftButton and self._on_divider(event.position().x())
            self._slipped = self._opened = False
            self._held = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        spot = event.position()
        if self._held is not None and self._parting:
            self.divider = min(max(spot.x() / max(self.width(), 1), 0.0), 1.0)
            self._again()
        elif self._held is not None and ((spot - self._held).manhattanLength() > SLACK or self._slipped):
            self._slipped = True
            self.pan(spot.x() - self._held.x(), spot.y() - self._held.y())
            self._held = spot
        on = self._on_divider(spot.x())
        self.setCursor(Qt.CursorShape.SplitHCursor if on else Qt.CursorShape.CrossCursor)
        self.hovered.emit(spot)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        click = self._held is not None and not self._slipped and not self._parting
        self._held, self._parting = None, False
        if click and self.together and event.button() is Qt.MouseButton.LeftButton:
            self._opened = True
            self.clicked.emit(self.place(event.position()))

    def leaveEvent(self, event: QEvent) -> None:  # noqa: ARG002, N802
        self.hovered.emit(None)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Between all of it and its own size; where the first click has led into one of several, it is that."""
        if self._opened:
            self._opened = False
        elif self.fitted:
            self.zoom(1.0, event.position())
        else:
            self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        key, wiping = event.key(), event.modifiers() & Qt.KeyboardModifier.ControlModifier
        plain = not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        moves = {
            Qt.Key.Key_Left: (PART, 0), Qt.Key.Key_Right: (-PART, 0), Qt.Key.Key_Up: (0, PART),
            Qt.Key.Key_Down: (0, -PART),
        }  # fmt: skip
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and wiping:
            self.divider = min(max(self.divider + (0.02 if key == Qt.Key.Key_Right else -0.02), 0.0), 1.0)
            self._again()
        elif key in moves and not (plain and self.several and key in (Qt.Key.Key_Left, Qt.Key.Key_Right)):
            self.pan(*moves[Qt.Key(key)])
        else:
            event.ignore()
