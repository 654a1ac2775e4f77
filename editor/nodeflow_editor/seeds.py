"""Seeds that change with each run: what is kept of it in the view, and the edit that changes them. No Qt.

`view["seeds"]` has "random" or "next" by "node.port"; a seed that is not there stays as it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nodeflow.delta import ABSENT
from nodeflow.document import Document
from nodeflow.edits import Edit, Group, SetInput, SetView, Within
from nodeflow.spec import NodeSpec, Port

FIXED, RANDOM, NEXT = "fixed", "random", "next"
THEN = (FIXED, RANDOM, NEXT)
TITLES = {
    FIXED: "Fixed: each run uses the seed that stands here",
    RANDOM: "Random: each run draws a new seed",
    NEXT: "Next: each run adds one to the seed",
}
SIGNS = {RANDOM: "↻", NEXT: "+1"}
"""What stands beside the number."""
LARGEST = 2**53 - 1
"""The largest seed that a graph file can name."""
DRAWN = 2**32 - 1
"""The largest that is drawn: ten digits can still be read out."""

Draw = Callable[[int, int], int]
Find = Callable[[str], NodeSpec | None]


def table(graph: Document) -> Mapping[str, Any]:
    """What becomes of seeds with each run, by "node.port", as the file has it."""
    found = graph.view.get("seeds")
    return found if isinstance(found, dict) else {}


def then(graph: Document, node: str, port: str) -> str:
    """What becomes of a seed with each run: "fixed", "random" or "next"."""
    found = table(graph).get(f"{node}.{port}")
    return found if found in (RANDOM, NEXT) else FIXED


def of_node(graph: Document, node: str, inputs: Iterable[Port]) -> dict[str, str]:
    """The seeds of a node that change, by input."""
    if not table(graph):
        return {}
    found = {port.name: then(graph, node, port.name) for port in inputs if port.widget == "seed"}
    return {port: choice for port, choice in found.items() if choice != FIXED}


def kept(graph: Document, places: Iterable[tuple[str, str]], choice: str) -> Edit:
    """The edit that says what becomes of seeds, each (node, port), with each run."""
    known = graph.view.get("seeds")
    made = dict(known) if isinstance(known, dict) else {}
    for node, port in places:
        made.pop(f"{node}.{port}", None)
        if choice != FIXED:
            made[f"{node}.{port}"] = choice
    return SetView("seeds", made or ABSENT)


def drawn(port: Port | None = None, draw: Draw | None = None) -> int:
    """A new random seed within an input's limits."""
    low, high = limits(port)
    high = max(min(high, low + DRAWN), low)
    return draw(low, high) if draw is not None else low + secrets.randbelow(high - low + 1)


def following(value: int, port: Port | None = None) -> int:
    """The seed after another one; the first again after the last."""
    low, high = limits(port)
    return value + 1 if low <= value < high else low


def limits(port: Port | None) -> tuple[int, int]:
    """The smallest and the largest seed that an input takes."""
    known: Mapping[str, Any] = dict(port.type.limits) if port is not None else {}
    return int(known.get("minimum", 0)), int(min(known.get("maximum", LARGEST), LARGEST))


def next_seeds(graph: Document, find: Find = lambda _: None, draw: Draw | None = None) -> Edit | None:
    """The edit that gives each seed its number for the run to come, in the graphs within the file as well.

    Args:
        graph: the file's document.
        find: knows the types of nodes: their limits and defaults (`catalog.get`).
        draw: a random whole number between two, both included; the system's if None.

    Returns:
        None if all seeds stay.
    """
    edits: list[Edit] = []
    for key in table(graph):
        node, _, port = key.partition(".")
        entry, choice = graph.nodes.get(node), then(graph, node, port)
        if entry is None or choice == FIXED:
            continue
        spec = find(entry.type)
        found = spec.input(port) if spec is not None else None
        value = entry.inputs.get(port, found.default if found is not None else None)
        if type(value) is int:  # else a wire leads here, or nothing is known to go on from
            edits.append(SetInput(node, port, drawn(found, draw) if choice == RANDOM else following(value, found)))
    for name, inner in graph.graphs.items():
        edit = next_seeds(inner, find, draw)
        if edit is not None:
            edits.append(Within(name, edit))
    return Group(tuple(edits)) if edits else None


def seeded(graph: Document, times: int, find: Find = lambda _: None) -> tuple[list[Document], Edit | None]:
    """The file's document as each of so many runs in a row has it, and the edit that leads to the last.

    Returns:
        None in place of the edit if all seeds stay.
    """
    documents: list[Document] = []
    edit: Edit | None = None
    for _ in range(times):
        following = next_seeds(graph, find)
        if following is not None:
            edit, graph = following, following.change(graph)
        documents.append(graph)
    return documents, edit
