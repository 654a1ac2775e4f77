"""GEGLU in one pass: reads 2 D, writes D; backward reads 3 D, writes 2 D."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from nodeflow.kernels.compiled import Compiled
from nodeflow.kernels.layouts import rows

Strides = tuple[int, int, int]


@triton.jit
def _row(row, n1, n2, s0, s1, s2):
    """Where a row begins, of three dimensions with strides."""
    return row // (n1 * n2) * s0 + row // n2 % n1 * s1 + row % n2 * s2


@triton.jit
def _forward(x, y, D, n1, n2, s0, s1, s2, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    start = x + _row(row, n1, n2, s0, s1, s2)
    inside = column < D
    a = tl.load(start + column, inside, 0.0).to(tl.float32)
    b = tl.load(start + D + column, inside, 0.0).to(tl.float32)
    cdf = 0.5 * (1.0 + tl.erf(b * 0.7071067811865476))
    tl.store(y + row * D + column, (a * b * cdf).to(y.dtype.element_ty), inside)


@triton.jit
def _backward(gradient, x, dx, D, n1, n2, s0, s1, s2, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    start = x + _row(row, n1, n2, s0, s1, s2)
    inside = column < D
    a = tl.load(start + column, inside, 0.0).to(tl.float32)
    b = tl.load(start + D + column, inside, 0.0).to(tl.float32)
    g = tl.load(gradient + row * D + column, inside, 0.0).to(tl.float32)
    cdf = 0.5 * (1.0 + tl.erf(b * 0.7071067811865476))
    slope = cdf + b * 0.3989422804014327 * tl.exp(-0.5 * b * b)
    out = dx + row * 2 * D + column
    tl.store(out, (g * b * cdf).to(dx.dtype.element_ty), inside)
    tl.store(out + D, (g * a * slope).to(dx.dtype.element_ty), inside)


def geglu(x: Tensor, block: int) -> Tensor:
    """[..., 2 D] whose rows lie evenly -> [..., D], contiguous."""
    width = x.shape[-1] // 2
    y = torch.empty(*x.shape[:-1], width, dtype=x.dtype, device=x.device)
    _launch(_forward, (x, y), x, width, block)
    return y


def geglu_backward(gradient: Tensor, x: Tensor, block: int) -> Tensor:
    """The gradient of x, contiguous, from a contiguous one of the result."""
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    _launch(_backward, (gradient, x, dx), x, x.shape[-1] // 2, block)
    return dx


def _launch(kernel: Any, tensors: tuple[Tensor, ...], x: Tensor, width: int, block: int) -> None:
    lying = rows(x)
    assert lying is not None
    (n0, n1, n2), strides = lying
    block = min(block, triton.next_power_of_2(width))
    grid = (n0 * n1 * n2, triton.cdiv(width, block))
    kernel[grid](*tensors, width, n1, n2, *strides, BLOCK=block, num_warps=max(1, min(8, block // 256)))


def _compiled(name: str, fn: Any, tensors: tuple[str, ...], kind: str) -> Compiled:
    numbers = dict.fromkeys(("D", "n1", "n2"), "i32") | dict.fromkeys(("s0", "s1", "s2"), "i64")
    signature = dict.fromkeys(tensors, f"*{kind}") | numbers | {"BLOCK": "constexpr"}
    return Compiled(f"{name} {kind}", fn, signature, {"BLOCK": 1024})


COMPILED = [
    entry
    for kind in ("bf16", "fp16", "fp32")
    for entry in (
        _compiled("geglu", _forward, ("x", "y"), kind),
        _compiled("geglu backward", _backward, ("gradient", "x", "dx"), kind),
    )
]
