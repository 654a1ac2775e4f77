"""Which implementation runs: torch on a CPU; on an accelerator the fastest that was measured, remembered on disk.

Triton is taken only if it is at least `AHEAD` times as fast as the best that torch offers: what is as fast as torch is
better left to torch, and a choice within the noise would change from machine to machine.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol

from nodeflow.choices import Choice, Choices, Mode, Rival, choices_folder, mode
from nodeflow.kernels.timing import Accelerator

Kind = Literal["torch", "triton"]
AHEAD = 1.02
ROUNDS = 7
"""Interleaved rounds of which the median counts: a clock that drifts hurts all candidates alike."""
CPU_RULE = "tensors on a CPU are always computed by torch"


@dataclass(frozen=True)
class Candidate:
    """One implementation of an operation.

    name: unique within its operation. legal: takes the operation's arguments; None, or why this one cannot take them.
    run: takes the same. configuration: tile sizes and such, told by `explain`.
    """

    name: str
    kind: Kind
    legal: Callable[..., str | None]
    run: Callable[..., Any]
    configuration: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """An operation and its implementations.

    name: the public one. candidates: the torch forms in order of preference; the first takes everything. bind: from
    the public call to the arguments that candidates take; ValueError or TypeError where they make no sense. key: of
    the arguments: shapes (in buckets), layout and flags. folder: where its forms, launches and tiles stand; a change in
    any of its files makes what was remembered worthless.
    """

    name: str
    candidates: tuple[Candidate, ...]
    bind: Callable[..., tuple[Any, ...]]
    key: Callable[..., str]
    folder: Path


def always(*_: object) -> None:
    """The `legal` of a candidate that takes everything."""


class Device(Protocol):
    """What can be asked of the machine; tests bring one with a clock of their own."""

    def arch(self, arguments: Sequence[Any]) -> str | None:
        """The architecture that the arguments are on, or None for a CPU."""

    def capturing(self) -> bool:
        """Whether a graph is being captured, so that nothing may be measured."""

    def on(self, arguments: Sequence[Any]) -> AbstractContextManager[Any]:
        """Makes the arguments' device the current one."""

    def prepare(self, run: Callable[[], Any]) -> Callable[[], float]:
        """Makes a run ready; each call of what it gives is one round, in seconds a run."""


