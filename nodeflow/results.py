"""The results of one run: each is kept until the last node that may take it is done, and given up once damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nodeflow.contents import Entry
from nodeflow.document import Wire
from nodeflow.events import Event, Finished, Previewed, Reused
from nodeflow.graph import Graph, Step
from nodeflow.values import Image, Mask


def with_pictures(events: Iterable[Event], results: Results) -> Iterator[Event]:
    """A run's events, and after a node came to a result that holds a picture, that one as a preview."""
    for event in events:
        yield event
        if isinstance(event, Finished | Reused) and (entry := results.entries.get(event.node)):
            picture = next((value for value in entry.result if isinstance(value, Image | Mask)), None)
            if picture is not None:
                yield Previewed(event.node, picture, final=True)


class Results:
    """Who has a result, who is done, who failed, and how many wait for each.

    Args:
        graph: what runs.
        order: the nodes that may be needed.
        targets: the nodes that the run is for.
    """

    def __init__(self, graph: Graph, order: Sequence[str], targets: Sequence[str]) -> None:
        self.entries: dict[str, Entry] = {}
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.parents = {name: graph.steps[name].parents() for name in order}
        self._steps = graph.steps
        self._positions: dict[str, dict[str, int]] = {}
        self._damaged: set[str] = set()
        self._users = users = dict.fromkeys(order, 0)
        for parents in self.parents.values():
            for node in parents:
                users[node] += 1
        self.outputs = {name: place for name, place in graph.outputs.items() if place[0] in users}
        for node in (*targets, *(node for node, _ in self.outputs.values())):
            users[node] += 1

    def take(self, wire: Wire) -> Any:
        """The value that a wire carries."""
        values = self.entries[wire.node].result
        if len(values) == 1:
            return values[0]
        spec = self._steps[wire.node].spec
        positions = self._positions.get(spec.id)
        if positions is None:
            positions = self._positions[spec.id] = {port.name: index for index, port in enumerate(spec.outputs)}
        return values[positions[wire.output]]

    def given(self, step: Step) -> dict[str, Any]:
        """What each of a step's inputs holds, as far as it is there."""
        ready = {port: value for port, value in step.inputs.items() if type(value) is not Wire}
        wires = ((port, wire) for port, wire in step.wires() if step.inputs[port] is wire)
        return ready | {port: self.take(wire) for port, wire in wires if wire.node in self.entries}

    def keep(self, node: str, entry: Entry) -> None:
        """Keeps a node's result, which needs nobody else's any more."""
        self.done.add(node)
        self.entries[node] = entry
        self.let_go(self.parents[node])

    def fail(self, node: str) -> None:
        """Says that a node will have no result."""
        self.failed.add(node)
        self.let_go(self.parents[node])

    def waited_for(self, node: str) -> bool:
        """Whether the run or a node that may still be computed takes a node's result."""
        return self._users[node] > 0

    def let_go(self, nodes: Iterable[str]) -> None:
        """Says that one user less waits for each of these; what nobody waits for any more is dropped."""
        users = self._users
        for node in nodes:
            users[node] -= 1
            if not users[node]:
                self._drop(node)

    def _drop(self, node: str) -> None:
        stack = [node]
        while stack:
            node = stack.pop()
            self.entries.pop(node, None)
            if node in self.done or node in self.failed:
                continue
            for parent in self.parents[node]:  # it never will be computed, so it takes nothing either
                self._users[parent] -= 1
                if not self._users[parent]:
                    stack.append(parent)

    def damaged(self, node: str) -> str | None:
        """A result wired into a node whose tensors were written to since it was computed, if there is one."""
        for parent in self.parents[node]:
            entry = self.entries.get(parent)
            if entry is not None and entry.tensors and not entry.intact():
                return parent
        return None

    def give_up_damaged(self) -> None:
        """Drops every damaged result; whoever still wants it has it computed again, and what it needs as well."""
        stack = [node for node, entry in self.entries.items() if not entry.intact()]
        self._damaged.update(stack)
        while stack:
            node = stack.pop()
            self.entries.pop(node, None)
            self.done.discard(node)
            for parent in self.parents[node]:
                if not self._users[parent] and parent not in self.failed:  # it had been dropped, and let go of its own
                    stack.append(parent)
                self._users[parent] += 1

    def lost(self) -> list[str]:
        """The nodes of outputs that were computed, given up as damaged, and not computed again."""
        outputs = {node for node, _ in self.outputs.values()}
        return sorted((outputs & self._damaged) - self.entries.keys() - self.failed)
