"""One tab: a graph, its canvas, and the way through its subgraphs."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from nodeflow.catalog import Catalog
from nodeflow.document import Document
from nodeflow.errors import Problem
from nodeflow_editor.bars import Bars
from nodeflow_editor.canvas.scene import GraphScene
from nodeflow_editor.canvas.view import GraphView
from nodeflow_editor.crumbs import Crumbs
from nodeflow_editor.disk import Seen
from nodeflow_editor.graph_model import GraphModel
from nodeflow_editor.theme import Palette


class Page(QWidget):
    """A graph that is open."""

    title_changed = Signal()
    faults_changed = Signal(object)
    """The faults of its file's form, as problems."""

    def __init__(
        self, document: Document, catalog: Catalog, file: Path | None, palette: Palette, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.model = GraphModel(document, catalog, file, self)
        self.scene = GraphScene(self.model, palette)
        self.view = GraphView(self.scene, self)
        self.bars = Bars(self)
        self.crumbs = Crumbs(self.model, self.view, self)
        self.faults: tuple[Problem, ...] = ()
        """What could not be read of its file, and is therefore not in the document."""
        self.disk: Seen | None = None
        """Its file when it was last read or written; None if that was not yet, or it is gone."""
        self.label = ""
        """What a graph without a file is called: after the picture that it came from."""
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addWidget(self.bars)
        box.addWidget(self.crumbs)
        box.addWidget(self.view, 1)
        self.setFocusProxy(self.view)
        self.model.file_changed.connect(self.title_changed)
        self.model.undo.cleanChanged.connect(self.title_changed)
        self.bars.left.connect(self.setFocus)

    @property
    def name(self) -> str:
        """What the tab is called."""
        if self.model.file is not None:
            return self.model.file.stem
        return self.label or self.model.document.title or "Untitled"

    @property
    def changed(self) -> bool:
        """Whether it differs from its file."""
        return not self.model.undo.isClean()

    def take_faults(self, faults: tuple[Problem, ...]) -> None:
        """Keeps the faults of its file, for whoever lists them."""
        if faults != self.faults:
            self.faults = faults
            self.faults_changed.emit(faults)
