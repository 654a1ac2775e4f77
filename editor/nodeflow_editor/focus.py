"""Where typed keys go: areas of the window one after another, and which keys the canvas keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QApplication, QDockWidget, QToolBar, QWidget

from nodeflow_editor.canvas.view import GraphView

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

BY_KEY = (
    Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason, Qt.FocusReason.ShortcutFocusReason,
)  # fmt: skip
"""How the focus comes by keyboard: then the canvas shows that it has it. By the mouse everybody knows."""
OTHERS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


def is_plain(event: QKeyEvent) -> bool:
    """Whether a key is one that people type with: no Ctrl, no Alt, not F1 to F35."""
    return not event.modifiers() & OTHERS and not Qt.Key.Key_F1 <= event.key() <= Qt.Key.Key_F35


class PlainKeys(QObject):
    """Keys without Ctrl and Alt are the canvas's while it has the focus; else they are for the widget that has it.

    So Tab goes from field to field in a dock, and arrows through a list, though on the canvas both are actions.
    """

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 # Qt's
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent) or not is_plain(event):
            return False
        holder = QApplication.focusWidget()
        if holder is None or isinstance(holder, GraphView):
            return False
        event.accept()
        return True


class Ring(QObject):
    """Frames a canvas while it has the focus by keyboard."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 # Qt's name
        if isinstance(watched, GraphView) and event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            came = isinstance(event, QFocusEvent) and event.gotFocus()
            self.show_on(watched, shown=came and isinstance(event, QFocusEvent) and event.reason() in BY_KEY)
        elif isinstance(watched, QWidget) and event.type() == QEvent.Type.MouseButtonPress:
            holder = watched.parentWidget()
            if isinstance(holder, GraphView):
                self.show_on(holder, shown=False)
        return False

    @staticmethod
    def show_on(view: GraphView, *, shown: bool) -> None:
        """Draws the frame, or takes it away."""
        if bool(view.property("ring")) != shown:
            view.setProperty("ring", shown)
            view.style().unpolish(view)
            view.style().polish(view)
            view.update()


def areas(window: Window) -> list[QWidget]:
    """What F6 goes through: the canvas, then bars, tool bars and docks as they stand, from the left and from above."""
    found: list[QWidget] = []
    if window.page is not None:
        found.append(window.page.view)
        found += [bars for bars in (window.notices, window.page.bars) if bars.isVisible()]
    bars = [bar for bar in window.findChildren(QToolBar) if bar.isVisible() and _first(bar) is not None]
    docks = [dock for dock in window.docks.values() if not dock.isHidden() and _first(dock) is not None]
    return found + sorted((*bars, *docks), key=lambda area: _corner(window, area))


def _corner(window: Window, area: QWidget) -> tuple[int, int, str]:
    siblings = window.tabifiedDockWidgets(area) if isinstance(area, QDockWidget) else []
    front = next((dock for dock in siblings if not dock.visibleRegion().isEmpty()), area)
    place = (front if area.visibleRegion().isEmpty() else area).mapTo(window, QPoint(0, 0))
    return place.x(), place.y(), area.objectName()


def _first(area: QWidget) -> QWidget | None:
    """What takes the keys in an area: what had them last, else the first that can, else None."""
    before = area.focusWidget()
    if before is not None and before is not area and before.isEnabled() and not before.isHidden():
        return before
    return next(_takers(area), None)


def _takers(area: QWidget) -> Iterator[QWidget]:
    inner: QWidget | None = area.widget() if isinstance(area, QDockWidget) else area
    if inner is None:
        return
    chain, following = [inner], inner.nextInFocusChain()
    while following is not None and following is not inner:
        chain.append(following)
        following = following.nextInFocusChain()
    for widget in chain:
        within = widget is inner or inner.isAncestorOf(widget)
        reachable = widget.isEnabled() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        if within and reachable and widget.isVisibleTo(inner):
            yield widget


def go_on(window: Window, by: int) -> None:
    """Hands the keys to the next area, or to the one before, round and round."""
    known, holder = areas(window), QApplication.focusWidget()
    if not known:
        return
    here = next((at for at, area in enumerate(known) if holder is not None and _holds(area, holder)), None)
    at = (here + by) % len(known) if here is not None else 0
    area = known[at]
    if isinstance(area, QDockWidget):
        area.raise_()
        area.window().activateWindow()
    target = area if isinstance(area, GraphView) else _first(area)
    if target is not None:
        target.window().activateWindow()
        target.setFocus(Qt.FocusReason.TabFocusReason)


def go_to_canvas(window: Window) -> None:
    """Hands the keys to the canvas of the graph in front."""
    if window.page is not None:
        window.activateWindow()
        window.page.view.setFocus(Qt.FocusReason.TabFocusReason)


def _holds(area: QWidget, holder: QWidget) -> bool:
    return area is holder or area.isAncestorOf(holder)


def attach(window: Window) -> tuple[QObject, ...]:
    """Keeps plain keys where they belong, and shows when the canvas has the focus.

    It comes after all that makes docks: one that floats is a window of its own, and what it does not take goes no
    further.
    """
    plain, ring = PlainKeys(window), Ring(window)
    for area in (window, *window.docks.values()):
        area.installEventFilter(plain)

    def opened(page: Page) -> None:
        page.view.installEventFilter(ring)
        page.view.viewport().installEventFilter(ring)

    window.page_opened.connect(opened)
    return plain, ring
