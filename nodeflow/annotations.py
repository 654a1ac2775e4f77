"""From Python annotations to port types."""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from nodeflow.types import ANY, JSON, LIMIT_NAMES, Kind, PortType

SCALARS: Mapping[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "str", Path: "path", type(None): "none"}


def _qualified(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _limits(schema: Mapping[str, JSON]) -> tuple[tuple[str, float | str], ...]:
    return tuple((name, schema[name]) for name in sorted(LIMIT_NAMES & schema.keys()))


def port_type(annotation: Any) -> PortType:
    """The type that an annotation means.

    Raises:
        TypeError: the annotation has no meaning on a wire (a TypeVar, a dict, a tuple).
    """
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _limited(annotation)
    if annotation in SCALARS or annotation is None:
        return PortType(SCALARS.get(annotation, "none"))
    if annotation in (Any, object):
        return ANY
    if origin is Literal:
        return PortType("choice", values=typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return PortType("union", items=tuple(port_type(item) for item in typing.get_args(annotation)))
    if origin is list:
        return PortType("list", items=(port_type(typing.get_args(annotation)[0]),))
    if isinstance(annotation, type) and origin is None and annotation not in (dict, tuple, set, list):
        return _class_type(annotation)
    raise TypeError(f"{annotation!r} cannot be the type of a port: use a class, a scalar, Literal, list or a union")


def _limited(annotation: Any) -> PortType:
    """The type of Annotated[...]; the limits of a union are those of its members."""
    bare, *extras = typing.get_args(annotation)
    inner = port_type(bare)
    if inner.kind == "union":
        members = typing.get_args(bare)
        return PortType("union", items=tuple(port_type(typing.Annotated[(item, *extras)]) for item in members))
    if inner.kind not in ("int", "float", "str", "list"):
        return inner
    judged = list[Any] if inner.kind == "list" else bare
    judge: TypeAdapter[Any] = TypeAdapter(typing.cast(Any, typing.Annotated[(judged, *extras)]))
    schema = judge.json_schema()
    return PortType(inner.kind, items=inner.items, limits=_limits(schema))


def _class_type(cls: type) -> PortType:
    if issubclass(cls, enum.Enum):
        return PortType("choice", name=_qualified(cls), values=tuple(member.value for member in cls))
    if issubclass(cls, BaseModel):
        return PortType("form", name=_qualified(cls), schema=json.dumps(cls.model_json_schema(), sort_keys=True))
    bases = tuple(_qualified(base) for base in cls.__mro__[1:] if base is not object)
    return PortType("class", name=_qualified(cls), bases=bases)
