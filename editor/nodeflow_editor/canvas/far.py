"""The graph from afar, below a fifth of full size: one item that draws all plates and wires."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QGraphicsItem, QGraphicsScene, QStyleOptionGraphicsItem, QWidget

from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.theme import category_colour, port_style

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

FAR = 0.2
"""Scale below which a node is a plate of a few pixels."""
WHOLE = 0.1
"""Scale of the one picture of all, which is shown below it: 7,000 wires drawn each time took 22 ms a frame."""
LARGEST = 3072
"""Pixels of that picture's longer side at most: 28 MB for a square."""
CELL = 4000.0
"""Between the two scales only cells in sight are drawn; side of a cell in the scene."""
FAINT = 0.45
"""Share of a wire's colour over the canvas. Mixed beforehand: lines half transparent took ten times as long."""

Cell = tuple[int, int]


class FarItem(QGraphicsItem):
    """All of a graph in one paint. What it draws is gathered anew when something changed and it is next looked at."""

    def __init__(self, canvas: GraphScene) -> None:
        super().__init__()
        self._canvas = canvas
        self._plates: dict[str, list[QRectF]] | None = None
        self._wires: dict[Cell, dict[str, list[QLineF]]] | None = None
        self._whole: QPixmap | None = None
        self._ground: tuple[QRectF, QPixmap] | None = None
        """The one picture with wires alone: another choice of nodes leaves it as it is."""
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)  # else all is asked for at each paint

    def forget(self, *, wires: bool = True) -> None:
        """What was gathered is no longer true: nothing of it, or no more than the colours of nodes."""
        if wires:
            self._wires, self._ground = None, None
        if self._plates is not None:
            self._plates, self._whole = None, None
            self.update()

    def boundingRect(self) -> QRectF:  # noqa: N802 # Qt's name
        return self._canvas.sceneRect()

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:  # noqa: ARG002 # Qt's signature
        if self._wires is None:
            self._gather()
        if self._plates is None:
            self._plates = plates(self._canvas)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        if painter.worldTransform().m11() > WHOLE:
            self._draw(painter, option.exposedRect)
            return
        box = self._canvas.bounds()
        if self._whole is None:
            self._whole = self._painted(box)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(box, self._whole, QRectF(self._whole.rect()))

    def _gather(self) -> None:
        canvas, found = self._canvas, dict[Cell, dict[str, list[QLineF]]]()
        mixed: dict[int, str] = {}  # by colour: to mix it for each wire took a third of the time
        for item in canvas.wires.values():
            if item.curves:
                start, end, key = item.curves[0][0], item.curves[-1][-1], item.colour.rgb()
                name = mixed.get(key)
                if name is None:
                    name = mixed[key] = faint(item.colour, canvas.ground())
                line = QLineF(*start, *end)
                for cell in cells(start[0], start[1], end[0], end[1]):
                    found.setdefault(cell, {}).setdefault(name, []).append(line)
        self._wires = found

    def _draw(self, painter: QPainter, exposed: QRectF) -> None:
        self._draw_wires(painter, exposed)
        self._draw_plates(painter)

    def _draw_wires(self, painter: QPainter, exposed: QRectF) -> None:
        wires = self._wires or {}
        sight = set(cells(exposed.left(), exposed.top(), exposed.right(), exposed.bottom()))
        for cell in sight & wires.keys():
            for name, lines in wires[cell].items():
                pen = QPen(QColor(name), 1.0)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawLines(lines)

    def _draw_plates(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for name, plates in (self._plates or {}).items():
            painter.setBrush(QColor(name))
            painter.drawRects(plates)

    def _painted(self, box: QRectF) -> QPixmap:
        scale = min(WHOLE, LARGEST / max(box.width(), box.height(), 1.0))
        if self._ground is None or self._ground[0] != box:
            empty = QPixmap(max(1, round(box.width() * scale)), max(1, round(box.height() * scale)))
            empty.fill(self._canvas.ground())
            self._onto(empty, box, scale, lambda painter: self._draw_wires(painter, box))
            self._ground = box, empty
        picture = self._ground[1].copy()
        self._onto(picture, box, scale, self._draw_plates)
        return picture

    def _onto(self, picture: QPixmap, box: QRectF, scale: float, draw: Callable[[QPainter], None]) -> None:
        painter = QPainter(picture)
        painter.scale(scale, scale)
        painter.translate(-box.topLeft())
        draw(painter)
        painter.end()


def plates(canvas: GraphScene) -> dict[str, list[QRectF]]:
    """The nodes as boxes, by colour."""
    palette, selection, marks, model = canvas.pens.palette, canvas.selection, canvas.marks, canvas.model
    entries, found = model.graph.nodes, dict[str, list[QRectF]]()
    colours: dict[str, str] = {}  # by type: to ask each node's face took half the time
    for node, item in canvas.nodes.items():
        look = canvas.look(node)
        if look.faults or look.run is Run.FAILED:
            colour = palette.bad
        elif node in selection:
            colour = palette.selected
        elif node in marks:
            colour = getattr(palette, marks[node].colour)
        else:
            kind = entries[node].type
            if kind not in colours:
                colours[kind] = category_colour(model.face(node).category, palette)
            colour = colours[kind]
        found.setdefault(colour, []).append(item.frame())
    return found


def cells(left: float, top: float, right: float, bottom: float) -> Iterable[Cell]:
    """The cells that a box touches, whichever corner comes first."""
    columns = sorted((int(left // CELL), int(right // CELL)))
    rows = sorted((int(top // CELL), int(bottom // CELL)))
    return ((x, y) for x in range(columns[0], columns[1] + 1) for y in range(rows[0], rows[1] + 1))


def faint(colour: QColor, ground: QColor) -> str:
    """A colour as it would look half transparent over the canvas."""
    mixed = [
        round(FAINT * one + (1 - FAINT) * other)
        for one, other in (
            (colour.red(), ground.red()),
            (colour.green(), ground.green()),
            (colour.blue(), ground.blue()),
        )
    ]
    return QColor(*mixed).name()


def far_scene(canvas: GraphScene) -> tuple[QGraphicsScene, FarItem]:
    """A scene of that one item: to hide 12,000 items instead took 30 ms at each crossing."""
    scene = QGraphicsScene(canvas)
    scene.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)
    item = FarItem(canvas)
    scene.addItem(item)
    return scene, item


def wire_colour(canvas: GraphScene, source: str, output: str) -> QColor:
    """The colour of a wire: its type's."""
    graph = canvas.model.graph
    port = canvas.model.face(source).output(output) if source in graph.nodes else None
    return canvas.pens.of_port(port_style(port.type)) if port else QColor(canvas.pens.palette.bad)
