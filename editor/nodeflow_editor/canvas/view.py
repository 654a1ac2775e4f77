"""The window onto a graph: pans, zooms, and hands presses and keys to the tool at work."""

from __future__ import annotations

from math import ceil, floor

from PySide6.QtCore import QLineF, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QMoveEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QGraphicsView, QWidget

from nodeflow_editor.canvas.far import FAR
from nodeflow_editor.canvas.resting import Resting
from nodeflow_editor.canvas.scene import THICK_WIRES, GraphScene
from nodeflow_editor.canvas.tools import Press, Tool
from nodeflow_editor.graph_model import Change

STEP = 2**0.25
"""One notch of the wheel."""
CLOSEST, FARTHEST = 4.0, 0.02
THICK_FROM = 0.7
"""Scale from which wires are drawn thick."""
GRID = 32.0
HEADLINE = 24.0
"""Device pixels above a frame that its title takes from afar."""


class GraphView(QGraphicsView):
    """Shows a scene. What gestures mean is the tools' affair."""

    zoomed = Signal(float)
    moved = Signal()
    """What is in sight has changed."""
    palette_wanted = Signal(QPointF, object)
    """Nodes are to be offered at that place of the scene; with (node, port, is output) if a wire was let go there."""
    value_wanted = Signal(str, str)
    """The value of that input is to be edited in place; "" is the first that the node has."""
    mark_wanted = Signal(str, str)
    """The mark in that input's value was clicked: the die, the dots, the arrow, the swatch."""
    value_menu_wanted = Signal(QPoint, str, str)
    """The menu of that input's value, at a place on the screen."""
    menu_wanted = Signal(QPoint, QPointF)
    """The menu for what is there: place on the screen, place in the scene."""
    title_wanted = Signal(int)
    """The title of that frame is to be edited."""
    note_wanted = Signal(int)
    """The text of that note is to be edited."""
    link_wanted = Signal(str)
    """An address in a note was clicked."""
    entered = Signal(str)
    """A node was double-clicked that stands for a graph."""
    pictured = Signal(str, object)
    """The picture of a node was double-clicked: the node, and which of a batch it was, or None."""
    glanced = Signal(str, int)
    """One of the pictures of a batch was clicked."""
    told = Signal(str)
    """A sentence about what the mouse is over; empty for none."""

    def __init__(self, scene: GraphScene, parent: QWidget | None = None) -> None:
        super().__init__(scene, parent)
        self.canvas = scene
        self.tool: Tool = Resting(self)
        self._button = Qt.MouseButton.NoButton
        """The one that the gesture under way began with: others mean nothing until it is let go."""
        self.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.SmartViewportUpdate)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontSavePainterState, True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setFrameShape(QGraphicsView.Shape.NoFrame)
        self.setDragMode(QGraphicsView.DragMode.NoDrag)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Graph")
        scene.model.changed.connect(self._upset)

    @property
    def scale_now(self) -> float:
        """Device pixels by pixels of the scene."""
        return self.transform().m11()

    def at(self, place: QPoint | QPointF) -> QPointF:
        """The place in the scene under a place of the viewport, fractions kept."""
        inverse, _ = self.viewportTransform().inverted()
        return inverse.map(QPointF(place))

    def zoom(self, scale: float, around: QPointF | None = None) -> None:
        """Sets the scale; the place of the viewport `around` (the middle if None) stays where it is."""
        scale = min(max(scale, FARTHEST), CLOSEST)
        if abs(scale - 1.0) < 0.04:
            scale = 1.0
        middle = around if around is not None else QPointF(self.viewport().rect().center())
        fixed = self.at(middle)
        self.resetTransform()
        self.scale(scale, scale)
        self._look_from(scale)
        moved = self.at(middle) - fixed
        self.pan(moved.x() * scale, moved.y() * scale)
        self.zoomed.emit(scale)

    def _look_from(self, scale: float) -> None:
        far = self.canvas.far if scale < FAR else self.canvas
        self.setRenderHint(QPainter.RenderHint.Antialiasing, scale >= 0.45)
        if self.scene() is not far:
            place, transform = self.at(QPointF(0, 0)), self.transform()
            self.setScene(far)
            self.setTransform(transform)
            here = self.at(QPointF(0, 0))
            self.pan((here.x() - place.x()) * scale, (here.y() - place.y()) * scale)

    def pan(self, dx: float, dy: float) -> None:
        """Moves the graph by so many device pixels."""
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        across.setValue(round(across.value() - dx))
        down.setValue(round(down.value() - dy))
        self.moved.emit()

    def fit(self, box: QRectF | None = None, *, closest: float = 1.0) -> None:
        """Shows all of a box, or of the graph, as near as that allows."""
        box = box if box is not None else self.canvas.bounds()
        if box.isEmpty():
            self.zoom(1.0)
            return
        room = self.viewport().rect()
        share = min((room.width() - 48) / box.width(), (room.height() - 48) / box.height())
        self.zoom(min(max(share, FARTHEST), closest))
        self.look_at(box.center())

    def look_at(self, place: QPointF) -> None:
        """Puts a place of the scene into the middle."""
        self.centerOn(place)
        self.moved.emit()

    def bring(self, box: QRectF) -> None:
        """Puts a box into the middle as near as one looks now, or from further away if it does not fit."""
        room = self.viewport().rect()
        share = min((room.width() - 48) / max(box.width(), 1.0), (room.height() - 48) / max(box.height(), 1.0))
        if share < self.scale_now:
            self.fit(box)
        else:
            self.look_at(box.center())

    def reveal(self, box: QRectF, margin: int = 32) -> None:
        """Pans as far as it takes to see a box."""
        self.ensureVisible(box, margin, margin)
        self.moved.emit()

    def use(self, tool: Tool) -> None:
        """Another tool takes over; the one before has ended itself."""
        self.tool = tool
        self.viewport().setCursor(tool.cursor)
        self.viewport().update()

    def _upset(self, change: Change) -> None:
        self.tool.upset(change)

    def rest(self) -> None:
        """No gesture is going on any more."""
        self.use(Resting(self))

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:  # noqa: N802 # Qt's name
        painter.fillRect(rect, self.canvas.ground())
        scale = self.scale_now
        if scale >= 0.35:
            self._draw_grid(painter, rect, scale)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, scale >= 0.45)
        for frame in self.canvas.frames:
            if frame.rect().intersects(rect):
                frame.ground(painter)
        if scale >= THICK_FROM and len(self.canvas.wires) <= THICK_WIRES:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for wire in self.canvas.wires_in(QRectF(rect)):
                wire.underline(painter)

    def _draw_grid(self, painter: QPainter, rect: QRectF | QRect, scale: float) -> None:
        pen = QPen(self.canvas.pens.colour["grid"], 1.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        step = GRID if scale >= THICK_FROM else 4 * GRID
        columns = range(floor(rect.left() / step), ceil(rect.right() / step) + 1)
        rows = range(floor(rect.top() / step), ceil(rect.bottom() / step) + 1)
        lines = [QLineF(x * step, rect.top(), x * step, rect.bottom()) for x in columns]
        painter.drawLines([*lines, *(QLineF(rect.left(), y * step, rect.right(), y * step) for y in rows)])

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:  # noqa: N802 # Qt's
        if self.scene() is self.canvas.far:
            for frame in self.canvas.frames:
                if frame.rect().adjusted(0, -HEADLINE / self.scale_now, 0, 0).intersects(rect):
                    frame.entitle(painter, self.scale_now)
            for note in self.canvas.notes.items.values():
                if note.frame().intersects(rect):
                    note.from_afar(painter, self.scale_now)
        self.tool.paint(painter)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        self.canvas.pace.begin()
        super().paintEvent(event)

    def moveEvent(self, event: QMoveEvent) -> None:  # noqa: N802
        super().moveEvent(event)
        if self.isVisible() and event.pos().y() != event.oldPos().y():
            # a bar came or went above: what is under the mouse stays there
            self.pan(0, event.oldPos().y() - event.pos().y())

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        turned = event.angleDelta().y() or event.angleDelta().x()
        fine = not event.pixelDelta().isNull() and event.device().type().name == "TouchPad"
        if fine and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.pan(event.pixelDelta().x(), event.pixelDelta().y())
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.pan(turned * 0.5, 0)
        else:
            self.zoom(self.scale_now * STEP ** (turned / 120), event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if event.buttons() == event.button():  # else another one is down already
            self._button = event.button()
            self.tool.press(Press.of(self, event))
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self.tool.move(Press.of(self, event))
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if event.button() is self._button:
            self._button = Qt.MouseButton.NoButton
            self.tool.release(Press.of(self, event))
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if event.buttons() == event.button():
            self._button = event.button()
            self.tool.double(Press.of(self, event))
        event.accept()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        super().focusOutEvent(event)
        self.tool.left()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if not self.tool.key(event.key(), pressed=True, repeated=event.isAutoRepeat()):
            event.ignore()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if not self.tool.key(event.key(), pressed=False, repeated=event.isAutoRepeat()):
            event.ignore()