class Dispatcher:
    """Chooses, and remembers what it chose in memory and on disk."""

    def __init__(self, device: Device, choices: Callable[[], Choices]) -> None:
        self.device, self.choices = device, choices
        self._known: dict[tuple[str, ...], Choice] = {}
        self._lock = threading.RLock()

    def run(self, operation: Operation, *arguments: Any) -> Any:
        """The operation's result by the implementation chosen for such arguments."""
        arch = self.device.arch(arguments)
        if arch is None:
            return _named(operation, self.choose(operation, *arguments).implementation).run(*arguments)
        known = self._known.get((operation.name, mode(), arch, operation.key(*arguments)))
        candidate = _named(operation, known.implementation) if known else None
        with self.device.on(arguments):
            if candidate is None or candidate.legal(*arguments) is not None:
                candidate = _named(operation, self.choose(operation, *arguments).implementation)
            return candidate.run(*arguments)

    def choose(self, operation: Operation, *arguments: Any) -> Choice:
        """What such arguments are computed by, and why; measures if it must and may."""
        asked, arch = mode(), self.device.arch(arguments)
        rivals = [_looked_at(candidate, arguments) for candidate in operation.candidates]
        if arch is None:
            return _settled(operation, _first(rivals, "torch"), rivals, _torchs_own(arguments), "rule")
        considered, rule = _considered(rivals, asked)
        if len(considered) == 1:
            return _settled(operation, considered[0], rivals, rule, "rule")
        short = (operation.name, asked, arch, operation.key(*arguments))
        with self._lock, self.device.on(arguments):
            known = self._known.get(short)
            if known is None:
                known = self._recalled_or_measured(operation, short, arguments, rivals, considered)
        return _applied(operation, known, rivals, considered, asked)

    def _recalled_or_measured(
        self,
        operation: Operation,
        short: tuple[str, ...],
        arguments: tuple[Any, ...],
        rivals: list[Rival],
        considered: list[Rival],
    ) -> Choice:
        key, choices = _key(operation, short), self.choices()
        found, trouble = choices.get(key)
        names = {candidate.name for candidate in operation.candidates}
        if found and {found.implementation, *(rival.name for rival in found.rivals)} <= names:
            self._known[short] = replace(found, source="remembered")
            return self._known[short]
        notes = (trouble,) if trouble else ()
        if self.device.capturing():
            rule = "a graph is being captured, so nothing may be measured, and nothing was remembered"
            return _settled(operation, _first(rivals, "torch"), considered, rule, "capture", notes)
        measured, fleeting = self._measured(operation, arguments, considered)
        choice = replace(_decided(operation, measured, short[1], _first(rivals, "torch")), notes=notes)
        if not fleeting and (told := choices.put(key, replace(choice, notes=()))):
            choice = replace(choice, notes=(*notes, told))
        self._known[short] = choice
        return choice

    def _measured(
        self, operation: Operation, arguments: tuple[Any, ...], considered: list[Rival]
    ) -> tuple[list[Rival], bool]:
        """The candidates with their seconds; whether a failure may pass (no memory), so that the disk keeps none."""
        ready: dict[str, Callable[[], float]] = {}
        failed: dict[str, str] = {}
        fleeting = False
        times: dict[str, list[float]] = {rival.name: [] for rival in considered}
        for turn in range(ROUNDS + 1):  # the first makes ready
            for rival in considered:
                if rival.name in failed:
                    continue
                candidate = _named(operation, rival.name)
                try:
                    if turn == 0:
                        ready[rival.name] = self.device.prepare(partial(candidate.run, *arguments))
                    else:
                        times[rival.name].append(ready[rival.name]())
                except Exception as error:
                    line = str(error).strip().split("\n", 1)[0][:200]
                    failed[rival.name] = f"failed while being measured: {type(error).__name__}: {line}"
                    fleeting |= isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
        fleeting |= len(failed) == len(considered) or any(rival.name in failed for rival in considered[:1])
        return [
            replace(rival, reason=failed[rival.name])
            if rival.name in failed
            else replace(rival, seconds=statistics.median(times[rival.name]))
            for rival in considered
        ], fleeting


def _torchs_own(arguments: tuple[Any, ...]) -> str:
    """Why torch computes on a device without fused kernels."""
    place = next((value.device.type for value in arguments if hasattr(value, "device")), "cpu")
    return CPU_RULE if place == "cpu" else f"tensors on {place} are always computed by torch"


def _looked_at(candidate: Candidate, arguments: tuple[Any, ...]) -> Rival:
    reason = candidate.legal(*arguments) or ""
    return Rival(candidate.name, candidate.kind, candidate.configuration, None, reason)


def _considered(rivals: list[Rival], asked: Mode) -> tuple[list[Rival], str]:
    """Those that may be chosen, and why it is the only one if there is one."""
    legal = [rival for rival in rivals if not rival.reason]
    wanted = [rival for rival in legal if asked in ("auto", rival.kind)]
    if wanted:
        return wanted, "it is the only one that takes these arguments" + ("" if asked == "auto" else f" ({asked} only)")
    return [_first(legal, "torch")], f"NODEFLOW_KERNELS={asked}, but no {asked} implementation takes these arguments"


