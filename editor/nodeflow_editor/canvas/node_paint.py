"""Paints a node at full detail, in its own coordinates."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from nodeflow.document import NodeEntry
from nodeflow_editor.canvas.looks import Look, Run
from nodeflow_editor.canvas.metrics import HEADER, PAD, ROW, Measures, Row, wired
from nodeflow_editor.canvas.pens import Pens, outline
from nodeflow_editor.canvas.value_paint import paint_value
from nodeflow_editor.faces import Face
from nodeflow_editor.theme import Shape, category_colour, port_style

RADIUS = 6.0
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
CENTRE = Qt.AlignmentFlag.AlignCenter
MARKS = {Run.DONE: ("✓", "good"), Run.REUSED: ("↺", "reused"), Run.FAILED: ("✕", "bad"), Run.QUEUED: ("…", "dim")}
"""State by sign and colour: never by colour alone."""


def paint_node(
    painter: QPainter, node: str, face: Face, entry: NodeEntry, look: Look, measures: Measures, taken: set[str],
    pens: Pens, seeds: Mapping[str, str],
) -> None:  # fmt: skip
    """Draws a node with its ports, values and picture; what moves (progress, selection) is drawn over it.

    seeds: what becomes of the node's seeds with each run, by input; those that stay are left out.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if entry.mode:
        painter.setOpacity(0.55)
    _body(painter, face, look, measures, pens)
    _header(painter, node, face, look, measures, pens)
    _outputs(painter, face, measures, taken, pens)
    for row in measures.rows:
        _row(painter, row, entry, look, pens, seeds.get(row.port.name, ""))
    if entry.mode:
        _mode(painter, entry, measures, pens)
    if measures.picture is not None and look.picture is not None:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        place = _fitted(QRectF(*measures.picture), look)
        painter.drawImage(place, look.picture)
        painter.setPen(pens.edge)  # a white picture on a white node has an edge as well
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(place)


def _mode(painter: QPainter, entry: NodeEntry, measures: Measures, pens: Pens) -> None:
    """A bar across a muted node, a line past a bypassed one: both with the word."""
    painter.setOpacity(1.0)
    colour = pens.colour["dim" if entry.mode == "muted" else "warning"]
    painter.setPen(QPen(colour, 2.0, Qt.PenStyle.SolidLine if entry.mode == "muted" else Qt.PenStyle.DashLine))
    y = measures.height / 2 + HEADER / 2 - 4
    painter.drawLine(QPointF(6, y), QPointF(measures.width - 6, y))
    painter.setFont(pens.small)
    wide = pens.small_size.horizontalAdvance(entry.mode) + 16
    label = QRectF((measures.width - wide) / 2, y - 9, wide, 18)
    painter.setPen(pens.none)
    painter.setBrush(pens.brush["node"])
    painter.drawRoundedRect(label, 9, 9)
    painter.setPen(colour)
    painter.drawText(label, CENTRE, entry.mode)


def _fitted(box: QRectF, look: Look) -> QRectF:
    proportion = look.proportion or 1.0
    wide = min(box.width(), box.height() / proportion)
    high = wide * proportion
    return QRectF(box.center().x() - wide / 2, box.center().y() - high / 2, wide, high)


def _body(painter: QPainter, face: Face, look: Look, measures: Measures, pens: Pens) -> None:
    frame = QRectF(0.5, 0.5, measures.width - 1, measures.height - 1)
    edge = QPen(pens.bad) if look.faults or look.run is Run.FAILED else QPen(pens.edge)
    if face.absent:
        edge.setStyle(Qt.PenStyle.DashLine)
    painter.setPen(edge)
    painter.setBrush(pens.brush["absent" if face.absent else "node"])
    painter.drawRoundedRect(frame, RADIUS, RADIUS)


def _header(painter: QPainter, node: str, face: Face, look: Look, measures: Measures, pens: Pens) -> None:
    painter.setPen(pens.none)
    painter.setBrush(QColor(category_colour(face.category, pens.palette)))
    painter.drawRoundedRect(QRectF(PAD, 8, 3.0, HEADER - 15), 1.5, 1.5)
    sign, colour = MARKS.get(look.run, ("✕", "bad") if look.faults else ("", "dim"))
    right = measures.width - (PAD + 8 if len(face.outputs) == 1 else PAD)
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
    room = right - width - PAD - 14
    title = pens.title_size.elidedText(face.title, Qt.TextElideMode.ElideRight, room)
    painter.drawText(QRectF(PAD + 9, 0, room + 4, HEADER), LEFT, title)
    used = pens.title_size.horizontalAdvance(title) + 8
    if room - used > 24 and not is_own_name(node, face):
        painter.setFont(pens.small)
        painter.setPen(pens.colour["dim"])
        name = pens.small_size.elidedText(node, Qt.TextElideMode.ElideRight, room - used)
        painter.drawText(QRectF(PAD + 9 + used, 1, room - used, HEADER), LEFT, name)


def is_own_name(node: str, face: Face) -> bool:
    """Whether a node's id says no more than its title: "sample_2" of "Sample"."""
    stem = node.rstrip("0123456789").rstrip("_")
    return stem in (face.type.rpartition(".")[2], face.title.lower().replace(" ", "_"))


def _outputs(painter: QPainter, face: Face, measures: Measures, taken: set[str], pens: Pens) -> None:
    for port in face.outputs:
        x, y = measures.outputs[port.name]
        style = port_style(port.type)
        if len(face.outputs) > 1:
            painter.setFont(pens.body)
            painter.setPen(pens.colour["dim"])
            painter.drawText(QRectF(PAD, y - ROW / 2, x - 2 * PAD - 6, ROW), RIGHT, port.name.replace("_", " "))
        draw_port(painter, x, y, style.shape, pens.of_port(style), pens, filled=port.name in taken)


def _row(painter: QPainter, row: Row, entry: NodeEntry, look: Look, pens: Pens, then: str) -> None:
    port, style = row.port, port_style(row.port.type)
    joined = wired(entry.inputs.get(port.name))
    empty = port.required and port.name not in entry.inputs
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
