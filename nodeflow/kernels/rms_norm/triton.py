"""Root-mean-square normalisation, whole rows in registers: one read, one write; rows may be strided, as of a qkv."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nodeflow.kernels.compiled import Compiled
from nodeflow.kernels.layouts import rows


@triton.jit
def _rms_norm(
    x, weight, y, R, D, n1, n2, s0, s1, s2, eps, WEIGHT: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    start = row // (n1 * n2) * s0 + row // n2 % n1 * s1 + row % n2 * s2
    inside = (row < R)[:, None] & (column < D)[None, :]
    v = tl.load(x + start[:, None] + column[None, :], inside, 0.0).to(tl.float32)
    v *= (1.0 / tl.sqrt_rn(tl.sum(v * v, 1) / D + eps))[:, None]
    if WEIGHT:
        v *= tl.load(weight + column, column < D, 0.0).to(tl.float32)[None, :]
    tl.store(y + row[:, None] * D + column[None, :], v.to(y.dtype.element_ty), inside)


def rms_norm(x: Tensor, weight: Tensor | None, eps: float, tile: int) -> Tensor:
    """[..., D] whose rows lie evenly, [D] -> [..., D], contiguous; `tile` numbers for each program, or one row."""
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    lying = rows(x)
    assert lying is not None
    (n0, n1, n2), strides = lying
    width, count = x.shape[-1], n0 * n1 * n2
    block = triton.next_power_of_2(width)
    high = max(1, tile // block)
    _rms_norm[(triton.cdiv(count, high),)](
        x, x if weight is None else weight, y, count, width, n1, n2, *strides, eps,
        WEIGHT=weight is not None, ROWS=high, BLOCK=block, num_warps=max(1, min(16, high * block // 512)),
    )  # fmt: skip
    return y


def _compiled(kind: str, high: int, block: int) -> Compiled:
    numbers = dict.fromkeys(("R", "D", "n1", "n2"), "i32") | dict.fromkeys(("s0", "s1", "s2"), "i64")
    constants = {"WEIGHT": True, "ROWS": high, "BLOCK": block}
    signature = dict.fromkeys(("x", "weight", "y"), f"*{kind}") | numbers | {"eps": "fp32"}
    return Compiled(f"{kind} {high}x{block}", _rms_norm, signature | dict.fromkeys(constants, "constexpr"), constants)


COMPILED = [_compiled(kind, *shape) for kind in ("bf16", "fp16", "fp32") for shape in ((32, 64), (2, 1024), (1, 2048))]
