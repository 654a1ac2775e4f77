"""The dock with the form of the chosen nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QWhatsThis

from nodeflow_editor.actions import Action, with_selection
from nodeflow_editor.commands.value import Values
from nodeflow_editor.form.panel import FormPanel
from nodeflow_editor.form.rows import FormRow
from nodeflow_editor.pickers import pick_colour, pick_file, pick_model

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def attach(window: Window) -> FormPanel:
    """Puts the form at the right of a window."""
    panel = FormPanel(window.tell)
    dock = window.add_dock("form", "Inputs", panel, Qt.DockWidgetArea.RightDockWidgetArea)
    window.resizeDocks([dock], [320], Qt.Orientation.Horizontal)

    def go(place: str) -> None:
        node = place.partition(".")[0]
        if window.page is not None and node in window.page.scene.nodes:
            window.page.scene.select([node])
            window.page.view.bring(window.page.scene.nodes[node].frame())

    def canvas() -> None:
        if window.page is not None:
            window.page.setFocus()

    window.page_changed.connect(panel.show_page)
    window.settling.connect(panel.settle)
    panel.went.connect(go)
    panel.left.connect(canvas)
    panel.marked.connect(lambda row, done: _pick(window, panel, row, done))
    return panel


def _pick(window: Window, panel: FormPanel, row: FormRow, done: Callable[[str], None]) -> None:
    text = row.value if type(row.value) is str else ""
    if row.port.widget == "file":
        pick_file(window, text, done, window.settings)
    elif row.port.widget == "colour":
        pick_colour(window, text, done)
    else:
        values = next(part for part in window.parts if isinstance(part, Values))
        place = panel.mapToGlobal(QPoint(0, 0))
        at = next((made.mapToGlobal(QPoint(0, made.height())) for made in panel.shown if made.row is row), place)
        pick_model(window, window.look, values.models, text, at, done)


def focus(window: Window) -> None:
    """Gives the keys to the first input of the form."""
    dock = window.docks["form"]
    dock.show()
    dock.raise_()
    panel = dock.widget()
    if isinstance(panel, FormPanel):
        panel.refresh()
        first = next((widget.editor for widget in panel.shown if widget.editor is not None), None)
        (first or panel.head.name).setFocus(Qt.FocusReason.ShortcutFocusReason)


ACTIONS = (
    Action("form.focus", "Edit in the form", "Node", focus, ("Shift+F4",), "node",
           "Go to the inputs of the chosen nodes; Escape leads back", with_selection),
    Action("form.help", "What is this?", "Help", lambda _: QWhatsThis.enterWhatsThisMode(), ("Shift+F1",), "help",
           "Then click what you want to know about"),
)  # fmt: skip
