"""What the view keeps by wire: its dots, and whether it is drawn as a portal. It goes with the wire. No Qt.

A wire is named by the input that it enters: "node.port", and "node.port.2" where it is the third of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nodeflow.delta import ABSENT
from nodeflow.document import Document, Input, NodeEntry, Wire
from nodeflow.edits import Edit, SetView

DOTS, PORTALS = "dots", "portals"
SECTIONS = (DOTS, PORTALS)


def section(graph: Document, name: str) -> Mapping[str, Any]:
    """A part of the view that lists things by wire or node; what is no such list counts as empty."""
    found = graph.view.get(name)
    return found if isinstance(found, dict) else {}


def by_node(graph: Document) -> dict[str, Mapping[str, Any]]:
    """The parts of the view that list things by node or by "node.port", places aside: each goes where its node goes."""
    return {name: table for name, table in graph.view.items() if isinstance(table, dict) and name != "nodes"}


def wires_of(value: Input) -> list[Wire]:
    """The wires that an input takes."""
    return [item for item in _items(value) if type(item) is Wire]


def parted(key: str) -> tuple[str, str, int]:
    """The name of a wire as its node, its port, and its number among the port's."""
    node, _, rest = key.partition(".")
    port, _, index = rest.partition(".")
    return node, port, int(index) if index.isdecimal() else 0


def named(node: str, port: str, index: int) -> str:
    """The name of a wire: the inverse of `parted`."""
    return f"{node}.{port}.{index}" if index else f"{node}.{port}"


def is_portal(graph: Document, key: str) -> bool:
    """Whether a wire is drawn as two short ends with a name, in place of a line across the canvas."""
    return section(graph, PORTALS).get(key) is True


def as_portals(graph: Document, keys: Iterable[str], *, on: bool) -> Edit:
    """The edit that draws wires as portals, or as lines again."""
    made = dict(section(graph, PORTALS))
    for key in keys:
        if on:
            made[key] = True
        else:
            made.pop(key, None)
    return SetView(PORTALS, made or ABSENT)


@dataclass(frozen=True, slots=True)
class Settled(Edit):
    """An edit, and what becomes of dots and portals by it.

    Those of a wire that is cut go with it, and those of an input's other wires keep to their wires, whose numbers are
    others then. What an edit itself says of them stands.
    """

    edit: Edit

    def change(self, document: Document) -> Document:
        return settled(document, self.edit.change(document))


def settled(before: Document, after: Document) -> Document:
    """The document after an edit, with what its view keeps by wire led after the wires."""
    view = dict(after.view)
    for name in SECTIONS if before.nodes is not after.nodes else ():
        table = section(after, name)
        made = {now: table[key] for key in table if (now := _followed(key, name, before, after)) is not None}
        if made.keys() != table.keys():
            view[name] = made
    graphs = after.graphs
    if graphs is not before.graphs:
        within = {name: settled(before.graphs[name], graphs[name]) for name in graphs
                  if name in before.graphs and before.graphs[name] is not graphs[name]}  # fmt: skip
        if any(within[name] is not graphs[name] for name in within):
            graphs = {**graphs, **within}
    if graphs is after.graphs and all(view[name] is after.view[name] for name in view):
        return after
    return replace(after, view=view, graphs=graphs)


def _followed(key: str, name: str, before: Document, after: Document) -> str | None:
    """What a wire is called after an edit; None if it is no more, or comes from elsewhere."""
    node, port, index = parted(key)
    old, new = before.nodes.get(node), after.nodes.get(node)
    was = section(before, name)
    if old is new or old is None or new is None or key not in was or was[key] != section(after, name)[key]:
        return key
    wire = wire_at(old, port, index)
    if wire is None:
        return key
    held = _items(new.inputs.get(port))
    same = [at for at, item in enumerate(held) if item == wire]
    if index in same or (not same and index < len(held) and _is_heir(held[index], wire, before, after)):
        return key
    return named(node, port, same[0]) if same else None


def _is_heir(item: Input, wire: Wire, before: Document, after: Document) -> bool:
    """Whether a wire is another one under a new name: its node or its output was renamed."""
    if type(item) is not Wire:
        return False
    return item.node == wire.node or (wire.node not in after.nodes and item.node not in before.nodes)


def wire_at(entry: NodeEntry, port: str, index: int) -> Wire | None:
    """The wire of that name, or None if there is none."""
    held = _items(entry.inputs.get(port))
    found = held[index] if index < len(held) else None
    return found if type(found) is Wire else None


def _items(value: Input) -> list[Input]:
    return value if type(value) is list else [value]
