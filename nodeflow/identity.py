"""The name of a result: a digest of what it was computed from, so that equal work is done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

from nodeflow.document import Wire
from nodeflow.graph import Step

SIZE = 16
"""Bytes of a digest: two of 2**64 results would have to meet by chance."""

_text = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_defaults: dict[int, tuple[object, str, dict[str, object], frozenset[str]]] = {}


def _typed_in(step: Step) -> str:
    """The node's type and version and all its typed-in values, defaults included, as one text."""
    spec = step.spec
    known = _defaults.get(id(spec))
    if known is None or known[0] is not spec:
        floats = frozenset(port.name for port in spec.inputs if port.type.kind == "float")
        values = {port.name: port.default for port in spec.inputs if not port.required}
        values |= {port: float(value) for port, value in values.items() if port in floats and value is not None}
        known = _defaults[id(spec)] = (spec, f"{spec.id} {spec.version} {_text(values)}", values, floats)
    _, text, values, floats = known
    literals = {port: value for port, value in step.inputs.items() if type(value) is not Wire}
    if not literals:
        return text
    given = values | {
        port: _plain(value) if port not in floats or value is None else float(value) for port, value in literals.items()
    }
    return f"{spec.id} {spec.version} {_text(given)}"


def _plain(value: object) -> object:
    return [None if type(item) is Wire else item for item in value] if type(value) is list else value


def name_of(
    step: Step,
    names: Mapping[str, str],
    *,
    content: str = "",
    wanted: Callable[[str, int | None], bool] | None = None,
) -> str:
    """The name of a step's result, 32 hexadecimal digits.

    Args:
        step: the node.
        names: the names of the results that are wired in.
        content: what the node's own `identity=` said.
        wanted: whether a lazy node wants an input, or an item of it: what it does not look at is no part of what it
            computes.
    """
    parts = [_typed_in(step), content and _text(content)]
    for port, value in step.inputs.items():
        if type(value) is Wire:
            taken = wanted is None or wanted(port, None)
            parts.append(f"{port} {names[value.node]} {value.output}" if taken else f"{port} -")
        elif type(value) is list:
            for index, item in enumerate(value):
                if type(item) is Wire:
                    taken = wanted is None or wanted(port, index)
                    parts.append(f"{port} {index} {names[item.node]} {item.output}" if taken else f"{port} {index} -")
    return hashlib.blake2b("\n".join(parts).encode("utf-8", "surrogatepass"), digest_size=SIZE).hexdigest()
