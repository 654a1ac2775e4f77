"""A node on the canvas: one item, painted from a picture that is made once for each scale."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap, QTransform
from PySide6.QtWidgets import QGraphicsRectItem, QStyleOptionGraphicsItem, QWidget

from nodeflow_editor import seeds
from nodeflow_editor.canvas.looks import Look, Mark, Run
from nodeflow_editor.canvas.metrics import HEADER, WIDTH, Box, Measures, Point
from nodeflow_editor.canvas.node_paint import RADIUS, ends_of, paint_node
from nodeflow_editor.canvas.pens import outline
from nodeflow_editor.folding import fold
from nodeflow_editor.theme import category_colour, hue, port_style, tinted

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

MARGIN = 9.0
"""Around a node: ports and the ring of a chosen one stand out by so much."""
DETAIL = 0.45
"""Scale below which a node is a coloured plate with its title."""
TITLED = 0.34
"""Scale below which the title is left out as well."""
PLATE = 0.45
"""Share of the colour that a node was given in its plate from afar, where nothing is to be read on it."""
STRIP = 8.0
"""What a folded node shows of its plate below its head from afar: whether something is wrong with it."""
SHOTS = 40 * 2**20
"""Bytes of pictures kept for all nodes; those not seen for longest go first."""


class Shots:
    """Pictures of nodes by (node, scale), bounded by bytes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, float], QPixmap] = OrderedDict()
        self._scales: dict[str, set[float]] = {}
        self.bytes = 0

    def get(self, node: str, scale: float) -> QPixmap | None:
        """The picture at exactly that scale."""
        found = self._kept.get((node, scale))
        if found is not None:
            self._kept.move_to_end((node, scale))
        return found

    def near(self, node: str, scale: float) -> tuple[float, QPixmap] | None:
        """The picture whose scale is nearest, and that scale."""
        scales = self._scales.get(node)
        if not scales:
            return None
        best = min(scales, key=lambda known: max(known / scale, scale / known))
        return best, self._kept[node, best]

    def put(self, node: str, scale: float, shot: QPixmap) -> None:
        """Keeps a picture; older ones of all nodes go if there are too many."""
        self._drop((node, scale))
        self._kept[node, scale] = shot
        self._scales.setdefault(node, set()).add(scale)
        self.bytes += size(shot)
        while self.bytes > SHOTS and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def forget(self, node: str) -> None:
        """A node's pictures are no longer true."""
        for scale in tuple(self._scales.get(node, ())):
            self._drop((node, scale))

    def clear(self) -> None:
        self._kept.clear()
        self._scales.clear()
        self.bytes = 0

    def _drop(self, key: tuple[str, float]) -> None:
        shot = self._kept.pop(key, None)
        if shot is not None:
            self.bytes -= size(shot)
            self._scales[key[0]].discard(key[1])


def size(shot: QPixmap) -> int:
    """Bytes of a picture."""
    return shot.width() * shot.height() * 4


def turned(canvas: GraphScene) -> list[str]:
    """The nodes that have been folded or unfolded since they were drawn, and those folded that have other portals."""
    graph = canvas.model.graph
    return [node for node, item in canvas.nodes.items() if item.measures.folded != fold(graph, node)]


