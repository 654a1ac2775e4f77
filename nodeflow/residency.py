"""Models on devices: built when first asked for, kept while the budget lasts, evicted by their next use.

Only leaves (`values.Model`) live here, keyed by the recipe itself. What the plan says about coming steps decides who
leaves: never needed again first, then the one whose next use is farthest, and never one that a running node holds.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
import math
import os
import platform
import sys
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from nodeflow import values
from nodeflow.errors import ModelError, PluginError
from nodeflow.values import Model, Recipe

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

SHARE = 0.8
"""The part of a device's free memory that models may take unless told otherwise; activations need the rest."""
CPU_SHARE = 0.6
"""The same for main memory, which the cache, the system and other programs use as well."""
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")


@dataclass(frozen=True, slots=True)
class Moved:
    """A model was built, found resident, or evicted; `resident` is what the device's models take afterwards."""

    action: Literal["built", "reused", "evicted"]
    model: Model
    device: str
    bytes: int
    resident: int


class Device(NamedTuple):
    """A place to compute: "cpu", "cuda:0", "mps", ..."""

    name: str
    description: str
    free: int


@dataclass(slots=True, eq=False)
class _Slot:
    """One model on one device; its bytes count from the moment its building begins, when there is no module yet."""

    bytes: int
    used: int
    module: Any = None
    ready: bool = False


class _Key(NamedTuple):
    device: str
    model: Model


