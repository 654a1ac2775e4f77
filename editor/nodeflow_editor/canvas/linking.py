"""A wire in hand: from a port to a port, to a node's body, or to the canvas, where nodes that fit are offered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPen

from nodeflow.edits import Group
from nodeflow_editor.canvas import hits
from nodeflow_editor.canvas.link_item import path_of
from nodeflow_editor.canvas.paths import cubics
from nodeflow_editor.canvas.tools import Press, Tool
from nodeflow_editor.graph_model import Link
from nodeflow_editor.theme import port_style
from nodeflow_editor.wiring import End, best, cut, fits, joined, reason

if TYPE_CHECKING:
    from nodeflow_editor.canvas.view import GraphView


class Linking(Tool):
    """Draws a wire. `lifted` is the one that was taken off its input, if it began so."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, view: GraphView, start: End, lifted: Link | None = None) -> None:
        super().__init__(view)
        self._start, self._lifted = start, lifted
        self._model, self._canvas = view.canvas.model, view.canvas
        self._at = self._canvas.port_at(start.node, start.port, out=start.out) or (0.0, 0.0)
        self._end: End | None = None
        self._canvas.fits = fits(self._model.graph, self._model.face, start)
        self._canvas.update()

    def move(self, press: Press) -> None:
        self._at = press.x, press.y
        self._end = self._aim(press)
        self.view.viewport().update()

    def _aim(self, press: Press) -> End | None:
        """Where the wire would end if it were let go here; says why if a port does not take it."""
        graph, faces = self._model.graph, self._model.face
        near = hits.port_near(self._canvas, press.x, press.y)
        if near is not None and near[0] != self._start.node:
            end = End(*near)
            why = None if self._fits(end) else reason(graph, faces, self._start, end)
            self.view.told.emit(f"{end.node}.{end.port}: {why}" if why else "")
            return end if why is None else None
        self.view.told.emit("")
        value = hits.value_at(self._canvas, press.x, press.y) if self._start.out else None
        if value is not None and self._fits(End(*value, False)):
            return End(*value, False)
        node = hits.node_at(self._canvas, press.x, press.y)
        return best(graph, faces, self._start, node, self._fits) if node is not None else None

    def _fits(self, end: End) -> bool:
        """Whether the wire may enter there, as was found for all ports when it was taken in hand."""
        return end.name in (self._canvas.fits or {}).get(end.node, ())

    def release(self, press: Press) -> None:
        end = self._aim(press)
        start, lifted, graph = self._start, self._lifted, self._model.graph
        on_canvas = hits.node_at(self._canvas, press.x, press.y) is None
        near = hits.port_near(self._canvas, press.x, press.y)
        self._over()
        if end is not None:
            edits = [joined(graph, self._model.face, start, end)]
            if lifted is not None and (lifted.node, lifted.port) != (end.node, end.port):
                edits.insert(0, cut(graph, [lifted]))
            elif lifted is not None:
                return
            self._model.do(edits[0] if len(edits) == 1 else Group(tuple(edits)), "Wire")
        elif lifted is not None and on_canvas:
            self._model.do(cut(graph, [lifted]), "Cut wire")
        elif on_canvas and near is None:
            self.view.palette_wanted.emit(QPointF(press.x, press.y), start)

    def cancel(self) -> None:
        self._over()

    def _over(self) -> None:
        self._canvas.fits = None
        self._canvas.update()
        self.view.told.emit("")
        super().cancel()

    def paint(self, painter: QPainter) -> None:
        here = self._canvas.port_at(self._start.node, self._start.port, out=self._start.out)
        if here is None:
            return
        there = self._at
        if self._end is not None:
            there = self._canvas.port_at(self._end.node, self._end.port, out=self._end.out) or there
        face = self._model.face(self._start.node)
        port = face.output(self._start.port) if self._start.out else face.input(self._start.port)
        colour = self._canvas.pens.of_port(port_style(port.type)) if port else self._canvas.pens.colour["accent"]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colour, 2.5, Qt.PenStyle.SolidLine if self._end else Qt.PenStyle.DashLine))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        curve = cubics(here, there) if self._start.out else cubics(there, here)
        painter.drawPath(path_of(curve))


def begin(view: GraphView, press: Press) -> bool:
    """Takes a wire in hand if a port is there: a new one from an output, the one that is there from a wired input."""
    canvas = view.canvas
    near = hits.port_near(canvas, press.x, press.y)
    if near is None:
        return False
    end = End(*near)
    links = [link for link in canvas.model.links([end.node]) if link.port == end.port] if not end.out else []
    if links:
        link = links[-1]
        view.use(Linking(view, End(link.source, link.output, True), link))
    else:
        view.use(Linking(view, end))
    return True
