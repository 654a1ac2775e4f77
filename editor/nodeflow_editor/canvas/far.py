"""The graph from afar, below a fifth of full size: one item that draws all plates and wires."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QGraphicsItem, QGraphicsScene, QStyleOptionGraphicsItem, QWidget

from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.theme import category_colour, hue, port_style

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

FAR = 0.2
"""Scale below which a node is a plate of a few pixels."""
WHOLE = 0.15
"""Scale of the one picture of all, which is shown below it: 7,000 wires drawn each time took 22 ms a frame."""
LARGEST = 3072
"""Pixels of that picture's longer side at most: 28 MB for a square."""
CELL = 4000.0
"""Between the two scales only cells in sight are drawn; side of a cell in the scene."""
FAINT = 0.45
"""Share of a wire's colour over the canvas. Mixed beforehand: lines half transparent took ten times as long."""

FEW = 64
"""No more dragged nodes than these take their wires along."""

Cell = tuple[int, int]
Plates = dict[str, list[QRectF]]
"""Boxes by colour."""
Lines = dict[str, list[QLineF]]
"""Wires by colour."""


class FarItem(QGraphicsItem):
    """All of a graph in one paint. What it draws is gathered anew when something changed and it is next looked at.

    Chosen nodes and those being dragged are drawn over the rest, which stays as it was gathered: to gather 5,000 nodes
    at each move of the mouse took 190 ms.
    """

    def __init__(self, canvas: GraphScene) -> None:
        super().__init__()
        self._canvas = canvas
        self._plates: Plates | None = None
        self._lines: Lines | None = None
        self._cells: dict[Cell, Lines] | None = None
        self._whole: QPixmap | None = None
        """The one picture of all."""
        self._box = QRectF()
        """What it shows, in the scene."""
        self._over: Plates | None = None
        self._lifted: dict[str, QRectF] = {}
        """Where nodes being dragged stood when the rest was gathered."""
        self._area = QRectF()
        """Where they and their wires were last."""
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)  # else all is asked for at each paint

    def forget(self, *, wires: bool = True) -> None:
        """What was gathered is no longer true: nothing of it, or no more than the colours of nodes."""
        self._over = None
        if wires:
            self._lines, self._cells, self._lifted = None, None, {}
        if self._plates is not None:
            self._plates, self._whole = None, None
            self.update()

    def chosen(self) -> None:
        """Other nodes are chosen."""
        self._over = None
        self.update()

    def lift(self, nodes: Collection[str]) -> None:
        """These are about to be moved, and not for the last time. To be called before they are."""
        if self._lifted.keys() != set(nodes):
            if self._lifted:
                self.forget()
            self._lifted = {node: self._canvas.nodes[node].frame() for node in nodes}
            self._area = self.boundingRect()
        self._over = None

    def dragged(self) -> None:
        """Those lifted stand elsewhere: what is between here and there is drawn anew."""
        area = self._area
        self._area = self._canvas.bounds(self._lifted)
        for item in self._canvas.wires_at(self._lifted) if len(self._lifted) <= FEW else ():
            self._area |= item.boundingRect()
        self.update(area | self._area)

    def boundingRect(self) -> QRectF:  # noqa: N802 # Qt's name
        return self._canvas.sceneRect()

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:  # noqa: ARG002 # Qt's signature
        if self._lines is None:
            self._lines = self._gather()
        if self._plates is None:
            self._plates = plates(self._canvas, self._canvas.nodes)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        if painter.worldTransform().m11() > WHOLE:
            self._draw_wires(painter, option.exposedRect)
            draw_plates(painter, self._plates)
        else:
            self._draw_whole(painter, self._plates)
        self._draw_over(painter)

    def _draw_whole(self, painter: QPainter, plates: Plates) -> None:
        box = self._canvas.bounds() if self._whole is None else self._box
        if self._whole is None:
            self._whole, self._box = self._painted(box, plates), box
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(box, self._whole, QRectF(self._whole.rect()))

    def _draw_over(self, painter: QPainter) -> None:
        canvas = self._canvas
        if self._lifted:
            draw_plates(painter, {canvas.ground().name(): list(self._lifted.values())})
            for item in canvas.wires_at(self._lifted) if len(self._lifted) <= FEW else ():
                line = QLineF(*item.curves[0][0], *item.curves[-1][-1])
                draw_lines(painter, {faint(item.colour, canvas.ground()): [line]})
        if self._over is None:
            self._over = plates(canvas, canvas.selection | self._lifted.keys(), canvas.selection)
        draw_plates(painter, self._over)

    def _gather(self) -> Lines:
        canvas, found = self._canvas, Lines()
        mixed: dict[int, str] = {}  # by colour: to mix it for each wire took a third of the time
        for item in canvas.wires.values():
            if item.curves:
                key = item.colour.rgb()
                name = mixed.get(key)
                if name is None:
                    name = mixed[key] = faint(item.colour, canvas.ground())
                found.setdefault(name, []).append(QLineF(*item.curves[0][0], *item.curves[-1][-1]))
        return found

    def _draw_wires(self, painter: QPainter, exposed: QRectF) -> None:
        if self._cells is None:
            self._cells = by_cell(self._lines or {})
        sight = set(cells(exposed.left(), exposed.top(), exposed.right(), exposed.bottom()))
        for cell in sight & self._cells.keys():
            draw_lines(painter, self._cells[cell])

    def _painted(self, box: QRectF, plates: Plates) -> QPixmap:
        scale = min(WHOLE, LARGEST / max(box.width(), box.height(), 1.0))
        picture = QPixmap(max(1, round(box.width() * scale)), max(1, round(box.height() * scale)))
        picture.fill(self._canvas.ground())
        painter = QPainter(picture)
        painter.scale(scale, scale)
        painter.translate(-box.topLeft())
        for frame in self._canvas.frames:
            frame.ground(painter)
        draw_lines(painter, self._lines or {})
        draw_plates(painter, plates)
        painter.end()
        return picture


