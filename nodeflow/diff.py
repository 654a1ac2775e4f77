"""What leads from one document to another, as edits, and each edit in a line for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nodeflow.delta import ABSENT, Delta, delta
from nodeflow.document import Document, NodeEntry, Wire, spelled, write
from nodeflow.edits import (
    AddNode,
    Edit,
    Group,
    MoveNodes,
    Patch,
    RemoveNode,
    RenameNode,
    SetGraph,
    SetInput,
    SetMode,
    SetNode,
    SetOutput,
    SetParameter,
    SetTitle,
    SetView,
    Within,
    tables,
)
from nodeflow.errors import a_or_an
from nodeflow.jsontext import compact
from nodeflow.types import shown

MODES = {"": "runs {} again", "muted": "mutes {}", "bypassed": "bypasses {}"}


def diff(old: Document, new: Document) -> tuple[Edit, ...]:
    """Edits that, one after the other, make `old` into `new`, to the byte.

    A node that went while an equal one came is taken as renamed. What no edit says (the order of keys, keys that
    nodeflow does not know) comes last, as one Patch.
    """
    edits: list[Edit] = []
    now = old
    for kind in (_title, _renames, _removals, _additions, _inputs, _places, _graphs, _view):
        found = tuple(kind(now, new))
        now = Group(found).change(now)
        edits += found
    rest = delta(tables(now), tables(new), _same)
    return (*edits, Patch(rest)) if rest else tuple(edits)


def describe(edit: Edit) -> str:
    """An edit as one line: `sets sample.steps to 25`."""
    match edit:
        case AddNode(node, entry):
            return f'adds "{node}" ({entry.type})'
        case RemoveNode(node):
            return f'removes "{node}"'
        case RenameNode(node, name):
            return f'renames "{node}" to "{name}"'
        case SetNode(node, entry):
            return f'makes "{node}" {a_or_an(entry.type)}, version {entry.version}'
        case SetInput(node, port, value):
            return _input_line(f"{node}.{port}", value)
        case SetMode(node, mode):
            return MODES[mode].format(f'"{node}"')
        case SetParameter(name, place):
            return f'drops parameter "{name}"' if place is ABSENT else f'leads parameter "{name}" to {place}'
        case SetOutput(name, place):
            return f'drops output "{name}"' if place is ABSENT else f'takes output "{name}" from {place}'
        case SetTitle(title):
            return f"titles the graph {shown(title)}"
        case SetGraph(name, graph):
            return f'drops graph "{name}"' if graph is ABSENT else f'defines graph "{name}"'
        case MoveNodes(positions):
            return f'moves "{next(iter(positions))}"' if len(positions) == 1 else f"moves {len(positions)} nodes"
        case SetView(section, value):
            return f'{"drops" if value is ABSENT else "changes"} the view\'s "{section}"'
        case Within(graph, inner):
            return f'in graph "{graph}": {describe(inner)}'
        case Group(parts):
            more = f"; and {len(parts) - 3} more" if len(parts) > 3 else ""
            return "; ".join(describe(part) for part in parts[:3]) + more or "changes nothing"
        case Patch(change):
            return "; ".join(_patch_lines(change)) or "changes nothing"
        case _:
            return type(edit).__name__


def _input_line(place: str, value: Any) -> str:
    if value is ABSENT:
        return f"clears {place}"
    return f"wires {place} from {value}" if isinstance(value, Wire) else f"sets {place} to {shown(spelled(value))}"


def _patch_lines(change: Delta) -> Iterator[str]:
    for table, inner in change.values.items():
        if not isinstance(inner, Delta):
            yield f"changes the {table}"
            continue
        keys = ", ".join(f'"{key}"' for key in list(inner.values)[:3])
        if keys:
            yield f"changes {keys} in {table}" + (" and more" if len(inner.values) > 3 else "")
        if inner.order:
            yield f"reorders {table}"


def _title(old: Document, new: Document) -> Iterator[Edit]:
    if old.title != new.title:
        yield SetTitle(new.title)


def _renames(old: Document, new: Document) -> Iterator[Edit]:
    gone: dict[str, list[str]] = {}
    for name, entry in old.nodes.items():
        if name not in new.nodes:
            gone.setdefault(_text(entry), []).append(name)
    for name, entry in new.nodes.items():
        if gone and name not in old.nodes and (equal := gone.get(_text(entry))):
            yield RenameNode(equal.pop(0), name)


def _removals(old: Document, new: Document) -> Iterator[Edit]:
    return (RemoveNode(name) for name in old.nodes if name not in new.nodes)


def _additions(old: Document, new: Document) -> Iterator[Edit]:
    added: list[Edit] = []
    following = None
    for name in reversed(list(new.nodes)):
        if name in old.nodes:
            following = name
        else:
            added.append(AddNode(name, new.nodes[name], following))
    return reversed(added)


def _inputs(old: Document, new: Document) -> Iterator[Edit]:
    for name, entry in new.nodes.items():
        before = old.nodes[name]
        if before is entry or _same(before, entry):
            continue
        head = [(node.type, node.version, compact(node.extra)) for node in (before, entry)]
        change = delta(before.inputs, entry.inputs, _same_input)
        if head[0] != head[1] or change.order:
            yield SetNode(name, entry)
            continue
        if before.mode != entry.mode:
            yield SetMode(name, entry.mode)
        for port in change.values:
            yield SetInput(name, port, entry.inputs.get(port, ABSENT))


def _places(old: Document, new: Document) -> Iterator[Edit]:
    for name, place in delta(old.parameters, new.parameters, str.__eq__).values.items():
        yield SetParameter(name, place)
    for name, place in delta(old.outputs, new.outputs, str.__eq__).values.items():
        yield SetOutput(name, place)


def _graphs(old: Document, new: Document) -> Iterator[Edit]:
    for name, graph in delta(old.graphs, new.graphs, _same).values.items():
        if name in old.graphs and graph is not ABSENT:
            yield from (Within(name, edit) for edit in diff(old.graphs[name], graph))
        else:
            yield SetGraph(name, graph)


def _view(old: Document, new: Document) -> Iterator[Edit]:
    for section, change in delta(old.view, new.view, _same).values.items():
        if section == "nodes" and isinstance(change, Delta) and change.values:
            places = new.view["nodes"]
            yield MoveNodes({node: places.get(node, ABSENT) for node in change.values})
        else:
            yield SetView(section, new.view.get(section, ABSENT))


def _same(one: Any, other: Any) -> bool:
    """Whether two parts of documents are written alike: 1 is not 1.0, and -0.0 is not 0.0."""
    return type(one) is type(other) and _text(one) == _text(other)


def _same_input(one: Any, other: Any) -> bool:
    return compact(spelled(one)) == compact(spelled(other))


def _text(part: Any) -> str:
    if isinstance(part, Document):
        return write(part)
    return compact(part.as_json() if isinstance(part, NodeEntry) else part)
