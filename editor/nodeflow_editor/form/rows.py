"""What the form shows of the chosen nodes, row by row, and the edits that its rows make. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from nodeflow.delta import ABSENT
from nodeflow.document import Document, Input, Wire
from nodeflow.edits import Edit, Group, SetInput
from nodeflow.spec import Port
from nodeflow.types import fault
from nodeflow_editor import seeds
from nodeflow_editor.canvas.metrics import wired
from nodeflow_editor.faces import Face
from nodeflow_editor.form.schema import fields
from nodeflow_editor.value_text import Typed, Way, core, field_text, is_current, long, way

Faces = Callable[[str], Face]
LINE = 60
"""Characters of a list up to which it is typed on one line."""


class State(Enum):
    """Where a value comes from."""

    GIVEN = "given in the file"
    DEFAULT = "default"
    MISSING = "missing"
    WIRED = "wired"


@dataclass(frozen=True, slots=True)
class FormRow:
    """One input, or one field of a form input, of one or several nodes.

    port: how it is typed; of a field, the field's own. inner: the field's name, or "". several: the nodes differ in it.
    sources: what is wired in, each "node.output", or "node" for its output "out". then: what becomes of a seed with
    each run.
    """

    name: str
    port: Port
    nodes: tuple[str, ...]
    state: State
    value: Input = None
    several: bool = False
    inner: str = ""
    sources: tuple[str, ...] = ()
    then: str = ""

    @property
    def title(self) -> str:
        """What it is called."""
        return (self.inner or self.name).replace("_", " ")

    @property
    def shape(self) -> tuple[Any, ...]:
        """Rows of one shape are shown by the same widgets."""
        return self.name, self.inner, self.port, self.state is State.WIRED, editing(self)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The nodes that a form is about. Of 5,000 alike one face is asked for; to ask for all took 0.25 s."""

    nodes: tuple[str, ...]
    inputs: tuple[Mapping[str, Input], ...]
    kinds: tuple[Face, ...]
    """Each node's face."""

    @classmethod
    def of(cls, graph: Document, faces: Faces, nodes: Sequence[str]) -> Chosen:
        """These nodes of a graph."""
        known: dict[str, Face] = {}
        found = []
        for node in nodes:
            kind = graph.nodes[node].type
            face = known.get(kind) or faces(node)
            if not face.absent:  # what is known of an absent node is its own
                known[kind] = face
            found.append(face)
        return cls(tuple(nodes), tuple(graph.nodes[node].inputs for node in nodes), tuple(found))

    def shared(self) -> list[Port]:
        """The inputs that all have, by name and type."""
        if not self.kinds:
            return []
        first, *others = {id(face): face for face in self.kinds}.values()
        return [port for port in first.inputs if all(_has(other, port) for other in others)]

    def values(self, port: Port) -> list[Input]:
        """What stands at an input of each: the file's, else the node's own default, which others may not share."""
        name = port.name
        defaults = {id(face): found.default for face in {id(face): face for face in self.kinds}.values()
                    if (found := face.input(name)) is not None}  # fmt: skip
        return [
            inputs[name] if name in inputs else defaults[id(face)]
            for inputs, face in zip(self.inputs, self.kinds, strict=True)
        ]


def _has(face: Face, port: Port) -> bool:
    found = face.input(port.name)
    return found is not None and found.type == port.type


def rows(graph: Document, faces: Faces, nodes: Sequence[str]) -> list[FormRow]:
    """The rows for these nodes; an input that is a form is followed by its fields."""
    chosen, found = Chosen.of(graph, faces, nodes), []
    for port in chosen.shared():
        row = _row(graph, chosen, port)
        found.append(row)
        if port.type.kind == "form" and row.state is not State.WIRED:
            found += [_field(row, chosen.values(port), field) for field in fields(port.type)]
    return found