class Residency:
    """Who is on which device. Thread-safe: one lock, which nobody holds while a model is being built.

    A thread may therefore load the next node's model while this one computes; the space is taken before the building
    starts, and whoever asks for the same model meanwhile waits for it.

    Args:
        budgets: bytes that models may take on each device; absent or None: a share of what is free when first asked.
        listen: told of every move, in order.
        relief: called when a device runs out of memory, to let go of what else holds some (`Cache.shed`).
    """

    def __init__(
        self,
        budgets: Mapping[str, int | None] | None = None,
        *,
        listen: Callable[[Moved], None] | None = None,
        relief: Callable[[], object] | None = None,
    ) -> None:
        known = (budgets or {}).items()
        self._budgets = {device_name(device): limit for device, limit in known if limit is not None}
        self._listen, self._relief = listen, relief
        self._changed = threading.Condition(threading.RLock())
        self._slots: dict[_Key, _Slot] = {}
        self._pins: Counter[_Key] = Counter()
        self._uses: dict[Model, list[int]] = {}
        self._step = 0
        self._clock = itertools.count()

    def expect(self, steps: Sequence[tuple[Model, ...]]) -> None:
        """Says which models each coming step needs, in the order of the run, and that step 0 comes first."""
        uses: dict[Model, list[int]] = {}
        for step, models in enumerate(steps):
            for model in dict.fromkeys(models):
                uses.setdefault(model, []).append(step)
        with self._changed:
            self._uses, self._step = uses, 0

    def reached(self, step: int) -> None:
        """Says that the run is at this step now; a model counts as needed until the step that uses it is passed."""
        with self._changed:
            self._step = step

    @contextmanager
    def using(self, models: Iterable[Model], device: torch.device | str) -> Iterator[Callable[[Model], Any]]:
        """Keeps models from eviction while a node runs; yields its `load`, which keeps what it loads as well."""
        name, held = device_name(device), set[_Key]()

        def hold(model: Model) -> None:
            key = _key(name, model)
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

    def load(self, model: Model, device: torch.device | str) -> Any:
        """The model's module on `device`, built there unless it is resident; others leave to make room.

        Nothing keeps it from leaving as well, once another is loaded: a node loads through `using`.

        Raises:
            ModelError: it cannot be read, or is larger than the budget, alone or beside what is in use.
        """
        key = _key(device_name(device), model)
        with self._changed:
            while (slot := self._slots.get(key)) is not None and not slot.ready:
                self._changed.wait()
            if slot is not None:
                slot.used = next(self._clock)
                self._tell("reused", key, slot.bytes)
                return slot.module
            size = model.size
            self._make_room(key, size)
            slot = self._slots[key] = _Slot(size, next(self._clock))
        try:
            module = self.retrying(lambda: model.build(key.device), key.device)
        except BaseException:
            with self._changed:
                del self._slots[key]
                self._changed.notify_all()
            raise
        with self._changed:
            slot.module, slot.ready = module, True
            self._tell("built", key, slot.bytes)
            self._changed.notify_all()
        return module

    def retrying(self, compute: Callable[[], T], device: torch.device | str) -> T:
        """Computes; if memory runs out, evicts all that no node holds, and tries once again.

        Raises:
            ModelError: there was too little memory the second time as well.
        """
        name = device_name(device)
        for first in (True, False):
            try:
                return compute()
            except (MemoryError, RuntimeError) as error:
                if not _ran_out(error):
                    raise
                said = (str(error).splitlines() or [type(error).__name__])[0]
            # out here the error is gone, and with its traceback the tensors of the frames that failed
            if first:
                self.release(name)
        raise ModelError(
            f"out of memory on {name}, even with all other models evicted: {said}\n"
            f"    {self._figures(name)}; use smaller pictures or batches, or models of fewer bits (fp16)"
        )

    def release(self, device: torch.device | str | None = None) -> int:
        """Evicts every model that no node holds, on one device or on all, and returns the bytes they took."""
        name = device_name(device) if device is not None else None
        with self._changed:
            freed = sum(self._evict(key) for key in self._idle(name))
        if self._relief is not None:
            self._relief()
        gc.collect()  # modules and tracebacks in circles would keep their tensors
        _give_back()
        return freed

    def resident(self, device: torch.device | str) -> dict[Model, int]:
        """The models on a device and their bytes."""
        name = device_name(device)
        with self._changed:
            return {key.model: slot.bytes for key, slot in self._slots.items() if key.device == name}

    def budget(self, device: torch.device | str) -> int:
        """The bytes that models may take on a device; measured at the first question, unless it was given."""
        name = device_name(device)
        with self._changed:
            if name not in self._budgets:
                self._budgets[name] = int(free_bytes(name) * (CPU_SHARE if name == "cpu" else SHARE))
            return self._budgets[name]

    def _make_room(self, key: _Key, size: int) -> None:
        device, budget = key.device, self.budget(key.device)
        if size > budget:
            raise ModelError(
                f"{key.model!r:.100} takes {amount(size)}, more than the {amount(budget)} that models may take on "
                f"{device}\n    raise the budget (--vram), use a model of fewer bits (fp16), or another device"
            )
        excess = sum(self.resident(device).values()) + size - budget
        if excess <= 0:
            return
        leaving = sorted(self._idle(device), key=self._order)
        if sum(self._slots[other].bytes for other in leaving) < excess:
            raise ModelError(
                f"{key.model!r:.100} takes {amount(size)}, and what is in use leaves no room for it on {device}\n"
                f"    {self._figures(device)}; raise the budget (--vram), or use models of fewer bits (fp16)"
            )
        while excess > 0:
            excess -= self._evict(leaving.pop(0))
        _give_back()

    def _order(self, key: _Key) -> tuple[float, int]:
        """First those needed last; among equals the one that was used longest ago."""
        uses = self._uses.get(key.model, [])
        at = bisect_left(uses, self._step)
        return -(uses[at] if at < len(uses) else math.inf), self._slots[key].used

    def _idle(self, device: str | None) -> list[_Key]:
        here = [(key, slot) for key, slot in self._slots.items() if device in (None, key.device)]
        return [key for key, slot in here if slot.ready and self._pins[key] == 0]

    def _evict(self, key: _Key) -> int:
        size = self._slots.pop(key).bytes
        self._tell("evicted", key, size)
        return size

    def _figures(self, device: str) -> str:
        taken, budget = sum(self.resident(device).values()), self.budget(device)
        return f"{amount(taken)} of {amount(budget)} taken by models, {amount(free_bytes(device))} free on the device"

    def _tell(self, action: Literal["built", "reused", "evicted"], key: _Key, size: int) -> None:
        if self._listen is not None:
            resident = sum(self.resident(key.device).values())
            self._listen(Moved(action, key.model, key.device, size, resident))


