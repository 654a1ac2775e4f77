"""The pictures that runs delivered, newest first: each leads back to its graph."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QPoint, QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QImage, QImageReader, QPixmap
from PySide6.QtWidgets import QListView, QMenu

from nodeflow.document import parse
from nodeflow.errors import GraphError
from nodeflow_editor.files import Files
from nodeflow_editor.list_keys import ListKeys
from nodeflow_editor.run.history import History, Picture
from nodeflow_editor.run_part import RunPart

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

SIDE = 112
"""Pixels of a thumbnail on the screen."""
DECODED = 600
"""Thumbnails that are kept ready to draw: 30 MB."""
Index = QModelIndex | QPersistentModelIndex


class Pictures(QAbstractListModel):
    """The history as Qt's views take it. Thumbnails are read when they are first in sight."""

    def __init__(self, history: History, parent: QObject) -> None:
        super().__init__(parent)
        self._history = history
        self.pictures: tuple[Picture, ...] = ()
        self._drawn: dict[str, QPixmap] = {}
        self.refresh()

    def refresh(self) -> None:
        """Takes the history as it is now."""
        self.beginResetModel()
        self.pictures = self._history.pictures()
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802 # Qt's name
        return 0 if parent is not None and parent.isValid() else len(self.pictures)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        picture = self.pictures[index.row()]
        if role == Qt.ItemDataRole.DecorationRole:
            return self._pixmap(picture)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            gone = "file is gone" if picture.path is None else _when(picture.time)
            return f"{picture.title}\n{gone}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join((f"{picture.title} · {picture.output}", *picture.paths, "double-click opens its graph"))
        return None

    def _pixmap(self, picture: Picture) -> QPixmap:
        known = self._drawn.get(picture.id)
        if known is None:
            known = QPixmap()
            data = self._history.thumbnail(picture)
            if data is None or not known.loadFromData(data):
                known = QPixmap(SIDE, SIDE)
                known.fill(Qt.GlobalColor.transparent)
            if len(self._drawn) >= DECODED:
                self._drawn.pop(next(iter(self._drawn)))
            self._drawn[picture.id] = known
        return known


class HistoryDock(QObject):
    """The grid of pictures."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, part = window, RunPart.of(window)
        self._history = part.history
        self.model = Pictures(self._history, self)
        self.view = QListView()
        self.view.setAccessibleName("History")
        self.view.setModel(self.model)
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setUniformItemSizes(True)
        self.view.setWordWrap(True)
        self.view.setIconSize(QSize(SIDE, SIDE))
        self.view.setGridSize(QSize(SIDE + 28, SIDE + 48))
        self.view.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.dock = window.add_dock("history", "History", self.view, Qt.DockWidgetArea.BottomDockWidgetArea)
        self.view.clicked.connect(lambda index: self.show(self.model.pictures[index.row()]))
        self.view.doubleClicked.connect(lambda index: self.open_graph(self.model.pictures[index.row()]))
        self.view.customContextMenuRequested.connect(self._menu)
        ListKeys(self.view, {
            "Return": self._open_chosen, "Enter": self._open_chosen, "Space": self._show_chosen, "Del": self.remove,
            "Ctrl+C": self.copy,
        })  # fmt: skip
        part.runner.history_changed.connect(self.model.refresh)

    def chosen(self) -> list[Picture]:
        """The chosen pictures."""
        rows = sorted(index.row() for index in self.view.selectionModel().selectedIndexes())
        return [self.model.pictures[row] for row in rows]

    def show(self, picture: Picture) -> None:
        """Has the viewer show a picture."""
        path = picture.path
        if path is None:
            self._window.tell("the file of this picture is gone; double-click opens the graph that made it")
            return
        self._window.picture_wanted.emit(f"history:{picture.id}", picture.title, path)

    def open_graph(self, picture: Picture) -> None:
        """Opens the graph that made a picture, in a new tab."""
        text = self._history.graph_of(picture)
        if text is None:
            self._window.tell("the graph of this picture is gone")
            return
        try:
            document = parse(text)
        except GraphError as error:
            self._window.tell(f"the graph of this picture cannot be read: {error}")
            return
        Files.of(self._window).new(document, picture.title)

    def copy(self) -> None:
        """Puts the chosen picture on the clipboard."""
        path = next((picture.path for picture in self.chosen() if picture.path is not None), None)
        image = QImageReader(str(path)).read() if path is not None else QImage()
        if image.isNull():
            self._window.tell("there is no picture to copy: its file is gone, or cannot be read")
        else:
            QGuiApplication.clipboard().setImage(image)

    def remove(self) -> None:
        """Forgets the chosen pictures; their files stay."""
        self._history.remove(self.chosen())
        self.model.refresh()

    def open_folder(self) -> None:
        """Shows the folder of the chosen picture in the system's own program."""
        path = next((picture.path for picture in self.chosen() if picture.path is not None), None)
        if path is None or not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent))):
            self._window.tell("the folder cannot be opened" if path is not None else "the file is gone")

    def _open_chosen(self) -> None:
        for picture in self.chosen()[:1]:
            self.open_graph(picture)

    def _show_chosen(self) -> None:
        for picture in self.chosen()[:1]:
            self.show(picture)

    def _menu(self, spot: QPoint) -> None:
        if not self.chosen():
            return
        menu = QMenu(self.view)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for text, run in (("Show", self._show_chosen), ("Open its graph", self._open_chosen),
                          ("Open the folder", self.open_folder), ("Copy", self.copy),
                          ("Remove from the list", self.remove)):  # fmt: skip
            menu.addAction(text).triggered.connect(run)
        menu.popup(self.view.viewport().mapToGlobal(spot))


def _when(seconds: float) -> str:
    """When a picture was made, in few characters: the time today, the day before that."""
    try:
        made = dt.datetime.fromtimestamp(seconds).astimezone()
    except (OverflowError, OSError, ValueError):
        return ""
    today = dt.datetime.fromtimestamp(time.time()).astimezone().date()
    return f"{made:%H:%M}" if made.date() == today else f"{made:%d %b %Y}"


def attach(window: Window) -> HistoryDock:
    """Gives a window its history."""
    return HistoryDock(window)
