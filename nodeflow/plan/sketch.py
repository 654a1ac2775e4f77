"""Tensors that are known as far as that is cheap: small ones that follow from the graph alone are computed, what comes
of weights is a shape.

So noise levels, masks and small pictures keep their values, and a sampler finds its way by them, while a network's
answer is fake. Nobody can ask for the value of a fake one: whoever does will be known when it runs, and not before. No
value is taken to be infinite or not a number.
"""

from __future__ import annotations

import math
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map_only

from nodeflow.plan.ledger import is_view, tensors_in

KNOWN = 2**18
"""Elements up to which a tensor's values are computed: at most a millisecond, and a picture of 256 x 256 in four."""
T = TypeVar("T")
Ports = frozenset[str]
NO_PORTS: Ports = frozenset()
_ASKED = (fake_tensor.DataDependentOutputException, fake_tensor.DynamicOutputShapeException)
_LACKING = (fake_tensor.UnsupportedOperatorException, fake_tensor.UnsupportedFakeTensorException, NotImplementedError)


class Unforeseen(BaseException):
    """A node asks for what only its run can tell. No node's `except Exception` shall take it for an error."""


class Sketch(TorchDispatchMode):
    """Decides operator by operator whether it is computed or only laid out, and traces tensors to a node's inputs.

    Args:
        device: where tensors are that were laid out on the meta device.
    """

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = torch.device(device)
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.blamed: tuple[BaseException | None, Ports] = (None, NO_PORTS)
        """The error of the operator that failed last, and the inputs whose tensors met there."""
        self._origins: dict[int, Ports] = {}
        self._unknown: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = list(tensors_in((args, kwargs)))
        laying = all(tensor.is_meta and not isinstance(tensor, FakeTensor) for tensor in given) if given else False
        if laying or str(kwargs.get("device")) == "meta":  # a network that somebody lays out
            return func(*args, **kwargs)
        try:
            out = self._out(func, args, kwargs, given)
        except (Exception, Unforeseen) as error:
            self.blamed = error, self.ports(given)
            raise
        if self._origins and (ports := self.ports(given)):
            for tensor in tensors_in(out):
                self._origins.setdefault(tensor.untyped_storage()._cdata, ports)
        return out

    def _out(self, func: Any, args: Any, kwargs: Any, given: list[Tensor]) -> Any:
        real = [tensor for tensor in given if not isinstance(tensor, FakeTensor) and not tensor.is_meta]
        if is_view(func) and len(real) == len(given) == 1:
            return func(*args, **kwargs)
        whole = len(real) == len(given) and not any(map(self.is_unknown, real))
        if whole and all(_stored(tensor) <= KNOWN for tensor in real):
            shape = _pointwise(func, given)
            if shape is not None and math.prod(shape) <= KNOWN:
                return func(*args, **kwargs)
            if shape is None:
                try:
                    laid = self._laid_out(func, args, kwargs)
                except Unforeseen:  # its shape or its result depends on values, which are known
                    return func(*args, **kwargs)
                if all(tensor.numel() <= KNOWN for tensor in tensors_in(laid)):
                    return func(*args, **kwargs)
                if not _written(func):
                    return laid
        return self._unknown_out(func, args, kwargs)

    def _unknown_out(self, func: Any, args: Any, kwargs: Any) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default or func is torch.ops.aten.is_nonzero.default:
            raise Unforeseen("reads a tensor's value")
        out = self._laid_out(func, args, kwargs)
        written = [args[index] if index < len(args) else kwargs.get(name) for index, name in _written(func)]
        written = [tensor for tensor in tensors_in(written) if not isinstance(tensor, FakeTensor)]
        if not written:
            return out
        for tensor in written:
            self.forget(tensor)
        return written[0] if isinstance(out, Tensor) else written if out is not None else None

    def _laid_out(self, func: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = tree_map_only(Tensor, self.laid_out, (args, kwargs))
        args, kwargs = tree_map_only(torch.Generator, lambda _: None, (args, kwargs))
        try:
            with self.fake:
                return func(*args, **kwargs)
        except _ASKED as error:
            raise Unforeseen("reads values of a tensor to decide how it goes on") from error
        except _LACKING as error:
            raise Unforeseen(f"the operator {func} can only be run") from error

    def laid_out(self, tensor: Tensor, device: str | None = None) -> Tensor:
        """A tensor's shape without its values."""
        if isinstance(tensor, FakeTensor):
            return tensor
        own = self.device if tensor.is_meta else tensor.device
        place = torch.device(device) if device is not None else own
        return self.empty(tuple(tensor.shape), tensor.stride(), tensor.dtype, place)

    def empty(
        self, shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """A fake tensor of that shape."""
        with _disable_current_modes():
            meta = torch.empty_strided(shape, stride, dtype=dtype, device="meta")
            return FakeTensor(self.fake, meta, device)

    def is_unknown(self, tensor: Tensor) -> bool:
        """Whether a tensor's values cannot be told."""
        if isinstance(tensor, FakeTensor) or tensor.is_meta:
            return True
        return bool(self._unknown) and tensor.untyped_storage()._cdata in self._unknown

    def forget(self, tensor: Tensor) -> None:
        """From now on a tensor's values are unknown: a real one keeps its memory, and what it says does not count."""
        if not isinstance(tensor, FakeTensor):
            storage = tensor.untyped_storage()
            key = storage._cdata
            self._unknown[key] = weakref.ref(storage, lambda _: self._unknown.pop(key, None))

    def trace(self, origins: Iterable[tuple[Tensor, str]]) -> None:
        """From now on tensors are traced to these inputs, and to no others."""
        self._origins = {}
        self.blamed = None, NO_PORTS
        for tensor, port in origins:
            self.comes_from(tensor, port)

    def comes_from(self, tensor: Tensor, port: str) -> None:
        """Says that a tensor came in by that input."""
        key = tensor.untyped_storage()._cdata
        self._origins[key] = self._origins.get(key, NO_PORTS) | {port}

    def ports(self, tensors: Iterable[Tensor]) -> Ports:
        """The inputs that tensors were made of."""
        known = self._origins
        found = NO_PORTS
        for tensor in tensors:
            found |= known.get(tensor.untyped_storage()._cdata, NO_PORTS)
        return found


_SHAPES = (torch.Tensor.shape.__get__, torch.Tensor.size, torch.Tensor.__len__)  # type: ignore[attr-defined]
_VALUES: tuple[Any, ...] = (torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.data_ptr, torch.Tensor.__array__)
_FINITE: dict[Any, bool] = {
    torch.isfinite: True, torch.Tensor.isfinite: True, torch.isnan: False, torch.Tensor.isnan: False,
    torch.isinf: False, torch.Tensor.isinf: False,
}  # fmt: skip


class Reader(TorchFunctionMode):
    """Watches what a node reads of its tensors: shapes, which tell whose fault a complaint is, and values."""

    def __init__(self, sketch: Sketch) -> None:
        super().__init__()
        self.sketch = sketch
        self.looked: deque[Ports] = deque(maxlen=8)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _SHAPES:
            if self.sketch._origins and (ports := self.sketch.ports(args[:1])):
                self.looked.append(ports)
            return func(*args, **kwargs)
        if func in _VALUES and self.sketch.is_unknown(args[0]):
            raise Unforeseen("reads values of a tensor")
        out = func(*args, **kwargs)
        if func in _FINITE and isinstance(out, Tensor) and self.sketch.is_unknown(args[0]):
            return torch.full((), _FINITE[func], device=out.device).expand(out.shape)
        return out


def _stored(tensor: Tensor) -> int:
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // max(tensor.element_size(), 1))


_places: dict[Any, tuple[tuple[int, str], ...]] = {}


def _written(func: Any) -> tuple[tuple[int, str], ...]:
    """The arguments that an operator writes to: place and name."""
    known = _places.get(func)
    if known is None:
        arguments = enumerate(func._schema.arguments)
        known = _places[func] = tuple(
            (index, item.name) for index, item in arguments if item.alias_info is not None and item.alias_info.is_write
        )
    return known


def _pointwise(func: Any, given: list[Tensor]) -> tuple[int, ...] | None:
    """The shape of an element by element operator's result; None of any other."""
    if torch.Tag.pointwise not in func.tags or not given:
        return None
    return tuple(torch.broadcast_shapes(*(tensor.shape for tensor in given)))  # type: ignore[no-untyped-call]


def quietly(make: Callable[[], T]) -> T:
    """What `make` gives, without the warnings of torch's own fake tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()
