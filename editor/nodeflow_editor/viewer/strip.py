"""The last pictures as a strip of small ones: one is chosen by mouse or arrow keys."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

SIDE = 56


class Strip(QListWidget):
    """Small pictures by key, the newest first."""

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFlow(QListWidget.Flow.LeftToRight)
        self.setViewMode(QListWidget.ViewMode.ListMode)
        self.setWrapping(False)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setFixedHeight(SIDE + 26)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Last pictures")
        self.currentItemChanged.connect(self._turned)

    def put(self, key: str, title: str, image: QImage | None) -> None:
        """Adds a picture at the front, or changes the one of that key where it stands."""
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

    def _item(self, key: str) -> QListWidgetItem | None:
        items = (self.item(row) for row in range(self.count()))
        return next((item for item in items if item.data(Qt.ItemDataRole.UserRole) == key), None)

    def _turned(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.picked.emit(item.data(Qt.ItemDataRole.UserRole))
