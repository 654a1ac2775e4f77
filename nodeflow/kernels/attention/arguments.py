"""The arguments of attention, judged: every way to compute it may then trust them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nodeflow.kernels.layouts import expect_floats, name_of


class Arguments(NamedTuple):
    """What all implementations take, in this order; bias and mask have four dimensions that broadcast."""

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor | None
    mask: Tensor | None
    causal: bool
    scale: float


def bind(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
    backend: str = "auto",
) -> Arguments:
    """The arguments of `attention`, in the order that candidates take them.

    Raises:
        TypeError: one is no tensor of a type that can be attended with, or the types of q, k and v differ.
        ValueError: a shape does not fit, devices differ, or there is no such backend.
    """
    if backend not in ("auto", "torch", "triton"):
        raise ValueError(f'backend is {backend!r}, but expected "auto", "torch" or "triton"')
    expect_floats(q=q, k=k, v=v, bias=bias)
    kind = q.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):  # torch refuses the question for meta
        lower = torch.get_autocast_dtype(kind)
        q, k, v = (x if x.dtype == torch.float64 else x.to(lower) for x in (q, k, v))
    for name, x in (("k", k), ("v", v)):
        if x.dtype != q.dtype:
            raise TypeError(f"{name} is of {name_of(x.dtype)}, but expected {name_of(q.dtype)} as q")
    _expect_shapes(q, k, v)
    if mask is not None:
        _expect_mask(mask, q)
        if mask.shape == (q.shape[0], k.shape[2]):
            mask = mask.unsqueeze(1).unsqueeze(1)
        else:
            full = mask.unsqueeze(1).unsqueeze(1) if mask.ndim == 2 else mask
            mask = _broadcasting("mask", mask, full, q, k, "[B, M] or what broadcasts to ")
    if bias is not None:
        bias = _broadcasting("bias", bias, bias, q, k, "what broadcasts to ")
    return Arguments(q, k, v, bias, mask, causal, q.shape[-1] ** -0.5 if scale is None else scale)


def _expect_shapes(q: Tensor, k: Tensor, v: Tensor) -> None:
    if q.ndim == 4 and q.shape == k.shape == v.shape and q.shape[-1]:
        return
    if q.ndim != 4 or q.shape[-1] == 0:
        raise ValueError(f"q has shape {list(q.shape)}, but expected [B, H, N, d]")
    batch, heads, _, head = q.shape
    if k.ndim != 4 or k.shape[0] != batch or k.shape[3] != head:
        raise ValueError(f"k has shape {list(k.shape)}, but expected [{batch}, Hkv, M, {head}]")
    if k.shape[1] != heads and (k.shape[1] == 0 or heads % k.shape[1]):
        raise ValueError(f"k has {k.shape[1]} heads, which do not divide q's {heads}")
    if v.shape != k.shape:
        raise ValueError(f"v has shape {list(v.shape)}, but expected {list(k.shape)} as k")


def _expect_mask(mask: Tensor, q: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        given = name_of(mask.dtype) if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"mask is of {given}, but expected a tensor of bool, True to attend; a bias is added to scores")
    if mask.device != q.device:
        raise ValueError(f"mask is on {mask.device}, but expected {q.device} as q")


def _broadcasting(name: str, given: Tensor, x: Tensor, q: Tensor, k: Tensor, expected: str) -> Tensor:
    """The same with four dimensions."""
    shape = (*q.shape[:3], k.shape[2])
    fits = x.ndim <= 4 and all(
        size in (1, whole) for size, whole in zip(reversed(x.shape), reversed(shape), strict=False)
    )
    if not fits:
        raise ValueError(f"{name} has shape {list(given.shape)}, but expected {expected}{list(shape)}")
    while x.ndim < 4:  # not x[None]: indexing a fake tensor asks for the device, which may not be there
        x = x.unsqueeze(0)
    return x
