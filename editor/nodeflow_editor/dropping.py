"""What is dropped on the window: graphs and pictures open, images become loader nodes, text becomes nodes.

Files and pictures that are pasted mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QMimeData, QObject, QPointF
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QImage

from nodeflow.carried import graph_text
from nodeflow.document import NodeEntry
from nodeflow.edits import AddNode, Edit, Group, MoveNodes
from nodeflow.errors import GraphError
from nodeflow_editor.bars import Answer
from nodeflow_editor.bringing import Bringing
from nodeflow_editor.canvas.moving import snapped
from nodeflow_editor.disk import is_foreign, is_picture, loader
from nodeflow_editor.files import Files
from nodeflow_editor.graph_model import free_name
from nodeflow_editor.pasting import OWN, kept, picture_of
from nodeflow_editor.pickers import file_name
from nodeflow_editor.pieces import pasted
from nodeflow_editor.trust import trust

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

MOST = 100
"""Files that are taken of one drop: each is a tab or a node."""
BESIDE = 32.0
"""How far the nodes of several images stand from one another."""
NO_LOADER = "no installed plugin has a node that loads images"


class Dropping(QObject):
    """Takes drops on the window and on its canvases."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window = window
        window.setAcceptDrops(True)
        window.installEventFilter(self)
        window.page_opened.connect(self._opened)

    @staticmethod
    def of(window: Window) -> Dropping:
        """The window's."""
        return next(part for part in window.parts if isinstance(part, Dropping))

    def _opened(self, page: Page) -> None:
        page.view.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 # Qt's name
        """Drags are taken here, before the canvas offers them to items that know nothing of them."""
        if isinstance(event, QDragEnterEvent | QDragMoveEvent):
            if event.type() in (QEvent.Type.DragEnter, QEvent.Type.DragMove) and self._takes(watched, event):
                event.acceptProposedAction()
                return True
        elif isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop and self._takes(watched, event):
            event.acceptProposedAction()
            page = self.window.page
            over = page is not None and watched is page.view.viewport()
            self.drop(event.mimeData(), page.view.at(event.position()) if page is not None and over else None)
            return True
        return event.type() == QEvent.Type.DragLeave and watched is not self.window  # the canvas saw nothing come

    def _takes(self, watched: QObject, event: QDropEvent) -> bool:
        """Whether something is taken here. Our own pictures are so by the canvas alone: beside it nothing is meant."""
        data = event.mimeData()
        return takes(data) and not (data.hasFormat(OWN) and watched is self.window)

    def drop(self, data: QMimeData, place: QPointF | None, verb: str = "Drop") -> None:
        """Does what a drop means at a place of the canvas in front; None if it fell elsewhere. Pasting is a drop."""
        picture = picture_of(data)
        if picture is not None:
            self._take(picture, place, f"{verb} picture", bytes(data.data(OWN).data()).decode())
            return
        if not data.hasUrls():
            self._text(data.text(), place)
            return
        files = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
        if len(files) > MOST:
            self.window.tell(f"{len(files):,} files are too many at once: the first {MOST} were taken")
            files = files[:MOST]
        elif len(files) < len(data.urls()):
            self.window.tell("only files of this computer can be taken: download it first")
        page = self.window.page
        images = [file for file in files if page is not None and place is not None and is_picture(file)]
        own = data.hasFormat(OWN)  # what was taken hold of as a picture is no graph to be opened
        images = [file for file in images if own or not carries(file)]
        for file in files:
            if file not in images:
                Files.of(self.window).open(file)
        if images and page is not None and place is not None:
            self.window.tabs.setCurrentWidget(page)
            if len(images) == 1 and is_foreign(images[0]) and not own:
                load = Answer("&Load the picture", lambda: self._load(page, images, place, f"{verb} image"))
                Bringing.of(self.window).offer(images[0], load)
            else:
                self._load(page, images, place, f"{verb} images" if len(images) > 1 else f"{verb} image")

    def _text(self, text: str, place: QPointF | None) -> None:
        """Nodes of a graph that was dropped as text."""
        page = self.window.page
        if page is None:
            page = Files.of(self.window).new()
        at = place if place is not None else page.view.at(page.view.viewport().rect().center())
        try:
            made = pasted(page.model.graph, text, (snapped(at.x()), snapped(at.y())))
        except GraphError:
            self.window.tell("this text is no graph")
            return
        if made.nodes and self.window.do(made.edit, f"Drop {len(made.nodes)} nodes"):
            page.scene.select(made.nodes)

    def _take(self, picture: QImage, place: QPointF | None, text: str, note: str) -> None:
        """A node that loads a picture which is in no file yet; the status bar says where it is then."""
        if loader(self.window.catalog) is None:
            self.window.tell(NO_LOADER)
            return
        try:
            file = kept(picture)
        except OSError as error:
            self.window.tell(f"the picture was not taken: {error.strerror or error}")
            return
        page = self.window.page or Files.of(self.window).new()
        middle = page.view.at(page.view.viewport().rect().center())
        if self._load(page, [file], place if place is not None else middle, text):
            self.window.tell(f"the picture is kept as {file}{note}")

    def _load(self, page: Page, files: Sequence[Path], place: QPointF, text: str) -> bool:
        """Nodes that load images, in one step."""
        kind = loader(self.window.catalog)
        if kind is None:
            self.window.tell(NO_LOADER)
            return False
        name, version, port = kind
        edits: list[Edit] = []
        taken = set(page.model.graph.nodes)
        made: list[str] = []
        for number, file in enumerate(files):
            trust(self.window.settings, file)
            node = free_name(name.rpartition(".")[2], taken)
            taken.add(node)
            made.append(node)
            corner = [snapped(place.x() + number * BESIDE), snapped(place.y() + number * BESIDE)]
            entry = NodeEntry(name, version, {port: file_name(file)})
            edits += [AddNode(node, entry), MoveNodes({node: corner})]
        done = self.window.do(Group(tuple(edits)), text)
        if done:
            page.scene.select(made)
            page.setFocus()
        return done


def takes(data: QMimeData) -> bool:
    """Whether something of this sort can be dropped at all."""
    return data.hasUrls() or data.hasImage() or (data.hasText() and data.text().lstrip().startswith("{"))


def carries(file: Path) -> bool:
    """Whether a picture carries a graph."""
    try:
        return graph_text(file)[:1] == b"{"
    except GraphError:
        return False
