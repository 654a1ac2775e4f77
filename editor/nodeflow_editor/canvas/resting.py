"""No gesture is going on: what is under the mouse decides which begins."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt

from nodeflow_editor.canvas import hits, linking
from nodeflow_editor.canvas.cutting import Cutting
from nodeflow_editor.canvas.marking import DotDrag, FrameDrag
from nodeflow_editor.canvas.moving import Band, Drag, Pan, snapped
from nodeflow_editor.canvas.node_item import DETAIL
from nodeflow_editor.canvas.paths import distance
from nodeflow_editor.canvas.tools import Press, Tool
from nodeflow_editor.canvas.value_tool import ValuePress
from nodeflow_editor.graph_model import Link
from nodeflow_editor.marks import dots, dotted

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class Resting(Tool):
    """Nothing is going on: decides by what is under the mouse which gesture begins."""

    def press(self, press: Press) -> None:
        view = self.view
        if press.button is Qt.MouseButton.MiddleButton:
            view.use(Pan(view, press))
        elif press.button is Qt.MouseButton.RightButton:
            self._choose_for_menu(press)
            value = self._value(press)
            if value is not None:
                view.value_menu_wanted.emit(press.screen.toPoint(), *value)
                return
            view.menu_wanted.emit(press.screen.toPoint(), QPointF(press.x, press.y))
        elif press.button is Qt.MouseButton.LeftButton and not linking.begin(view, press):
            self._body(press)

    def _value(self, press: Press) -> tuple[str, str] | None:
        """The value there, where it is large enough to be drawn."""
        return hits.value_at(self.view.canvas, press.x, press.y) if self.view.scale_now >= DETAIL else None

    def _body(self, press: Press) -> None:
        """A press on a node, a dot, a wire, a frame, or nothing."""
        view, canvas = self.view, self.view.canvas
        node = hits.node_at(canvas, press.x, press.y)
        if node is not None:
            more = press.holds(SHIFT)
            if node not in canvas.selection:
                canvas.select([node], more=more)
            value = self._value(press)
            view.use(ValuePress(view, press, *value) if value is not None else Drag(view, press, node))
        elif not self._dot(press) and not self._frame(press):
            view.use(Band(view, press))

    def _dot(self, press: Press) -> bool:
        """Ctrl and a press on a wire make a dot, on a dot take it away; a dot alone is moved."""
        canvas = self.view.canvas
        held, found = press.holds(CONTROL), hits.dot_near(canvas, press.x, press.y)
        if found is not None:
            link, index = found
            places = dots(canvas.model.graph, link.key)
            if held:
                canvas.model.do(
                    dotted(canvas.model.graph, link.key, [*places[:index], *places[index + 1 :]]), "Remove dot"
                )
            else:
                self.view.use(DotDrag(self.view, link, index, places, "Move dot"))
            return True
        near = hits.link_near(canvas, press.x, press.y) if held else None
        if near is not None:
            self._new_dot(near, press)
        return near is not None

    def _new_dot(self, link: Link, press: Press) -> None:
        canvas = self.view.canvas
        curves = canvas.wires[link].curves
        here = (press.x, press.y)
        index = min(range(len(curves)), key=lambda number: distance(here, [curves[number]]))
        places = dots(canvas.model.graph, link.key)
        places.insert(index, (snapped(press.x), snapped(press.y)))
        self.view.use(DotDrag(self.view, link, index, places, "Add dot"))

    def _frame(self, press: Press) -> bool:
        canvas = self.view.canvas
        corner = hits.frame_corner_at(canvas, press.x, press.y)
        title = hits.frame_title_at(canvas, press.x, press.y) if corner is None else None
        found = corner or title
        if found is not None:
            self.view.use(FrameDrag(self.view, press, found, resize=corner is not None))
        return found is not None

    def _choose_for_menu(self, press: Press) -> None:
        canvas = self.view.canvas
        node = hits.node_at(canvas, press.x, press.y)
        if node is not None and node not in canvas.selection:
            canvas.select([node])

    def double(self, press: Press) -> None:
        view, canvas = self.view, self.view.canvas
        if press.button is not Qt.MouseButton.LeftButton:
            return
        node = hits.node_at(canvas, press.x, press.y)
        frame = hits.frame_title_at(canvas, press.x, press.y) if node is None else None
        if self._value(press) is not None:
            self.press(press)
            return
        if frame is not None:
            view.title_wanted.emit(frame.marked.number)
        elif node is None:
            view.palette_wanted.emit(QPointF(press.x, press.y), None)
        elif hits.picture_at(canvas, press.x, press.y) is not None:
            view.pictured.emit(node)
        elif canvas.model.face(node).graph:
            view.entered.emit(node)

    def key(self, key: int, *, pressed: bool, repeated: bool) -> bool:
        if not pressed or repeated:
            return False
        if key == Qt.Key.Key_Space:
            self.view.use(Pan(self.view, None))
        elif key == Qt.Key.Key_X:
            self.view.use(Cutting(self.view))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and len(self.view.canvas.selection) == 1:
            self.view.value_wanted.emit(*self.view.canvas.selection, "")
        else:
            return False
        return True
