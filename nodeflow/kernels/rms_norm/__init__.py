"""Root-mean-square normalisation: qk-norm of attention heads, pre-norm of transformers."""

from functools import partial
from pathlib import Path

from torch import Tensor

from nodeflow.kernels.dispatch import Candidate, Operation, always, dispatcher
from nodeflow.kernels.layouts import (
    bucket,
    expect_floats,
    expect_shape,
    name_of,
    route,
    rows,
    told,
    unfused,
    wants_gradient,
)
from nodeflow.kernels.operators import operator
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
    way = route(x, weight)
    if way == "plain" or (way == "operator" and wants_gradient(x, weight)):
        y = naive.rms_norm(*arguments)
    elif way == "operator":
        y = _rms_norm(*arguments)
    else:
        y = dispatcher().run(OPERATION, *arguments)
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
    if reason := unfused(x, weight):
        return reason
    if wants_gradient(x, weight):
        return "gradients are wanted, and the fused form has no backward"
    if x.shape[-1] > WIDEST:
        return f"rows of {x.shape[-1]} numbers; it takes up to {WIDEST}"
    return None if rows(x) else f"rows of strides {x.stride()} do not lie evenly"


def _key(x: Tensor, weight: Tensor | None, eps: float) -> str:
    del eps
    layout = ("even" if rows(x) else "uneven") + ("" if x.is_contiguous() else " strided")
    given = "-" if weight is None else name_of(weight.dtype)
    gradients = "gradients" if wants_gradient(x, weight) else ""
    return told(x.dtype, bucket(x.numel() // max(x.shape[-1], 1)), x.shape[-1], given, layout, gradients).strip()


def _fused(x: Tensor, weight: Tensor | None, eps: float, tile: int) -> Tensor:
    from nodeflow.kernels.rms_norm.triton import rms_norm

    return rms_norm(x, weight, eps, tile)


OPERATION = Operation(
    "rms_norm",
    (
        Candidate("torch", "torch", always, naive.rms_norm),
        Candidate("torch rms_norm", "torch", always, naive.torchs_own),
        *(Candidate(f"triton {n}", "triton", _legal, partial(_fused, tile=n), {"tile": n}) for n in TILES),
    ),
    bind,
    _key,
    FOLDER,
)


def _like(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    del weight, eps
    return x.new_empty(x.shape)


_rms_norm = operator("(Tensor x, Tensor? weight, float eps) -> Tensor", naive.rms_norm, _like, OPERATION)
