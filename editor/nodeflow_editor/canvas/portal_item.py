"""Wires as portals: a short end with the source's name at each port, and no line across the canvas between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsPathItem, QStyleOptionGraphicsItem, QWidget

from nodeflow.document import Wire
from nodeflow_editor.canvas.link_item import LinkItem
from nodeflow_editor.canvas.metrics import Point
from nodeflow_editor.canvas.pens import Pens
from nodeflow_editor.graph_model import Link

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

ABOVE_NODES = 1.0
"""A name that lies beneath the next node could be neither read nor clicked."""
ARM, TALL, INNER = 11.0, 16.0, 6.0
"""Length of the line between port and name, height of the name's box, and room beside the name in it."""
BETWEEN, WIDEST = 3.0, 120.0
"""Room between names below one another; the widest that one gets."""
READABLE = 0.45
"""Scale below which names are left out."""
Port = tuple[str, str]
"""A node and its output."""


def label(text: str, port: Point, pens: Pens, *, out: bool, row: int = 0) -> tuple[str, QRectF]:
    """A name as it fits beside a port of a node, and its box there; row: how many others stand above it."""
    shown = pens.small_size.elidedText(text, Qt.TextElideMode.ElideMiddle, WIDEST)
    wide = pens.small_size.horizontalAdvance(shown) + 2 * INNER
    left = port[0] + ARM if out else port[0] - ARM - wide
    return shown, QRectF(left, port[1] - TALL / 2 + row * (TALL + BETWEEN), wide, TALL)


def shape(port: Point, box: QRectF, *, out: bool) -> QPainterPath:
    """The line from a port to a name, and the name's box."""
    path = QPainterPath(QPointF(*port))
    path.lineTo(QPointF(box.left() if out else box.right(), box.center().y()))
    path.addRoundedRect(box, TALL / 2, TALL / 2)
    return path


def draw(painter: QPainter, path: QPainterPath, box: QRectF, text: str, colour: QColor, pens: Pens) -> None:
    """Draws one end of a portal."""
    painter.setPen(QPen(colour, 1.4))
    painter.setBrush(pens.brush["panel"])
    painter.drawPath(path)
    if painter.worldTransform().m11() >= READABLE:
        painter.setFont(pens.small)
        painter.setPen(pens.colour["text"])
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


class PortalItem(LinkItem):
    """The end of a wire at its input. The other, at the output, is shared: see Outlets."""

    portal = True

    def __init__(self, link: Link, colour: QColor, canvas: GraphScene) -> None:
        super().__init__(link, colour)
        self._canvas = canvas
        self._text, self.box, self._row = "", QRectF(), 0
        self.setZValue(ABOVE_NODES)

    def lead(self, start: Point, end: Point, dots: Sequence[Point] = ()) -> None:  # noqa: ARG002 # a line's
        """Takes its place at its input. Its dots are kept for when it is a line again."""
        self.dots = tuple(dots)
        folded = self._canvas.nodes[self.link.node].measures.folded
        row = folded.index(self.link.key) if folded and self.link.key in folded else 0
        if self.curves and (self.curves[-1][-1], self._row) == (end, row):
            return  # the output alone was moved: a loader may have thousands of these
        name, self._row = str(Wire(self.link.source, self.link.output)), row
        self._text, self.box = label(name, end, self._canvas.pens, out=False, row=row)
        far = self.box.left(), self.box.center().y()
        self.curves = [(far, far, end, end)]  # what is cut across, and found by the mouse
        self.setPath(shape(end, self.box, out=False))

    def underline(self, painter: QPainter) -> None:
        """It is drawn thick as it is."""

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:  # noqa: ARG002 # Qt's signature
        draw(painter, self.path(), self.box, self._text, self.colour, self._canvas.pens)


class OutletItem(QGraphicsPathItem):
    """The end of portals at the output that they all take."""

    def __init__(self, port: Port, canvas: GraphScene) -> None:
        super().__init__()
        self.port, self.links = port, set[Link]()
        self._canvas, self._colour, self._text = canvas, QColor(), ""
        self.box = QRectF()
        self._stands: tuple[Point, int, str, QColor] | None = None
        self.setZValue(ABOVE_NODES)

    def lead(self, place: Point, colour: QColor, row: int = 0) -> None:
        """Takes its place at the output; row: how many others of a folded node stand above it."""
        name = str(Wire(*self.port)) + (f" × {len(self.links)}" if len(self.links) > 1 else "")
        if self._stands == (place, row, name, colour):
            return  # it is asked for each of its wires
        self._stands, self._colour = (place, row, name, colour), colour
        self._text, self.box = label(name, place, self._canvas.pens, out=True, row=row)
        self.setPath(shape(place, self.box, out=True))
        self.update()

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:  # noqa: ARG002
        draw(painter, self.path(), self.box, self._text, self._colour, self._canvas.pens)


class Outlets:
    """The ends of portals at outputs: one for all of an output's, of which a loader may have thousands."""

    def __init__(self, canvas: GraphScene) -> None:
        self._canvas = canvas
        self.items: dict[Port, OutletItem] = {}

    def add(self, item: LinkItem) -> None:
        """A portal is there."""
        port = item.link.source, item.link.output
        outlet = self.items.get(port)
        if outlet is None:
            outlet = self.items[port] = OutletItem(port, self._canvas)
            outlet.hide()
            self._canvas.addItem(outlet)
        outlet.links.add(item.link)
        if self._canvas.shows(item.link):
            outlet.show()
        self.lead(item.link)

    def drop(self, link: Link) -> None:
        """A portal is gone."""
        outlet = self.items.get((link.source, link.output))
        if outlet is None or link not in outlet.links:
            return
        outlet.links.discard(link)
        if not outlet.links:
            self._canvas.removeItem(self.items.pop(outlet.port))
            return
        self.lead(link)
        if self._canvas.only_selected:
            outlet.setVisible(any(map(self._canvas.shows, outlet.links)))

    def lead(self, link: Link) -> None:
        """The output of a portal stands elsewhere."""
        outlet = self.items.get((link.source, link.output))
        place = self._canvas.port_at(link.source, link.output, out=True)
        if outlet is not None and place is not None:
            outlet.lead(place, self._canvas.wires[next(iter(outlet.links))].colour, self._row(*outlet.port))

    def _row(self, node: str, output: str) -> int:
        """How many others stand above it: of a folded node all are at one place."""
        if self._canvas.nodes[node].measures.folded is None:
            return 0
        names = [port.name for port in self._canvas.model.face(node).outputs if (node, port.name) in self.items]
        return names.index(output) if output in names else 0

    def refresh(self) -> None:
        """Shows those that are to be seen, in the colours of the day."""
        for outlet in self.items.values():
            outlet.setVisible(any(map(self._canvas.shows, outlet.links)))
            self.lead(next(iter(outlet.links)))

    def clear(self) -> None:
        """All items are made anew."""
        for outlet in self.items.values():
            self._canvas.removeItem(outlet)
        self.items = {}
