"""Keeps account of operators: FLOPs, bytes moved, time by a price, and live memory with its peak.

It works on fake tensors and on real ones alike, so that what is planned and what is measured are the same count. Memory
is what storages hold: what an operator takes within itself (a convolution's workspace, reordered weights), what an
allocator rounds up and keeps, and what is no tensor are not covered.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Price = Callable[[str, float, float], float]
"""Seconds of one operator: its kind ("matmul", "convolution", "other", "view"), FLOPs, and bytes."""

VALUED = (Tensor, Parameter)
ATTENTIONS = (
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "nodeflow::attention",
    "nodeflow::attention_torch",
    "nodeflow::attention_triton",
)
"""Attention as torch computes it on a CPU, whose FLOPs it does not know, and as `nodeflow.kernels` does on a GPU."""
KINDS = {"convolution": "convolution", "_convolution": "convolution", "convolution_backward": "convolution"}


@dataclass(slots=True)
class Work:
    """What operators did: how many, FLOPs of products and convolutions, bytes read and written, seconds by a price."""

    operators: float = 0
    flops: float = 0
    bytes: float = 0
    seconds: float = 0

    def add(self, other: Work, times: float = 1) -> None:
        """Counts another's work as well, so many times."""
        self.operators += times * other.operators
        self.flops += times * other.flops
        self.bytes += times * other.bytes
        self.seconds += times * other.seconds

    def since(self, before: Work) -> Work:
        """What has been done since."""
        return Work(
            self.operators - before.operators,
            self.flops - before.flops,
            self.bytes - before.bytes,
            self.seconds - before.seconds,
        )

    def copy(self) -> Work:
        return Work(self.operators, self.flops, self.bytes, self.seconds)


@dataclass(slots=True, eq=False)
class _Held:
    storage: weakref.ref[Any]
    device: str
    bytes: int


class Memory:
    """Bytes alive by device, and the most there have been since `begin`. A storage counts once, however many see it.

    models: bytes that are told of, not seen: those of the models on each device.
    """

    def __init__(self) -> None:
        self.live: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.peak: dict[str, int] = {}
        self.activations: dict[str, int] = {}
        self._held: dict[int, _Held] = {}

    def begin(self) -> None:
        """Peaks are measured from here on."""
        self.peak = {device: self.live[device] + self.models[device] for device in {*self.live, *self.models}}
        self.activations = dict(self.live)

    def see(self, tensor: Tensor, *, counts: bool = True) -> None:
        """Counts a tensor's storage until it is gone; with counts=False it is somebody else's business for good."""
        device = str(tensor.device)
        if device == "meta":
            return
        try:
            storage = tensor.untyped_storage()
            key = storage._cdata
        except (RuntimeError, NotImplementedError):  # sparse tensors have no one storage
            return
        held = self._held.get(key)
        if held is not None:
            if not counts:
                self._gone(key)
                held.bytes = 0
                self._held[key] = held
            return
        size = storage.nbytes() if counts else 0
        self._held[key] = _Held(weakref.ref(storage, partial(self._dropped, key)), device, size)
        if size:
            self.live[device] += size
            self.raised(device)

    def raised(self, device: str, more: int = 0) -> None:
        """Takes note of the present level, with so many bytes on top, as a peak."""
        live = self.live[device] + more
        self.peak[device] = max(self.peak.get(device, 0), live + self.models[device])
        self.activations[device] = max(self.activations.get(device, 0), live)

    def model(self, device: str, size: int) -> None:
        """Says that a model of so many bytes has come, or gone where it is negative."""
        self.models[device] += size
        self.raised(device)

    def _dropped(self, key: int, _storage: object) -> None:
        self._gone(key)

    def _gone(self, key: int) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self.live[held.device] -= held.bytes


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch has no types for it
    """While it is on, every operator of this thread is booked.

    Args:
        price: what an operator costs in seconds; nothing if None.
    """

    def __init__(self, price: Price | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.price = price
        self.work = Work()
        self.memory = Memory()
        self.booked = [0, 0]
        """Operators on tensors with values, and on others."""
        self.inside = 0.0
        """CPU seconds that went into the operators that were booked, and into booking them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "prim":  # a question, such as for a device
            return func(*args, **(kwargs or {}))
        began = time.thread_time()
        out: Any = None
        try:
            kwargs = kwargs or {}
            out = func(*args, **kwargs)
            self._book(func, args, kwargs, out)
            return out
        finally:
            self.booked[any(type(tensor) not in VALUED for tensor in tensors_in(out))] += 1
            self.inside += time.thread_time() - began

    def _book(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        given, made = list(tensors_in((args, kwargs))), list(tensors_in(out))
        if made and all(tensor.device.type == "meta" for tensor in made):  # a network that is being laid out
            return
        for tensor in given:
            self.memory.see(tensor)
        flops = 0.0
        if is_view(func):
            kind, size = "view", 0
        else:
            count = flop_registry.get(func._overloadpacket, _attended if func.name() in ATTENTIONS else None)
            flops = float(count(*args, **kwargs, out_val=out)) if count is not None else 0.0
            kind = KINDS.get(func._overloadpacket.__name__, "matmul") if count is not None else "other"
            size = sum(map(touched, given)) + sum(map(touched, made))
        work = self.work
        work.operators += 1
        work.flops += flops
        work.bytes += size
        if self.price is not None:
            work.seconds += self.price(kind, flops, size)
        for tensor in made:
            self.memory.see(tensor)


def _attended(q: Tensor, k: Tensor, *_: Any, **__: Any) -> int:
    """Two products of as many multiplications as there are numbers in all scores, times the width of a head."""
    batch, heads, queries, width = q.shape
    return 4 * batch * heads * queries * k.shape[2] * width


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)


def touched(tensor: Tensor) -> int:
    """Bytes that reading all of a tensor moves; what is repeated by a stride of 0 is read once."""
    size = tensor.element_size()
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        size *= length if stride else min(length, 1)
    return size


_views: dict[Any, bool] = {}


def is_view(func: Any) -> bool:
    """Whether an operator gives another view of what it is given, and reads nothing."""
    known = _views.get(func)
    if known is None:
        returns, name = func._schema.returns, func._overloadpacket.__name__
        known = name in ("lift_fresh", "detach", "alias") or (
            bool(returns) and all(item.alias_info is not None and not item.alias_info.is_write for item in returns)
        )
        _views[func] = known
    return known


def clock() -> float:
    """CPU seconds of this thread."""
    return time.thread_time()
