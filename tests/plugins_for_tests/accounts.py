"""A device that keeps accounts: every byte, copy and second of it is known, in a time of its own. No memory is taken.

As on CUDA, the host runs ahead: what it asks for is queued on streams, a copy waits for the room that it needs, and
memory that a stream still uses is free when the stream has passed the point at which it was let go.
"""

import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from nodeflow.errors import Cancelled
from nodeflow.residency import Moved
from nodeflow.values import Model

PATIENCE = 20
"""Seconds after which a test that waits for another thread fails."""


@dataclass(eq=False)
class Block:
    """Memory of a stream, from a moment of its time to another; `used` is when the last work that reads it is done."""

    bytes: int
    begin: float
    stream: str
    end: float = float("inf")
    used: float = 0.0


@dataclass
class Arrival:
    time: float = 0.0
    device: str = ""


class Accounts:
    """Devices of so many bytes each, to which `rate` bytes are copied in a second."""

    def __init__(self, devices: dict[str, int], rate: int = 1) -> None:
        self.capacity, self.rate = devices, rate
        self.clock: dict[str, float] = {}
        self.blocks: dict[str, list[Block]] = {name: [] for name in devices}
        self.moves: list[Moved] = []
        self.given_back = 0
        self._failures: list[str] = []
        self._met: set[str] = set()
        self._here = threading.local()
        self._said = threading.Condition(threading.RLock())

    # what residency asks, as of CUDA

    def free(self, device: str) -> int:
        with self._said:
            return self.capacity[device] - sum(
                block.bytes for block in self.blocks[device] if block.end == float("inf")
            )

    def overlaps(self, device: str) -> bool:
        return True

    @contextmanager
    def computing_on(self, device: str) -> Any:
        self._here.device = device
        yield

    @contextmanager
    def copying(self, device: str, stopped: Any) -> Any:
        self._here.copies, self._here.stopped = device, stopped
        try:
            arrival = Arrival(device=device)
            yield arrival
            arrival.time = self.clock.get(f"{device} copies", 0.0)
        finally:
            self._here.copies = self._here.stopped = None

    def mark(self, device: str) -> Arrival:
        with self._said:
            return Arrival(self.clock.get(device, 0.0), device)

    def follow(self, arrival: Arrival | None, device: str) -> None:
        if arrival is not None:
            with self._said:
                self.clock[device] = max(self.clock.get(device, 0.0), arrival.time)

    def wait(self, arrival: Arrival | None) -> None:
        """The host waits, and the copy that it asks for next begins no sooner."""
        if arrival is not None:
            with self._said:
                copies = f"{arrival.device} copies"
                self.clock[copies] = max(self.clock.get(copies, 0.0), arrival.time)

    def synchronise(self) -> None:
        """The host waits until all that was asked of this thread's device is computed."""
        self.wait(self.mark(self._here.device))

    def give_back(self) -> None:
        self.given_back += 1

    # what models and nodes do there

    def copy(self, size: int) -> Block:
        """Copies to the device in which this thread builds a model, unless nobody waits for it any more."""
        device, stopped = self._here.copies, self._here.stopped
        if stopped is not None and stopped():
            raise Cancelled
        with self._said:
            stream = f"{device} copies"
            block = self._take(device, size, stream)
            self.clock[stream] = block.begin + size / self.rate
            return block

    def compute(self, seconds: float, *blocks: Block) -> None:
        """Computes with what lies in these blocks."""
        with self._said:
            device = self._here.device
            self.clock[device] = self.clock.get(device, 0.0) + seconds
            for block in blocks:
                assert block.begin + block.bytes / self.rate <= self.clock[device] - seconds, "it is not there yet"
                block.used = self.clock[device]

    @contextmanager
    def room(self, size: int) -> Any:
        """Memory that a node takes while it computes."""
        with self._said:
            block = self._take(self._here.device, size, self._here.device)
        try:
            yield
        finally:
            self.let_go(block)

    def let_go(self, block: Block) -> None:
        with self._said:
            block.end = self.clock.get(block.stream, 0.0)

    def _take(self, device: str, size: int, stream: str) -> Block:
        """Takes memory at the first moment at which it is free for good."""
        soonest = self.clock.get(stream, 0.0)
        for begin in sorted({soonest, *(block.end for block in self.blocks[device] if soonest < block.end < 1e99)}):
            if sum(block.bytes for block in self.blocks[device] if block.end > begin) + size <= self.capacity[device]:
                block = Block(size, begin, stream)
                self.blocks[device].append(block)
                return block
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes")

    # what tests read

    def __call__(self, move: Moved) -> None:
        with self._said:
            self.moves.append(move)
            self._said.notify_all()

    def await_move(self, told: str) -> None:
        """Waits until a move such as "*B" was told, or a failure, "!B"."""
        with self._said:
            there = self._said.wait_for(lambda: told in [*self.told().split(), *self._failures], PATIENCE)
            assert there, (told, self.told())

    def failed(self, model: str) -> None:
        with self._said:
            self._failures.append(f"!{model}")
            self._said.notify_all()

    def meet(self, name: str, other: str) -> None:
        """Says that one is here, and waits for the other."""
        with self._said:
            self._met.add(name)
            self._said.notify_all()
            assert self._said.wait_for(lambda: other in self._met, PATIENCE), f"{name} waited for {other}"

    def told(self, device: str | None = None) -> str:
        """The moves as "+A *B -A =C": built, built ahead, evicted, found there."""
        signs = {"built": "+", "prefetched": "*", "evicted": "-", "reused": "="}
        moves = [move for move in self.moves if device in (None, move.device)]
        return " ".join(signs[move.action] + move.model.name for move in moves)  # type: ignore[attr-defined]

    def copies(self) -> str:
        """The same without those found there."""
        return " ".join(told for told in self.told().split() if told[0] != "=")

    def peak(self, device: str) -> int:
        """The most bytes that were taken, or still read though let go, at one moment of the device's time."""
        blocks = self.blocks[device]
        spans = [(block.begin, max(block.end, block.used), block.bytes) for block in blocks]
        taken = [sum(size for begin, end, size in spans if begin <= at < end) for at, _, _ in spans]
        return max(taken, default=0)

    @property
    def seconds(self) -> float:
        """When the last stream is done."""
        return max(self.clock.values(), default=0.0)


