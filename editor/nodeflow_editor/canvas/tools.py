"""What a gesture is: a small machine that begins at a press and ends in an edit, or in none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QMouseEvent, QPainter

from nodeflow_editor.graph_model import Change

if TYPE_CHECKING:
    from nodeflow_editor.canvas.view import GraphView

SLACK = 4.0
"""Device pixels that the mouse may slip in a click."""


@dataclass(frozen=True, slots=True)
class Press:
    """The mouse: where it is in the scene and in the viewport, which button, which keys are held."""

    x: float
    y: float
    spot: QPointF
    screen: QPointF
    button: Qt.MouseButton
    keys: Qt.KeyboardModifier

    @classmethod
    def of(cls, view: GraphView, event: QMouseEvent) -> Press:
        """What an event says."""
        place = view.at(event.position())
        return cls(
            place.x(), place.y(), event.position(), event.globalPosition(), event.button(), event.modifiers()
        )  # fmt: skip

    def holds(self, key: Qt.KeyboardModifier) -> bool:
        """Whether that key is held."""
        return bool(self.keys & key)


class Tool:
    """A gesture at work. The view hands it everything until it gives way by `view.use`."""

    cursor = Qt.CursorShape.ArrowCursor

    def __init__(self, view: GraphView) -> None:
        self.view = view

    def press(self, press: Press) -> None:
        """A button went down."""

    def move(self, press: Press) -> None:
        """The mouse moved."""

    def release(self, press: Press) -> None:
        """A button went up."""

    def double(self, press: Press) -> None:
        """A button went down for the second time at once."""
        self.press(press)

    def key(self, key: int, *, pressed: bool, repeated: bool) -> bool:  # noqa: ARG002 # tools override it
        """A key; returns whether it was for this tool."""
        if pressed and key == Qt.Key.Key_Escape:
            self.cancel()
            return True
        return False

    def left(self) -> None:
        """The keys went elsewhere: one that is held is not seen to be let go."""

    def upset(self, change: Change) -> None:
        """The graph was changed by something else meanwhile: what was taken hold of may be gone, or elsewhere."""
        if change.whole or change.removed or change.moved or change.view:
            self.cancel()

    def cancel(self) -> None:
        """Ends without a trace."""
        self.view.rest()

    def paint(self, painter: QPainter) -> None:
        """Draws what belongs to the gesture, in the scene's coordinates, over everything."""
