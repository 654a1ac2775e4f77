"""What is written beside an input: its value in few characters. Pure text, no Qt."""

from __future__ import annotations

import json
from typing import Any

from nodeflow.document import Input
from nodeflow.spec import Port

CUT = 400
"""Characters of a value that are looked at: a prompt may have a million, and a node shows a line."""


def current(port: Port, inputs: Any) -> tuple[Input, bool]:
    """The value of an input, and whether the file gives it (else it is the default)."""
    return (inputs[port.name], True) if port.name in inputs else (port.default, False)


def written(value: Input) -> str:
    """A value on one line."""
    if type(value) is str:
        return " ".join(value[:CUT].split())
    if type(value) is bool:
        return "on" if value else "off"
    if type(value) is float:
        return f"{value:.6g}"
    if value is None:
        return "none"
    if type(value) is int:
        return str(value)
    if type(value) is list and len(value) > 16:
        return f"{len(value)} values"
    try:
        return json.dumps(value, ensure_ascii=False, default=str)[:CUT]
    except (TypeError, ValueError):
        return "?"