class Vanishing(Accounts):
    """Devices that are lost after so many calls: every later one fails as well, as CUDA's do."""

    SAID = "CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later"

    def __init__(self, devices: dict[str, int], calls: int) -> None:
        super().__init__(devices)
        self.calls = calls

    def _call(self) -> None:
        with self._said:
            self.calls -= 1
            if self.calls < 0:
                raise RuntimeError(self.SAID)

    def free(self, device: str) -> int:
        self._call()
        return super().free(device)

    @contextmanager
    def copying(self, device: str, stopped: Any) -> Any:
        self._call()
        with super().copying(device, stopped) as arrival:
            yield arrival
            self._call()

    def mark(self, device: str) -> Arrival:
        self._call()
        return super().mark(device)

    def follow(self, arrival: Arrival | None, device: str) -> None:
        self._call()
        super().follow(arrival, device)

    def wait(self, arrival: Arrival | None) -> None:
        if arrival is not None:
            self._call()
        super().wait(arrival)

    def compute(self, seconds: float, *blocks: Block) -> None:
        self._call()
        super().compute(seconds, *blocks)


class Loaded:
    """A built model: what it holds is let go with it."""

    def __init__(self, name: str, device: str, accounts: Accounts, block: Block) -> None:
        self.name, self.device, self.block = name, device, block
        weakref.finalize(self, accounts.let_go, block)


@dataclass(frozen=True)
class Weights(Model):
    """A model of so many bytes on a device of the accounts."""

    name: str
    accounts: Accounts
    bytes: int = 10
    broken: str = ""

    @property
    def size(self) -> int:
        return self.bytes

    def build(self, device: Any) -> Loaded:
        block = self.accounts.copy(self.bytes)
        if self.broken:
            self.accounts.let_go(block)
            self.accounts.failed(self.name)
            raise RuntimeError(self.broken)
        return Loaded(self.name, device, self.accounts, block)
