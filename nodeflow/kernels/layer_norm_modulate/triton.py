"""Layer normalisation and modulation, whole rows in registers: one read, one write.

The mean is of x minus the row's first number, so that a mean of 1e4 costs no accuracy.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nodeflow.kernels.compiled import Compiled
from nodeflow.kernels.layouts import rows


@triton.jit
def _layer_norm_modulate(
    x, weight, scale, shift, y, R, D, N, n1, n2, s0, s1, s2, scale_b, shift_b, eps,
    WEIGHT: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    start = x + row // (n1 * n2) * s0 + row // n2 % n1 * s1 + row % n2 * s2
    inside = (row < R)[:, None] & (column < D)[None, :]
    pivot = tl.load(start, row < R, 0.0).to(tl.float32)
    v = tl.load(start[:, None] + column[None, :], inside, 0.0).to(tl.float32) - pivot[:, None]
    v = tl.where(inside, v, 0.0)
    v = tl.where(inside, v - (tl.sum(v, 1) / D)[:, None], 0.0)
    v *= (1.0 / tl.sqrt_rn(tl.sum(v * v, 1) / D + eps))[:, None]
    if WEIGHT:
        v *= tl.load(weight + column, column < D, 0.0).to(tl.float32)[None, :]
    batch = (row // N)[:, None]
    slope = 1.0 + tl.load(scale + batch * scale_b + column[None, :], inside, 0.0).to(tl.float32)
    offset = tl.load(shift + batch * shift_b + column[None, :], inside, 0.0).to(tl.float32)
    tl.store(y + row[:, None] * D + column[None, :], (v * slope + offset).to(y.dtype.element_ty), inside)


def layer_norm_modulate(
    x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float, tile: int
) -> Tensor:
    """[B, ..., D] whose rows lie evenly -> the same shape, contiguous; `tile` numbers a program, or one row."""
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    lying = rows(x)
    assert lying is not None
    (n0, n1, n2), strides = lying
    scale, shift = (t if t.stride(1) == 1 else t.contiguous() for t in (scale, shift))
    width, count = x.shape[-1], n0 * n1 * n2
    block = triton.next_power_of_2(width)
    high = max(1, tile // block)
    _layer_norm_modulate[(triton.cdiv(count, high),)](
        x, x if weight is None else weight, scale, shift, y, count, width, count // x.shape[0], n1, n2, *strides,
        scale.stride(0), shift.stride(0), eps,
        WEIGHT=weight is not None, ROWS=high, BLOCK=block, num_warps=_warps(high * block),
    )  # fmt: skip
    return y


def _warps(numbers: int) -> int:
    """Eight numbers a thread: sixteen take 72 registers of float16 on sm_80, and six spill."""
    return max(1, min(16, numbers // 256))


def _compiled(kind: str, high: int, block: int) -> Compiled:
    numbers = dict.fromkeys(("R", "D", "N", "n1", "n2"), "i32")
    numbers |= dict.fromkeys(("s0", "s1", "s2", "scale_b", "shift_b"), "i64")
    constants = {"WEIGHT": True, "ROWS": high, "BLOCK": block}
    signature = dict.fromkeys(("x", "weight", "scale", "shift", "y"), f"*{kind}") | numbers | {"eps": "fp32"}
    whole = signature | dict.fromkeys(constants, "constexpr")
    return Compiled(f"{kind} {high}x{block}", _layer_norm_modulate, whole, constants, _warps(high * block))


COMPILED = [
    _compiled(kind, *shape)
    for kind in ("bf16", "fp16", "fp32")
    for shape in ((4, 256), (1, 1024), (1, 2048), (1, 8192))
]
