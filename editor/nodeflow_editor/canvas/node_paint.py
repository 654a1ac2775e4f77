"""Paints a node at full detail, in its own coordinates."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from nodeflow.document import NodeEntry
from nodeflow.spec import Port
from nodeflow_editor.canvas.looks import Look, Run
from nodeflow_editor.canvas.metrics import HEADER, PAD, ROW, Box, Measures, Row, wired
from nodeflow_editor.canvas.pens import Pens, outline
from nodeflow_editor.canvas.value_paint import paint_value
from nodeflow_editor.faces import Face
from nodeflow_editor.theme import Shape, category_colour, port_style, tinted

RADIUS = 6.0
BORDER = 8.0
"""From a port to the bar of one that is a parameter or an output of the graph."""
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
CENTRE = Qt.AlignmentFlag.AlignCenter
MARKS = {Run.DONE: ("✓", "good"), Run.REUSED: ("↺", "reused"), Run.FAILED: ("✕", "bad"), Run.QUEUED: ("…", "dim")}
"""State by sign and colour: never by colour alone."""


def paint_node(
    painter: QPainter, node: str, face: Face, entry: NodeEntry, look: Look, measures: Measures, taken: set[str],
    pens: Pens, seeds: Mapping[str, str], border: Collection[str] = (), *, within: bool = False, dyed: str = "",
) -> None:  # fmt: skip
    """Draws a node with its ports, values and picture; what moves (progress, selection) is drawn over it.

    seeds: what becomes of the node's seeds with each run, by input; those that stay are left out.
    border: ports that are parameters and outputs of the graph: "in:seed", "out:out".
    within: whether the graph on show stands in another, which feeds its parameters.
    dyed: the colour that it was given; empty if it was given none.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if entry.mode:
        painter.setOpacity(0.55)
    _body(painter, face, look, measures, pens, dyed)
    _header(painter, node, face, look, measures, pens)
    if measures.folded is not None:
        _ends(painter, ends_of(face, entry, taken), measures, pens, border)
    else:
        _outputs(painter, face, measures, taken, pens, border)
    for row in measures.rows:
        at_border = f"in:{row.port.name}" in border
        if at_border:
            _border(painter, -BORDER, row.y + ROW / 2, pens.of_port(port_style(row.port.type)))
        _row(painter, row, entry, look, pens, seeds.get(row.port.name, ""), fed=at_border and within)
    if entry.mode:
        _mode(painter, entry, measures, pens)
    if measures.picture is not None and look.picture is not None:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        _picture(painter, measures.picture, look, look.picture, pens)


def _mode(painter: QPainter, entry: NodeEntry, measures: Measures, pens: Pens) -> None:
    """A bar across a muted node, a line past a bypassed one: both with the word."""
    painter.setOpacity(1.0)
    colour = pens.colour["dim" if entry.mode == "muted" else "warning"]
    painter.setPen(QPen(colour, 2.0, Qt.PenStyle.SolidLine if entry.mode == "muted" else Qt.PenStyle.DashLine))
    y = measures.height / 2 + HEADER / 2 - 4 if measures.folded is None else HEADER - 4
    painter.drawLine(QPointF(6, y), QPointF(measures.width - 6, y))
    painter.setFont(pens.small)
    wide = pens.small_size.horizontalAdvance(entry.mode) + 16
    label = QRectF((measures.width - wide) / 2, y - 9, wide, 18)
    if measures.folded is not None:
        label.moveTo(measures.width - wide - 12, HEADER / 2 - 9)  # beside the title
    painter.setPen(pens.none)
    painter.setBrush(pens.brush["node"])
    painter.drawRoundedRect(label, 9, 9)
    painter.setPen(colour)
    painter.drawText(label, CENTRE, entry.mode)


def _picture(painter: QPainter, box: Box, look: Look, picture: QImage, pens: Pens) -> None:
    """The picture, or those of a batch side by side, with how many there are."""
    place = fitted(box, look)
    painter.drawImage(place, picture)
    painter.setPen(pens.edge)  # a white picture on a white node has an edge as well
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if look.grid is None:
        painter.drawRect(place)
        return
    for at in range(look.grid.shown):
        painter.drawRect(look.grid.cell(at, place).adjusted(1, 1, -1, -1))
    painter.setFont(pens.small)
    if beyond := look.count - look.grid.shown:
        last = look.grid.cell(look.grid.shown - 1, place)
        _plaque(painter, last.right(), last.bottom() - 20, f"+{beyond:,}", pens, left=False)
    _plaque(painter, place.x(), place.y() + 4, f"1/{look.count:,}", pens)


