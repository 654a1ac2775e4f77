"""What a run says, between the thread that reads it and the one that draws: thinned out, never piled up. No Qt."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

Event = Mapping[str, Any]

STEPS = 0.05
"""Seconds between two steps of one node that are handed on."""
PICTURES = 0.1
"""Seconds between two previews, of whatever node."""
LINES = 0.1
"""Seconds between two bundles of printed lines."""
NEWS = 0.1
"""Seconds between two words that the queue has changed, or the history: a hundred runs come within a tenth of that."""
WORDS = ("queue", "history")
"""Events that say only that there is something to look at: one of a kind is enough."""
MOST = 500
"""Events that are handed on at once: a run of 100,000 nodes must not hold up the window."""
MOST_PICTURES, ROOM = 64, 64 * 2**20
"""Previews that wait, and their bytes; the oldest go first."""
MOST_LINES = 1_000


class Taken(NamedTuple):
    """What is to be shown now, and after how many seconds to come again; None if nothing is left."""

    events: list[Event]
    again: float | None


class Mailbox:
    """Takes events in any thread and gives them out in one.

    Each node's newest step and newest preview count, the others are dropped; previews are given out newest first. That
    the queue or the history has changed is told behind what came with it, ten times a second at most. All else comes in
    its order. A step is not told any more once its node is done.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._awaited = False
        self._plain: deque[Event] = deque()
        self._words: dict[str, Event] = {}
        self._spoken: dict[str, float] = {}
        self._steps: dict[tuple[int, str], Event] = {}
        self._stepped: dict[tuple[int, str], float] = {}
        self._pictures: dict[tuple[int, str], Event] = {}
        self._shown = float("-inf")
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._told = float("-inf")

    def put(self, event: Event) -> bool:
        """Takes an event; whether its reader must be told to come, for it does not come by itself."""
        with self._lock:
            self._sort(event)
            wake, self._awaited = not self._awaited, True
            return wake

    def _sort(self, event: Event) -> None:
        kind, key = event["event"], (event.get("run") or 0, event.get("node") or "")
        if kind == "stepped":
            self._steps[key] = event
        elif kind == "previewed":
            self._pictures.pop(key, None)
            self._pictures[key] = event
            while len(self._pictures) > MOST_PICTURES or sum(map(_bytes, self._pictures.values())) > ROOM:
                del self._pictures[next(iter(self._pictures))]
        elif kind == "printed":
            self._lines.append(event["line"])
        elif kind in WORDS:
            self._words[kind] = event
        else:
            if kind in ("finished", "failed", "reused"):
                self._forget(key)
            elif kind == "ended":
                for done in [known for known in (*self._steps, *self._stepped) if known[0] == key[0]]:
                    self._forget(done)
            self._plain.append(event)

    def _forget(self, key: tuple[int, str]) -> None:
        self._steps.pop(key, None)
        self._stepped.pop(key, None)

    def take(self, now: float) -> Taken:
        """What is due at that time, in seconds of a clock that only goes forward."""
        with self._lock:
            events = [self._plain.popleft() for _ in range(min(MOST, len(self._plain)))]
            waits = [0.0] if self._plain else []
            events += self._due(now)
            waits += [self._spoken[kind] + NEWS - now for kind in self._words]
            for key in list(self._steps):
                if (wait := self._stepped.get(key, float("-inf")) + STEPS - now) <= 0:
                    events.append(self._steps.pop(key))
                    self._stepped[key] = now
                else:
                    waits.append(wait)
            if self._lines and self._told + LINES <= now:
                events.append({"event": "printed", "lines": list(self._lines)})
                self._lines.clear()
                self._told = now
            elif self._lines:
                waits.append(self._told + LINES - now)
            if self._pictures and self._shown + PICTURES <= now:
                events.append(self._pictures.popitem()[1])
                self._shown = now
            if self._pictures:
                waits.append(self._shown + PICTURES - now)
            self._awaited = bool(waits)
            return Taken(events, min(waits, default=None))

    def _due(self, now: float) -> list[Event]:
        """The words that may be told again by now."""
        kinds = [kind for kind in self._words if self._spoken.get(kind, float("-inf")) + NEWS <= now]
        self._spoken |= dict.fromkeys(kinds, now)
        return [self._words.pop(kind) for kind in kinds]


def _bytes(preview: Event) -> int:
    return len(preview["pixels"])
