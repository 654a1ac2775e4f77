"""Dark, light, or as the system has it: chosen once, kept in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication

from nodeflow_editor.theme import DARK, LIGHT, Palette

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

THEMES = ("dark", "light", "system")
SETTING = "theme"


def palette_of(theme: str) -> Palette:
    """The palette of a theme; the system's is dark unless it says that it is light."""
    if theme == "system":
        light = QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Light
        return LIGHT if light else DARK
    return LIGHT if theme == "light" else DARK


class Theming(QObject):
    """Dresses a window as its settings say, and follows the system where they say that."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._turned)
        if window.settings.get(SETTING, "") in THEMES:
            self._dress()

    @property
    def theme(self) -> str:
        """The one in use."""
        found: str = self._window.settings.get(SETTING, "")
        return found if found in THEMES else self._window.look.name

    def choose(self, theme: str) -> None:
        """Takes another theme, for the next start as well."""
        self._window.settings.set(SETTING, theme)
        self._dress()
        self._window.actions_table.refresh()
        self._window.tell(f"theme: {theme}")

    def _turned(self) -> None:
        if self.theme == "system":
            self._dress()

    def _dress(self) -> None:
        palette = palette_of(self.theme)
        if palette is not self._window.look:
            self._window.dress(palette)
