"""The graph as items: what the model says stands here, and follows it change by change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from PySide6.QtCore import QRectF, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QGraphicsScene

from nodeflow.document import NodeEntry
from nodeflow_editor.canvas.far import far_scene, wire_colour
from nodeflow_editor.canvas.frame_item import FrameItem
from nodeflow_editor.canvas.layout import layered
from nodeflow_editor.canvas.link_item import LinkItem
from nodeflow_editor.canvas.looks import Look, Mark
from nodeflow_editor.canvas.metrics import HEADER, Measures, Point, measured
from nodeflow_editor.canvas.node_item import NodeItem, Shots, turned
from nodeflow_editor.canvas.note_item import Notes
from nodeflow_editor.canvas.pace import Pace
from nodeflow_editor.canvas.pens import Pens
from nodeflow_editor.canvas.portal_item import Outlets, PortalItem
from nodeflow_editor.colours import of_nodes
from nodeflow_editor.folding import fold
from nodeflow_editor.graph_model import Change, GraphModel, Link, position
from nodeflow_editor.interface import exposed
from nodeflow_editor.marks import dots, frames
from nodeflow_editor.theme import Palette
from nodeflow_editor.wire_view import is_portal

THICK_WIRES = 60
"""Wires of a graph up to which the view draws them thick from near: one takes 0.13 ms, and hundreds took 35 a frame."""
ROOM = 4000.0
"""How far beyond the outermost nodes one can scroll."""


class GraphScene(QGraphicsScene):
    """Items of the graph on show. Selection and looks are kept here by node id, so they outlive the items."""

    selection_changed = Signal()
    look_changed = Signal(str)
    """That node's faults, picture or run, its progress included."""

    def __init__(self, model: GraphModel, palette: Palette) -> None:
        super().__init__(model)
        self.model, self.pens = model, Pens(palette)
        self.nodes: dict[str, NodeItem] = {}
        self.wires: dict[Link, LinkItem] = {}
        self.selection: set[str] = set()
        self.frames: list[FrameItem] = []
        self.frame_selection: set[int] = set()
        self.only_selected = False
        """Whether only wires of chosen nodes are drawn."""
        self.fits: Mapping[str, set[str]] | None = None
        """While a wire is in hand: the ports it may enter ("in:latent"), by node. Others are dimmed."""
        self.marks: Mapping[str, Mark] = {}
        """What became of nodes since another state of the graph, while the two are compared."""
        self.exposed: Mapping[str, Collection[str]] = {}
        """The ports that are parameters and outputs of the graph ("in:seed", "out:out"), by node."""
        self.colours: Mapping[str, object] = {}
        """The names of the colours that nodes were given."""
        self.shots = Shots()
        self._looks: dict[str, Look] = {}
        self._tried: dict[str, NodeEntry] = {}
        self._touching: dict[str, set[Link]] = {}
        self.outlets = Outlets(self)
        self.notes = Notes(self)
        self.pace = Pace(self)
        self.far, self._far_item = far_scene(self)
        model.changed.connect(self.apply)
        self.rebuild()

    def rebuild(self) -> None:
        """Makes all items anew: another graph is on show."""
        self.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)
        for item in (*self.nodes.values(), *self.wires.values()):
            self.removeItem(item)
        self.outlets.clear()
        self.nodes, self.wires, self._touching = {}, {}, {}
        self.shots.clear()
        self._frame_all()
        self.notes.rebuild()
        self.exposed, self.colours = exposed(self.model.graph), of_nodes(self.model.graph)
        self._add(self.model.graph.nodes)
        for link in self.model.links():
            self._wire(link)
        self.select(self.selection & self.nodes.keys())
        self.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.BspTreeIndex)
        self._resize()

    def apply(self, change: Change) -> None:
        """Follows a change of the model."""
        if change.whole:
            self.rebuild()
            return
        homes = {new: (self.nodes[old].x(), self.nodes[old].y()) for old, new in change.renamed.items()}
        self._looks |= {new: self._looks.pop(old) for old, new in change.renamed.items() if old in self._looks}
        for node in change.removed:
            self.removeItem(self.nodes.pop(node))
            self.shots.forget(node)
        self._add(change.added, homes)
        for node in change.moved:
            self._move(node)
        touched = {*change.added, *change.removed, *change.altered}
        stale = {link for node in touched for link in self._touching.get(node, ())}
        if change.view:
            self._frame_all()
            self.notes.follow()
            graph = self.model.graph
            stale |= {link for link, item in self.wires.items()
                      if self._dots(link) != item.dots or is_portal(graph, link.key) != item.portal}  # fmt: skip
        sources = {link.source for link in stale}
        for link in stale:
            self._unwire(link)
        present = self.model.graph.nodes.keys()
        altered = {*change.altered, *(turned(self) if change.view else ())}
        for node in altered:
            self._remeasure(node)
        fresh = set(self.model.links(node for node in {*change.added, *change.altered}))
        fresh |= {link for link in stale if link.node in present and self._stands(link)}
        for link in fresh:
            self._wire(link)
        for link in {link for node in change.moved for link in self._touching.get(node, ())} - fresh:
            self._lead(link)
        for node in (sources | {link.source for link in fresh} | altered) & self.nodes.keys():
            self.nodes[node].refresh()
        if change.removed:
            self.select({change.renamed.get(node, node) for node in self.selection}, more=True)
        self._reexpose()
        self._resize({*change.added, *altered, *change.moved} & self.nodes.keys())

    def _reexpose(self) -> None:
        """Draws anew the nodes with other ports as parameters or outputs of the graph, and those of another colour."""
        before, self.exposed = self.exposed, exposed(self.model.graph)
        dyed, self.colours = self.colours, of_nodes(self.model.graph)
        stale = {node for node in before.keys() | self.exposed.keys() if before.get(node) != self.exposed.get(node)}
        if dyed is not self.colours:
            stale |= {node for node in {*dyed, *self.colours} if dyed.get(node) != self.colours.get(node)}
        for node in stale & self.nodes.keys():
            self.nodes[node].refresh()

    def _stands(self, link: Link) -> bool:
        return link in set(self.model.links([link.node]))

    def _add(self, nodes: Iterable[str], homes: Mapping[str, Point] | None = None) -> None:
        """Makes items of nodes; those that the file gives no place stand at home, or are laid out."""
        graph, named = self.model.graph, list(nodes)
        placed = {node: position(graph, node) or (homes or {}).get(node) for node in named}
        sheets = {node: self._measured(node) for node in named}
        homeless = [node for node in named if placed[node] is None]
        found = layered(graph, homeless, {node: (sheets[node].width, sheets[node].height) for node in homeless})
        for node in named:
            x, y = placed[node] or found[node]
            item = NodeItem(node, self, sheets[node], x, y)
            self.nodes[node] = item
            self.addItem(item)

    def _measured(self, node: str) -> Measures:
        entry, folded = self.model.graph.nodes[node], fold(self.model.graph, node)
        return measured(self.model.face(node), entry, self.look(node).proportion, folded)

    def _remeasure(self, node: str) -> None:
        item, before = self.nodes[node], self.nodes[node].measures
        item.remeasure(self._measured(node))
        if item.measures != before:
            for link in tuple(self._touching.get(node, ())):
                self._lead(link)

    def _move(self, node: str) -> None:
        place = position(self.model.graph, node)
        if node in self.nodes and place is not None:
            self.nodes[node].setPos(*place)

    def _wire(self, link: Link) -> None:
        if link in self.wires or link.node not in self.nodes:
            return
        colour, portal = wire_colour(self, link.source, link.output), is_portal(self.model.graph, link.key)
        item = self.wires[link] = PortalItem(link, colour, self) if portal else LinkItem(link, colour)
        if self.only_selected:
            item.setVisible(self.shows(link))
        for node in (link.node, link.source):
            self._touching.setdefault(node, set()).add(link)
        self._lead(link)
        self.addItem(item)
        if portal:
            self.outlets.add(item)

    def shows(self, link: Link) -> bool:
        """Whether a wire is to be seen."""
        return not self.only_selected or link.node in self.selection or link.source in self.selection

    def _unwire(self, link: Link) -> None:
        item = self.wires.pop(link, None)
        if item is not None:
            self.removeItem(item)
            self.outlets.drop(link)
        for node in (link.node, link.source):
            self._touching.get(node, set()).discard(link)

    def _lead(self, link: Link) -> None:
        start, end = self.port_at(link.source, link.output, out=True), self.port_at(link.node, link.port, out=False)
        if end is None:
            return
        start = start or (end[0] - 60.0, end[1])
        item = self.wires[link]
        item.lead(start, end, self._dots(link))
        if item.portal:
            self.outlets.lead(link)

    def _dots(self, link: Link) -> tuple[Point, ...]:
        return tuple(dots(self.model.graph, link.key))

    def loose(self, node: str) -> bool:
        """Whether a node has no wires."""
        return not self._touching.get(node)

    def bend(self, link: Link, places: Sequence[Point]) -> None:
        """Shows a wire as if it had these dots, while one is dragged."""
        start, end = self.port_at(link.source, link.output, out=True), self.port_at(link.node, link.port, out=False)
        if start is not None and end is not None and link in self.wires:
            self.wires[link].lead(start, end, places)

    def _frame_all(self) -> None:
        for item in self.frames:
            self.removeItem(item)
        self.frames = [FrameItem(frame, self) for frame in frames(self.model.graph)]
        for item in self.frames:
            self.addItem(item)
        self.frame_selection &= {item.marked.number for item in self.frames}

    def select_frame(self, number: int | None) -> None:
        """Chooses a frame in place of nodes; None for no frame."""
        before, self.frame_selection = self.frame_selection, set() if number is None else {number}
        if number is not None and (self.selection or self.notes.selection):
            self.select(())
        elif before != self.frame_selection:
            self.selection_changed.emit()
        for item in self.frames:
            item.update()

    def port_at(self, node: str, port: str, *, out: bool) -> Point | None:
        """Where a port is in the scene; ports that a node no longer has stand at its upper corners."""
        item = self.nodes.get(node)
        if item is None:
            return None
        places = item.measures.outputs if out else item.measures.inputs
        x, y = places.get(port) or (item.measures.width if out else 0.0, HEADER / 2)
        return item.x() + x, item.y() + y

    def offset(self, nodes: Collection[str], dx: float, dy: float) -> None:
        """Shows nodes as if they stood elsewhere, while they are dragged; the model follows when they are let go."""
        self._far_item.lift(nodes)
        for node in nodes:
            self.nodes[node].moveBy(dx, dy)
        led: dict[tuple[str, str], Link] = {}
        for link in {link for node in nodes for link in self._touching.get(node, ())}:
            item = self.wires[link]
            if item.portal and link.node not in nodes:
                led[link.source, link.output] = link
            elif link.node in nodes and link.source in nodes and not item.portal:
                item.shift(dx, dy)
            else:
                self._lead(link)
        for link in led.values():
            self.outlets.lead(link)
        self._far_item.dragged()
        if len(self.wires) <= THICK_WIRES:
            self.update()  # what the view draws beneath wires stands out beyond their items

    def look(self, node: str) -> Look:
        """How a node stands; a new one if nothing is known."""
        found = self._looks.get(node)
        if found is None:
            found = self._looks[node] = Look()
        return found

    def entry(self, node: str) -> NodeEntry:
        """What is shown of a node: what the file has, or what is tried out."""
        return self._tried.get(node) or self.model.graph.nodes[node]

    def attempt(self, node: str, entry: NodeEntry | None) -> None:
        """Shows a node as if the file had this of it, while a value is dragged; None for what the file has."""
        if entry is not None:
            self._tried[node] = entry
        elif self._tried.pop(node, None) is None:
            return
        if node in self.nodes:
            self.nodes[node].refresh()

    def looked(self, node: str) -> None:
        """A node's look has changed."""
        self.look_changed.emit(node)
        item = self.nodes.get(node)
        if item is None:
            return
        item.prepareGeometryChange()
        self._remeasure(node)
        item.refresh()
        self._far_item.forget()

    def remarked(self, nodes: Iterable[str], *, far: bool = True) -> None:
        """The looks of several have changed, but for what takes room: their pictures.

        far: whether that is seen from afar as well, as faults are.
        """
        for node in nodes:
            if node in self.nodes:
                self.nodes[node].refresh()
            self.look_changed.emit(node)
        if far:
            self._far_item.forget(wires=False)

    def progressed(self, node: str) -> None:
        """Only what is drawn over a node's picture has changed: its bar."""
        if node in self.nodes:
            self.nodes[node].update()
            self.look_changed.emit(node)

    def mark(self, marks: Mapping[str, Mark]) -> None:
        """Shows what became of nodes since another state of the graph; nothing with no marks."""
        if marks != self.marks:
            self.marks = marks
            self._far_item.forget()
            self.update()

    def forget_looks(self) -> None:
        """Nothing is known of any node; whoever knows more sets it anew."""
        self._looks.clear()

    def select(self, nodes: Iterable[str], *, more: bool = False, notes: Iterable[int] = ()) -> None:
        """Chooses nodes and notes, in place of those chosen before or beside them."""
        wanted = set(nodes) | (self.selection if more else set())
        wanted &= self.nodes.keys()
        noted = self.notes.choose(notes, more=more)
        if (wanted or self.notes.selection) and self.frame_selection:
            self.select_frame(None)
        changed = wanted ^ self.selection
        self.selection = wanted
        if len(changed) < 200:
            for node in changed & self.nodes.keys():
                self.nodes[node].update()
        else:
            self.update()
        if changed:
            self._far_item.chosen()
            if self.only_selected:
                self.show_wires(only_selected=True)
        if changed or noted:
            self.selection_changed.emit()

    def show_wires(self, *, only_selected: bool) -> None:
        """Draws all wires, or those of chosen nodes alone."""
        self.only_selected = only_selected
        for link, item in self.wires.items():
            item.setVisible(self.shows(link))
        self.outlets.refresh()

    def dress(self, palette: Palette) -> None:
        """Takes another palette."""
        self.pens = Pens(palette)
        for node in self.nodes.values():
            node.refresh()
        for link, item in self.wires.items():
            item.dye(wire_colour(self, link.source, link.output))
        self.outlets.refresh()
        self._far_item.forget()
        self.update()

    def wires_at(self, nodes: Iterable[str]) -> Iterable[LinkItem]:
        """The wires of nodes, each once."""
        return (self.wires[link] for link in {link for node in nodes for link in self._touching.get(node, ())})

    def wires_in(self, box: QRectF) -> Iterable[LinkItem]:
        """The wires whose boxes touch a box."""
        return (item for item in self.items(box) if isinstance(item, LinkItem))

    def bounds(self, nodes: Iterable[str] | None = None) -> QRectF:
        """The box around nodes, or around all."""
        box = QRectF()
        for node in self.nodes if nodes is None else nodes:
            box |= self.nodes[node].frame()
        if nodes is None:
            for item in self.frames:
                box |= item.rect()
            box |= self.notes.bounds()
        return box

    def _resize(self, nodes: Iterable[str] | None = None) -> None:
        """Makes room around all nodes, or more of it if these stand further out."""
        room = self.bounds(nodes).adjusted(-ROOM, -ROOM, ROOM, ROOM)
        if nodes is not None:
            room |= self.sceneRect() | self.notes.bounds()
        if room != self.sceneRect():
            self.setSceneRect(room)
            self.far.setSceneRect(room)
        self._far_item.forget()

    def ground(self) -> QColor:
        """The colour of the canvas."""
        return self.pens.colour["canvas"]