def _plaque(painter: QPainter, x: float, y: float, text: str, pens: Pens, *, left: bool = True) -> None:
    """A few words over a picture, to be read on any, 4 right of x or left of it."""
    wide = pens.small_size.horizontalAdvance(text) + 10
    box = QRectF(x + 4 if left else x - 4 - wide, y, wide, 16)
    ground = QColor(pens.colour["canvas"])
    ground.setAlpha(205)
    painter.setPen(pens.none)
    painter.setBrush(ground)
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(pens.colour["text"])
    painter.drawText(box, CENTRE, text)


def fitted(area: Box, look: Look) -> QRectF:
    """Where a node's picture is in the room that it has."""
    box, proportion = QRectF(*area), look.proportion or 1.0
    wide = min(box.width(), box.height() / proportion)
    high = wide * proportion
    return QRectF(box.center().x() - wide / 2, box.center().y() - high / 2, wide, high)


def _body(painter: QPainter, face: Face, look: Look, measures: Measures, pens: Pens, dyed: str) -> None:
    frame = QRectF(0.5, 0.5, measures.width - 1, measures.height - 1)
    edge = QPen(pens.edge)
    if look.faults or look.run is Run.FAILED:
        edge = QPen(pens.bad)
    elif dyed:
        edge = QPen(QColor(dyed), 1.5)
    if face.absent:
        edge.setStyle(Qt.PenStyle.DashLine)
    painter.setPen(edge)
    ground = "absent" if face.absent else "node"
    painter.setBrush(QColor(tinted(getattr(pens.palette, ground), dyed)) if dyed else pens.brush[ground])
    painter.drawRoundedRect(frame, RADIUS, RADIUS)
    if dyed:
        painter.fillRect(QRectF(RADIUS, 1, measures.width - 2 * RADIUS, 3), QColor(dyed))


def _header(painter: QPainter, node: str, face: Face, look: Look, measures: Measures, pens: Pens) -> None:
    painter.setPen(pens.none)
    painter.setBrush(QColor(category_colour(face.category, pens.palette)))
    painter.drawRoundedRect(QRectF(PAD, 8, 3.0, HEADER - 15), 1.5, 1.5)
    wrong = ("✕", "bad") if look.faults else ("", "dim")
    sign, colour = wrong if look.faults and measures.folded is not None else MARKS.get(look.run, wrong)
    right = measures.width - (PAD + 8 if len(face.outputs) == 1 or measures.folded is not None else PAD)
    note = f"{look.note} {sign}".strip()
    if look.old and (look.run is not Run.IDLE or look.picture is not None):
        note, colour = f"old {sign}", "dim"
    width = pens.small_size.horizontalAdvance(note) if note else 0.0
    if note:
        painter.setFont(pens.small)
        painter.setPen(pens.colour[colour])
        painter.drawText(QRectF(right - width - 1, 0, width + 2, HEADER), RIGHT, note)
    painter.setFont(pens.title)
    painter.setPen(pens.colour["bad" if face.absent else "text"])
    left = PAD + 9
    if measures.folded is not None:  # a sign that there is more of it
        x, y = left + 1, HEADER / 2
        painter.drawPolyline([QPointF(x, y - 4), QPointF(x + 4, y), QPointF(x, y + 4)])
        left += 11
    room = right - width - left - 5
    title = pens.title_size.elidedText(face.title, Qt.TextElideMode.ElideRight, room)
    painter.drawText(QRectF(left, 0, room + 4, HEADER), LEFT, title)
    used = pens.title_size.horizontalAdvance(title) + 8
    if room - used > 24 and not is_own_name(node, face):
        painter.setFont(pens.small)
        painter.setPen(pens.colour["dim"])
        name = pens.small_size.elidedText(node, Qt.TextElideMode.ElideRight, room - used)
        painter.drawText(QRectF(left + used, 1, room - used, HEADER), LEFT, name)


def is_own_name(node: str, face: Face) -> bool:
    """Whether a node's id says no more than its title: "sample_2" of "Sample"."""
    stem = node.rstrip("0123456789").rstrip("_")
    return stem in (face.type.rpartition(".")[2], face.title.lower().replace(" ", "_"))


