"""Notes on the canvas: how one is drawn, and those of a scene."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QTextCharFormat, QTextLayout, QTextLine, QTextOption
from PySide6.QtWidgets import QGraphicsRectItem, QStyleOptionGraphicsItem, QWidget

from nodeflow_editor.canvas.metrics import Box
from nodeflow_editor.canvas.pens import Pens
from nodeflow_editor.notepad import Note, links, listed, notes
from nodeflow_editor.theme import YELLOW, hue, tinted

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

ABOVE_WIRES = -0.5
INNER = 10.0
"""Between the border and the text."""
ROUND = 4.0
EDGE = 0.35
"""Share of its colour in the edge of a note."""
CORNER = 14.0
"""Side of the corner that a note is resized by."""
MOST = 20_000
"""Characters of a note that are drawn at most: no box on a screen holds more."""
ROOM = 1e6
"""A height that no text has."""
READ = 0.6
"""Scale below which the first lines are written as large as can be read, in place of all of them smaller."""
HEADLINES = 5
"""Lines that are read from afar at most."""
LEGIBLE = (56.0, 18.0)
"""Pixels on the screen, across and down, below which a note says nothing from afar."""


class Laid:
    """A text broken into the lines that a width has room for, as far down as a height goes."""

    def __init__(self, text: str, wide: float, high: float, pens: Pens) -> None:
        self._line = pens.body_size.lineSpacing()
        self.whole, self.height = True, 0.0
        """Whether all of it is within the height; the height that the lines take."""
        self._parts: list[tuple[QTextLayout, str]] = []
        link = QTextCharFormat()
        link.setForeground(pens.colour["accent"])
        link.setFontUnderline(True)
        for paragraph in text[:MOST].replace("\t", "    ").split("\n"):
            layout = QTextLayout(paragraph, pens.body)
            layout.setTextOption(_wrapping())
            layout.setCacheEnabled(True)
            layout.setFormats([_format(start, end, link) for start, end in links(paragraph)])
            layout.setPosition(QPointF(0, self.height))
            self.whole &= self._broken(layout, wide, high)
            self._parts.append((layout, paragraph))
            if not self.whole:
                break

    def _broken(self, layout: QTextLayout, wide: float, high: float) -> bool:
        """Breaks a paragraph; returns whether all of it found room."""
        start, at, length = self.height, 0, len(layout.text())
        layout.beginLayout()
        while at < length or not at:
            if self.height + self._line > high + 1:
                break
            line = layout.createLine()
            if not line.isValid():
                break
            line.setLineWidth(wide)
            line.setPosition(QPointF(0, self.height - start))
            self.height += line.height()
            at = line.textStart() + line.textLength()
            if not length:
                break
        layout.endLayout()
        return at >= length and layout.lineCount() > 0

    def draw(self, painter: QPainter, place: QPointF) -> None:
        """Draws the lines below a place."""
        for layout, _ in self._parts:
            layout.draw(painter, place)

    def link_at(self, x: float, y: float) -> str:
        """The address that stands there; empty if none does."""
        for layout, text in self._parts:
            for number in range(layout.lineCount()):
                line = layout.lineAt(number)
                top = layout.position().y() + line.y()
                if top <= y < top + line.height() and 0 <= x <= line.naturalTextWidth():
                    at = line.xToCursor(x, QTextLine.CursorPosition.CursorOnCharacter)
                    return next((text[start:end] for start, end in links(text) if start <= at < end), "")
        return ""


def _wrapping() -> QTextOption:
    made = QTextOption()
    made.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    return made


def _format(start: int, end: int, form: QTextCharFormat) -> QTextLayout.FormatRange:
    made = QTextLayout.FormatRange()
    made.start, made.length, made.format = start, end - start, form
    return made


def height_of(text: str, wide: float, pens: Pens) -> float:
    """How high a note of that width is to be for its text."""
    return Laid(text, wide - 2 * INNER, ROOM, pens).height + 2 * INNER


class NoteItem(QGraphicsRectItem):
    """Draws one note."""

    def __init__(self, note: Note, canvas: GraphScene) -> None:
        super().__init__()
        self.marked, self._canvas = note, canvas
        self._laid: tuple[Pens, Laid] | None = None
        self._dyes: tuple[Pens, QColor, QColor, QColor] | None = None
        """Its ground, its edge and its bar."""
        self._headlines: tuple[float, list[str]] = (0.0, [])
        """What it says from afar at a scale: to shorten lines at each paint took half the time."""
        self.setZValue(ABOVE_WIRES)
        self.take(note)

    def take(self, note: Note) -> None:
        """Shows the note as it is now."""
        left, top, wide, high = note.box
        self._headlines, self._dyes = (0.0, []), None
        self.setPos(left, top)
        if (note.text, wide, high) != (self.marked.text, self.rect().width(), self.rect().height()):
            self._laid = None
            self.setRect(0, 0, wide, high)
        self.marked = note
        self.update()

    def frame(self) -> QRectF:
        """Its outline in the scene."""
        return self.rect().translated(self.pos())

    def box(self) -> Box:
        """The same as plain numbers."""
        return self.x(), self.y(), self.rect().width(), self.rect().height()

    def laid(self) -> Laid:
        """Its text as it stands in the box."""
        pens, box = self._canvas.pens, self.rect()
        if self._laid is None or self._laid[0] is not pens:
            found = Laid(self.marked.text, box.width() - 2 * INNER, box.height() - 2 * INNER, pens)
            self._laid = pens, found
        return self._laid[1]

    def link_at(self, x: float, y: float) -> str:
        """The address at a place of the scene; empty if none is there."""
        return self.laid().link_at(x - self.x() - INNER, y - self.y() - INNER)

    @property
    def hue(self) -> str:
        """Its colour; notes that were given none are yellow."""
        palette = self._canvas.pens.palette
        found = hue(self.marked.extra.get("colour"), palette)
        return found or YELLOW[0 if palette.name == "dark" else 1]

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:  # noqa: ARG002 # Qt's signature
        scale = painter.worldTransform().m11()
        if scale < READ:
            self._from_afar(painter, self.rect(), scale)
            return
        pens, box = self._canvas.pens, self.rect()
        self._ground(painter, box, near=True)
        painter.setPen(pens.colour["text"])
        laid = self.laid()
        laid.draw(painter, QPointF(INNER, INNER))
        painter.setPen(pens.colour["dim"])
        if not laid.whole:
            painter.setFont(pens.small)
            room = QRectF(INNER, box.bottom() - INNER - 3, box.width() - 2 * INNER - 8, INNER)
            painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "…")
        right, bottom = box.right() - 3, box.bottom() - 3
        for step in (5.0, 9.0):
            painter.drawLine(QPointF(right - step, bottom), QPointF(right, bottom - step))

    def _ground(self, painter: QPainter, box: QRectF, *, near: bool) -> None:
        """The plate with its edge, and the ring of one that is chosen."""
        pens, chosen = self._canvas.pens, self.marked.number in self._canvas.notes.selection
        if self._dyes is None or self._dyes[0] is not pens:
            palette = pens.palette
            colours = (tinted(palette.node, self.hue), tinted(palette.node_edge, self.hue, EDGE), self.hue)
            self._dyes = (pens, *(QColor(colour) for colour in colours))  # type: ignore[assignment] # three of them
        assert self._dyes is not None
        _, ground, edge, bar = self._dyes
        pen = QPen(pens.colour["selected"] if chosen else edge, 2.0 if chosen else 1.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.setBrush(ground)
        if near:
            painter.drawRoundedRect(box, ROUND, ROUND)
        else:
            painter.drawRect(box)
        painter.fillRect(QRectF(box.x() + 1, box.y() + 4, 3, box.height() - 8), bar)

    def _from_afar(self, painter: QPainter, box: QRectF, scale: float) -> None:
        """Draws the plate, and as much of the first lines as has room in letters that can be read."""
        pens = self._canvas.pens
        self._ground(painter, box, near=False)
        room = box.width() * scale - 8
        if room < LEGIBLE[0] or box.height() * scale < LEGIBLE[1]:
            return
        if self._headlines[0] != scale:
            self._headlines = scale, self._shortened(room, box.height() * scale - 4)
        painter.save()
        painter.translate(box.topLeft())
        painter.scale(1 / scale, 1 / scale)
        painter.translate(6, 2)
        painter.setFont(pens.small)
        painter.setPen(pens.colour["text"])
        high, start = pens.small_size.lineSpacing(), pens.small_size.ascent()
        for number, line in enumerate(self._headlines[1]):
            painter.drawText(QPointF(0, start + number * high), line)
        painter.restore()

    def _shortened(self, wide: float, high: float) -> list[str]:
        """As much of the first lines as has room."""
        size = self._canvas.pens.small_size
        lines = self.marked.text[:MOST].split("\n", HEADLINES)[: min(int(high // size.lineSpacing()), HEADLINES)]
        return [size.elidedText(line[:200], Qt.TextElideMode.ElideRight, wide) for line in lines]

    def from_afar(self, painter: QPainter, scale: float) -> None:
        """Draws it in the scene's coordinates, where no items are."""
        self._from_afar(painter, self.frame(), scale)


