"""The JSON Schema of the graph file, from the catalog: completion and checks in any text editor.

What it refuses, nodeflow refuses too. It is the more lenient of the two: it cannot follow wires, and it lets nodes of
plugins that are not installed pass.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from nodeflow.document import FORMAT, GRAPH, ID
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType

Schema = dict[str, Any]

NAME = f"^{ID.pattern}$"
WIRE: Schema = {"$ref": "#/$defs/wire"}
PLACES = {
    "parameters": ("What a user of the graph sets: name to node.port.", rf"^{ID.pattern}\..+$"),
    "outputs": ("What the graph gives: name to node.port, or node for its port out.", rf"^{ID.pattern}(\..+)?$"),
}


def json_schema(specs: Iterable[NodeSpec]) -> Schema:
    """JSON Schema (draft 2020-12) of a graph file whose nodes are these."""
    known = sorted(specs, key=lambda spec: spec.id)
    defs: Schema = {"wire": _wire(), "graph": _graph(), "node": _node(known)}
    for spec in known:
        defs[spec.id] = _inputs(spec, defs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nodeflow graph",
        "type": "object",
        "required": ["nodeflow"],
        "properties": {"nodeflow": {"const": FORMAT, "description": "The version of this file format."}},
        "$ref": "#/$defs/graph",
        "$defs": defs,
    }


def _graph() -> Schema:
    """A graph, of a file or defined within one."""
    table = {"type": "object", "propertyNames": {"pattern": NAME}}
    places = {
        key: {**table, "description": text, "additionalProperties": {"type": "string", "pattern": pattern}}
        for key, (text, pattern) in PLACES.items()
    }
    return {
        "type": "object",
        "required": ["nodes"],
        "properties": {
            "title": {"type": "string", "description": "What people call the graph."},
            **places,
            "nodes": {**table, "description": "The nodes by id.", "additionalProperties": {"$ref": "#/$defs/node"}},
            "graphs": {
                **table,
                "description": f"Graphs that nodes of type {GRAPH}NAME stand for.",
                "additionalProperties": {"$ref": "#/$defs/graph"},
            },
            "view": {"type": "object", "description": "The editor's: where nodes stand. Nothing else reads it."},
        },
    }


def _wire() -> Schema:
    return {
        "title": "wire",
        "description": "The output of another node: node.output, or node for its port out.",
        "type": "object",
        "required": ["$from"],
        "properties": {"$from": {"type": "string", "pattern": PLACES["outputs"][1]}},
        "additionalProperties": False,
    }


def _node(specs: list[NodeSpec]) -> Schema:
    """Any node; one of a known type has that type's inputs."""
    types = [{"const": spec.id, "title": spec.title, "description": spec.help} for spec in specs]
    branches = [
        {
            "if": {"required": ["type"], "properties": {"type": {"const": spec.id}}},
            "then": {"$ref": f"#/$defs/{spec.id}"},
        }
        for spec in specs
    ]
    graph = {"pattern": f"^{GRAPH}", "description": "Another graph as a node: graph:NAME or graph:path.json."}
    node: Schema = {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "minLength": 1, "anyOf": [*types, graph, {"description": "not installed"}]},
            "version": {"type": "integer", "minimum": 1, "description": "Of the node's type when this was made."},
            "mode": {
                "enum": ["muted", "bypassed"],
                "description": "muted: it is left out, and what needs it. bypassed: its inputs are let through.",
            },
            "inputs": {"type": "object", "description": "Values and wires by input."},
        },
    }
    return node | {"allOf": branches} if branches else node


def _inputs(spec: NodeSpec, defs: Schema) -> Schema:
    """What a node of this type holds. None of its inputs is asked for: a parameter may set it."""
    ports = {port.name: _input(port, defs) for port in spec.inputs}
    old = {was: {**ports[now], "deprecated": True} for was, now in spec.renamed.items() if now in ports}
    return {
        "title": spec.title,
        "description": spec.help,
        "properties": {
            "version": {"default": spec.version},
            "inputs": {"properties": {**old, **ports}, "additionalProperties": False},
        },
    }


def _input(port: Port, defs: Schema) -> Schema:
    about = {"title": port.name, "description": f"{port.help} ({port.type})".strip()}
    schema: Schema = {**about, "anyOf": [*_hoisted(_alternatives(port.type), defs), WIRE]}
    return schema if port.required else {**schema, "default": port.default}


def _alternatives(kind: PortType) -> list[Schema]:
    """What may stand at an input of that type, a single wire aside."""
    if kind.kind == "union":
        return [schema for item in kind.items for schema in _alternatives(item)]
    if kind.kind == "any":
        return [{"type": "array", "items": WIRE}]
    if kind.kind != "list":
        return [_literal(kind)] if kind.typed_in else []
    inner = kind.items[0]
    items = {"anyOf": [_literal(inner), WIRE]} if inner.typed_in else WIRE
    return [{"type": "array", "items": items, **dict(kind.limits)}]


def _literal(kind: PortType) -> Schema:
    schema = kind.json_schema()
    if isinstance(schema.get("multipleOf"), float):
        del schema["multipleOf"]  # validators divide without tolerance: to them 0.3 is no multiple of 0.1
    return schema


def _hoisted(schema: Any, defs: Schema) -> Any:
    """The schema with the definitions within it moved to `defs`: a form's `#/$defs/X` is meant from its own root."""
    if isinstance(schema, list):
        return [_hoisted(item, defs) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$defs" in schema:
        own: Mapping[str, Any] = schema["$defs"]
        digest = f"{zlib.crc32(json.dumps(own, sort_keys=True).encode()):08x}"
        names = {f"#/$defs/{name}": f"{name}-{digest}" for name in own}
        rest = {key: value for key, value in schema.items() if key != "$defs"}
        defs |= {names[f"#/$defs/{name}"]: _redirected(inner, names) for name, inner in own.items()}
        schema = _redirected(rest, names)
    return {key: _hoisted(value, defs) for key, value in schema.items()}


def _redirected(schema: Any, names: Mapping[str, str]) -> Any:
    if isinstance(schema, list):
        return [_redirected(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: f"#/$defs/{names[value]}" if key == "$ref" and str(value) in names else _redirected(value, names)
        for key, value in schema.items()
    }
