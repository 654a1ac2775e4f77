"""The fields of a form input, from its JSON Schema, as inputs of their own. No Qt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nodeflow.spec import Port
from nodeflow.types import LIMIT_NAMES, PortType

JSON = Any
KINDS = {"boolean": "bool", "integer": "int", "number": "float", "string": "str"}
DEEPEST = 8
"""References that are followed from one to the next."""


@lru_cache(maxsize=256)
def fields(kind: PortType) -> tuple[Port, ...]:
    """The fields that can stand in a row of their own; others are typed in the JSON of the whole.

    Args:
        kind: a form's type.
    """
    try:
        schema = json.loads(kind.schema)
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        return tuple(
            Port(name, found, name in required, told.get("default"), str(told.get("description", "")))
            for name, told in properties.items()
            if isinstance(told, dict) and (found := _kind(told, schema.get("$defs", {}))) is not None
        )
    except (ValueError, AttributeError, TypeError):  # a stranger's schema: the whole can still be typed
        return ()


def _kind(told: Mapping[str, JSON], defs: Mapping[str, JSON], depth: int = 0) -> PortType | None:
    """The type of a field, or None if it is no single value."""
    reference = told.get("$ref")
    if isinstance(reference, str):
        found = defs.get(reference.removeprefix("#/$defs/"))
        return _kind(found, defs, depth + 1) if isinstance(found, dict) and depth < DEEPEST else None
    if isinstance(told.get("enum"), list):
        return PortType("choice", values=tuple(told["enum"]))
    if isinstance(told.get("anyOf"), list):
        parts = [PortType("none") if part.get("type") == "null" else _kind(part, defs, depth + 1)
                 for part in told["anyOf"]]  # fmt: skip
        plain = [part for part in parts if part is not None]
        return PortType("union", items=tuple(plain)) if plain and len(plain) == len(parts) else None
    kind = KINDS.get(str(told.get("type")))
    if kind is None:
        return None
    limits = tuple((name, limit) for name, limit in told.items() if name in LIMIT_NAMES)
    return PortType(kind, limits=limits)  # type: ignore[arg-type] # of KINDS
