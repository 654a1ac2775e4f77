"""Weights straight from a file to a device: tensor by tensor from the mapped file, converted where they arrive."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nodeflow_nn.eightbit import EIGHT, hold, in_eight

FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.randn)
"""What makes a module's weights; arange and such are left, whose values a module may want to read."""
SCALINGS = (Tensor.mul, Tensor.__mul__, Tensor.__rmul__)
PIECE = 32 * 2**20
"""Bytes of a staging buffer: two of them are in turn filled by the CPU and read by the device."""
DIRECT = 2**20
"""Tensors up to this size are copied without staging: what that gains is less than the two steps cost."""


class WithoutMemory(TorchFunctionMode):
    """Weights made under it have shapes and no memory, and no first values either.

    Drawing and scaling those on the meta device, as torch would do it by itself, imports sympy and dynamo: 1.9 s.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in FACTORIES:
            return torch.empty(*args, **kwargs | {"device": "meta"})
        first = args[0] if args else kwargs.get("tensor")
        filled = func.__name__.endswith("_") and not func.__name__.endswith("__")
        scaled = func in SCALINGS and isinstance(args[1], int | float)
        if isinstance(first, Tensor) and first.is_meta and (filled or scaled):
            return first
        return func(*args, **kwargs)


class Staging:
    """Copies from pageable memory to a device through two buffers that both can reach without a detour.

    The device reads one while the CPU fills the other. Conversion is the device's work and takes a piece at a time, so
    that beside the weights never more than a piece is there.

    Args:
        device: where to.
        pinned: whether the buffers are locked in memory, which lets a device fetch them by itself.
    """

    def __init__(self, device: torch.device, *, pinned: bool = True, piece: int = PIECE) -> None:
        self._buffers = [torch.empty(piece, dtype=torch.uint8, pin_memory=pinned) for _ in range(2)]
        self._read: list[Any] = [None, None]
        self._device, self._turn = device, 0

    def copy(self, source: Tensor, target: Tensor) -> None:
        """Fills `target`, which is contiguous and on the device, with `source`, which is not; types may differ."""
        flat, filled = source.reshape(-1), target.view(-1)
        length = self._buffers[0].numel() // source.element_size()
        for start in range(0, flat.numel(), length):
            piece = flat[start : start + length]
            self._turn ^= 1
            if self._read[self._turn] is not None:
                self._read[self._turn].synchronize()
            buffer = self._buffers[self._turn][: piece.numel() * piece.element_size()].view(source.dtype)
            buffer.copy_(piece)
            goal = filled[start : start + length]
            if source.dtype == target.dtype:
                goal.copy_(buffer, non_blocking=True)
            else:
                goal.copy_(buffer.to(self._device, non_blocking=True))
            if self._device.type == "cuda":
                self._read[self._turn] = torch.cuda.current_stream(self._device).record_event()


def placed(
    make: Callable[[], nn.Module], path: Path, device: torch.device | str, dtype: torch.dtype | None,
    *, eight: bool = False,
) -> nn.Module:  # fmt: skip
    """A module on a device with the weights of a file, without gradients, in evaluation mode.

    Main memory holds one tensor at a time; drawing first weights is spared. The file's tensors are those of the module.

    Args:
        make: builds the module.
        path: safetensors file.
        device: where the module shall be.
        dtype: of floating point weights there; None keeps the file's.
        eight: whether layers hold their weights in 8 bits, computing in `dtype`, which is then some.
    """
    device = torch.device(device)
    with WithoutMemory():
        module = make()
    staging = Staging(device) if device.type == "cuda" else None
    places = _places(module)
    holding = hold(module, dtype) if eight and dtype is not None else {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (safe_open is no mapping)
            there = places.pop(name, None)
            if not there:
                continue
            source = file.get_tensor(name)
            converted = dtype is not None and source.is_floating_point() and name not in holding
            kind = dtype if dtype is not None and converted else source.dtype
            target = torch.empty(source.shape, dtype=kind, device=device)
            if staging is not None and source.nbytes > DIRECT:
                staging.copy(source, target)
            else:
                target.copy_(source)
            if dtype is not None and name in holding:
                eight_bits, holding[name].scale = in_eight(target, dtype)
                holding[name].eight = nn.Parameter(eight_bits, requires_grad=False)
                continue
            shared = nn.Parameter(target, requires_grad=False) if there[0][1] in there[0][0]._parameters else target
            for owner, key in there:
                _put(owner, key, shared)
    if _unfilled(module):  # values that it computes from zeros or ones: they are made again, in memory
        _complete(module, make())
    for owner, key, value in _tensors(module):  # what no file holds: tables that the module computes
        kind = dtype if dtype is not None and value.is_floating_point() and value.dtype != EIGHT else value.dtype
        if value.device != device or value.dtype != kind:
            _put(owner, key, value.to(device, kind))
    return module.eval().requires_grad_(False)


def _tensors(module: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """Parameters, buffers and plain attributes, each where it stands."""
    for owner in module.modules():
        yield from _own(owner)


def _places(module: nn.Module) -> dict[str, list[tuple[nn.Module, str]]]:
    """By name in the file: where its tensor belongs. Weights that a module shares stay shared, under the first name."""
    found: dict[int, list[tuple[nn.Module, str]]] = {}
    for owner, key, value in _tensors(module):
        found.setdefault(id(value), []).append((owner, key))
    names: dict[str, list[tuple[nn.Module, str]]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        names[name] = found.pop(id(value), [])
    return names


def _put(owner: nn.Module, key: str, value: Tensor) -> None:
    if key in owner._parameters:
        owner._parameters[key] = value if isinstance(value, nn.Parameter) else nn.Parameter(value, requires_grad=False)
    elif key in owner._buffers:
        owner._buffers[key] = value
    else:
        setattr(owner, key, value)


def _unfilled(module: nn.Module) -> bool:
    return any(value.is_meta for _, _, value in _tensors(module))


def _complete(module: nn.Module, whole: nn.Module) -> None:
    """Takes what has no values yet from a module that was built in memory."""
    made = {(path, key): value for path, owner in whole.named_modules() for _, key, value in _own(owner)}
    for path, owner in module.named_modules():
        for _, key, value in _own(owner):
            if value.is_meta:
                _put(owner, key, made[path, key].detach())


def _own(owner: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    groups = (owner._parameters, owner._buffers, vars(owner))
    return [(owner, key, value) for group in groups for key, value in group.items() if isinstance(value, Tensor)]