def models_in(value: Any) -> tuple[Model, ...]:
    """The models that a value holds: leaves of recipes, of fields, lists, tuples and dictionaries; each once."""
    found: dict[Model, None] = {}
    seen: set[int] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Model):
            found[_key("", item).model] = None
            continue
        kind: type = type(item)
        names = _fields(kind)
        if names == () or id(item) in seen:
            continue
        seen.add(id(item))
        if names is not None:
            inside = [getattr(item, name) for name in names]
        else:
            inside = [*item, *item.values()] if isinstance(item, dict) else list(item)
        stack.extend(reversed(inside))
    return tuple(found)


@functools.cache
def _fields(kind: type) -> tuple[str, ...] | None:
    """The fields to look into; none for what holds no models; None for a collection."""
    if issubclass(kind, (list, tuple, dict)):
        return None
    data = kind.__module__ == values.__name__ and not issubclass(kind, Recipe)  # pictures, tables: never a recipe
    if data or not dataclasses.is_dataclass(kind):
        return ()
    return tuple(field.name for field in dataclasses.fields(kind))


def computing() -> AbstractContextManager[Any]:
    """A run computes without autograd; a node that needs gradients switches it on for itself."""
    import torch

    return torch.no_grad()


def device_name(device: torch.device | str) -> str:
    """One name for one device: "cuda" is "cuda:0"."""
    name = str(device)
    return "cuda:0" if name == "cuda" else name


def default_device() -> str:
    """The fastest device there is."""
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def devices() -> list[Device]:
    """All devices there are, the default one first."""
    import torch

    found = [Device("cpu", f"{platform.machine()}, {torch.get_num_threads()} threads", free_bytes("cpu"))]
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU", free_bytes("mps")))
    for index in range(torch.cuda.device_count()):
        name = f"cuda:{index}"
        found.append(Device(name, torch.cuda.get_device_name(index), free_bytes(name)))
    first = default_device()
    return sorted(found, key=lambda device: device.name != first)


def free_bytes(device: str) -> int:
    """The memory that a device could give now."""
    if device.startswith("cuda"):
        import torch

        if torch.cuda.is_available():
            return int(torch.cuda.mem_get_info(device)[0])
    if device == "mps":
        import torch

        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return _free_ram()


def _free_ram() -> int:
    lines = _text("/proc/meminfo").splitlines()
    told = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    # elsewhere than on Linux: half of what is built in, or a guess
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else 4 * 2**30
    free = told[0] if told else half
    limit, used = _text("/sys/fs/cgroup/memory.max").strip(), _text("/sys/fs/cgroup/memory.current").strip()
    # a container sees the host's memory in /proc, and is killed at its own limit
    return min(free, max(int(limit) - int(used), 0)) if limit.isdecimal() and used.isdecimal() else free


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text()
    return ""


def amount(size: float) -> str:
    """Bytes as people read them: "6.9 GB", "35 MB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}" if size < 10 * scale else f"{size / scale:.0f} {unit}"
    return f"{size:.0f} bytes"


def _key(device: str, model: Model) -> _Key:
    try:
        hash(model)
    except TypeError as error:
        raise PluginError(
            f"{type(model).__name__} cannot be told from other models: {error}\n"
            f"    make it a frozen dataclass of hashable fields: tuples instead of lists, no tensors"
        ) from error
    return _Key(device, model)


def _ran_out(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return any(sign in str(error).lower() for sign in OUT_OF_MEMORY)


def _give_back() -> None:
    """Hands freed blocks back to the device: in pieces of the old models' shapes they would not fit the new one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
