"""Classifier-free guidance and the whole update of a DDPM or DDIM step in one pass."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from nodeflow.kernels.dispatch import Candidate, Operation, always
from nodeflow.kernels.guided_step import naive
from nodeflow.kernels.layouts import (
    bucket,
    expect_floats,
    expect_shape,
    images,
    name_of,
    told,
    unfused,
    wants_gradient,
)
from nodeflow.kernels.operators import called, operator

BLOCKS = (256, 1024)
FOLDER = Path(__file__).parent
Arguments = tuple[Tensor, Tensor | None, Tensor, Tensor | None, float, float, float, float, float | None]


def guided_step(
    cond: Tensor,
    uncond: Tensor | None,
    x: Tensor,
    noise: Tensor | None,
    *,
    guidance: float,
    c_x: float,
    c_eps: float,
    c_noise: float,
    clip: float | None = None,
) -> Tensor:
    """c_x x + c_eps p + c_noise noise with p = uncond + guidance (cond - uncond), clamped to -clip..clip.

    DDPM (Ho et al. 2020, algorithm 2) and DDIM (Song et al. 2020, eq. 12) are of this form in whatever the network
    predicts: noise, x_0 or v only change c_x and c_eps. Guidance is Ho and Salimans 2022, eq. 6, with 1 + w for
    guidance. clip is static thresholding (Saharia et al. 2022, section 2.3) where x_0 is predicted. Computed in
    float32 and rounded once. The fused form has no backward: with gradients, torch computes it.

    Args:
        cond: [B, ...] prediction under the condition.
        uncond: the same shape: prediction without it; None for no guidance.
        x: the same shape: the sample, at the noisier level.
        noise: the same shape: standard normal; None for a step that adds none.
        guidance: 1 gives cond, 0 gives uncond; unused without uncond.
        c_x: weight of x.
        c_eps: weight of the guided prediction.
        c_noise: weight of the noise; 0 without noise.
        clip: bound of the guided prediction, above 0, or None.

    Returns: the shape and type of x, contiguous.

    Raises:
        TypeError: a tensor is of no floating point type.
        ValueError: a shape is not that of x, c_noise is not 0 without noise, or clip is not above 0.
    """
    arguments = bind(
        cond, uncond, x, noise, guidance=guidance, c_x=c_x, c_eps=c_eps, c_noise=c_noise, clip=clip
    )  # fmt: skip
    y: Tensor = called(OPERATION, _guided_step, naive.guided_step, arguments)
    return y


def bind(
    cond: Tensor,
    uncond: Tensor | None,
    x: Tensor,
    noise: Tensor | None,
    *,
    guidance: float,
    c_x: float,
    c_eps: float,
    c_noise: float,
    clip: float | None = None,
) -> Arguments:
    """The arguments, judged, in the order that candidates take them."""
    expect_floats(x=x, cond=cond, uncond=uncond, noise=noise)
    for name, tensor in (("cond", cond), ("uncond", uncond), ("noise", noise)):
        expect_shape(name, tensor, x.shape)
    if noise is None and c_noise != 0:
        raise ValueError(f"c_noise is {c_noise}, but expected 0 without noise")
    if clip is not None and not clip > 0:
        raise ValueError(f"clip is {clip}, but expected a number above 0, or None")
    return cond, uncond, x, noise, guidance, c_x, c_eps, c_noise, clip


def _legal(cond: Tensor, uncond: Tensor | None, x: Tensor, noise: Tensor | None, *_: object) -> str | None:
    given = [tensor for tensor in (cond, uncond, x, noise) if tensor is not None]
    if reason := unfused(*given):
        return reason
    if wants_gradient(*given):
        return "gradients are wanted, and the fused form has no backward"
    if all(tensor.is_contiguous() for tensor in given) or (x.ndim > 2 and all(images(tensor) for tensor in given)):
        return None
    return "a tensor is neither contiguous, NCHW nor channels-last"


def _key(cond: Tensor, uncond: Tensor | None, x: Tensor, noise: Tensor | None, *rest: object) -> str:
    given = (x, cond, uncond, noise)
    types = ",".join("-" if tensor is None else name_of(tensor.dtype) for tensor in given)
    dense = "".join("-" if tensor is None else "c" if tensor.is_contiguous() else "s" for tensor in given)
    gradients = "gradients" if wants_gradient(*given) else ""
    return told(types, bucket(x.numel()), dense, "clip" if rest[-1] is not None else "", gradients).strip()


def _fused(*arguments: Any, block: int) -> Tensor:
    from nodeflow.kernels.guided_step.triton import guided_step

    step: Callable[..., Tensor] = guided_step
    return step(*arguments, block=block)


OPERATION = Operation(
    "guided_step",
    (
        Candidate("torch", "torch", always, naive.guided_step),
        *(Candidate(f"triton {n}", "triton", _legal, partial(_fused, block=n), {"block": n}) for n in BLOCKS),
    ),
    bind,
    _key,
    FOLDER,
)


def _like(cond: Tensor, uncond: Tensor | None, x: Tensor, *rest: object) -> Tensor:
    del cond, uncond, rest
    return x.new_empty(x.shape)


_guided_step = operator(
    "(Tensor cond, Tensor? uncond, Tensor x, Tensor? noise, float guidance, float c_x, float c_eps, float c_noise,"
    " float? clip) -> Tensor",
    naive.guided_step,
    _like,
    OPERATION,
)
