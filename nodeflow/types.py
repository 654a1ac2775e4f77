"""The type of a port, as data: read from annotations once, kept in the catalog, judged without importing anything."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["bool", "int", "float", "str", "path", "none", "any", "choice", "form", "class", "list", "union"]
JSON = Any

LIMITS = (
    ("minimum", "at least {}", lambda value, limit: value >= limit),
    ("maximum", "at most {}", lambda value, limit: value <= limit),
    ("exclusiveMinimum", "more than {}", lambda value, limit: value > limit),
    ("exclusiveMaximum", "less than {}", lambda value, limit: value < limit),
    ("multipleOf", "a multiple of {}", lambda value, limit: math.isclose(value / limit, round(value / limit))),
    ("minLength", "at least {} characters long", lambda value, limit: len(value) >= limit),
    ("maxLength", "at most {} characters long", lambda value, limit: len(value) <= limit),
    ("minItems", "at least {} items long", lambda value, limit: len(value) >= limit),
    ("pattern", "a text that matches {}", lambda value, limit: re.search(limit, value) is not None),
    ("maxItems", "at most {} items long", lambda value, limit: len(value) <= limit),
)
LIMIT_NAMES = frozenset(name for name, _, _ in LIMITS)


@dataclass(frozen=True, slots=True)
class PortType:
    """One type. Which fields are used depends on `kind`.

    name: "module:Class" of a class, form or enum. bases: the same of its ancestors, nearest first. items: the one
    type of a list, the several of a union. values: what a choice may be. limits: JSON Schema keywords and their values.
    schema: the JSON Schema of a form (a pydantic model), as text.
    """

    kind: Kind
    name: str = ""
    bases: tuple[str, ...] = ()
    items: tuple[PortType, ...] = ()
    values: tuple[JSON, ...] = ()
    limits: tuple[tuple[str, float | str], ...] = ()
    schema: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "class" | "form":
                return self.name.rpartition(":")[2].rpartition(".")[2]
            case "choice":
                return " | ".join(json.dumps(value) for value in self.values)
            case "list":
                return f"list[{self.items[0]}]"
            case "union":
                return " | ".join(str(item) for item in self.items)
            case _:
                return self.kind

    @property
    def typed_in(self) -> bool:
        """Whether a value can stand in the file; otherwise the port is wired only."""
        if self.kind in ("list", "union"):
            return any(item.typed_in for item in self.items if item.kind != "none")
        return self.kind not in ("class", "any")

    def as_json(self) -> dict[str, JSON]:
        data: dict[str, JSON] = {"kind": self.kind}
        for field in ("name", "schema"):
            if getattr(self, field):
                data[field] = getattr(self, field)
        if self.bases or self.values:
            data |= {"bases": list(self.bases)} if self.bases else {"values": list(self.values)}
        if self.items:
            data["items"] = [item.as_json() for item in self.items]
        if self.limits:
            data["limits"] = dict(self.limits)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> PortType:
        return cls(
            data["kind"],
            data.get("name", ""),
            tuple(data.get("bases", ())),
            tuple(cls.from_json(item) for item in data.get("items", ())),
            tuple(data.get("values", ())),
            tuple(data.get("limits", {}).items()),
            data.get("schema", ""),
        )

    def json_schema(self) -> dict[str, JSON]:
        """JSON Schema of a typed-in value; wired-only parts are left out."""
        names = {"bool": "boolean", "int": "integer", "float": "number", "str": "string", "path": "string"}
        match self.kind:
            case "none":
                return {"type": "null"}
            case "choice":
                return {"enum": list(self.values)}
            case "form":
                schema: dict[str, JSON] = json.loads(self.schema)
                return schema
            case "list":
                inner = self.items[0]
                return {"type": "array", "items": inner.json_schema() if inner.typed_in else {}, **dict(self.limits)}
            case "union":
                return {"anyOf": [item.json_schema() for item in self.items if item.typed_in or item.kind == "none"]}
            case _:
                return {"type": names[self.kind], **dict(self.limits)} if self.kind in names else {}


ANY = PortType("any")


def accepts(target: PortType, source: PortType) -> str | None:
    """Judges a wire: None if what `source` gives may enter `target`, else the reason why not, as a sentence part.

    Fits: the same type, a subclass, int into float, one T into list[T], any member of a union, and each member of a
    source union on its own. Nothing is coerced silently.
    """
    if target.kind == "any" or source.kind == "any":
        return None
    if source.kind == "union":
        misfit = next((item for item in source.items if accepts(target, item)), None)
        if misfit is None:
            return None
        absent = misfit.kind == "none"
        return f"expected {target} but the wire may give {'nothing' if absent else misfit}"
    if target.kind == "union":
        fits = any(accepts(item, source) is None for item in target.items)
    elif target.kind == "list":
        fits = accepts(target.items[0], source.items[0] if source.kind == "list" else source) is None
    elif target.kind == "class":
        fits = source.kind == "class" and (source.name == target.name or target.name in source.bases)
    elif target.kind == "choice":
        fits = source.kind == "choice" and all(is_choice(target, value) for value in source.values)
    elif source.kind == "choice":
        fits = not any(fault(target, value) for value in source.values)
    else:
        fits = _scalar_fits(target, source)
    return None if fits else f"expected {target} but the wire gives {source}"


def _scalar_fits(target: PortType, source: PortType) -> bool:
    if target.kind == "form":
        return source.kind == "form" and source.name == target.name
    return target.kind == source.kind or (target.kind, source.kind) in (("float", "int"), ("path", "str"))


def fault(target: PortType, value: JSON) -> str | None:
    """Judges a typed-in value: None if it may stand, else the reason. `"false"` is no bool and 3.9 no int."""
    kind = target.kind
    if kind == "union":
        reasons = [fault(item, value) for item in target.items]
        if None in reasons:
            return None
        typed = [reason for item, reason in zip(target.items, reasons, strict=True) if item.kind != "none"]
        return typed[0] if len(typed) == 1 else f"expected {target}, found {shown(value)}"
    if kind == "list":
        if not isinstance(value, list):
            return f"expected {target}, found {shown(value)}"
        for index, item in enumerate(value):
            if reason := fault(target.items[0], item):
                return f"item {index}: {reason}"
        return beyond(target, value)
    if not _of_kind(target, value):
        return f"expected {target}, found {shown(value)}"
    return _form_fault(target, value) if kind == "form" else beyond(target, value)


def _of_kind(target: PortType, value: JSON) -> bool:
    match target.kind:
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and abs(value) <= 1.7e308 and math.isfinite(value)
        case "str" | "path":
            return isinstance(value, str)
        case "none":
            return value is None
        case "choice":
            return is_choice(target, value)
        case "form":
            return isinstance(value, dict)
        case _:
            return False


def is_choice(target: PortType, value: JSON) -> bool:
    """Whether a value is one of a choice's; to Python True is 1 and 1.0 is 1, here they are three."""
    return any(value == choice and type(value) is type(choice) for choice in target.values)


def beyond(target: PortType, value: JSON) -> str | None:
    """Judges a value of the right kind by the limits of its type alone."""
    for name, limit in target.limits:
        words, holds = next((words, holds) for known, words, holds in LIMITS if known == name)
        if not holds(value, limit):
            told = f"{limit:g}" if isinstance(limit, float) else limit
            return f"expected {words.format(told)}, found {shown(value)}"
    return None


def _form_fault(target: PortType, value: JSON) -> str | None:
    import jsonschema  # deferred: few graphs hold forms, and it costs a tenth of a second

    validator = jsonschema.Draft202012Validator(json.loads(target.schema))
    error = next(iter(sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.path)))), None)
    if error is None:
        return None
    place = ".".join(str(part) for part in error.path)
    return f"{place}: {error.message}" if place else error.message


def shown(value: JSON) -> str:
    """A value as an error message quotes it: JSON, cut at 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."
