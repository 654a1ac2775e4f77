"""The nearest entry of a codebook: a tile of products at a time, of which only the best is kept."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nodeflow.kernels.compiled import Compiled
from nodeflow.kernels.vq_nearest.naive import centred

DEEP = 16
"""Columns of a product: of tf32x3, 32 spill 73 registers before Hopper, and 64 spill 2827."""


@triton.jit
def _vq_nearest(
    z, codebook, half, nearest, N, K, D,
    PRECISION: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    column = tl.arange(0, BD)
    least = tl.full([BN], float("inf"), tl.float32)
    chosen = tl.zeros([BN], tl.int32)
    for low in range(0, K, BK):
        k = low + tl.arange(0, BK)
        products = tl.zeros([BN, BK], tl.float32)
        for first in range(0, D, BD):
            d = first + column
            mine = tl.load(z + n[:, None] * D + d[None, :], (n < N)[:, None] & (d < D)[None, :], 0.0)
            theirs = tl.load(
                codebook + k.to(tl.int64)[None, :] * D + d[:, None], (k < K)[None, :] & (d < D)[:, None], 0.0
            )
            products = tl.dot(mine, theirs, products, input_precision=PRECISION)
        score = tl.load(half + k, k < K, float("inf"))[None, :] - products
        best = tl.min(score, 1)
        at = tl.argmin(score, 1, tie_break_left=True)
        closer = best < least  # an equal one of a later tile has a higher number
        least = tl.where(closer, best, least)
        chosen = tl.where(closer, low + at, chosen)
    tl.store(nearest + n, chosen.to(tl.int64), n < N)


def vq_nearest(z: Tensor, codebook: Tensor, high: int, wide: int) -> Tensor:
    """[..., D], [K, D] -> [...] int64; `high` rows of z in a program, `wide` entries at a time."""
    flat, entries, half = centred(z, codebook)
    nearest = torch.empty(len(flat), dtype=torch.int64, device=z.device)
    _vq_nearest[(triton.cdiv(len(flat), high),)](
        flat, entries, half, nearest, len(flat), len(entries), z.shape[-1],
        PRECISION="ieee" if torch.version.hip else "tf32x3", BN=high, BK=wide, BD=DEEP,
        num_warps=high // 16, num_stages=2,
    )  # fmt: skip
    return nearest.view(z.shape[:-1])


def _compiled(high: int, wide: int, precision: str, *targets: str) -> Compiled:
    constants = {"PRECISION": precision, "BN": high, "BK": wide, "BD": DEEP}
    signature = {"z": "*fp32", "codebook": "*fp32", "half": "*fp32", "nearest": "*i64"}
    signature |= dict.fromkeys(("N", "K", "D"), "i32") | dict.fromkeys(constants, "constexpr")
    return Compiled(f"{high}x{wide} {precision}", _vq_nearest, signature, constants, high // 16, targets=targets)


COMPILED = [
    _compiled(*shape, *launched)
    for shape in ((64, 64), (128, 64))
    for launched in (("tf32x3", "sm_80", "sm_90"), ("ieee", "gfx942"))
]