def _row(graph: Document, chosen: Chosen, port: Port) -> FormRow:
    values, name = chosen.values(port), port.name
    several = _differ(values)
    joined = [type(value) in (Wire, list) and wired(value) for value in values]
    then = seeds.then(graph, chosen.nodes[0], name) if port.widget == "seed" else ""
    if all(joined):
        state = State.WIRED
    elif any(name in inputs for inputs in chosen.inputs):
        state = State.GIVEN
    else:
        state = State.MISSING if port.required else State.DEFAULT
    wires = (value for value, wire in zip(values, joined, strict=True) if wire)
    sources = tuple(dict.fromkeys(source for value in wires for source in _sources(value)))
    value = None if several or joined[0] else values[0]
    return FormRow(name, port, chosen.nodes, state, value, several, sources=sources, then=then)


def _differ(values: Sequence[Input]) -> bool:
    return any(not same(values[0], value) for value in values)


def _field(row: FormRow, held: Sequence[Input], field: Port) -> FormRow:
    tables = [value if type(value) is dict else {} for value in held]
    values = [table.get(field.name, field.default) for table in tables]
    several = _differ(values)
    given = any(field.name in table for table in tables)
    state = State.GIVEN if given else State.MISSING if field.required else State.DEFAULT
    return FormRow(row.name, field, row.nodes, state, None if several else values[0], several, field.name)


def value_of(graph: Document, faces: Faces, node: str, port: Port) -> Input:
    """What stands at an input of one node."""
    inputs = graph.nodes[node].inputs
    if port.name in inputs:
        return inputs[port.name]
    own = faces(node).input(port.name)
    return own.default if own is not None else port.default


def _sources(value: Input) -> Iterable[str]:
    return (str(item) for item in (value if type(value) is list else [value]) if type(item) is Wire)


def same(one: Input, other: Input) -> bool:
    """Whether two values are one; 1, 1.0 and True are three."""
    return one is other or is_current(one, other)


def editing(row: FormRow) -> Way:
    """How a row is typed: long texts and forms in an area, whatever the input."""
    how = way(row.port)
    if how is Way.JSON and (core(row.port.type)[0].kind == "form" or len(field_text(row.value)) > LINE):
        return Way.AREA
    return Way.AREA if how is Way.LINE and type(row.value) is str and long(row.value) else how


def setting(graph: Document, faces: Faces, row: FormRow, read: Callable[[Input], Typed]) -> tuple[Edit | None, str]:
    """The edit that sets a row for all its nodes, or the sentence that refuses it for one of them.

    Args:
        graph: the graph.
        faces: of its nodes.
        row: which input, of which nodes.
        read: the new value of a node from the one that it has: `*2` doubles each.
    """
    edits: list[Edit] = []
    changes = False
    for node in row.nodes:
        if node not in graph.nodes:
            continue
        port = faces(node).input(row.name)
        if port is None:
            continue
        before = value_of(graph, faces, node, port)
        table = before if type(before) is dict else {}
        typed = read(table.get(row.inner, row.port.default) if row.inner else before)
        why = typed.fault
        value = {**table, row.inner: typed.value} if row.inner else typed.value
        why = why or fault(port.type, value) or ""
        if why:
            return None, why if len(row.nodes) == 1 else f"{node}: {why}"
        given = graph.nodes[node].inputs
        changes |= row.name not in given or not same(given[row.name], value)
        edits.append(SetInput(node, row.name, value))  # all of them, or steps of one pull could not be merged
    return (Group(tuple(edits)) if changes else None), ""


def resetting(graph: Document, row: FormRow) -> Edit | None:
    """The edit that takes a row's value out of the file, or its wire: the default stands again."""
    edits: list[Edit] = []
    for node in row.nodes:
        entry = graph.nodes.get(node)
        if entry is None or row.name not in entry.inputs:
            continue
        held = entry.inputs[row.name]
        if row.inner and type(held) is dict:
            left = {name: value for name, value in held.items() if name != row.inner}
            edits.append(SetInput(node, row.name, left or ABSENT))
        elif not row.inner:
            edits.append(SetInput(node, row.name, ABSENT))
    return Group(tuple(edits)) if edits else None


def typed_in(row: FormRow) -> bool:
    """Whether a value can be typed, or only a wire leads there."""
    return core(row.port.type)[0].typed_in
