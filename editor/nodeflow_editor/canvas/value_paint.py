"""Paints the value of an input in its box on a node."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from nodeflow.document import Input, NodeEntry
from nodeflow_editor.canvas.metrics import LINES, MARK, MARKED, ROW, Row
from nodeflow_editor.canvas.pens import Pens
from nodeflow_editor.canvas.values import current, written
from nodeflow_editor.seeds import SIGNS
from nodeflow_editor.value_text import Way, way

RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
SIGN = 20.0
"""Room for the sign of a seed that changes with each run."""


def paint_value(painter: QPainter, row: Row, entry: NodeEntry, pens: Pens, *, fault: bool, then: str) -> None:
    """Draws a value: dim where it is the default.

    Args:
        painter: on the node, in its coordinates.
        row: the input, and where its box is.
        entry: what the file has of the node.
        pens: the look.
        fault: whether something is wrong with it.
        then: what becomes of a seed with each run: "random", "next", or "" where it stays.
    """
    assert row.value is not None
    port, box = row.port, QRectF(*row.value)
    value, given = current(port, entry.inputs)
    painter.setPen(QPen(pens.colour["bad"], 1.0) if fault else pens.none)
    painter.setBrush(pens.brush["field"])
    painter.drawRoundedRect(box, 4, 4)
    _fill(painter, row, value, box, pens)
    ink = pens.colour["text" if given else "dim"]
    painter.setPen(ink)
    painter.setFont(pens.body)
    inner = box.adjusted(6, 0, -6, 0)
    if row.height > ROW:
        text = clipped(value if type(value) is str else written(value), inner, pens)
        painter.drawText(inner.adjusted(0, 3, 0, -3), Qt.TextFlag.TextWordWrap, text)
        return
    if port.widget in MARKED:
        inner.setRight(box.right() - MARK)
        _mark(painter, port.widget, value, QRectF(box.right() - MARK, box.y(), MARK, box.height()), pens)
    how = way(port)
    if how is Way.CHOICE:
        painter.drawText(inner, RIGHT, "▾")
        inner.adjust(0, 0, -14, 0)
    elif how is Way.TOGGLE and type(value) is bool:
        _switch(painter, value, box, ink, pens)
        inner.adjust(0, 0, -28, 0)
    if then:
        painter.setPen(pens.colour["accent"])
        painter.drawText(inner, LEFT, SIGNS[then])
        inner.adjust(SIGN, 0, 0, 0)
    painter.setPen(ink)
    text = written(value) if given or value is not None or not port.required else ""
    elided = pens.body_size.elidedText(text, Qt.TextElideMode.ElideRight, inner.width())
    painter.drawText(inner, LEFT if how in (Way.LINE, Way.CHOICE) else RIGHT, elided)


def _fill(painter: QPainter, row: Row, value: Input, box: QRectF, pens: Pens) -> None:
    """How far a slider's value is between its limits."""
    share = _share(row, value)
    if share is None:
        return
    tint = QColor(pens.colour["accent"])
    tint.setAlpha(60)
    painter.setPen(pens.none)
    painter.setBrush(tint)
    painter.drawRoundedRect(QRectF(box.x(), box.y(), box.width() * share, box.height()), 4, 4)


def _share(row: Row, value: Input) -> float | None:
    if row.port.widget != "slider" or type(value) not in (int, float):
        return None
    limits = dict(row.port.type.limits)
    low, high = limits.get("minimum"), limits.get("maximum")
    if not isinstance(low, int | float) or not isinstance(high, int | float) or high <= low:
        return None
    return min(max((float(value) - low) / (high - low), 0.0), 1.0)


def _switch(painter: QPainter, on: bool, box: QRectF, ink: QColor, pens: Pens) -> None:
    """A knob at the right of its way if on, at the left and hollow if off."""
    track = QRectF(box.right() - 30, box.center().y() - 5.5, 24, 11)
    painter.setPen(QPen(ink, 1.2))
    painter.setBrush(pens.brush["accent"] if on else Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(track, 5.5, 5.5)
    painter.setPen(pens.none if on else QPen(ink, 1.2))
    painter.setBrush(pens.brush["on_accent"] if on else Qt.BrushStyle.NoBrush)
    painter.drawEllipse(QPointF(track.right() - 5.5 if on else track.x() + 5.5, track.center().y()), 3.5, 3.5)
    painter.setPen(ink)


def _mark(painter: QPainter, widget: str, value: Input, box: QRectF, pens: Pens) -> None:
    """What can be clicked at the right of a value."""
    ink = painter.pen().color()
    middle = box.center()
    painter.setPen(QPen(ink, 1.2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if widget == "seed":
        painter.drawRoundedRect(QRectF(middle.x() - 5.5, middle.y() - 5.5, 11, 11), 2.5, 2.5)
        painter.setPen(pens.none)
        painter.setBrush(ink)
        for dx, dy in ((-2.5, -2.5), (0, 0), (2.5, 2.5)):
            painter.drawEllipse(QPointF(middle.x() + dx, middle.y() + dy), 1.1, 1.1)
    elif widget == "colour":
        colour = QColor(value) if type(value) is str and len(value) < 64 else QColor()
        if colour.isValid():
            painter.setBrush(colour)
        painter.drawRoundedRect(QRectF(middle.x() - 6, middle.y() - 6, 12, 12), 3, 3)
        if not colour.isValid():
            painter.drawLine(QPointF(middle.x() - 4, middle.y() + 4), QPointF(middle.x() + 4, middle.y() - 4))
    else:
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "…" if widget == "file" else "▾")
    painter.setPen(ink)


def clipped(text: str, box: QRectF, pens: Pens) -> str:
    """As much of a long text as a box of LINES lines can show."""
    room = int(box.width() / max(pens.body_size.averageCharWidth(), 1.0) * (LINES + 0.5))
    return text if len(text) <= room else text[: room - 1] + "…"
