"""The bar above the graphs: run, cancel, what waits, the device, the scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QSize, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolBar, QToolButton, QWidget

from nodeflow_editor.icons import SIDE, Name, icon
from nodeflow_editor.run_part import RunPart

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

DEVICES = {"": "Best device", "cpu": "CPU", "cuda": "GPU (cuda)", "mps": "GPU (mps)"}
"""What is offered. Which of them there are, the worker says when it runs: to ask takes importing torch."""

BUTTONS: tuple[tuple[str, str, Name, str], ...] = (
    ("run.run", "Run", "run", "good"),
    ("run.cancel", "Cancel", "cancel", "bad"),
)
"""Action, text, icon, the colour's name in the palette."""


class Toolbar(QObject):
    """Few buttons; each of them is also in a menu and has keys."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, self._part = window, RunPart.of(window)
        self.bar = QToolBar("Toolbar", window)
        self.bar.setObjectName("toolbar.run")
        self.bar.setMovable(False)
        self.bar.setIconSize(QSize(SIDE, SIDE))
        self.bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        window.addToolBar(self.bar)
        made = window.actions_table.made
        self._icons: list[tuple[QAction | QToolButton, Name, str]] = []
        for name, title, drawn, colour in BUTTONS:
            self.bar.addAction(made[name])
            made[name].setIconText(title)
            made[name].setIconVisibleInMenu(False)
            self._icons.append((made[name], drawn, colour))
        self.queue = self._button("queue", "Runs that wait and runs that were (Ctrl+Shift+Q)")
        self.queue.clicked.connect(made["dock.queue"].trigger)
        gap = QWidget(self.bar)
        gap.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.bar.addWidget(gap)
        self.device = self._button("device", "Where graphs are computed")
        self.device.setMenu(self._devices())
        self.device.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.zoom = self._button("zoom", "The scale of the graph; Home is 100 %, F shows all of it")
        self.zoom.setMenu(self._scales())
        self.zoom.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._part.changed.connect(self.refresh)
        window.look_changed.connect(lambda _: self._dress())
        window.page_opened.connect(self._opened)
        window.page_changed.connect(lambda _: self.refresh())
        self._dress()
        self.refresh()

    def _button(self, name: Name, tip: str) -> QToolButton:
        made = QToolButton(self.bar)
        made.setObjectName(f"toolbar.{name}")
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setToolTip(tip)
        made.setAccessibleName(tip)
        self.bar.addWidget(made)
        self._icons.append((made, name, "text"))
        return made

    def _devices(self) -> QMenu:
        menu, group = QMenu(self.device), QActionGroup(self.device)
        for device, title in DEVICES.items():
            action = menu.addAction(title)
            action.setCheckable(True)
            action.setChecked(device == self._part.device)
            group.addAction(action)
            action.triggered.connect(lambda _=False, device=device: self._take_device(device))
        return menu

    def _take_device(self, device: str) -> None:
        self._window.settings.set("device", device)
        self.refresh()

    def _scales(self) -> QMenu:
        menu, made = QMenu(self.zoom), self._window.actions_table.made
        for name in ("view.fit", "view.full_size", "view.closer", "view.farther"):
            menu.addAction(made[name])
        return menu

    def _opened(self, page: Page) -> None:
        page.view.zoomed.connect(lambda _: self.refresh())

    def _dress(self) -> None:
        for widget, name, colour in self._icons:
            widget.setIcon(icon(name, self._window.look, getattr(self._window.look, colour)))

    def refresh(self) -> None:
        """Shows what there is now."""
        entries = self._part.runner.queue.entries()
        waiting = sum(not entry.begun for entry in entries)
        self.queue.setText(f"{waiting} waiting" if waiting else "Queue")
        device = self._part.device
        self.device.setText(f"{DEVICES.get(device, device)} ▾")
        page = self._window.page
        self.zoom.setText(f"{page.view.scale_now * 100:.0f} % ▾" if page is not None else "100 % ▾")


def attach(window: Window) -> Toolbar:
    """Gives a window its toolbar."""
    return Toolbar(window)
