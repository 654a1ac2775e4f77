"""What published models say of themselves in JSON: configs, schedules, vocabularies. Nothing of it is believed."""

import json
from pathlib import Path
from typing import Any, Final

from nodeflow_nn.checkpoints import Failure

LARGEST: Final = 16 * 2**20
"""Bytes of a file; those that say nothing but settings take a few thousand."""
SHOWN: Final = 60
"""Characters of a wrong value that a message quotes."""


def json_object(path: Path, failure: Failure = ValueError, *, most: int = LARGEST) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: of the file.
        failure: what to raise, with a message that says file, place, fault and cure, where it holds none.
        most: bytes that are read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise failure(f"{path} cannot be read: {error.strerror or error}\n    see who may read it") from error
    if len(data) > most:
        raise failure(f"{path} is longer than the {most:,} bytes that are read\n    fetch it again")
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise failure(f"{path} is no JSON{_fault(error)}\n    fetch it again") from error
    if not isinstance(found, dict):
        raise failure(f"{path} holds {spelled(found)}, but expected a JSON object\n    fetch it again")
    return found


def _fault(error: Exception) -> str:
    """Where a text ceases to be JSON, and what stands there."""
    if isinstance(error, UnicodeDecodeError):
        return f": byte {error.start:,} is not UTF-8"
    if isinstance(error, RecursionError):
        return ", but brackets within brackets without end"
    if not isinstance(error, json.JSONDecodeError):  # the interpreter's own bound on the digits of an int
        return ", as it holds a whole number of more than 4,300 digits"
    rest = error.doc[error.pos :].split("\n", 1)[0].strip()
    place = f"line {error.lineno}, column {error.colno}"
    if error.msg.startswith("Unterminated") or not error.doc[error.pos :].strip():
        return f": it ends too early, at {place}"
    return f" from {place} on, where {spelled(rest[:SHOWN])} stands"


def spelled(value: Any) -> str:
    """A value as JSON has it, in a few characters."""
    if isinstance(value, list | dict) and len(value) > SHOWN:
        return "a long list" if isinstance(value, list) else "a large object"
    try:
        text = json.dumps(value)
    except RecursionError:
        return "brackets within brackets"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
