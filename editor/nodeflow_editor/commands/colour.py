"""Colours for what is chosen, from a menu with their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QCursor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QMenu

from nodeflow_editor.actions import Action
from nodeflow_editor.canvas.moving import counted
from nodeflow_editor.colours import coloured, shared
from nodeflow_editor.commands.edit import chosen, with_marks
from nodeflow_editor.theme import HUES, Palette, hue

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

NONE, TICK = "No colour", "  ✓"


def menu(window: Window, page: Page) -> QMenu:
    """The colours that the chosen nodes, notes or frames may have, the one that they have ticked."""
    scene = page.scene
    things = chosen(page), sorted(scene.frame_selection), sorted(scene.notes.selection)
    made = QMenu(window)
    made.aboutToHide.connect(made.deleteLater)
    now = shared(page.model.graph, *things)
    for number, name in enumerate(("", *HUES)):
        action = made.addAction(f"&{number} {name or NONE}{TICK if now == name else ''}")
        action.setIcon(swatch(name, window.look, window.devicePixelRatioF()))
        action.triggered.connect(lambda _=False, name=name: paint(window, page, name))
        if now == name:
            made.setActiveAction(action)
    return made


def paint(window: Window, page: Page, name: str) -> None:
    """Gives what is chosen a colour; an empty name takes it away."""
    scene = page.scene
    nodes, frames, notes = chosen(page), sorted(scene.frame_selection), sorted(scene.notes.selection)
    what = counted(len(nodes), len(notes)) or "frame"
    window.do(coloured(page.model.graph, name, nodes, frames, notes), f"Colour {what}", page=page)


def swatch(name: str, palette: Palette, ratio: float) -> QIcon:
    """A disc of a colour; a ring for none."""
    shot = QPixmap(QSize(round(14 * ratio), round(14 * ratio)))
    shot.setDevicePixelRatio(ratio)
    shot.fill(Qt.GlobalColor.transparent)
    painter = QPainter(shot)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(palette.dim))
    painter.setBrush(QColor(hue(name, palette)) if name else Qt.BrushStyle.NoBrush)
    painter.drawEllipse(QRectF(1, 1, 12, 12))
    painter.end()
    return QIcon(shot)


def choose(window: Window) -> None:
    """Opens the menu of colours at the mouse, or over the canvas if the mouse is elsewhere."""
    page = window.page
    if page is None:
        return
    port = page.view.viewport()
    inside = port.rect().contains(port.mapFromGlobal(QCursor.pos()))
    menu(window, page).popup(QCursor.pos() if inside else port.mapToGlobal(port.rect().center()))


ACTIONS = (
    Action("node.colour", "Colour…", "Node", choose, ("C",), "arrange",
           "Give the chosen nodes, notes or frame a colour, or none", with_marks),
)  # fmt: skip
