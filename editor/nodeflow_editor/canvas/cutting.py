"""A cut across wires, with X held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen

from nodeflow_editor.canvas.paths import crosses
from nodeflow_editor.canvas.tools import Press, Tool
from nodeflow_editor.graph_model import Change, Link
from nodeflow_editor.wiring import cut

if TYPE_CHECKING:
    from nodeflow_editor.canvas.view import GraphView


class Cutting(Tool):
    """Each line drawn with X held cuts the wires that it crosses."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self._start: QPointF | None = None
        self._end = QPointF()
        self._let_go = False

    def left(self) -> None:
        """Ends with the line that is being drawn, or at once."""
        self._let_go = True
        if self._start is None:
            self.view.rest()

    def upset(self, change: Change) -> None:
        """It holds nothing of the graph."""

    def press(self, press: Press) -> None:
        if press.button is Qt.MouseButton.LeftButton:
            self._start = self._end = QPointF(press.x, press.y)

    def move(self, press: Press) -> None:
        self._end = QPointF(press.x, press.y)
        if self._start is not None:
            self.view.viewport().update()

    def release(self, press: Press) -> None:
        self.move(press)
        found = self.crossed()
        self._start = None
        if found:
            model = self.view.canvas.model
            model.do(cut(model.graph, found), f"Cut {len(found)} wires" if len(found) > 1 else "Cut wire")
        if self._let_go:
            self.view.rest()

    def crossed(self) -> list[Link]:
        """The wires that the line crosses."""
        if self._start is None:
            return []
        one, other = (self._start.x(), self._start.y()), (self._end.x(), self._end.y())
        box = QRectF(self._start, self._end).normalized().adjusted(-1, -1, 1, 1)
        return [item.link for item in self.view.canvas.wires_in(box) if crosses(item.curves, one, other)]

    def key(self, key: int, *, pressed: bool, repeated: bool) -> bool:
        if key == Qt.Key.Key_X:
            if not pressed and not repeated:
                self.left()
            return True
        return super().key(key, pressed=pressed, repeated=repeated)

    def paint(self, painter: QPainter) -> None:
        if self._start is None:
            return
        pen = QPen(self.view.canvas.pens.colour["bad"], 2.0, Qt.PenStyle.DashLine)
        pen.setCosmetic(True)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(pen)
        painter.drawLine(self._start, self._end)
