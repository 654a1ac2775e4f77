"""What keys do in the viewer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent

from nodeflow_editor.viewer.sight import Mode

if TYPE_CHECKING:
    from nodeflow_editor.viewer.panel import Viewer


def run_of(viewer: Viewer, event: QKeyEvent) -> Callable[[], object] | None:
    """What a key does; None if it means nothing here."""
    held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    keys: dict[int, Callable[[], object]] = {}
    if held == Qt.KeyboardModifier.ControlModifier:
        keys = {Qt.Key.Key_C: viewer.copy}
    elif not held & ~Qt.KeyboardModifier.ShiftModifier:
        keys = _letters(viewer)
        if viewer.pinned:
            keys |= {Qt.Key.Key_1: partial(viewer.turn_to, "A"), Qt.Key.Key_2: partial(viewer.turn_to, "B")}
            if not held:
                keys[Qt.Key.Key_Tab] = viewer.flip
    return keys.get(event.key())


def _letters(viewer: Viewer) -> dict[int, Callable[[], object]]:
    """What keys do that are pressed alone."""
    sight, strip = viewer.sight, viewer.strip
    keys: dict[int, Callable[[], object]] = {
        Qt.Key.Key_F: sight.fit, Qt.Key.Key_Home: lambda: sight.zoom(1.0),
        Qt.Key.Key_Plus: lambda: sight.zoom(sight.scale * 2**0.5),
        Qt.Key.Key_Minus: lambda: sight.zoom(sight.scale / 2**0.5),
        Qt.Key.Key_P: viewer.pin, Qt.Key.Key_S: viewer.save_as,
        Qt.Key.Key_W: partial(viewer.toggle, Mode.WIPE), Qt.Key.Key_D: partial(viewer.toggle, Mode.DIFFERENCE),
        Qt.Key.Key_Left: partial(viewer.step, -1), Qt.Key.Key_Right: partial(viewer.step, 1),
        Qt.Key.Key_Space: viewer.turn_together,
        Qt.Key.Key_PageUp: lambda: strip.step(-1), Qt.Key.Key_PageDown: lambda: strip.step(1),
    }  # fmt: skip
    if not viewer.several:
        for key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Space):
            del keys[key]
    return keys | {ord(letter): partial(viewer.channel.setCurrentIndex, at) for at, letter in enumerate("CRGBAL")}