def _outputs(
    painter: QPainter, face: Face, measures: Measures, taken: set[str], pens: Pens, border: Collection[str]
) -> None:
    for port in face.outputs:
        x, y = measures.outputs[port.name]
        style = port_style(port.type)
        if f"out:{port.name}" in border:
            _border(painter, x + BORDER, y, pens.of_port(style))
        if len(face.outputs) > 1:
            painter.setFont(pens.body)
            painter.setPen(pens.colour["dim"])
            painter.drawText(QRectF(PAD, y - ROW / 2, x - 2 * PAD - 6, ROW), RIGHT, port.name.replace("_", " "))
        draw_port(painter, x, y, style.shape, pens.of_port(style), pens, filled=port.name in taken)


def ends_of(face: Face, entry: NodeEntry, taken: Collection[str]) -> tuple[list[Port], list[Port]]:
    """The inputs that take wires, and the outputs that are taken."""
    inputs = [port for port in face.inputs if wired(entry.inputs.get(port.name))]
    return inputs, [port for port in face.outputs if port.name in taken]


def _ends(
    painter: QPainter, ends: tuple[list[Port], list[Port]], measures: Measures, pens: Pens, border: Collection[str]
) -> None:
    """The wired ports of a folded node: one as it is, several of a side as a bar of no type."""
    y = HEADER / 2
    for x, side, ports in ((0.0, "in:", ends[0]), (measures.width, "out:", ends[1])):
        if any(place.startswith(side) for place in border):
            _border(painter, x + (BORDER if x else -BORDER), y, pens.colour["dim"])
        if len(ports) == 1:
            style = port_style(ports[0].type)
            draw_port(painter, x, y, style.shape, pens.of_port(style), pens, filled=True)
        elif ports:
            painter.setPen(QPen(pens.colour["dim"], 1.6))
            painter.setBrush(pens.brush["node"])
            painter.drawRoundedRect(QRectF(x - 3.5, y - 9, 7, 18), 3.5, 3.5)


def _border(painter: QPainter, x: float, y: float, colour: QColor) -> None:
    """A bar beside a port that is a parameter or an output of the graph: there the graph ends."""
    painter.setPen(QPen(colour, 2.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
    painter.drawLine(QPointF(x, y - 6.0), QPointF(x, y + 6.0))
    painter.drawLine(QPointF(x, y), QPointF(0.0 if x < 0 else x - BORDER, y))


def _row(painter: QPainter, row: Row, entry: NodeEntry, look: Look, pens: Pens, then: str, *, fed: bool) -> None:
    port, style = row.port, port_style(row.port.type)
    given = port.name in entry.inputs
    joined, empty = wired(entry.inputs.get(port.name)), port.required and not given and not fed
    joined |= fed and not given
    y = row.y + ROW / 2
    draw_port(painter, 0.0, y, style.shape, pens.of_port(style), pens, filled=joined, wanted=empty)
    fault = port.name in look.faults
    painter.setFont(pens.body)
    painter.setPen(pens.colour["bad" if fault else "text" if joined or empty else "dim"])
    tall = row.height > ROW
    room = (row.value[0] if row.value and not tall else 232.0) - PAD - 12
    name = ("✕ " if fault else "") + port.name.replace("_", " ") + (" •" if empty else "")
    painter.drawText(
        QRectF(PAD + 5, row.y, room + 4, ROW), LEFT, pens.body_size.elidedText(name, Qt.TextElideMode.ElideRight, room)
    )
    if row.value is not None:
        paint_value(painter, row, entry, pens, fault=fault, then=then)


def draw_port(
    painter: QPainter, x: float, y: float, shape: Shape, colour: QColor, pens: Pens, *, filled: bool,
    wanted: bool = False,
) -> None:  # fmt: skip
    """One port's mark: full where a wire is, hollow where none is, with a second ring where one must be."""
    painter.translate(x, y)
    painter.setPen(QPen(colour, 1.6))
    hollow = shape is Shape.RING or not filled
    painter.setBrush(pens.brush["node"] if hollow else colour)
    painter.drawPath(outline(shape))
    if wanted:
        painter.setPen(QPen(pens.colour["warning"], 1.4))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QPointF(0, 0), 8.0, 8.0)
    painter.translate(-x, -y)
