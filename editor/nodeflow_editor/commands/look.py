"""How the window looks: its theme, and the map in the corner of each canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nodeflow_editor.actions import Action, with_page
from nodeflow_editor.canvas.minimap import Minimap
from nodeflow_editor.theming import THEMES, Theming

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

MAP = "minimap"


def theming(window: Window) -> Theming | None:
    """The part of the window that knows its theme."""
    return window.findChild(Theming)


def next_theme(window: Window) -> None:
    """Dark, then light, then the system's."""
    part = theming(window)
    if part is not None:
        part.choose(THEMES[(THEMES.index(part.theme) + 1) % len(THEMES)])


def choose(theme: str) -> Callable[[Window], None]:
    """The action that takes a theme."""

    def run(window: Window) -> None:
        part = theming(window)
        if part is not None:
            part.choose(theme)

    return run


def has(theme: str) -> Callable[[Window], bool]:
    """Whether a theme is in use."""
    return lambda window: (part := theming(window)) is not None and part.theme == theme


def map_of(page: Page) -> Minimap | None:
    """The map of a page's canvas."""
    return page.view.findChild(Minimap)


def shows_map(window: Window) -> bool:
    """Whether canvases have their map."""
    return bool(window.settings.get(MAP, False))


def toggle_map(window: Window) -> None:
    """Shows the map on every canvas, or hides it."""
    window.settings.set(MAP, not shows_map(window))
    for page in window.pages():
        _map(window, page)
    window.actions_table.refresh()


def _map(window: Window, page: Page) -> None:
    """Makes or shows the map of a page, or hides it: a canvas without one pays nothing."""
    made = map_of(page)
    if shows_map(window):
        made = made or Minimap(page.view)
        made.refresh()
        made.show()
    elif made is not None:
        made.hide()


def attach(window: Window) -> Theming:
    """Dresses the window, and gives canvases their map."""

    def dressed() -> None:
        for page in window.pages():
            made = map_of(page)
            if made is not None:
                made.refresh()

    window.page_opened.connect(lambda page: _map(window, page))
    window.look_changed.connect(dressed)
    return Theming(window)


ACTIONS = (
    Action("view.minimap", "Map of the graph", "View", toggle_map, ("M",), "map",
           "A small map in the corner of the canvas; drag on it to move", with_page, shows_map),
    Action("view.theme", "Next theme", "View", next_theme, ("Ctrl+Alt+T",), "theme",
           "Dark, light, or as the system has it"),
    *(Action(f"view.theme_{theme}", f"Theme: {theme}", "View", choose(theme), (), "theme", checked=has(theme))
      for theme in THEMES),
)  # fmt: skip