class Notes:
    """The notes of a scene, by their numbers, and which of them are chosen."""

    def __init__(self, canvas: GraphScene) -> None:
        self._canvas = canvas
        self.items: dict[int, NoteItem] = {}
        self.selection: set[int] = set()
        self._listed = listed(canvas.model.graph)

    def rebuild(self) -> None:
        """Another graph is on show."""
        self.selection = set()
        self._make()

    def follow(self) -> None:
        """The view has changed: what is chosen stays so, wherever it is in the file's list now."""
        now = listed(self._canvas.model.graph)
        if now is self._listed:
            return
        if len(now) != len(self._listed):
            chosen = {id(self._listed[number]) for number in self.selection}
            self.selection = {number for number, item in enumerate(now) if id(item) in chosen}
        self._make()

    def _make(self) -> None:
        """Makes items of those that are new: those that an edit left alone are the same objects as before."""
        graph = self._canvas.model.graph
        known = {id(self._listed[number]): item for number, item in self.items.items()}
        self._listed, self.items = listed(graph), {}
        for note in notes(graph):
            item = known.pop(id(self._listed[note.number]), None)
            if item is None:
                item = NoteItem(note, self._canvas)
                self._canvas.addItem(item)
            else:
                item.take(note)
            self.items[note.number] = item
        for gone in known.values():
            self._canvas.removeItem(gone)
        self.selection &= self.items.keys()

    def choose(self, wanted: Iterable[int], *, more: bool = False) -> bool:
        """Chooses notes, in place of those chosen before or beside them; returns whether others are chosen now."""
        found = (set(wanted) | (self.selection if more else set())) & self.items.keys()
        changed = found ^ self.selection
        self.selection = found
        for number in changed & self.items.keys():
            self.items[number].update()
        return bool(changed)

    def held(self, holds: Iterable[Box]) -> set[int]:
        """The notes whose middles lie in one of these boxes."""
        boxes = [QRectF(*box) for box in holds]
        return {number for number, item in self.items.items() if any(b.contains(item.frame().center()) for b in boxes)}

    def offset(self, chosen: Collection[int], dx: float, dy: float) -> None:
        """Shows notes as if they stood elsewhere, while they are dragged."""
        for number in chosen:
            if number in self.items:
                self.items[number].moveBy(dx, dy)
        if chosen:
            self._canvas.far.update()

    def put_back(self) -> None:
        """Shows all notes where they are."""
        for item in self.items.values():
            item.take(item.marked)
        self._canvas.far.update()

    def bounds(self, chosen: Iterable[int] | None = None) -> QRectF:
        """The box around notes, or around all."""
        box = QRectF()
        for number in self.items if chosen is None else chosen:
            box |= self.items[number].frame()
        return box
