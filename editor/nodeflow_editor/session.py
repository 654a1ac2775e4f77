"""What the next start finds as it was: open tabs with their zoom and place, the window, its docks."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QObject, QPointF, QTimer

from nodeflow.errors import GraphError
from nodeflow_editor.files import Files

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

REST = 2000
"""Milliseconds after the last move before places are written down."""
VERSION = 1
"""Of the window's docks: a state of another version is not restored."""


class Session(QObject):
    """Writes down what is open, and opens it again. A file that is gone is told and left out."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window = window
        self._later = QTimer(self, singleShot=True, interval=REST)
        self._later.timeout.connect(self.keep)
        self._over = False
        window.page_opened.connect(self._opened)
        for signal in (window.page_closed, window.page_changed):
            signal.connect(lambda _: self._stir())
        window.closing.connect(self._end)

    @staticmethod
    def of(window: Window) -> Session:
        """That of a window."""
        return next(part for part in window.parts if isinstance(part, Session))

    def _opened(self, page: Page) -> None:
        page.view.moved.connect(self._stir)
        page.model.file_changed.connect(self._stir)
        self._stir()

    def _stir(self) -> None:
        if not self._over:
            self._later.start()

    def _end(self) -> None:
        self.keep()
        self._over = True
        self._later.stop()

    def keep(self) -> None:
        """Writes down what is open and where."""
        pages = [page for page in self.window.pages() if page.disk is not None]  # not those of files that never were
        front = self.window.page
        self.window.settings.set("session", {
            "tabs": [_place(page) for page in pages],
            "front": pages.index(front) if front in pages else 0,
        })  # fmt: skip
        self.window.settings.set("window", {
            "geometry": b64encode(self.window.saveGeometry().data()).decode(),
            "state": b64encode(self.window.saveState(VERSION).data()).decode(),
        })  # fmt: skip

    def restore_window(self) -> bool:
        """Gives the window its size, place and docks; whether they were known."""
        known = self.window.settings.get("window", {})
        # docks first: with those that were closed still there the window would be made higher
        done = self.window.restoreState(_bytes(known.get("state")), VERSION)
        layout = self.window.layout()
        if layout is not None:
            layout.activate()
        return self.window.restoreGeometry(_bytes(known.get("geometry"))) and done

    def restore_tabs(self) -> int:
        """Opens the tabs of the last time; returns how many there are now."""
        kept = self.window.settings.get("session", {})
        tabs = kept.get("tabs")
        gone, opened = [], 0
        front: Page | None = None
        for at, tab in enumerate(tabs if isinstance(tabs, list) else ()):
            file = Path(tab["file"]) if isinstance(tab, dict) and isinstance(tab.get("file"), str) else None
            if file is not None and not file.exists():
                gone.append(file.name)
            elif file is not None and (page := Files.of(self.window).open(file)) is not None:
                _go(page, tab)
                opened += 1
                front = page if at == kept.get("front") else front
        if front is not None:
            self.window.tabs.setCurrentWidget(front)
        if gone:
            self.window.tell(f"not there any more: {', '.join(gone[:5])}")
        return opened


def _place(page: Page) -> dict[str, Any]:
    corner = page.view.at(QPointF(0, 0))
    return {
        "file": str(page.model.file), "level": list(page.model.level), "scale": round(page.view.scale_now, 4),
        "corner": [round(corner.x(), 1), round(corner.y(), 1)],
    }  # fmt: skip


def _go(page: Page, tab: dict[str, Any]) -> None:
    """Shows of a graph what was in sight."""
    level, scale, corner = tab.get("level"), tab.get("scale"), tab.get("corner")
    if isinstance(level, list) and level and all(isinstance(name, str) for name in level):
        try:
            page.model.enter(tuple(level))
        except GraphError:
            return
    if _number(scale) and isinstance(corner, list) and len(corner) == 2 and all(map(_number, corner)):
        page.view.zoom(float(scale))  # type: ignore[arg-type] # a number, as was seen
        here = page.view.at(QPointF(0, 0))
        zoom = page.view.scale_now
        page.view.pan((here.x() - corner[0]) * zoom, (here.y() - corner[1]) * zoom)


def _number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e9  # type: ignore[arg-type] # a number, as was seen


def _bytes(text: object) -> QByteArray:
    try:
        return QByteArray(b64decode(text, validate=True)) if isinstance(text, str) else QByteArray()
    except ValueError:
        return QByteArray()
