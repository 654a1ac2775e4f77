"""Pictures that came together, as a node shows them: side by side, all of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter

MOST = 16
"""Pictures that a node shows side by side; how many more there are is told over the last of them."""
GAP = 0.02
"""Between two pictures, as a share of the larger side of one."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures made small: the first of `count`."""

    pictures: tuple[QImage, ...]
    count: int = 1

    @classmethod
    def of(cls, *pictures: QImage) -> Batch:
        """All of these."""
        return cls(pictures, len(pictures))


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells in rows: `shown` of them, from the upper left."""

    columns: int
    rows: int
    shown: int

    @classmethod
    def of(cls, count: int, proportion: float) -> Grid:
        """So many pictures of that height by width, as large as they can be in a square; wide rather than high."""

        def size(columns: int) -> tuple[float, int]:
            return min(1 / columns, 1 / (ceil(count / columns) * proportion)), columns

        columns = max(range(1, max(count, 1) + 1), key=size)
        rows = ceil(count / columns)
        return cls(ceil(count / rows), rows, count)

    def cell(self, at: int, within: QRectF) -> QRectF:
        """Where a picture stands in a box that all of them fill."""
        wide, high = within.width() / self.columns, within.height() / self.rows
        return QRectF(within.x() + at % self.columns * wide, within.y() + at // self.columns * high, wide, high)

    def at(self, x: float, y: float, within: QRectF) -> int | None:
        """Which picture is at a place of that box; None if none is."""
        if within.isEmpty() or not within.contains(x, y):
            return None
        column = min(floor((x - within.x()) / within.width() * self.columns), self.columns - 1)
        row = min(floor((y - within.y()) / within.height() * self.rows), self.rows - 1)
        found = row * self.columns + column
        return found if found < self.shown else None


def sheet(pictures: Sequence[QImage], grid: Grid, side: int) -> QImage:
    """Pictures side by side, the longest side of all together at most so long; none is drawn larger than it is."""
    proportion = pictures[0].height() / pictures[0].width()
    wide = min(side / grid.columns, side / (grid.rows * proportion), float(pictures[0].width()))
    cell = QSize(max(1, floor(wide)), max(1, floor(wide * proportion)))
    made = QImage(cell.width() * grid.columns, cell.height() * grid.rows, QImage.Format.Format_ARGB32_Premultiplied)
    made.fill(Qt.GlobalColor.transparent)
    gap = max(cell.width(), cell.height()) * GAP / 2
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    for at, picture in enumerate(pictures[: grid.shown]):
        box = grid.cell(at, QRectF(made.rect())).adjusted(gap, gap, -gap, -gap)
        small = picture.scaled(box.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio,
                               Qt.TransformationMode.SmoothTransformation)  # fmt: skip
        place = QRectF(small.rect())
        place.moveCenter(box.center())
        painter.drawImage(place.topLeft(), small)
    painter.end()
    return made
