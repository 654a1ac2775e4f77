"""No gesture is going on: what is under the mouse decides which begins."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt

from nodeflow_editor.canvas import hits, linking, noting
from nodeflow_editor.canvas.cutting import Cutting
from nodeflow_editor.canvas.marking import DotDrag, FrameDrag
from nodeflow_editor.canvas.moving import Band, Drag, Pan, snapped
from nodeflow_editor.canvas.node_item import DETAIL
from nodeflow_editor.canvas.paths import distance
from nodeflow_editor.canvas.tools import Press, Tool
from nodeflow_editor.canvas.value_tool import ValuePress
from nodeflow_editor.graph_model import Change, Link
from nodeflow_editor.marks import dots, dotted

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class Resting(Tool):
    """Nothing is going on: decides by what is under the mouse which gesture begins."""

    def upset(self, change: Change) -> None:
        """Nothing is held."""

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
        """The value there, where it is large enough to be drawn, and not beneath the name of a portal."""
        canvas = self.view.canvas
        if self.view.scale_now < DETAIL or hits.portal_at(canvas, press.x, press.y) is not None:
            return None
        return hits.value_at(canvas, press.x, press.y)

    def _body(self, press: Press) -> None:
        """A press on the name of a portal, a node, a note, a dot, a wire, a frame, or nothing."""
        view, canvas = self.view, self.view.canvas
        if self._portal(press):
            return
        node = hits.node_at(canvas, press.x, press.y)
        if node is not None:
            chosen = node in canvas.selection
            if not chosen:
                canvas.select([node], more=press.holds(SHIFT))
            value = self._value(press)
            if value is not None:
                view.use(ValuePress(view, press, *value, chosen=chosen))
            else:
                view.use(Drag(view, press, node, chosen=chosen))
        elif not noting.begin(view, press) and not self._dot(press) and not self._frame(press):
            view.use(Band(view, press))

    def _portal(self, press: Press) -> bool:
        """A press on a portal's name leads to its other end; from an output, to all that take it."""
        canvas, found = self.view.canvas, hits.portal_at(self.view.canvas, press.x, press.y)
        if found is not None:
            links, out = found
            there = {link.node if out else link.source for link in links} & canvas.nodes.keys()
            canvas.select(there)
            self.view.bring(canvas.bounds(there) if there else QRectF(press.x, press.y, 1.0, 1.0))
        return found is not None

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
        if near is not None and not canvas.wires[near].portal:
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
        near = hits.port_near(canvas, press.x, press.y)
        if near is None and hits.portal_at(canvas, press.x, press.y) is not None:
            return
        node = near[0] if near is not None else hits.node_at(canvas, press.x, press.y)
        if node is not None and node not in canvas.selection:
            canvas.select([node])
        noting.choose_for_menu(canvas, node, press)

    def double(self, press: Press) -> None:
        view, canvas = self.view, self.view.canvas
        if press.button is not Qt.MouseButton.LeftButton:
            return
        if hits.portal_at(canvas, press.x, press.y) is not None:
            return  # the first press has led elsewhere
        node = hits.node_at(canvas, press.x, press.y)
        frame = hits.frame_title_at(canvas, press.x, press.y) if node is None else None
        if self._value(press) is not None:
            self.press(press)
            return
        note = noting.note_at(canvas, press.x, press.y) if node is None else None
        if note is not None:
            view.note_wanted.emit(note.marked.number)
        elif frame is not None:
            view.title_wanted.emit(frame.marked.number)
        elif node is None:
            view.palette_wanted.emit(QPointF(press.x, press.y), None)
        elif hits.picture_at(canvas, press.x, press.y) is not None:
            view.pictured.emit(node, hits.cell_at(canvas, press.x, press.y))
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
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and len(self.view.canvas.notes.selection) == 1:
            self.view.note_wanted.emit(*self.view.canvas.notes.selection)
        else:
            return False
        return True
