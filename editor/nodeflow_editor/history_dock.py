"""The pictures that runs delivered, newest first: each leads back to its graph."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QSize,
    Qt,
    QTimer,
    QUrl,
)
from PySide6.QtGui import QDesktopServices, QGuiApplication, QIcon, QImage, QImageReader, QPainter, QPixmap
from PySide6.QtWidgets import QLineEdit, QListView, QMenu, QVBoxLayout, QWidget

from nodeflow.document import parse
from nodeflow.errors import GraphError
from nodeflow_editor.aside import Aside
from nodeflow_editor.files import Files
from nodeflow_editor.list_keys import ListKeys
from nodeflow_editor.run.history import History, Picture
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.viewer.strip import numbered
from nodeflow_editor.viewer.taking import carry, of_files

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

SIDE = 112
"""Pixels of a thumbnail on the screen."""
MANY = 40
"""Pictures that are taken out one by one; more at once, and the view begins anew."""
DECODED = 600
"""Thumbnails that are kept ready to draw: 30 MB, at 200 % four times as much."""
SOON = 150
"""Milliseconds after the last key at which is looked for what was typed."""
Index = QModelIndex | QPersistentModelIndex


class Pictures(QAbstractListModel):
    """The history as Qt's views take it. Thumbnails are read when they are first in sight."""

    def __init__(self, history: History, parent: QObject) -> None:
        super().__init__(parent)
        self._history = history
        self.pictures = list(history.pictures())
        self._drawn: dict[str, QIcon] = {}
        self.only: frozenset[str] | None = None
        """The ids of the pictures that are shown, when something is looked for."""

    def refresh(self) -> None:
        """Takes the history as it is now; what is chosen stays so while runs add to it."""
        now, none = self._history.pictures(), QModelIndex()
        if self.only is not None:
            now = tuple(picture for picture in now if picture.id in self.only)
        known = {picture.id for picture in now}
        gone = [row for row, picture in enumerate(self.pictures) if picture.id not in known]
        if len(gone) > MANY:
            self.beginResetModel()
            self.pictures = list(now)
            self.endResetModel()
            return
        for row in reversed(gone):
            self.beginRemoveRows(none, row, row)
            del self.pictures[row]
            self.endRemoveRows()
        for row, picture in enumerate(now):
            if row == len(self.pictures) or self.pictures[row].id != picture.id:
                self.beginInsertRows(none, row, row)
                self.pictures.insert(row, picture)
                self.endInsertRows()

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802 # Qt's name
        return 0 if parent is not None and parent.isValid() else len(self.pictures)

    def flags(self, index: Index) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        picture = self.pictures[index.row()]
        if role == Qt.ItemDataRole.DecorationRole:
            return self.icon(picture)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            gone = "file is gone" if picture.path is None else _when(picture.time)
            return f"{picture.title}\n{gone}" + (f" · {many:,} pictures" if (many := len(picture.paths)) > 1 else "")
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join((f"{picture.title} · {picture.output}", *picture.paths, "double-click opens its graph"))
        return None

    def icon(self, picture: Picture) -> QIcon:
        """The small picture."""
        known = self._drawn.get(picture.id)
        if known is None:
            data = self._history.thumbnail(picture)
            image = QImage.fromData(data) if data is not None else QImage()
            if len(picture.paths) > 1 and not image.isNull():
                image = numbered(image, len(picture.paths))
            drawn = squared(image)
            known = QIcon(drawn)
            known.addPixmap(drawn, QIcon.Mode.Selected)  # else Qt tints it
            if data is None:  # it may still be drawn
                return known
            if len(self._drawn) >= DECODED:
                self._drawn.pop(next(iter(self._drawn)))
            self._drawn[picture.id] = known
        return known