def by_cell(lines: Lines) -> dict[Cell, Lines]:
    """Wires by the cells that they may touch."""
    found = dict[Cell, Lines]()
    for name, those in lines.items():
        for line in those:
            for cell in cells(line.x1(), line.y1(), line.x2(), line.y2()):
                found.setdefault(cell, {}).setdefault(name, []).append(line)
    return found


def draw_lines(painter: QPainter, lines: Lines) -> None:
    """Draws wires of several colours, one device pixel wide."""
    for name, those in lines.items():
        pen = QPen(QColor(name), 1.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.drawLines(those)


def draw_plates(painter: QPainter, plates: Plates) -> None:
    """Draws boxes of several colours."""
    painter.setPen(Qt.PenStyle.NoPen)
    for name, boxes in plates.items():
        painter.setBrush(QColor(name))
        painter.drawRects(boxes)


def plates(canvas: GraphScene, nodes: Iterable[str], chosen: Collection[str] = ()) -> Plates:
    """Nodes as boxes, by colour; those chosen have one of their own."""
    palette, marks, model = canvas.pens.palette, canvas.marks, canvas.model
    entries, found = model.graph.nodes, dict[str, list[QRectF]]()
    colours: dict[str, str] = {}  # by type: to ask each node's face took half the time
    for node in nodes:
        look = canvas.look(node)
        if look.faults or look.run is Run.FAILED:
            colour = palette.bad
        elif node in chosen:
            colour = palette.selected
        elif node in marks:
            colour = getattr(palette, marks[node].colour)
        elif dyed := hue(canvas.colours.get(node), palette):
            colour = dyed
        else:
            kind = entries[node].type
            if kind not in colours:
                colours[kind] = category_colour(model.face(node).category, palette)
            colour = colours[kind]
        found.setdefault(colour, []).append(canvas.nodes[node].frame())
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
