"""What a graph takes and gives: its parameters and outputs named, ordered, led elsewhere, as edits. Pure, no widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal

from nodeflow.delta import ABSENT
from nodeflow.document import GRAPH, Document, Input, NodeEntry, Wire
from nodeflow.edits import Edit, Group, SetNode, SetOutput, SetParameter, SetView, Within
from nodeflow_editor.border import plain, refuse
from nodeflow_editor.graph_model import Level, at_level, free_name
from nodeflow_editor.wire_view import by_node

Side = Literal["parameter", "output"]


def exposed_input(graph: Document, node: str, port: str) -> Edit:
    """The edit that makes an input a parameter of the graph, under a free name.

    Raises:
        GraphError: it is one already.
    """
    place = f"{node}.{port}"
    known = next((name for name, other in graph.parameters.items() if other == place), None)
    if known is not None:
        refuse(f'{place} is the parameter "{known}" already', "")
    return SetParameter(free_name(plain(port), graph.parameters), place)


def exposed_output(graph: Document, node: str, port: str) -> Edit:
    """The edit that makes what a node gives an output of the graph, under a free name.

    Raises:
        GraphError: it is one already.
    """
    place = str(Wire(node, port))
    known = next((name for name, other in graph.outputs.items() if _whole(other) == _whole(place)), None)
    if known is not None:
        refuse(f'{place} is the output "{known}" already', "")
    return SetOutput(free_name(plain(node if port == "out" else port), graph.outputs), place)


def opened_output(document: Document, level: Level, node: str, port: str) -> Edit:
    """The edit that makes what a node gives an output of the graph at a level.

    It is an edit of the graph around that one, or of the file's own graph. Wires may take a single output as "out",
    whatever its name: when there are two, these name it.

    Raises:
        GraphError: it is an output already.
    """
    graph = at_level(document, level)
    own = exposed_output(graph, node, port)
    if not level:
        return own
    edits: list[Edit] = [Within(level[-1], own)]
    if len(graph.outputs) == 1 and "out" not in graph.outputs:
        (single,), around = graph.outputs, at_level(document, level[:-1])
        users = _users(around, level[-1])
        edits += _retaken(around, users, "out", single)
        for name, place in around.outputs.items():
            user, _, output = place.partition(".")
            if user in users and output in ("", "out"):
                edits.append(SetOutput(name, f"{user}.{single}"))
    return Group(tuple(edits))


def reordered_parameters(graph: Document, order: Iterable[str]) -> Edit:
    """The edit that puts parameters into another order: that of a node which stands for the graph."""
    return _tabled("parameter", graph, {name: graph.parameters[name] for name in order})


def reordered_outputs(graph: Document, order: Iterable[str]) -> Edit:
    """The edit that puts outputs into another order."""
    return _tabled("output", graph, {name: graph.outputs[name] for name in order})


def renamed_parameter(document: Document, level: Level, old: str, new: str | None) -> Edit:
    """The edit that renames a parameter of the graph at a level, or drops it; nodes that stand for the graph follow.

    It is an edit of the graph around that one, or of the file's own graph.

    Raises:
        GraphError: there is no such parameter, or the name is taken.
    """
    graph = at_level(document, level)
    table = _renamed("parameter", graph.parameters, old, new)
    own = _tabled("parameter", graph, table)
    if not level:
        return own
    around = at_level(document, level[:-1])
    users = _users(around, level[-1])
    edits: list[Edit] = [Within(level[-1], own)]
    for node in users & around.nodes.keys():
        entry = around.nodes[node]
        if old in entry.inputs:
            kept = ((new if port == old else port, value) for port, value in entry.inputs.items())
            edits.append(SetNode(node, replace(entry, inputs={port: value for port, value in kept if port})))
    edits += _led("parameter", around.parameters, users, old, new)
    edits += _reviewed(around, users, old, new)
    return Group(tuple(edits))


def renamed_output(document: Document, level: Level, old: str, new: str | None) -> Edit:
    """The edit that renames an output of the graph at a level, or drops it with the wires that take it.

    It is an edit of the graph around that one, or of the file's own graph.

    Raises:
        GraphError: there is no such output, or the name is taken.
    """
    graph = at_level(document, level)
    own = _tabled("output", graph, _renamed("output", graph.outputs, old, new))
    if not level:
        return own
    around = at_level(document, level[:-1])
    users = _users(around, level[-1])

    edits: list[Edit] = [Within(level[-1], own), *_retaken(around, users, old, new)]
    edits += _led("output", around.outputs, users, old, new)
    return Group(tuple(edits))


def exposed(graph: Document) -> dict[str, set[str]]:
    """The ports that are parameters and outputs of the graph ("in:seed", "out:out"), by node."""
    found: dict[str, set[str]] = {}
    for side, places in (("in", graph.parameters), ("out", graph.outputs)):
        for place in places.values():
            node, _, port = place.partition(".")
            found.setdefault(node, set()).add(f"{side}:{port or 'out'}")
    return found


def _whole(place: str) -> str:
    node, _, output = place.partition(".")
    return f"{node}.{output or 'out'}"


def _renamed(side: Side, table: Mapping[str, str], old: str, new: str | None) -> dict[str, str]:
    if old not in table:
        refuse(f'there is no {side} "{old}"', "")
    if new is not None and new != old and new in table:
        refuse(f'there is a{"n" if side == "output" else ""} {side} "{new}" already', "choose another name")
    pairs = ((new if name == old else name, place) for name, place in table.items())
    return {name: place for name, place in pairs if name is not None}


def _tabled(side: Side, graph: Document, table: Mapping[str, str]) -> Edit:
    """The edit that makes the table of parameters or outputs this one, in this order."""
    kind, before = (SetParameter, graph.parameters) if side == "parameter" else (SetOutput, graph.outputs)
    return Group((*(kind(name, ABSENT) for name in before), *(kind(name, place) for name, place in table.items())))


def _users(around: Document, name: str) -> set[str]:
    return {node for node, entry in around.nodes.items() if entry.type == GRAPH + name}


def _led(side: Side, table: Mapping[str, str], users: set[str], old: str, new: str | None) -> Iterator[Edit]:
    """Parameters or outputs of the graph around that lead to the one that is renamed."""
    kind = SetParameter if side == "parameter" else SetOutput
    for name, place in table.items():
        node, _, port = place.partition(".")
        if node in users and port == old:
            yield kind(name, ABSENT if new is None else f"{node}.{new}")


def _retaken(around: Document, users: set[str], old: str, new: str | None) -> Iterator[Edit]:
    """Nodes whose wires take another output of these, or none any more."""

    def led(wire: Wire) -> Wire | None:
        if wire.node not in users or wire.output != old:
            return wire
        return Wire(wire.node, new) if new is not None else None

    for node, entry in around.nodes.items():
        inputs = _rewired(entry, led)
        if inputs != dict(entry.inputs):
            yield SetNode(node, replace(entry, inputs=inputs))


def _reviewed(around: Document, users: set[str], old: str, new: str | None) -> Iterator[Edit]:
    """What the view around lists by an input of these nodes, by the name that it has now: dots, seeds."""
    for name, table in by_node(around).items():
        made = {}
        for key, value in table.items():
            node, _, rest = key.partition(".")
            port, dot, index = rest.partition(".")
            if node not in users or port != old:
                made[key] = value
            elif new is not None:
                made[f"{node}.{new}{dot}{index}"] = value
        if made.keys() != table.keys():
            yield SetView(name, made)


def _rewired(entry: NodeEntry, led: Callable[[Wire], Wire | None]) -> dict[str, Input]:
    inputs: dict[str, Input] = {}
    for port, value in entry.inputs.items():
        items = value if type(value) is list else [value]
        led_items = [led(item) if type(item) is Wire else item for item in items]
        kept = [one for one, item in zip(led_items, items, strict=True) if one is not None or item is None]
        if kept or not items:
            inputs[port] = kept if type(value) is list else kept[0]
    return inputs
