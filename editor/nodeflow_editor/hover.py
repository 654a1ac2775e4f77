"""What is told when the mouse rests on the canvas: what is wrong there first, then what it is."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QToolTip

from nodeflow.document import Wire
from nodeflow_editor.canvas import hits, noting
from nodeflow_editor.canvas.node_item import DETAIL
from nodeflow_editor.graph_model import Link

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

LONG = 600
"""Characters of a text that are told."""
NAMED = 6
"""Inputs that a portal leads to, of which are told."""


class Hover(QObject):
    """Answers one canvas's questions for tooltips."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._page = page
        page.view.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 # Qt's
        if event.type() != QEvent.Type.ToolTip or not isinstance(event, QHelpEvent):
            return False
        place = self._page.view.at(event.pos())
        text = told_at(self._page, place.x(), place.y())
        if text:
            QToolTip.showText(event.globalPos(), plain(text), self._page.view.viewport())
        else:
            QToolTip.hideText()
        return True


def plain(text: str) -> str:
    """A text as tooltips show it to the letter, in lines of a readable length: Qt breaks those of rich text alone."""
    return f"<div style='white-space: pre-wrap'>{escape(text)}</div>"


def told_at(page: Page, x: float, y: float) -> str:
    """What there is to say of a place of the scene; empty if it is nothing in particular."""
    canvas = page.scene
    portal = hits.portal_at(canvas, x, y)
    if portal is not None:
        return _portal(*portal)
    close = page.view.scale_now >= DETAIL  # below it a node shows no inputs
    near = hits.port_near(canvas, x, y) if close else None
    node = near[0] if near is not None else hits.node_at(canvas, x, y)
    if node is None and noting.note_at(canvas, x, y) is not None:
        address = noting.link_at(page.view, x, y)
        return f"Ctrl and a click opens {address}" if address else ""
    if node is None:
        link = hits.link_near(canvas, x, y)
        return f"{Wire(link.source, link.output)} → {link.node}.{link.port}" if link is not None else ""
    face, faults = page.model.face(node), canvas.look(node).faults
    item = canvas.nodes[node]
    row = item.measures.row_at(y - item.y()) if close else None
    inlet = near[1] if near is not None and not near[2] else row.port.name if row is not None and near is None else None
    port = face.input(inlet) if inlet is not None else face.output(near[1]) if near is not None else None
    wrong = faults.get(inlet, "") if inlet is not None else "" if port is not None else "\n".join(faults.values())
    parts = [f"✕ {line}" for line in wrong.splitlines()]
    if port is not None:
        parts.append(f"{port.name}: {port.type}")
        side, place = ("parameter", f"in:{inlet}") if inlet is not None else ("output", f"out:{port.name}")
        if place in canvas.exposed.get(node, ()):
            parts.append(f"{'a' if side == 'parameter' else 'an'} {side} of the graph")
        parts.append(port.help)
    else:
        parts += ["" if close else f"{face.title} ({node})", face.absent, face.help]
    return "\n".join(part[:LONG] for part in parts if part)


def _portal(links: frozenset[Link], out: bool) -> str:
    """Where a portal leads."""
    if not out:
        (link,) = links
        return f"from {Wire(link.source, link.output)}; a click leads there"
    takers = sorted(f"{link.node}.{link.port}" for link in links)
    more = f" and {len(takers) - NAMED:,} more" if len(takers) > NAMED else ""
    return f"to {', '.join(takers[:NAMED])}{more}; a click leads there"


def attach(window: Window) -> None:
    """Has each page tell what the mouse rests on."""
    window.page_opened.connect(Hover)
