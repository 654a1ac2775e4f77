"""The way to the graph on show, above the canvas: each part leads back to it. Hidden in the file's own graph."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from nodeflow_editor.canvas.view import GraphView
from nodeflow_editor.graph_model import GraphModel, Level

SEPARATOR = "›"  # the sign that people know from paths
MARGIN = 6


class Crumbs(QWidget):
    """Buttons from the file's own graph to the one on show. Where one looked in each graph is kept."""

    def __init__(self, model: GraphModel, view: GraphView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._view = model, view
        self._looked: dict[Level, tuple[float, QPointF]] = {}
        self._level = model.level
        self._box = QHBoxLayout(self)
        self._box.setContentsMargins(MARGIN, MARGIN // 2, MARGIN, MARGIN // 2)
        self._box.setSpacing(MARGIN // 3)
        self.setAccessibleName("Way to this graph")
        self.buttons: list[QToolButton] = []
        model.level_changed.connect(self._leave)
        model.changed.connect(lambda change: self._arrive() if change.whole else None)
        model.document_changed.connect(self._name)
        self._fill()

    def _leave(self) -> None:
        """Before the canvas shows the other graph: what was in sight of this one."""
        view = self._view
        self._looked[self._level] = view.scale_now, view.at(QPointF(view.viewport().rect().center()))
        self._level = self._model.level

    def _arrive(self) -> None:
        self._fill()
        around = self.parentWidget()
        if around is not None and (layout := around.layout()) is not None:
            layout.activate()  # the canvas has its new height before it is moved, or all would shift by these buttons
        known = self._looked.get(self._level)
        if known is None:
            self._view.fit()
        else:
            self._view.zoom(known[0])
            self._view.look_at(known[1])

    def _names(self) -> list[str]:
        top = self._model.document.title or (self._model.file.stem if self._model.file else "Graph")
        return [top, *self._model.level]

    def _name(self) -> None:
        if not self.isHidden():
            for button, name in zip(self.buttons, self._names(), strict=False):
                button.setText(name)

    def _fill(self) -> None:
        while (item := self._box.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self.buttons = []
        names = self._names()
        for depth, name in enumerate(names):
            if depth:
                self._box.addWidget(QLabel(SEPARATOR, self))
            self._box.addWidget(self._button(name, self._model.level[:depth], here=depth == len(names) - 1))
        self._box.addStretch(1)
        self.setVisible(len(names) > 1)

    def _button(self, name: str, level: Level, *, here: bool) -> QToolButton:
        button = QToolButton(self)
        button.setText(name)
        button.setAutoRaise(True)
        button.setEnabled(not here)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAccessibleName(f"{name}, shown" if here else f"Back to {name}")
        button.setToolTip("" if here else f"Back to {name} (Alt+Up leads one step out)")
        button.clicked.connect(lambda: self._model.enter(level))
        self.buttons.append(button)
        return button
