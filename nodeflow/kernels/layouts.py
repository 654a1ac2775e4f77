"""Where a tensor's numbers lie, and which way a call takes: what all operations ask of their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor

from nodeflow.errors import a_or_an

FUSED = (torch.float32, torch.float16, torch.bfloat16)
"""The types that fused kernels take; float64 is for proofs, and torch's."""
Route = Literal["plain", "operator", "direct"]


def route(*tensors: Tensor | None) -> Route:
    """Which way a call takes.

    "plain": the torch form at once, on a CPU. "operator": the registered operator, where something traces: the
    compiler, fake tensors, a dispatch mode. "direct": the dispatcher, which spares a launch-bound loop the operator's
    50 microseconds.
    """
    given = [tensor for tensor in tensors if tensor is not None]
    if given[0].is_cpu or given[0].device.type != "cuda":
        return "plain"
    if torch.compiler.is_compiling():
        return "operator"
    known = all(type(tensor) in (Tensor, torch.nn.Parameter) for tensor in given)
    return "direct" if known and torch._C._len_torch_dispatch_stack() == 0 else "operator"


def wants_gradient(*tensors: Tensor | None) -> bool:
    """Whether autograd would record an operation on these."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The type that statistics and sums are kept in: float64 stays, all else is float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def unfused(*tensors: Tensor | None) -> str | None:
    """Why no fused kernel takes these: Triton is absent, a device or a type it does not take; None if one may."""
    given = [tensor for tensor in tensors if tensor is not None]
    for tensor in given:
        if tensor.device.type != "cuda":
            return f"a tensor on {tensor.device.type}"
        if tensor.dtype not in FUSED:
            return f"{name_of(tensor.dtype)}; it takes float32, float16 and bfloat16"
    if any(tensor.numel() == 0 for tensor in given):
        return "a tensor without elements"
    return None if _triton_is_there() else "triton is not installed"


@cache
def _triton_is_there() -> bool:
    return find_spec("triton") is not None


def name_of(dtype: torch.dtype) -> str:
    """`bfloat16`, not `torch.bfloat16`."""
    return str(dtype).removeprefix("torch.")


def bucket(size: int) -> int:
    """The size rounded up to two steps an octave: 1, 2, 3, 4, 6, 8, 12, 16, ...; what is measured serves a bucket."""
    power = 1 << max(size - 1, 0).bit_length()
    return power * 3 // 4 if size <= power * 3 // 4 and power >= 4 else power


def of_type(dtype: torch.dtype, x: Tensor) -> Tensor:
    """X in that type: itself where it is of it already, a microsecond sooner than `Tensor.to` says so."""
    return x if x.dtype == dtype else x.to(dtype)


def told(*parts: object) -> str:
    """The parts of a key, one after the other; of tensors and types their names."""
    return " ".join(name_of(part) if isinstance(part, torch.dtype) else str(part) for part in parts)


def rows(x: Tensor) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """Sizes and strides of three dimensions that stand for all but the last; None if it takes more, or gaps within."""
    if x.stride(-1) != 1 and x.shape[-1] > 1:
        return None
    merged: list[tuple[int, int]] = []
    for size, stride in zip(x.shape[:-1], x.stride()[:-1], strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    if len(merged) > 3:
        return None
    padded = [(1, 0)] * (3 - len(merged)) + merged
    (a, b, c), (i, j, k) = zip(*padded, strict=True)
    return (a, b, c), (i, j, k)


def unfused_rows(x: Tensor, *others: Tensor | None, widest: int) -> str | None:
    """Why no fused kernel without a backward takes x row by row; None if one may."""
    if reason := unfused(x, *others):
        return reason
    if wants_gradient(x, *others):
        return "gradients are wanted, and the fused form has no backward"
    if x.shape[-1] > widest:
        return f"rows of {x.shape[-1]} numbers; it takes up to {widest}"
    return None if rows(x) else f"rows of strides {x.stride()} do not lie evenly"


def row_key(x: Tensor, *others: Tensor | None) -> str:
    """What rows are like, as far as the fastest implementation may depend on it."""
    layout = ("even" if rows(x) else "uneven") + ("" if x.is_contiguous() else " strided")
    given = ",".join("-" if tensor is None else name_of(tensor.dtype) for tensor in others)
    gradients = "gradients" if wants_gradient(x, *others) else ""
    return told(x.dtype, bucket(x.numel() // max(x.shape[-1], 1)), x.shape[-1], given, layout, gradients).strip()


def images(x: Tensor) -> tuple[int, int, int, int] | None:
    """[B, C, ...] as [B, C, P]: P and three strides; None if the places do not lie evenly, or neither way densely."""
    sizes, strides = x.shape[2:], x.stride()[2:]
    merged = [(size, stride) for size, stride in zip(sizes, strides, strict=True) if size > 1]
    step = merged[-1][1] if merged else (x.shape[1] if x.stride(1) == 1 else 1)
    expected, places = step, 1
    for size, stride in reversed(merged):
        if stride != expected:
            return None
        expected, places = expected * size, places * size
    channel = x.stride(1) if x.shape[1] > 1 else 1
    return (places, x.stride(0), channel, step) if 1 in (step, channel) else None


def channels_last(x: Tensor) -> bool:
    """Whether [B, C, H, W] has its channels closest together, so that a result should have them so as well."""
    return x.ndim == 4 and not x.is_contiguous() and x.stride(1) == 1 and x.stride(3) >= x.shape[1] > 1


def expect_shape(what: str, tensor: Tensor | None, shape: Sequence[int]) -> None:
    """Refuses a tensor of another shape: ValueError with both."""
    if tensor is not None and tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{what} has shape {list(tensor.shape)}, but expected {list(shape)}")


def expect_floats(**tensors: Any) -> None:
    """Refuses what is no floating point tensor (TypeError), or on another device than the first (ValueError)."""
    device: torch.device | None = None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} is {a_or_an(type(tensor).__name__)}, but expected a tensor")
        if not tensor.dtype.is_floating_point:
            raise TypeError(f"{name} is of {name_of(tensor.dtype)}, but expected a floating point type")
        if device is None:
            device = tensor.device
        elif tensor.device != device:
            raise ValueError(f"{name} is on {tensor.device}, but expected {device} as the first tensor")
