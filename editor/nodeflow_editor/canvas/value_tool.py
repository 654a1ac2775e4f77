"""A press on a value: a drag along a number changes it, a click edits, a drag from another value moves the node."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from nodeflow.document import Input
from nodeflow.edits import SetInput
from nodeflow.types import fault
from nodeflow_editor.canvas.metrics import MARK, MARKED
from nodeflow_editor.canvas.moving import Drag
from nodeflow_editor.canvas.tools import SLACK, Press, Tool
from nodeflow_editor.canvas.values import current
from nodeflow_editor.value_text import Way, span, way

if TYPE_CHECKING:
    from nodeflow_editor.canvas.view import GraphView

TRAVEL = 3.0
"""Pixels at 100 % that one step of a number takes."""
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class ValuePress(Tool):
    """From a press on a value to its end. While a number is dragged, the node shows it and the document waits."""

    def __init__(self, view: GraphView, press: Press, node: str, port: str, *, chosen: bool = False) -> None:
        """Begins at a press on a value of a node; `chosen`: whether the node was chosen before."""
        super().__init__(view)
        self._chosen = chosen
        self._press, self._node, self._port = press, node, port
        self._last, self._dragged = press.x, False
        canvas = view.canvas
        found = canvas.model.face(node).input(port)
        assert found is not None, "a value stands on an input"
        value, _ = current(found, canvas.model.graph.nodes[node].inputs)
        self._input, self._before, self._value = found, value, value
        self._number = way(found) is Way.NUMBER and type(value) in (int, float) and not self._on_mark()
        self._exact = float(value) if self._number else 0.0
        self._range = span(found, value)
        self._rate = self._pace()
        self.cursor = Qt.CursorShape.SizeHorCursor if self._number else Qt.CursorShape.ArrowCursor

    def _on_mark(self) -> bool:
        row = self.view.canvas.nodes[self._node].measures.row(self._port)
        if row is None or row.value is None or self._input.widget not in MARKED:
            return False
        left, _, wide, _ = row.value
        return self._press.x - self.view.canvas.nodes[self._node].x() >= left + wide - MARK

    def _pace(self) -> float:
        """How much a pixel changes the number; a slider's fill follows the mouse, unless that leaps over numbers."""
        row = self.view.canvas.nodes[self._node].measures.row(self._port)
        low, high = self._range.low, self._range.high
        if self._input.widget == "slider" and row is not None and row.value and low is not None and high is not None:
            follows = (high - low) / row.value[2]
            if type(self._before) is float or follows <= self._range.step:
                return follows
        return float(self._range.step) / TRAVEL

    def move(self, press: Press) -> None:
        away = (press.x - self._press.x) ** 2 + (press.y - self._press.y) ** 2
        if not self._dragged and away * self.view.scale_now**2 < SLACK**2:
            return
        if not self._number:
            drag = Drag(self.view, self._press, self._node, chosen=self._chosen)
            self.view.use(drag)
            drag.move(press)
            return
        self._dragged = True
        fine, coarse = press.holds(SHIFT), press.holds(CONTROL)
        share = Fraction(1, 10) if fine else Fraction(10 if coarse else 1)
        pace = self._rate * (0.1 if fine else 10.0 if coarse and self._input.widget != "slider" else 1.0)
        self._exact = self._range.held(self._exact + (press.x - self._last) * pace)
        self._last = press.x
        self._try(self._range.rounded(self._exact, share))

    def _try(self, value: Input) -> None:
        """Shows a value on the node."""
        entry = self.view.canvas.model.graph.nodes.get(self._node)
        if entry is None or value == self._value or fault(self._input.type, value) is not None:
            return
        self._value = value
        self.view.canvas.attempt(self._node, replace(entry, inputs={**entry.inputs, self._port: value}))

    def release(self, press: Press) -> None:  # noqa: ARG002
        canvas = self.view.canvas
        self.view.rest()
        if not self._dragged:
            if self._press.holds(SHIFT):  # it was about which nodes are chosen
                if self._chosen:
                    canvas.select(canvas.selection - {self._node})
                return
            wanted = self.view.mark_wanted if self._on_mark() else self.view.value_wanted
            wanted.emit(self._node, self._port)
            return
        canvas.attempt(self._node, None)
        if self._value != self._before and self._node in canvas.model.graph.nodes:
            canvas.model.do(SetInput(self._node, self._port, self._value), f"Set {self._port}")

    def double(self, press: Press) -> None:
        """The second press of a double click on what the first has already opened."""

    def cancel(self) -> None:
        self.view.canvas.attempt(self._node, None)
        super().cancel()
