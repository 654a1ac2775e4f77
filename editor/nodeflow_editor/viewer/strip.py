"""The last pictures as a strip of small ones: one is chosen by mouse or arrow keys."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.theme import BODY

SIDE = 56


def numbered(picture: QImage, count: int) -> QImage:
    """A small picture with a plaque that tells how many there are."""
    side = max(picture.width(), picture.height())
    made = picture.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    letters = font(BODY, bold=True)
    letters.setPixelSize(max(8, side // 5))
    painter.setFont(letters)
    wide, high = painter.fontMetrics().horizontalAdvance(f"{count:,}") + side // 10, side // 4
    box = QRectF(made.width() - wide - 2, made.height() - high - 2, wide, high)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 20, 24, 215))
    painter.drawRoundedRect(box, high / 5, high / 5)
    painter.setPen(QColor("white"))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{count:,}")
    painter.end()
    return made


class Strip(QListWidget):
    """Small pictures by key, the newest first."""

    picked = Signal(str)
    taken = Signal(str)
    """That one is being dragged away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFlow(QListWidget.Flow.LeftToRight)
        self.setViewMode(QListWidget.ViewMode.ListMode)
        self.setWrapping(False)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setFixedHeight(SIDE + 26)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setDragEnabled(True)
        self.setAccessibleName("Last pictures")
        self.currentItemChanged.connect(self._turned)

    def put(self, key: str, title: str, image: QImage | None, count: int = 1) -> None:
        """Adds a picture at the front, or changes the one of that key where it stands.

        count: of the batch that it is of.
        """
        item = self._item(key)
        if item is None:
            item = QListWidgetItem()
            item.setData(Qt.ItemDataRole.UserRole, key)
            self.blockSignals(True)
            self.insertItem(0, item)
            self.blockSignals(False)
        item.setToolTip(title)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, title)
        if image is not None and not image.isNull():
            keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            if max(image.width(), image.height()) > 8 * SIDE:  # previews come ten times a second
                image = image.scaled(8 * SIDE, 8 * SIDE, keep)
            small = image.scaled(2 * SIDE, 2 * SIDE, keep, smooth)
            if count > 1:
                small = numbered(small, count)
            icon = QIcon(QPixmap.fromImage(small))
            icon.addPixmap(QPixmap.fromImage(small), QIcon.Mode.Selected)  # else Qt tints it
            item.setIcon(icon)
            item.setText("")
        elif item.icon().isNull():
            item.setText(title[:12])

    def drop(self, key: str) -> None:
        """Takes a picture away."""
        item = self._item(key)
        if item is not None:
            self.blockSignals(True)
            self.takeItem(self.row(item))
            self.blockSignals(False)

    def choose(self, key: str) -> None:
        """Marks the one that is shown."""
        item = self._item(key)
        if item is not None and item is not self.currentItem():
            self.blockSignals(True)
            self.setCurrentItem(item)
            self.blockSignals(False)

    def step(self, by: int) -> None:
        """Chooses the one so many places on."""
        row = min(max(self.currentRow() + by, 0), self.count() - 1)
        if self.count():
            self.setCurrentRow(row)

    def startDrag(self, actions: Qt.DropAction) -> None:  # noqa: ARG002, N802 # Qt's name
        if (item := self.currentItem()) is not None:
            self.taken.emit(item.data(Qt.ItemDataRole.UserRole))

    def _item(self, key: str) -> QListWidgetItem | None:
        items = (self.item(row) for row in range(self.count()))
        return next((item for item in items if item.data(Qt.ItemDataRole.UserRole) == key), None)

    def _turned(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.picked.emit(item.data(Qt.ItemDataRole.UserRole))
