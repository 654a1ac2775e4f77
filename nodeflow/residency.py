"""Models on devices: built when first asked for, kept while the budget lasts, evicted by their next use.

Only leaves (`values.Model`) live here, keyed by the recipe itself. What the plan says about coming steps decides who
leaves: never needed again first, then the one whose next use is farthest, and never one that a running node holds.
"""

from __future__ import annotations

import gc
import itertools
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from nodeflow.devices import CPU_SHARE, SHARE, Arrival, Backend, TorchBackend, amount, asked_for, device_name, ran_out
from nodeflow.errors import ModelError
from nodeflow.leaves import called, told_apart
from nodeflow.uses import Uses
from nodeflow.values import Model

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

TOLD = 8
"""Models that an error names, the largest."""
Action = Literal["built", "prefetched", "reused", "evicted"]


@dataclass(frozen=True, slots=True)
class Moved:
    """A model was built, built ahead, found resident, or evicted; `resident` is what its device's models take now."""

    action: Action
    model: Model
    device: str
    bytes: int
    resident: int


@dataclass(slots=True, eq=False)
class _Slot:
    """One model on one device; its bytes count from the moment its building begins, when there is no module yet.

    ahead: whether it was built before its node asked. arrival, passed: moments in the device's time, when its copy is
    done and when the last node that held it is.
    """

    bytes: int
    used: int
    ahead: bool = False
    module: Any = None
    ready: bool = False
    arrival: Arrival | None = None
    passed: Arrival | None = None


class _Key(NamedTuple):
    device: str
    model: Model