def squared(image: QImage) -> QPixmap:
    """A picture in the middle of a square: the view takes all for as large as the first, and 500 are 30 MB so."""
    ratio = QGuiApplication.primaryScreen().devicePixelRatio()
    side = round(SIDE * ratio)
    made = QPixmap(side, side)
    made.fill(Qt.GlobalColor.transparent)
    if not image.isNull():
        if max(image.width(), image.height()) > side:
            image = image.scaled(side, side, Qt.AspectRatioMode.KeepAspectRatio,
                                 Qt.TransformationMode.SmoothTransformation)  # fmt: skip
        painter = QPainter(made)
        painter.drawImage((side - image.width()) // 2, (side - image.height()) // 2, image)
        painter.end()
    made.setDevicePixelRatio(ratio)
    return made


class Grid(QListView):
    """The pictures in rows; `take` puts the chosen ones into the mouse's hand."""

    def __init__(self, take: Callable[[], None]) -> None:
        super().__init__()
        self._take = take

    def startDrag(self, actions: Qt.DropAction) -> None:  # noqa: ARG002, N802 # Qt's name
        self._take()


class HistoryDock(QObject):
    """The grid of pictures."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, part = window, RunPart.of(window)
        self._history = part.history
        self.model = Pictures(self._history, self)
        self.view = Grid(self.take)
        self.view.setAccessibleName("History")
        self.view.setModel(self.model)
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setDragEnabled(True)
        self.view.setUniformItemSizes(True)
        self.view.setWordWrap(True)
        self.view.setIconSize(QSize(SIDE, SIDE))
        self.view.setGridSize(QSize(SIDE + 28, SIDE + 48))
        self.view.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.find = QLineEdit(placeholderText="Find by title, file, or a word of the graph", clearButtonEnabled=True)
        self.find.setAccessibleName("Find in the history")
        self._aside = Aside("search", self)
        self._later = QTimer(self, singleShot=True, interval=SOON)
        self._later.timeout.connect(self.search)
        self.find.textChanged.connect(lambda _: self._later.start())
        body = QWidget()
        box = QVBoxLayout(body)
        box.setContentsMargins(8, 6, 8, 0)
        box.addWidget(self.find)
        box.addWidget(self.view, 1)
        body.setFocusProxy(self.view)
        self.dock = window.add_dock("history", "History", body, Qt.DockWidgetArea.BottomDockWidgetArea)
        self.view.clicked.connect(lambda index: self.show(self.model.pictures[index.row()]))
        self.view.doubleClicked.connect(lambda index: self.open_graph(self.model.pictures[index.row()]))
        self.view.customContextMenuRequested.connect(self._menu)
        ListKeys(self.view, {
            "Return": self._open_chosen, "Enter": self._open_chosen, "Space": self._show_chosen, "Del": self.remove,
            "Ctrl+C": self.copy, "Ctrl+F": self.find.setFocus,
        })  # fmt: skip
        ListKeys(self.find, {"Down": self.view.setFocus, "Escape": self._stop_finding})
        part.runner.history_changed.connect(self.search)
        window.closing.connect(self._aside.close)

    def search(self) -> None:
        """Shows the pictures that what is typed is found in; all if nothing is."""
        text = self.find.text().strip()
        if text:
            self._aside.call(lambda: self._history.found(text), lambda found: self._show_found(text, found))
        else:
            self._show_found("", None)

    def _show_found(self, text: str, found: frozenset[str] | None) -> None:
        if text == self.find.text().strip():
            self.model.only = found
            self.model.refresh()

    def _stop_finding(self) -> None:
        self.find.clear()
        self.view.setFocus()

    def chosen(self) -> list[Picture]:
        """The chosen pictures."""
        rows = sorted(index.row() for index in self.view.selectionModel().selectedIndexes())
        return [self.model.pictures[row] for row in rows]

    def show(self, picture: Picture) -> None:
        """Has the viewer show a picture."""
        paths = picture.there
        if not paths:
            self._window.tell("the file of this picture is gone; double-click opens the graph that made it")
            return
        self._window.picture_wanted.emit(f"history:{picture.id}", picture.title, paths)

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
        Files.of(self._window).new(document, picture.title, kept=True)

    def copy(self) -> None:
        """Puts the chosen picture on the clipboard."""
        path = next((picture.path for picture in self.chosen() if picture.path is not None), None)
        image = QImageReader(str(path)).read() if path is not None else QImage()
        if image.isNull():
            self._window.tell("there is no picture to copy: its file is gone, or cannot be read")
        else:
            QGuiApplication.clipboard().setImage(image)

    def take(self) -> None:
        """Puts the chosen pictures into the mouse's hand."""
        chosen = self.chosen()
        paths = [path for picture in chosen for path in picture.there]
        if paths:
            carry(self.view, of_files(paths), self.model.icon(chosen[0]).pixmap(SIDE, SIDE))
        else:
            self._window.tell("the file of this picture is gone; double-click opens the graph that made it")

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
