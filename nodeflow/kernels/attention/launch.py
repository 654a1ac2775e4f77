"""What a launch of the fused kernels is given: pointers that can be read as they lie, sizes, strides, constants."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

LOG2E = math.log2(math.e)
VECTOR = 8
"""Elements of the widest load: 16 bytes of half precision."""


@dataclass(frozen=True)
class Call:
    """The arguments of one call, each with its last dimension dense; nothing else is ever copied.

    q: [B, H, N, d]. k, v: [B, Hkv, M, d]. bias, mask: expanded to [B, H, N, M], the mask as bytes; or None.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor | None
    mask: Tensor | None
    causal: bool
    scale: float
    gradient: tuple[int, ...] = ()
    """The strides of the result's gradient, of a backward call."""

    @classmethod
    def of(
        cls, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None, causal: bool, scale: float
    ) -> Call:
        """From the arguments of `attention`, judged."""
        shape = (*q.shape[:3], k.shape[2])
        bias = None if bias is None else _expanded(bias, shape)
        mask = None if mask is None else _expanded(mask.view(torch.uint8), shape)
        return cls(_evenly(q), _evenly(k), _evenly(v), bias, mask, causal, scale)

    def with_gradient(self, gradient: Tensor) -> tuple[Call, Tensor]:
        """The same for backward, and the gradient as it can be read."""
        gradient = _evenly(gradient)
        return replace(self, gradient=_strides(gradient)), gradient

    @property
    def batch(self) -> int:
        return self.q.shape[0]

    @property
    def heads(self) -> int:
        return self.q.shape[1]

    @property
    def queries(self) -> int:
        return self.q.shape[2]

    @property
    def keys(self) -> int:
        return self.k.shape[2]

    @property
    def head(self) -> int:
        return self.q.shape[3]

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return self.q, self.k, self.v, self.bias, self.mask

    @property
    def sizes(self) -> tuple[int | float, ...]:
        """Sizes, and the scale from q @ k to base-2 logarithms and from a bias to q @ k."""
        group = self.heads // self.k.shape[1]
        return self.queries, self.keys, self.heads, group, self.scale * LOG2E, 1 / self.scale

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Of q, k, v in units; of bias and mask in grains; of the gradient in units."""
        main = [stride // self.unit for x in (self.q, self.k, self.v) for stride in _strides(x)]
        extra = [
            stride // self.grain for x in (self.bias, self.mask) for stride in ((0,) * 3 if x is None else _strides(x))
        ]
        return *main, *extra, *(stride // self.unit for stride in self.gradient)

    @cached_property
    def unit(self) -> int:
        strides = (stride for x in (self.q, self.k, self.v) for stride in _strides(x))
        return math.gcd(VECTOR, *strides, *self.gradient)

    @cached_property
    def grain(self) -> int:
        return math.gcd(VECTOR, *(stride for x in (self.bias, self.mask) if x is not None for stride in _strides(x)))

    @property
    def constants(self) -> dict[str, Any]:
        kinds = {"BIAS": _kind(self.bias), "MASK": _kind(self.mask), "CAUSAL": self.causal}
        return {"UNIT": self.unit, "GRAIN": self.grain, **kinds}


def dense(x: Tensor) -> Tensor:
    """An empty [B, H, N, d] like x that lies as [B, N, H, d]: what follows joins the heads without a copy."""
    b, h, n, d = x.shape
    return torch.empty(b, n, h, d, dtype=x.dtype, device=x.device).transpose(1, 2)


def _evenly(x: Tensor) -> Tensor:
    """X itself if rows can be read whole: a slice of a fused qkv can."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def _expanded(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """X as [B, H, N, M] whose last dimension is dense; a copy is never larger than x with that dimension filled."""
    x = x.expand(*x.shape[:-1], shape[-1])
    return (x if x.stride(-1) == 1 or shape[-1] == 1 else x.contiguous()).expand(shape)


def _strides(x: Tensor) -> tuple[int, ...]:
    """Of batch, head and row; 0 where there is but one."""
    return tuple(stride if size > 1 else 0 for size, stride in zip(x.shape[:3], x.stride()[:3], strict=True))


def _kind(x: Tensor | None) -> int:
    """0: none; 1: the same for every query; 2: of its own for each."""
    return 0 if x is None else 1 if _strides(x)[2] == 0 else 2