class Residency:
    """Who is on which device. Thread-safe: one lock, which nobody holds while a model is being built.

    So a thread loads the next node's model while this one computes (`ahead`); its space is taken before the building
    starts, and whoever asks for the same model meanwhile waits for it.

    Args:
        budgets: bytes that models may take on each device; absent or None: a share of what is free when first asked.
        listen: told of every move, in order.
        relief: called when a device runs out of memory, to let go of what else holds some (`Cache.shed`).
        backend: how devices are measured, copied to and waited for.
    """

    def __init__(
        self,
        budgets: Mapping[str, int | None] | None = None,
        *,
        listen: Callable[[Moved], None] | None = None,
        relief: Callable[[], object] | None = None,
        backend: Backend | None = None,
    ) -> None:
        known = (budgets or {}).items()
        self._budgets = {device_name(device): limit for device, limit in known if limit is not None}
        self._cap: int | None = None
        self._shares: dict[str, int] = {}
        self._listen, self._relief = listen, relief
        self.backend: Backend = backend if backend is not None else TorchBackend()
        self._changed = threading.Condition(threading.RLock())
        self._changes = 0
        self._tight: Counter[str] = Counter()
        self._slots: dict[_Key, _Slot] = {}
        self._pins: Counter[_Key] = Counter()
        self._uses = Uses()
        self._clock = itertools.count()

    def expect(self, steps: Sequence[tuple[Model, ...]]) -> None:
        """Says which models each coming step needs, in the order of the run, and that step 0 comes first."""
        with self._changed:
            self._uses = Uses(steps)
            self.wake()

    def reached(self, step: int) -> None:
        """Says that the run is at this step now."""
        with self._changed:
            self._uses.now = step
            self.wake()

    @contextmanager
    def using(self, models: Iterable[Model], device: torch.device | str) -> Iterator[Callable[[Model], Any]]:
        """Keeps models from eviction while a node runs; yields its `load`, which keeps what it loads as well."""
        name, held = device_name(device), set[_Key]()

        def hold(model: Model) -> None:
            key = _Key(name, told_apart(model))
            with self._changed:
                if key not in held:
                    held.add(key)
                    self._pins[key] += 1

        def load(model: Model) -> Any:
            hold(model)
            return self.load(model, name)

        try:
            for model in models:
                hold(model)
            yield load
        finally:
            with self._changed:
                self._pins.subtract(held)
                self._pins = +self._pins
                self.wake()
                passed = self.backend.mark(name)  # last: it fails if the device is lost
                for key in held & self._slots.keys():
                    self._slots[key].passed = passed

    def load(self, model: Model, device: torch.device | str) -> Any:
        """The model's module on `device`, built there unless it is resident; others leave to make room.

        Nothing keeps it from leaving as well, once another is loaded: a node loads through `using`.

        Raises:
            ModelError: it cannot be read, or is larger than the budget, alone or beside what is in use.
        """
        key, leaving = _Key(device_name(device), told_apart(model)), list[_Slot]()
        with self._changed:
            while not ((slot := self._slots.get(key)) and slot.ready):
                if slot is None and (found := self._make_room(key, model.size)) is not None:
                    leaving = found
                    slot = self._slots[key] = _Slot(model.size, next(self._clock))
                    break
                self._changed.wait()
            if slot.ready:
                slot.used = next(self._clock)
                self._tell("reused", key, slot.bytes)
        if not slot.ready:
            self._build(key, slot, leaving, lambda build: self.retrying(build, key.device), None)
        self.backend.follow(slot.arrival, key.device)
        return slot.module

    def ahead(self, model: Model, device: torch.device | str, stopped: Callable[[], bool]) -> bool:
        """Builds a model that a coming step needs, beside what the device computes; whether it is there then.

        It waits for its turn: all that earlier steps need is there, and the room for it is free or is held by models
        that its own step would evict for it, which nobody needs sooner. So it costs no copy that could be spared.

        Args:
            model: what to build.
            device: where.
            stopped: asked during the building; once it says so, Cancelled is raised.

        Raises:
            Cancelled: it was stopped.
            ModelError: as `load`; whatever else the building raises.
        """
        key = _Key(device_name(device), told_apart(model))
        with self._changed:
            if key in self._slots:
                return True
            if self._tight[key.device] or (leaving := self._leaving_for(key)) is None:
                return False
            left = [self._evict(other) for other in leaving]
            slot = self._slots[key] = _Slot(model.size, next(self._clock), ahead=True)
        self._build(key, slot, left, lambda build: build(), stopped)
        return True

    def _build(
        self, key: _Key, slot: _Slot, leaving: list[_Slot], attempt: Callable[[Callable[[], Any]], Any],
        stopped: Callable[[], bool] | None,
    ) -> None:  # fmt: skip
        """Fills a slot that was reserved once those that leave for it are gone, or takes it away."""

        def build() -> Any:
            with self.backend.copying(key.device, stopped) as arrival:
                return key.model.build(key.device), arrival

        try:
            self._let_go(leaving)
            module, arrival = attempt(build)
        except BaseException:
            with self._changed:
                del self._slots[key]
                self.wake()
            raise
        with self._changed:
            slot.module, slot.arrival, slot.ready = module, arrival, True
            self._tell("prefetched" if slot.ahead else "built", key, slot.bytes)
            self.wake()

    def _leaving_for(self, key: _Key) -> list[_Key] | None:
        """Who leaves for a model that is built ahead; None if it is not its turn."""
        turn = self._uses.next(key.model)
        here = {other: slot for other, slot in self._slots.items() if other.device == key.device}
        sooner = [here.get(_Key(key.device, model)) for model in self._uses.before(turn)]
        if not self._uses.now < turn < math.inf or not all(slot is not None and slot.ready for slot in sooner):
            return None
        leaving: list[_Key] = []
        excess = sum(slot.bytes for slot in here.values()) + key.model.size - self.budget(key.device)
        for other in self._leaving(list(here), turn):
            if excess <= 0:
                break
            if not here[other].ready or self._pins[other] or self._uses.next(other.model) <= turn:
                return None
            leaving.append(other)
            excess -= here[other].bytes
        return leaving if excess <= 0 else None

    def changed(self, since: int, stopped: Callable[[], bool]) -> int:
        """Waits until something happened since that count of happenings, or `stopped`; returns the count of now."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes != since or stopped())
            return self._changes

    def wake(self) -> None:
        """Lets whoever waits look again."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def retrying(self, compute: Callable[[], T], device: torch.device | str) -> T:
        """Computes; if memory runs out, evicts all that no node holds, and tries once again, with nothing built ahead.

        Raises:
            ModelError: there was too little memory the second time as well.
        """
        name = device_name(device)
        try:
            return compute()
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
        # out here the error is gone, and with its traceback the tensors of the frames that failed
        with self._alone(name):
            self.release(name)
            try:
                return compute()
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
                said, asked = (str(error).splitlines() or [type(error).__name__])[0], asked_for(error)
        wanted = f"; {amount(asked)} were asked for at once" if asked is not None else ""
        fewer = ", or models of fewer bits (fp16)" * (name != "cpu")
        raise ModelError(
            f"out of memory on {name}, even with all other models evicted: {said}\n"
            f"    {self._figures(name)}{wanted}; use smaller pictures or batches{fewer}"
        )

    @contextmanager
    def _alone(self, device: str) -> Iterator[None]:
        """Nothing is built ahead on a device meanwhile, and what was being built is there or was given up."""
        with self._changed:
            self._tight[device] += 1
            slots = self._slots
            self._changed.wait_for(
                lambda: all(slot.ready or not slot.ahead for key, slot in slots.items() if key.device == device)
            )
        try:
            yield
        finally:
            with self._changed:
                self._tight[device] -= 1
                self.wake()

    def release(self, device: torch.device | str | None = None) -> int:
        """Evicts every model that no node holds, on one device or on all, and returns the bytes they took."""
        name = device_name(device) if device is not None else None
        with self._changed:
            left = [self._evict(key) for key in self._idle(name)]
        freed = sum(slot.bytes for slot in left)
        self._let_go(left)
        if self._relief is not None:
            self._relief()
        gc.collect()  # modules and tracebacks in circles would keep their tensors
        self.backend.give_back()
        return freed

    def resident(self, device: torch.device | str) -> dict[Model, int]:
        """The models on a device and their bytes."""
        name = device_name(device)
        with self._changed:
            return {key.model: slot.bytes for key, slot in self._slots.items() if key.device == name}

    def limit(self, size: int | None) -> None:
        """The bytes that models may take on each device whose budget was not given at the beginning; None: a share."""
        with self._changed:
            self._cap = size

    def budget(self, device: torch.device | str) -> int:
        """The bytes that models may take on a device; measured at the first question, unless it was given."""
        name = device_name(device)
        with self._changed:
            if name in self._budgets:
                return self._budgets[name]
            if self._cap is not None:
                return self._cap
            if name not in self._shares:
                self._shares[name] = int(self.backend.free(name) * (CPU_SHARE if name == "cpu" else SHARE))
            return self._shares[name]

    def judge(self, model: Model, devices: Sequence[str]) -> None:
        """Refuses a model that can never be on any of these devices.

        Raises:
            ModelError: it is larger than their budgets.
        """
        name, size = max(devices, key=self.budget), model.size
        if size > (budget := self.budget(name)):
            cure = "or use another device" if name == "cpu" else "use a model of fewer bits (fp16), or another device"
            raise ModelError(
                f'the model "{called(model)}" takes {amount(size)}, more than the {amount(budget)} that models may '
                f"take on {name}\n    raise the budget (--vram), {cure}"
            )

    def _make_room(self, key: _Key, size: int) -> list[_Slot] | None:
        """Evicts until a model fits; None if that must wait until what is being built beside can be evicted."""
        device, budget = key.device, self.budget(key.device)
        self.judge(key.model, (device,))
        excess = sum(self.resident(device).values()) + size - budget
        if excess <= 0:
            return []
        leaving = self._leaving(self._idle(device))
        if sum(self._slots[other].bytes for other in leaving) < excess:
            if any(not slot.ready and slot.ahead for other, slot in self._slots.items() if other.device == device):
                return None
            fewer = ", or use models of fewer bits (fp16)" * (device != "cpu")
            raise ModelError(
                f'the model "{called(key.model)}" takes {amount(size)}, and what is in use leaves no room for it on '
                f"{device}\n    {self._figures(device)}; raise the budget (--vram){fewer}"
            )
        left: list[_Slot] = []
        while excess > 0:
            left.append(self._evict(leaving.pop(0)))
            excess -= left[-1].bytes
        return left

    def _leaving(self, keys: Iterable[_Key], since: float | None = None) -> list[_Key]:
        return self._uses.leaving(keys, lambda key: key.model, lambda key: self._slots[key].used, since)

    def _idle(self, device: str | None) -> list[_Key]:
        here = [(key, slot) for key, slot in self._slots.items() if device in (None, key.device)]
        return [key for key, slot in here if slot.ready and self._pins[key] == 0]

    def _evict(self, key: _Key) -> _Slot:
        slot = self._slots.pop(key)
        self._tell("evicted", key, slot.bytes)
        return slot

    def _let_go(self, left: list[_Slot]) -> None:
        """Gives up evicted modules once their device is done with them: until then their memory is not free."""
        for slot in left:
            self.backend.wait(slot.passed)
            slot.module = None

    def _figures(self, device: str) -> str:
        there = sorted(self.resident(device).items(), key=lambda item: -item[1])
        taken, budget = sum(size for _, size in there), self.budget(device)
        named = ", ".join(f"{called(model)} {amount(size)}" for model, size in there[:TOLD])
        more = f" and {len(there) - TOLD} more" if len(there) > TOLD else ""
        free = amount(self.backend.free(device))
        return f"{amount(taken)} of {amount(budget)} taken by models{f' ({named}{more})' * bool(there)}, {free} free"

    def _tell(self, action: Action, key: _Key, size: int) -> None:
        if self._listen is not None:
            resident = sum(self.resident(key.device).values())
            self._listen(Moved(action, key.model, key.device, size, resident))


def computing() -> AbstractContextManager[Any]:
    """A run computes without autograd; a node that needs gradients switches it on for itself."""
    import torch

    return torch.no_grad()
