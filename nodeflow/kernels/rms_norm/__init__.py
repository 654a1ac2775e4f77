"""Root-mean-square normalisation: qk-norm of attention heads, pre-norm of transformers."""

from functools import partial
from pathlib import Path

from torch import Tensor

from nodeflow.kernels.dispatch import Candidate, Operation, always
from nodeflow.kernels.layouts import expect_floats, expect_shape, row_key, unfused_rows
from nodeflow.kernels.operators import called, operator
from nodeflow.kernels.rms_norm import naive

TILES = (1024, 4096)
WIDEST = 16384
FOLDER = Path(__file__).parent


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """X / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang and Sennrich 2019, eq. 4).

    Computed in float32 and rounded once. The fused form has no backward: with gradients, torch computes it.

    Args:
        x: [..., D]; rows may be strided, as heads of a fused qkv are.
        weight: [D] gain, or None.
        eps: added to the mean square.

    Returns: the shape and type of x, contiguous.

    Raises:
        TypeError: a tensor is of no floating point type.
        ValueError: x has no dimension, or weight is not [D].
    """
    arguments = bind(x, weight, eps)
    y: Tensor = called(OPERATION, _rms_norm, naive.torchs_own, arguments)
    return y


def bind(x: Tensor, weight: Tensor | None, eps: float) -> tuple[Tensor, Tensor | None, float]:
    """The arguments, judged."""
    expect_floats(x=x, weight=weight)
    if x.ndim == 0:
        raise ValueError("x has no dimension, but expected [..., D]")
    expect_shape("weight", weight, x.shape[-1:])
    return x, weight, eps


def _legal(x: Tensor, weight: Tensor | None, eps: float) -> str | None:
    del eps
    return unfused_rows(x, weight, widest=WIDEST)


def _key(x: Tensor, weight: Tensor | None, eps: float) -> str:
    del eps
    return row_key(x, weight)


def _fused(x: Tensor, weight: Tensor | None, eps: float, tile: int) -> Tensor:
    from nodeflow.kernels.rms_norm.triton import rms_norm

    return rms_norm(x, weight, eps, tile)


OPERATION = Operation(
    "rms_norm",
    (
        Candidate("torch rms_norm", "torch", always, naive.torchs_own),
        Candidate("torch", "torch", always, naive.rms_norm),
        *(Candidate(f"triton {n}", "triton", _legal, partial(_fused, tile=n), {"tile": n}) for n in TILES),
    ),
    bind,
    _key,
    FOLDER,
)


def _like(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    del weight, eps
    return x.new_empty(x.shape)


_rms_norm = operator("(Tensor x, Tensor? weight, float eps) -> Tensor", naive.torchs_own, _like, OPERATION)
