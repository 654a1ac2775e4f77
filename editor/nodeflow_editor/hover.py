"""What is told when the mouse rests on the canvas: what is wrong there first, then what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QToolTip

from nodeflow_editor.canvas import hits

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

LONG = 600
"""Characters of a text that are told."""


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
            QToolTip.showText(event.globalPos(), text, self._page.view.viewport())
        else:
            QToolTip.hideText()
        return True


def told_at(page: Page, x: float, y: float) -> str:
    """What there is to say of a place of the scene; empty if it is nothing in particular."""
    canvas = page.scene
    near = hits.port_near(canvas, x, y)
    node = near[0] if near is not None else hits.node_at(canvas, x, y)
    if node is None:
        return ""
    face, faults = page.model.face(node), canvas.look(node).faults
    item = canvas.nodes[node]
    row = item.measures.row_at(y - item.y())
    inlet = near[1] if near is not None and not near[2] else row.port.name if row is not None and near is None else None
    port = face.input(inlet) if inlet is not None else face.output(near[1]) if near is not None else None
    wrong = faults.get(inlet, "") if inlet is not None else "" if port is not None else "\n".join(faults.values())
    parts = [f"✕ {line}" for line in wrong.splitlines()]
    if port is not None:
        parts.append(f"{port.name}: {port.type}")
        parts.append(port.help)
    else:
        parts += [face.absent, face.help]
    return "\n".join(part[:LONG] for part in parts if part)


def attach(window: Window) -> None:
    """Has each page tell what the mouse rests on."""
    window.page_opened.connect(Hover)
