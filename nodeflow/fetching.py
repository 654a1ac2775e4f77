"""What a run fetches before its nodes compute: models of the hub that loaders name, where the run may fetch them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from nodeflow.calls import Callee
from nodeflow.document import Wire
from nodeflow.errors import Cancelled
from nodeflow.events import Event, Failed, Fetched
from nodeflow.files import judged_by
from nodeflow.graph import Graph, Step
from nodeflow.hub import fetching, hub_names
from nodeflow.session import REPORT, Aside, Cancel, Permissions, ends_the_run
from nodeflow.spec import NodeSpec


def fetched(
    graph: Graph, targets: Sequence[str], callee: Callable[[NodeSpec], Callee], permissions: Permissions,
    cancel: Cancel, fail: Callable[[Step, BaseException], Failed],
) -> Iterator[Event]:  # fmt: skip
    """Fetches what nodes name that are certain to be needed; a lazy node's inputs wait until it has asked for them.

    Which files a node needs, its `identity` says: it looks at them all, and what is not there is fetched.

    Args:
        graph: what runs.
        targets: nodes that are asked for.
        callee: the function behind a node.
        permissions: where may be read, and what may be fetched.
        cancel: stops it.
        fail: what becomes of a node whose model could not be fetched.

    Raises:
        Cancelled: it was stopped.
    """
    for step in _certain(graph, targets):
        if not hub_names(step.inputs.values()):
            continue
        try:
            found = callee(step.spec)
            identity = found.mark.identity
            if identity is None or any(type(step.inputs.get(port)) is Wire for port in found.asks_of[identity]):
                continue
            given = found.arguments(step, _nothing, _unwanted)
            aside = Aside(partial(_look, step, partial(found.ask, identity, given), permissions, cancel), cancel)
            yield from aside.events()
            aside.result()
        except BaseException as error:
            if ends_the_run(error, aside=True):
                raise
            yield fail(step, error)


def _nothing(wire: Wire) -> None:
    """What a wire gives before anything ran."""
    del wire


def _unwanted(port: str, index: int | None) -> bool:
    del port, index
    return False


def _look(
    step: Step, ask: Callable[[], object], permissions: Permissions, cancel: Cancel, emit: Callable[[Event], None]
) -> None:
    reported = 0.0

    def listen(file: str, done: int, total: int) -> None:
        nonlocal reported
        if cancel.pressed:
            raise Cancelled
        now = time.monotonic()
        if now - reported >= REPORT or done == total:
            reported = now
            emit(Fetched(step.id, file, done, total))

    with judged_by(permissions.readable), fetching(permissions.fetch, listen):
        ask()


def _certain(graph: Graph, targets: Sequence[str]) -> Iterator[Step]:
    """The nodes that a run cannot do without."""
    seen = set(targets)
    waiting = list(targets)
    while waiting:
        step = graph.steps[waiting.pop()]
        yield step
        for port, wire in step.wires():
            if (not step.spec.lazy or port in step.spec.asks) and wire.node not in seen:
                seen.add(wire.node)
                waiting.append(wire.node)
