"""Comparing the graph in front with its file, or with another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from nodeflow.document import read
from nodeflow.errors import GraphError
from nodeflow_editor.actions import Action, with_page
from nodeflow_editor.compare_dock import Compare

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def with_saved(window: Window) -> None:
    """Compares the graph in front with its file."""
    if window.page is not None and window.page.model.file is not None:
        against(window, window.page.model.file, "its file")


def with_file(window: Window) -> None:
    """Compares the graph in front with a file that is asked for."""
    if window.page is not None:
        folder = str(window.page.model.folder)
        name, _ = QFileDialog.getOpenFileName(window, "Compare with", folder, "Graphs (*.json);;All files (*)")
        if name:
            against(window, Path(name), Path(name).name)


def against(window: Window, file: Path, name: str) -> None:
    """Compares the graph in front with a file, which people know as `name`."""
    page, dock = window.page, window.docks["compare"]
    widget = dock.widget()
    if page is None or not isinstance(widget, Compare):
        return
    try:
        old = read(file)
    except GraphError as error:
        window.tell(str(error))
        return
    widget.begin(page, old, name)
    dock.show()
    dock.raise_()


def has_file(window: Window) -> bool:
    """Whether the graph in front has a file."""
    return window.page is not None and window.page.model.file is not None


def attach(window: Window) -> Compare:
    """The dock; hidden until something is compared."""
    compare = Compare(window)
    window.add_dock("compare", "Compare", compare, Qt.DockWidgetArea.RightDockWidgetArea).hide()
    return compare


ACTIONS = (
    Action("graph.compare_saved", "Compare with saved", "File", with_saved, (), "compare",
           "List what differs from the graph's file, and mark it on the canvas", has_file),
    Action("graph.compare_file", "Compare with file…", "File", with_file, (), "compare",
           "List what differs from another graph, and mark it on the canvas", with_page),
)  # fmt: skip