def _decided(operation: Operation, measured: list[Rival], asked: str, otherwise: Rival) -> Choice:
    """The rule: the fastest, but Triton only if it is far enough ahead of torch; `otherwise` if all have failed."""
    best: dict[str, Rival] = {}
    for rival in measured:
        if rival.seconds is not None and (rival.kind not in best or rival.seconds < (best[rival.kind].seconds or 0)):
            best[rival.kind] = rival
    theirs, ours = best.get("torch"), best.get("triton")
    if theirs is None and ours is None:
        return _settled(operation, otherwise, measured, "nothing could be measured", "rule")
    if theirs is None or ours is None:
        only = theirs or ours
        assert only is not None
        rule = "the fastest" + (f" of {only.kind}" if asked != "auto" else ", nothing else could be measured")
        return _settled(operation, only, measured, rule if len(measured) > 1 else "the only one", "measured")
    assert theirs.seconds is not None
    assert ours.seconds is not None
    ratio = theirs.seconds / ours.seconds
    if ratio >= AHEAD:
        rule = f"{ratio:.2f} times as fast as the best of torch, {theirs.name}"
        return _settled(operation, ours, measured, rule, "measured")
    rule = f"the best of Triton, {ours.name}, is {ratio:.2f} times as fast, and {AHEAD} is asked of it"
    return _settled(operation, theirs, measured, rule, "measured")


def _applied(operation: Operation, known: Choice, rivals: list[Rival], considered: list[Rival], asked: Mode) -> Choice:
    """A known choice for these very arguments: within its bucket, what was chosen may be too large for them."""
    figures = {rival.name: rival for rival in (*known.rivals, _winner(known))}
    now = [
        figures[rival.name] if not rival.reason and rival.name in figures else rival
        for rival in rivals
    ]  # fmt: skip
    if known.implementation in {rival.name for rival in rivals if not rival.reason}:
        return replace(known, rivals=tuple(rival for rival in now if rival.name != known.implementation))
    left = {rival.name for rival in considered}
    again = _decided(operation, [rival for rival in now if rival.name in left], asked, _first(rivals, "torch"))
    others = tuple(rival for rival in now if rival.name != again.implementation)
    return replace(again, source=known.source, rivals=others, notes=known.notes)


def _winner(choice: Choice) -> Rival:
    return Rival(choice.implementation, choice.kind, choice.configuration, choice.seconds)


def _first(rivals: Sequence[Rival], kind: Kind) -> Rival:
    """The first of a kind that may run, or the first that may run at all."""
    legal = [rival for rival in rivals if not rival.reason] or list(rivals)
    return next((rival for rival in legal if rival.kind == kind), legal[0])


def _settled(
    operation: Operation, chosen: Rival, rivals: Sequence[Rival], reason: str, source: str, notes: tuple[str, ...] = ()
) -> Choice:
    others = tuple(rival for rival in rivals if rival.name != chosen.name)
    return Choice(
        operation.name, chosen.name, chosen.kind, chosen.configuration, chosen.seconds, reason, source, others, notes
    )


def _named(operation: Operation, name: str) -> Candidate:
    return next(candidate for candidate in operation.candidates if candidate.name == name)


def _key(operation: Operation, short: tuple[str, ...]) -> dict[str, str]:
    name, asked, arch, arguments = short
    return {
        "operation": name,
        "mode": asked,
        "arch": arch,
        "arguments": arguments,
        "torch": _version("torch"),
        "triton": _version("triton") or _version("pytorch-triton-rocm") or _version("pytorch-triton"),
        "source": _digest(operation.folder),
    }


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _digest(folder: Path) -> str:
    """Of every .py file: which tiles are there and how a kernel is launched decide as much as the kernel."""
    digest = blake2b(digest_size=8)
    for path in sorted(folder.glob("*.py")):
        digest.update(repr((path.name, path.read_bytes())).encode())
    return digest.hexdigest()


@cache
def dispatcher() -> Dispatcher:
    """The one of this process: it measures by graph replay, and remembers in the user's cache folder."""
    return Dispatcher(Accelerator(), lambda: Choices(choices_folder()))


def explain(operation: Operation, *args: Any, **kwargs: Any) -> Choice:
    """What a call of the operation with these arguments runs, and why; see `nodeflow.kernels.explain`."""
    return dispatcher().choose(operation, *operation.bind(*args, **kwargs))
