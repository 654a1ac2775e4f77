"""What looks like a part of a graph file and is none: foreign files, keys and names nearly right, links misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice
from typing import Any

from nodeflow.jsontext import compact, kind

LIKE = 0.8
"""Keys more alike than this are taken for slips. "notes" and "nodes" are just so much alike, and both are meant."""


def foreign(data: Any) -> tuple[str, str]:
    """What a JSON value is that is no graph of nodeflow, and the cure."""
    if not isinstance(data, dict):
        return f"a graph is a JSON object, but this is {kind(data)}", 'it begins {"nodeflow": 1, ...'
    steps = any(isinstance(value, dict) and "class_type" in value for value in data.values())
    if steps or "last_node_id" in data or ("links" in data and "nodes" in data):
        cure = "`nodeflow import FILE --out GRAPH` makes a graph of it"
        return "this looks like a ComfyUI workflow, not a nodeflow graph", cure
    return 'this is not a nodeflow graph: it has no "nodeflow" key', 'a graph begins {"nodeflow": 1, ...'


def slips(keys: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """The keys that are not known but nearly so, each with the one that must be meant."""
    return [(key, meant) for key in keys if key not in known and (meant := _meant(key, known))]


def _meant(key: str, known: Iterable[str]) -> str:
    if not key[:1].isalpha() or len(key) > 40:
        return ""
    for other in sorted(known):
        same = difflib.SequenceMatcher(None, key.lower(), other)
        if same.ratio() > LIKE or sorted(key.lower()) == sorted(other):
            return other
    return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean "clip"?`, or nothing. Looks at 2,000 names at most: a message must not take seconds."""
    close = difflib.get_close_matches(name, list(islice(known, 2_000)), n=1)
    return f'did you mean "{close[0]}"?' if close else ""


def misspelt_wire(value: dict[str, Any]) -> str:
    """What is wrong with an object that begins as a wire does; nothing if it does not."""
    name, *more = value
    if more or not name.startswith("$"):
        return ""
    given = value[name] if isinstance(value[name], str) and len(value[name]) < 70 else "..."
    shown = compact({name: given})
    if difflib.SequenceMatcher(None, name.lower(), "$from").ratio() >= 0.6 or isinstance(value[name], str):
        return f"{shown} is no wire: did you mean {compact({'$from': given})}?"
    return f'{shown} is no value: of keys that begin with "$", only "$from" is known'
