"""Attention: fused over any head dimension where that is faster, with backward."""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from nodeflow.kernels.attention import naive, sdpa
from nodeflow.kernels.attention.arguments import Arguments, bind
from nodeflow.kernels.attention.candidates import (
    INFERRED,
    OPERATION,
    OPERATORS,
    TRAINING,
    choose_training,
    trainable,
    unfusable,
)
from nodeflow.kernels.dispatch import dispatcher
from nodeflow.kernels.layouts import Route, route, wants_gradient

__all__ = ["OPERATION", "TRAINING", "attention"]

MATERIALISED = 2**24
"""Scores that training on a CPU may hold for one attention: 64 MB of float32, and as much again for its gradient."""
WIDENED = 16 if torch.backends.cpu.get_cpu_capability() == "AVX2" else 0
"""Columns below which torch's products are slow on AVX2: of 1024 queries and keys, 8 heads, batch 2, 38 ms for 8 or 15
columns, 30 for 12, and 26 for 16; with backward 162 for 8, 99 for 16. Other processors were not measured."""
WORTH_WIDENING = 2**17
"""Scores of all heads from which that saves more than the copies cost: at 2**17 it gains 9 to 17 % with 8 columns, and
at 2**16 nothing."""


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
    backend: str = "auto",
) -> Tensor:
    """Softmax attention (Vaswani et al. 2017, eq. 1), of any head dimension, without a copy of strided views.

    Softmax and sums in float32 at least. Differentiable. Under autocast q, k and v are cast as torch's own would be.
    Compiled with gradients, "auto" is torch's own attention, which the compiler sees through.

    Args:
        q: [B, H, N, d] queries.
        k: [B, Hkv, M, d] keys; Hkv divides H, and query head h reads head h // (H // Hkv) (Ainslie et al. 2023).
        v: [B, Hkv, M, d] values.
        bias: added to the scaled scores; broadcasts to [B, H, N, M]. If it needs a gradient, torch computes.
        mask: bool, True where a query attends to a key: [B, M], or of another number of dimensions what broadcasts to
            [B, H, N, M]. A query that attends to no key gets zeros.
        causal: query i attends to the keys 0..i, counted from the first, whatever N and M are.
        scale: of the scores; d ** -0.5 unless given.
        backend: "auto": on a GPU what was measured to be fastest; "torch" or "triton": of these.

    Returns: [B, H, N, d] in q's dtype; on a GPU laid out as [B, N, H, d], so that joining the heads copies nothing.

    Raises:
        TypeError: a tensor is of no floating point type, the mask not of bool, or q, k and v are of different types.
        ValueError: a shape does not fit, devices differ, or "triton" was asked for what it does not take.
    """
    arguments = bind(q, k, v, bias=bias, mask=mask, causal=causal, scale=scale, backend=backend)
    tensors = arguments[:4]
    if backend == "triton":
        _expect_fusable(arguments)
    way = route(*tensors)
    if way == "plain":
        return _plain(arguments)
    if wants_gradient(*tensors):
        return _differentiable(arguments, way, backend)
    y: Tensor = OPERATORS[backend](*arguments) if way == "operator" else dispatcher().run(INFERRED[backend], *arguments)
    return y


def _plain(arguments: Arguments) -> Tensor:
    """On a CPU: torch's own, or with AMX for training the plain products, which beat its backward by four to one.

    Without AMX torch's own is as fast or faster in all sizes (one AVX2 thread; forward, forward and backward): 1.4 and
    1.3 times as fast at 64 queries, 64 keys, batch 16; 2.6 and 1.1 at 1024; 2.9 and 1.9 at 4096.

    Narrow heads get columns of zeros, which change no score, where torch's products want as many.
    """
    q, k, v, bias, mask, causal, scale = arguments
    if (
        wants_gradient(q, k, v, bias)
        and _has_amx()
        and q.dtype in (torch.float32, torch.bfloat16)
        and q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] <= MATERIALISED
    ):
        return naive.products(q, k, v, bias=bias, mask=mask, causal=causal, scale=scale)
    if (
        0 < q.shape[3] < WIDENED
        and q.dtype == torch.float32
        and q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] >= WORTH_WIDENING
    ):
        columns = (0, WIDENED - q.shape[3])
        q_wide, k_wide, v_wide = (F.pad(x, columns) for x in (q, k, v))
        return sdpa.attention(q_wide, k_wide, v_wide, bias, mask, causal, scale)[..., : q.shape[3]]
    return sdpa.attention(*arguments)


@cache
def _has_amx() -> bool:
    return torch.cpu._is_amx_tile_supported()


def _differentiable(arguments: Arguments, way: Route, backend: str) -> Tensor:
    """On a GPU with gradients: the fused form with its own backward, or torch's with torch's."""
    if arguments.bias is not None and arguments.bias.requires_grad:
        return sdpa.attention(*arguments)
    if way == "operator":
        return trainable(*arguments) if backend == "triton" else sdpa.attention(*arguments)
    name = choose_training(backend, *arguments)
    if name == "triton":
        return trainable(*arguments)
    if name == "naive":
        q, k, v, bias, mask, causal, scale = arguments
        return naive.attention(q, k, v, bias=bias, mask=mask, causal=causal, scale=scale)
    return sdpa.attention(*arguments, kernel=name.removeprefix("sdpa").strip() or None)


def _expect_fusable(arguments: Arguments) -> None:
    bias = arguments.bias
    reason = unfusable(*arguments)
    if reason is None and bias is not None and wants_gradient(bias):
        reason = "a bias that needs a gradient"
    if reason:
        raise ValueError(f'backend is "triton", but no fused kernel takes {reason}\n    use "auto" or "torch"')
