"""Guidance and one step of a sampler: each tensor is read once, the result written once."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from nodeflow.kernels.compiled import Compiled
from nodeflow.kernels.layouts import images


@triton.jit
def _place(n, C, P, stride_b, stride_c, stride_p, FLAT: tl.constexpr):
    """Where number n of [B, C, P] lies."""
    if FLAT:
        return n
    return n // (C * P) * stride_b + n // P % C * stride_c + n % P * stride_p


@triton.jit
def _guided_step(
    cond, uncond, x, noise, y, N, C, P, ab, ac, ap, ub, uc, up, xb, xc, xp, nb, nc, np,
    guidance, c_x, c_eps, c_noise, clip,
    GUIDED: tl.constexpr, NOISY: tl.constexpr, CLIPPED: tl.constexpr, FLAT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    prediction = tl.load(cond + _place(n, C, P, ab, ac, ap, FLAT), inside, 0.0).to(tl.float32)
    if GUIDED:
        low = tl.load(uncond + _place(n, C, P, ub, uc, up, FLAT), inside, 0.0).to(tl.float32)
        prediction = low + guidance * (prediction - low)
    if CLIPPED:
        prediction = tl.maximum(prediction, -clip, propagate_nan=tl.PropagateNan.ALL)
        prediction = tl.minimum(prediction, clip, propagate_nan=tl.PropagateNan.ALL)
    v = tl.load(x + _place(n, C, P, xb, xc, xp, FLAT), inside, 0.0).to(tl.float32)
    v = c_x * v + c_eps * prediction
    if NOISY:
        v += c_noise * tl.load(noise + _place(n, C, P, nb, nc, np, FLAT), inside, 0.0).to(tl.float32)
    tl.store(y + n, v.to(y.dtype.element_ty), inside)


def guided_step(
    cond: Tensor,
    uncond: Tensor | None,
    x: Tensor,
    noise: Tensor | None,
    guidance: float,
    c_x: float,
    c_eps: float,
    c_noise: float,
    clip: float | None,
    block: int,
) -> Tensor:
    """[B, C, ...] tensors, each with its own evenly lying places -> the next x, contiguous."""
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    given = [x if t is None else t for t in (cond, uncond, x, noise)]
    flat = all(t.is_contiguous() for t in given)
    channels, places, strides = 1, 1, [0] * 12
    if not flat:
        lying = [images(t) for t in given]
        channels, places = x.shape[1], x[0, 0].numel()
        strides = [stride for even in lying if even is not None for stride in even[1:]]
    flags = {"GUIDED": uncond is not None, "NOISY": noise is not None, "CLIPPED": clip is not None, "FLAT": flat}
    _guided_step[(triton.cdiv(x.numel(), block),)](
        *given, y, x.numel(), channels, places, *strides,
        float(guidance), float(c_x), float(c_eps), float(c_noise), float(clip or 0.0), **flags, BLOCK=block,
    )  # fmt: skip
    return y


def _compiled(kind: str, flat: bool) -> Compiled:
    pointers = dict.fromkeys(("cond", "uncond", "x", "noise", "y"), f"*{kind}")
    strides = dict.fromkeys("ab ac ap ub uc up xb xc xp nb nc np".split(), "i64")  # noqa: SIM905 # a line of words
    floats = dict.fromkeys(("guidance", "c_x", "c_eps", "c_noise", "clip"), "fp32")
    constants = {"GUIDED": True, "NOISY": True, "CLIPPED": True, "FLAT": flat, "BLOCK": 1024}
    signature = pointers | dict.fromkeys(("N", "C", "P"), "i64") | strides | floats
    name = f"{kind} {'flat' if flat else 'strided'}"
    return Compiled(name, _guided_step, signature | dict.fromkeys(constants, "constexpr"), constants)


COMPILED = [_compiled(kind, flat) for kind in ("bf16", "fp16", "fp32") for flat in (True, False)]
