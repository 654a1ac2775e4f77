"""GEGLU, the gated perceptron of diffusion transformers, with backward."""

from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from nodeflow.kernels.dispatch import Candidate, Operation, always
from nodeflow.kernels.geglu import naive
from nodeflow.kernels.layouts import bucket, expect_floats, rows, told, unfused
from nodeflow.kernels.operators import called, operator

BLOCKS = (512, 1024, 2048)
FOLDER = Path(__file__).parent


def geglu(x: Tensor) -> Tensor:
    """The first half of x times GELU of the second, in its exact, erf form (Shazeer 2020, eq. 6).

    Computed in float32 and rounded once by the fused form. Differentiable.

    Args:
        x: [..., 2 D] of any floating point type.

    Returns: [..., D] of the same type, contiguous.

    Raises:
        TypeError: x is no tensor of a floating point type.
        ValueError: the last dimension is odd, or there is none.
    """
    arguments = bind(x)
    y: Tensor = called(OPERATION, _geglu, naive.geglu, arguments, backward=True)
    return y


def bind(x: Tensor) -> tuple[Tensor]:
    """The arguments, judged."""
    expect_floats(x=x)
    if x.ndim == 0 or x.shape[-1] % 2:
        raise ValueError(f"x has shape {list(x.shape)}, but expected an even last dimension: [..., 2 D]")
    return (x,)


def _legal(x: Tensor) -> str | None:
    if reason := unfused(x):
        return reason
    return None if rows(x) else f"rows of strides {x.stride()} do not lie evenly"


def _key(x: Tensor) -> str:
    even = "even" if rows(x) else "uneven"
    return told(x.dtype, bucket(x.numel() // max(x.shape[-1], 1)), x.shape[-1], even)


def _backward_legal(gradient: Tensor, x: Tensor) -> str | None:
    return unfused(gradient) or _legal(x)


def _backward_key(gradient: Tensor, x: Tensor) -> str:
    return told(gradient.dtype, _key(x))


def _fused(x: Tensor, block: int) -> Tensor:
    from nodeflow.kernels.geglu.triton import geglu

    return geglu(x, block)


def _backward_fused(gradient: Tensor, x: Tensor, block: int) -> Tensor:
    from nodeflow.kernels.geglu.triton import geglu_backward

    return geglu_backward(gradient.contiguous(), x, block)


OPERATION = Operation(
    "geglu",
    (
        Candidate("torch", "torch", always, naive.geglu),
        *(Candidate(f"triton {n}", "triton", _legal, partial(_fused, block=n), {"block": n}) for n in BLOCKS),
    ),
    bind,
    _key,
    FOLDER,
)
BACKWARD = Operation(
    "geglu_backward",
    (
        Candidate("torch", "torch", always, naive.geglu_backward),
        *(
            Candidate(f"triton {n}", "triton", _backward_legal, partial(_backward_fused, block=n), {"block": n})
            for n in BLOCKS
        ),
    ),
    lambda gradient, x: (gradient, x),
    _backward_key,
    FOLDER,
)


def _like(x: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], x.shape[-1] // 2)


def _backward_like(gradient: Tensor, x: Tensor) -> Tensor:
    del gradient
    return x.new_empty(x.shape)


def _keep(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    del output
    ctx.save_for_backward(*inputs)


def _gradient(ctx: Any, gradient: Tensor) -> Tensor:
    dx: Tensor = _geglu_backward(gradient, *ctx.saved_tensors)
    return dx


_geglu = operator("(Tensor x) -> Tensor", naive.geglu, _like, OPERATION)
_geglu_backward = operator("(Tensor gradient, Tensor x) -> Tensor", naive.geglu_backward, _backward_like, BACKWARD)
_geglu.register_autograd(_gradient, setup_context=_keep)