class NodeItem(QGraphicsRectItem):
    """Draws one node. What it shows is the model's and the scene's; it holds its measures alone."""

    def __init__(self, node: str, canvas: GraphScene, measures: Measures, x: float, y: float) -> None:
        super().__init__(-MARGIN, -MARGIN, measures.width + 2 * MARGIN, measures.height + 2 * MARGIN)
        self.node, self.canvas, self.measures = node, canvas, measures
        self._plain: tuple[QRectF, QColor, QRectF, QColor, str] | None = None
        """The plate, the head and the title drawn from afar: asked for at each paint they took half of a frame."""
        self.setPos(x, y)

    def remeasure(self, measures: Measures) -> None:
        """Takes a new layout: inputs were wired, a picture came."""
        if measures != self.measures:
            self.measures, self._plain = measures, None
            self.setRect(-MARGIN, -MARGIN, measures.width + 2 * MARGIN, measures.height + 2 * MARGIN)

    def refresh(self) -> None:
        """Paints it anew at the next chance."""
        self.canvas.shots.forget(self.node)
        self._plain = None
        self.update()

    def frame(self) -> QRectF:
        """Its outline in the scene, without what stands out."""
        return QRectF(self.x(), self.y(), self.measures.width, self.measures.height)

    def dyed(self) -> str:
        """The colour that it was given; empty if it was given none."""
        return hue(self.canvas.colours.get(self.node), self.canvas.pens.palette)

    def box(self) -> Box:
        """The same as plain numbers."""
        return self.x(), self.y(), self.measures.width, self.measures.height

    def ports(self) -> tuple[tuple[bool, Mapping[str, Point]], ...]:
        """Where ports can be taken hold of, for inputs and for outputs: of a folded node, where there is one alone."""
        if self.measures.folded is None:
            return (False, self.measures.inputs), (True, self.measures.outputs)
        model = self.canvas.model
        ends = ends_of(model.face(self.node), model.graph.nodes[self.node], model.taken(self.node))
        middle = HEADER / 2
        wide = self.measures.width
        return tuple((out, {port.name: (wide if out else 0.0, middle) for port in ports if len(ports) == 1})
                     for out, ports in zip((False, True), ends, strict=True))  # fmt: skip

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:  # noqa: ARG002 # Qt's signature
        canvas, look = self.canvas, self.canvas.look(self.node)
        world = painter.worldTransform()
        scale = world.m11()
        fits = canvas.fits
        faded = fits is not None and self.node not in fits
        if faded:
            painter.setOpacity(0.4)
        if self.node in canvas.selection:
            self._ring(painter, scale)
        if scale < DETAIL:
            self._plate(painter, scale, look)
        else:
            self._shot(painter, world, scale)
        if look.run is Run.RUNNING:
            self._progress(painter, look)
        if mark := canvas.marks.get(self.node):
            self._marked(painter, mark, scale)
        if fits is not None and not faded:
            self._rings(painter, fits[self.node])

    def _ring(self, painter: QPainter, scale: float) -> None:
        """Marks a chosen node, beneath its ports."""
        painter.setPen(QPen(self.canvas.pens.colour["selected"], max(2.0, 1.5 / scale)))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, scale >= DETAIL)
        painter.drawRoundedRect(QRectF(-2, -2, self.measures.width + 4, self.measures.height + 4), 8, 8)

    def _shot(self, painter: QPainter, world: QTransform, scale: float) -> None:
        """The node's picture, put on whole pixels, so that its text is sharp."""
        ratio = painter.device().devicePixelRatioF()
        exact = round(scale * ratio, 6)
        shots = self.canvas.shots
        shot = shots.get(self.node, exact)
        if shot is None and not self.canvas.pace.hurried():
            shot = self._photographed(exact, ratio)
            shots.put(self.node, exact, shot)
        if shot is None:
            self.canvas.pace.owe(self.node)
            nearest = shots.near(self.node, exact)
            if nearest is None:
                self._plate(painter, scale, self.canvas.look(self.node))
            else:
                painter.drawPixmap(self.rect(), nearest[1], QRectF(nearest[1].rect()))
            return
        corner = world.map(QPointF(-MARGIN, -MARGIN))
        painter.setWorldTransform(QTransform())
        painter.drawPixmap(QPointF(round(corner.x() * ratio) / ratio, round(corner.y() * ratio) / ratio), shot)
        painter.setWorldTransform(world)

    def _photographed(self, exact: float, ratio: float) -> QPixmap:
        rect = self.rect()
        shot = QPixmap(max(1, round(rect.width() * exact + 1)), max(1, round(rect.height() * exact + 1)))
        shot.setDevicePixelRatio(ratio)
        shot.fill(Qt.GlobalColor.transparent)
        painter = QPainter(shot)
        painter.scale(exact / ratio, exact / ratio)
        painter.translate(MARGIN, MARGIN)
        model = self.canvas.model
        face = model.face(self.node)
        paint_node(
            painter, self.node, face, self.canvas.entry(self.node), self.canvas.look(self.node), self.measures,
            model.taken(self.node), self.canvas.pens, seeds.of_node(model.graph, self.node, face.inputs),
            self.canvas.exposed.get(self.node, ()), within=bool(model.level), dyed=self.dyed(),
        )  # fmt: skip
        painter.end()
        return shot

    def _plate(self, painter: QPainter, scale: float, look: Look) -> None:
        plate, colour, head, category, title = self._plain or self._looked_at(look)
        painter.fillRect(plate, colour)
        painter.fillRect(head, category)
        if look.picture is not None and self.measures.picture is not None:
            painter.drawImage(QRectF(*self.measures.picture), look.picture)
        if scale >= TITLED:
            pens = self.canvas.pens
            painter.setFont(pens.large)
            painter.setPen(pens.colour["canvas"])
            painter.drawText(QRectF(6, 0, WIDTH - 12, HEADER), Qt.AlignmentFlag.AlignVCenter, title)

    def _looked_at(self, look: Look) -> tuple[QRectF, QColor, QRectF, QColor, str]:
        pens, face, wide = self.canvas.pens, self.canvas.model.face(self.node), self.measures.width
        colour = pens.colour["bad" if look.faults or look.run is Run.FAILED else "absent" if face.absent else "node"]
        if (dyed := self.dyed()) and colour is pens.colour["node"]:
            colour = QColor(tinted(pens.palette.node, dyed, PLATE))
        category = QColor(category_colour(face.category, pens.palette))
        high = HEADER if self.measures.folded is None else HEADER - STRIP
        plate, head = QRectF(0, 0, wide, self.measures.height), QRectF(0, 0, wide, high)
        self._plain = plate, colour, head, category, face.title
        return self._plain

    def _progress(self, painter: QPainter, look: Look) -> None:
        pens, wide = self.canvas.pens, self.measures.width
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(pens.colour["accent"], 2.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(0, 0, wide, self.measures.height), RADIUS, RADIUS)
        part = 1.0 if look.progress is None else look.progress
        painter.fillRect(QRectF(2, HEADER - 3, (wide - 4) * part, 3), pens.colour["accent"])

    def _marked(self, painter: QPainter, mark: Mark, scale: float) -> None:
        """A frame and a sign at the corner: what became of it."""
        pens = self.canvas.pens
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(pens.colour[mark.colour], max(2.5, 2.0 / scale)))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(-2, -2, self.measures.width + 4, self.measures.height + 4), 8, 8)
        badge = QRectF(-MARGIN, -MARGIN, 2 * MARGIN, 2 * MARGIN)
        painter.setBrush(pens.colour[mark.colour])
        painter.setPen(pens.none)
        painter.drawEllipse(badge)
        painter.setPen(pens.colour["canvas"])
        painter.setFont(pens.title)
        painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, mark.value)

    def _rings(self, painter: QPainter, ports: set[str]) -> None:
        """Marks the ports that the wire in hand may enter."""
        pens, model = self.canvas.pens, self.canvas.model
        face = model.face(self.node)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for name in ports:
            side, _, port_name = name.partition(":")
            places = self.measures.inputs if side == "in" else self.measures.outputs
            port = face.input(port_name) if side == "in" else face.output(port_name)
            if port is None or port_name not in places:
                continue
            x, y = places[port_name]
            style = port_style(port.type)
            painter.translate(x, y)
            painter.setPen(QPen(pens.of_port(style), 2.0))
            painter.setBrush(pens.of_port(style))
            painter.drawPath(outline(style.shape, 7.0))
            painter.translate(-x, -y)
