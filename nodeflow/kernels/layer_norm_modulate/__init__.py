"""Layer normalisation with a modulation for each picture: the norm of diffusion transformers (adaLN)."""

from functools import partial
from pathlib import Path

from torch import Tensor

from nodeflow.kernels.dispatch import Candidate, Operation, always
from nodeflow.kernels.layer_norm_modulate import naive
from nodeflow.kernels.layouts import expect_floats, expect_shape, row_key, unfused_rows
from nodeflow.kernels.operators import called, operator

TILES = (1024, 4096)
WIDEST = 8192
"""Rows of 16384 numbers spill 54 registers on sm_90 with sixteen warps, 26 with thirty-two."""
FOLDER = Path(__file__).parent
Arguments = tuple[Tensor, Tensor | None, Tensor, Tensor, float]


def layer_norm_modulate(x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """layer_norm(x) * (1 + scale) + shift over the last dimension (adaLN; Peebles and Xie 2023, section 3.2).

    Computed in float32 and rounded once by the fused form, which has no backward: with gradients, torch computes it.

    Args:
        x: [B, ..., D].
        weight: [D] gain of the norm, or None.
        scale: [B, D], or [B, 1, D].
        shift: [B, D], or [B, 1, D].
        eps: added to the variance.

    Returns: the shape and type of x, contiguous.

    Raises:
        TypeError: a tensor is of no floating point type.
        ValueError: a shape does not fit x.
    """
    arguments = bind(x, weight, scale, shift, eps)
    y: Tensor = called(OPERATION, _layer_norm_modulate, naive.layer_norm_modulate, arguments)
    return y


def bind(x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float) -> Arguments:
    """The arguments, judged; scale and shift as [B, D]."""
    expect_floats(x=x, weight=weight, scale=scale, shift=shift)
    if x.ndim < 2:
        raise ValueError(f"x has shape {list(x.shape)}, but expected [B, ..., D]")
    expect_shape("weight", weight, x.shape[-1:])
    flat = [t.squeeze(1) if t.ndim == 3 and t.shape[1] == 1 else t for t in (scale, shift)]
    for name, tensor in zip(("scale", "shift"), flat, strict=True):
        expect_shape(name, tensor, (x.shape[0], x.shape[-1]))
    return x, weight, flat[0], flat[1], eps


def _legal(x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float) -> str | None:
    del eps
    return unfused_rows(x, weight, scale, shift, widest=WIDEST)


def _key(x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float) -> str:
    del eps
    return row_key(x, weight, scale, shift)


def _fused(x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float, tile: int) -> Tensor:
    from nodeflow.kernels.layer_norm_modulate.triton import layer_norm_modulate

    return layer_norm_modulate(x, weight, scale, shift, eps, tile)


OPERATION = Operation(
    "layer_norm_modulate",
    (
        Candidate("torch", "torch", always, naive.layer_norm_modulate),
        *(Candidate(f"triton {n}", "triton", _legal, partial(_fused, tile=n), {"tile": n}) for n in TILES),
    ),
    bind,
    _key,
    FOLDER,
)


def _like(x: Tensor, weight: Tensor | None, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    del weight, scale, shift, eps
    return x.new_empty(x.shape)


_layer_norm_modulate = operator(
    "(Tensor x, Tensor? weight, Tensor scale, Tensor shift, float eps) -> Tensor",
    naive.layer_norm_modulate,
    _like,
    OPERATION,
)
