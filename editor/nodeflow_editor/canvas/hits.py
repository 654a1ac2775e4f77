"""What is under the mouse: asked of Qt's index, judged by our own measures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF

from nodeflow_editor.canvas.frame_item import CORNER, FrameItem
from nodeflow_editor.canvas.link_item import LinkItem
from nodeflow_editor.canvas.metrics import REACH
from nodeflow_editor.canvas.node_item import NodeItem
from nodeflow_editor.canvas.node_paint import fitted
from nodeflow_editor.canvas.paths import distance
from nodeflow_editor.canvas.portal_item import OutletItem, PortalItem
from nodeflow_editor.graph_model import Link
from nodeflow_editor.marks import TITLE

if TYPE_CHECKING:
    from nodeflow_editor.canvas.scene import GraphScene

NEAR = 7.0
"""How far from a wire or a dot a press still means it, in pixels at 100 %."""


def _around(x: float, y: float, reach: float) -> QRectF:
    return QRectF(x - reach, y - reach, 2 * reach, 2 * reach)


def node_at(canvas: GraphScene, x: float, y: float) -> str | None:
    """The uppermost node there."""
    found = (item for item in canvas.items(QRectF(x, y, 0.01, 0.01)) if isinstance(item, NodeItem))
    return next((item.node for item in found if item.frame().contains(x, y)), None)


def port_near(canvas: GraphScene, x: float, y: float, reach: float = REACH) -> tuple[str, str, bool] | None:
    """The nearest port there as (node, port, whether it is an output)."""
    best: tuple[float, tuple[str, str, bool]] | None = None
    for item in canvas.items(_around(x, y, reach)):
        if not isinstance(item, NodeItem):
            continue
        for out, places in item.ports():
            for name, (px, py) in places.items():
                away = ((item.x() + px - x) ** 2 + (item.y() + py - y) ** 2) ** 0.5
                if away <= reach and (best is None or away < best[0]):
                    best = away, (item.node, name, out)
    return best[1] if best else None


def value_at(canvas: GraphScene, x: float, y: float) -> tuple[str, str] | None:
    """The input whose value is painted there, as (node, port)."""
    node = node_at(canvas, x, y)
    if node is None:
        return None
    item = canvas.nodes[node]
    row = item.measures.row_at(y - item.y())
    if row is None or row.value is None:
        return None
    left, top, wide, high = row.value
    inside = left <= x - item.x() <= left + wide and top <= y - item.y() <= top + high
    return (node, row.port.name) if inside else None


def picture_at(canvas: GraphScene, x: float, y: float) -> str | None:
    """The node whose picture is there."""
    node = node_at(canvas, x, y)
    box = canvas.nodes[node].measures.picture if node is not None else None
    if node is None or box is None:
        return None
    return node if QRectF(*box).contains(x - canvas.nodes[node].x(), y - canvas.nodes[node].y()) else None


def cell_at(canvas: GraphScene, x: float, y: float) -> int | None:
    """Which picture of a batch is there; None where a picture stands alone, or none does."""
    node = picture_at(canvas, x, y)
    grid, item = (canvas.look(node).grid, canvas.nodes[node]) if node is not None else (None, None)
    if grid is None or item is None or node is None or item.measures.picture is None:
        return None
    return grid.at(x - item.x(), y - item.y(), fitted(item.measures.picture, canvas.look(node)))


def links_near(canvas: GraphScene, x: float, y: float, reach: float = NEAR) -> Iterator[tuple[float, LinkItem]]:
    """The wires there with how far they are."""
    for item in canvas.items(_around(x, y, reach)):
        if isinstance(item, LinkItem) and (away := distance((x, y), item.curves)) <= reach:
            yield away, item


def link_near(canvas: GraphScene, x: float, y: float, reach: float = NEAR) -> Link | None:
    """The nearest wire there."""
    best = min(links_near(canvas, x, y, reach), key=lambda pair: pair[0], default=None)
    return best[1].link if best else None


def portal_at(canvas: GraphScene, x: float, y: float) -> tuple[frozenset[Link], bool] | None:
    """The portals whose name is there, and whether that is at the output that they take."""
    for item in canvas.items(QRectF(x, y, 0.01, 0.01)):
        if isinstance(item, PortalItem | OutletItem) and item.box.contains(x, y):
            return (frozenset(item.links), True) if isinstance(item, OutletItem) else (frozenset((item.link,)), False)
    return None


def dot_near(canvas: GraphScene, x: float, y: float, reach: float = NEAR) -> tuple[Link, int] | None:
    """The dot there, as its wire and its number from the output."""
    for _, item in links_near(canvas, x, y, reach + 2):
        for index, (dx, dy) in enumerate(item.dots if not item.portal else ()):
            if (dx - x) ** 2 + (dy - y) ** 2 <= reach**2:
                return item.link, index
    return None


def frame_title_at(canvas: GraphScene, x: float, y: float) -> FrameItem | None:
    """The frame whose title is there."""
    return next((item for item in _frames(canvas, x, y) if item.rect().y() <= y <= item.rect().y() + TITLE), None)


def frame_corner_at(canvas: GraphScene, x: float, y: float) -> FrameItem | None:
    """The frame whose lower right corner is there."""
    return next(
        (item for item in _frames(canvas, x, y)
         if x >= item.rect().right() - CORNER and y >= item.rect().bottom() - CORNER),
        None,
    )  # fmt: skip


def _frames(canvas: GraphScene, x: float, y: float) -> Iterator[FrameItem]:
    return (item for item in canvas.items(QRectF(x, y, 0.01, 0.01)) if isinstance(item, FrameItem))
