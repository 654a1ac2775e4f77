"""Group normalisation, FiLM modulation and activation in one, with backward."""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nodeflow.kernels.dispatch import Candidate, Operation, always
from nodeflow.kernels.group_norm_act import naive
from nodeflow.kernels.layouts import (
    accumulator,
    bucket,
    channels_last,
    expect_floats,
    expect_shape,
    images,
    name_of,
    told,
    unfused,
)
from nodeflow.kernels.operators import called, operator

Act = Literal["silu", "none"]
Parameter = Tensor | None
WIDEST = 8192
FOLDER = Path(__file__).parent


def group_norm_act(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    *,
    eps: float,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    act: Act = "silu",
) -> Tensor:
    """act(group_norm(x) * (1 + scale) + shift): Wu and He 2018, eq. 1 to 7; FiLM as in ADM (Dhariwal and Nichol 2021).

    Statistics in float32, of x minus a number of its group, so that a mean of 1e4 costs no accuracy. Differentiable.

    Args:
        x: [B, C, ...], of any memory format; a [B, C, H, W] in channels-last is computed and returned as such.
        weight: [C] gain, or None.
        bias: [C], or None.
        groups: divides C.
        eps: added to the variance.
        scale: [B, C], or None.
        shift: [B, C], or None.
        act: "silu", or "none".

    Returns: the shape and type of x.

    Raises:
        TypeError: a tensor is of no floating point type.
        ValueError: a shape does not fit x, groups does not divide C, or act is unknown.
    """
    arguments = bind(x, weight, bias, groups, eps=eps, scale=scale, shift=shift, act=act)
    y: Tensor = called(OPERATION, _group_norm_act, naive.group_norm_act, arguments, backward=True)
    return y


def bind(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    *,
    eps: float,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    act: Act = "silu",
) -> tuple[Tensor, Parameter, Parameter, Parameter, Parameter, int, float, Act]:
    """The arguments, judged, in the order that candidates take them."""
    expect_floats(x=x, weight=weight, bias=bias, scale=scale, shift=shift)
    if x.ndim < 3:
        raise ValueError(f"x has shape {list(x.shape)}, but expected [B, C, ...] with at least one more dimension")
    batch, channels = x.shape[:2]
    if groups < 1 or channels % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels")
    for name, tensor in (("weight", weight), ("bias", bias)):
        expect_shape(name, tensor, (channels,))
    for name, tensor in (("scale", scale), ("shift", shift)):
        expect_shape(name, tensor, (batch, channels))
    if act not in ("silu", "none"):
        raise ValueError(f'act is {act!r}, but expected "silu" or "none"')
    return x, weight, bias, scale, shift, groups, eps, act


def _legal(x: Tensor, *rest: Any) -> str | None:
    weight, bias, scale, shift, groups, _, _ = rest
    if reason := unfused(x, weight, bias, scale, shift):
        return reason
    if x.shape[1] // groups > WIDEST:
        return f"groups of {x.shape[1] // groups} channels; it takes up to {WIDEST}"
    return None if images(x) else f"strides {x.stride()}: neither NCHW nor channels-last"


def _one_legal(x: Tensor, *rest: Any) -> str | None:
    if reason := _legal(x, *rest):
        return reason
    from nodeflow.kernels.group_norm_act.triton import fits_one

    return None if fits_one(x, rest[4]) else "a group does not fit in the registers of one program"


def _backward_legal(gradient: Tensor, *arguments: Any) -> str | None:
    return unfused(gradient) or _legal(*arguments)


def _key(x: Tensor, *rest: Any) -> str:
    *parameters, groups, _, act = rest
    batch, channels, places = x.shape[0], x.shape[1], x[0, 0].numel() if x.shape[0] else 0
    lying = images(x)
    layout = "uneven" if lying is None else "last" if lying[2] == 1 else "first"
    given = ",".join("-" if tensor is None else name_of(tensor.dtype) for tensor in parameters)
    return told(x.dtype, bucket(batch), channels, bucket(places), f"g{groups}", layout, given, act)


def _backward_key(gradient: Tensor, *arguments: Any) -> str:
    return told(gradient.dtype, "last" if channels_last(gradient) else "first", _key(*arguments))


def _fused(*arguments: Any, one: bool) -> Tensor:
    from nodeflow.kernels.group_norm_act.triton import group_norm_act

    return group_norm_act(*arguments, one=one)


def _backward_fused(*arguments: Any) -> tuple[Tensor, Tensor]:
    from nodeflow.kernels.group_norm_act.triton import group_norm_act_backward

    return group_norm_act_backward(*arguments)


OPERATION = Operation(
    "group_norm_act",
    (
        Candidate("torch", "torch", always, naive.group_norm_act),
        Candidate("triton one", "triton", _one_legal, partial(_fused, one=True), {"programs": "one for each group"}),
        Candidate("triton split", "triton", _legal, partial(_fused, one=False), {"programs": "pieces of the places"}),
    ),
    bind,
    _key,
    FOLDER,
)
BACKWARD = Operation(
    "group_norm_act_backward",
    (
        Candidate("torch", "torch", always, naive.group_norm_act_backward),
        Candidate("triton split", "triton", _backward_legal, _backward_fused, {"programs": "pieces of the places"}),
    ),
    lambda *arguments: arguments,
    _backward_key,
    FOLDER,
)


def _like(x: Tensor, *rest: Any) -> Tensor:
    del rest
    form = torch.channels_last if channels_last(x) else torch.contiguous_format
    return torch.empty_like(x, memory_format=form)


def _backward_like(gradient: Tensor, x: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    del gradient, rest
    return _like(x), x.new_empty(2, x.shape[0], x.shape[1], dtype=accumulator(x.dtype))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    *tensors, ctx.groups, ctx.eps, ctx.act = inputs
    ctx.save_for_backward(*tensors)


def _gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    _, weight, bias, scale, shift = ctx.saved_tensors
    dx, sums = _group_norm_act_backward(gradient, *ctx.saved_tensors, ctx.groups, ctx.eps, ctx.act)
    plain, weighted = sums.unbind()
    modulated = sums if scale is None else sums * (1 + scale.to(sums.dtype))
    made = {"weight": modulated[1].sum(0), "bias": modulated[0].sum(0), "shift": plain}
    made["scale"] = weighted if weight is None else weighted * weight.to(sums.dtype)
    if bias is not None:
        made["scale"] = made["scale"] + plain * bias.to(sums.dtype)
    parameters = {"weight": weight, "bias": bias, "scale": scale, "shift": shift}
    gradients = (None if given is None else made[name].to(given.dtype) for name, given in parameters.items())
    return dx, *gradients, None, None, None


_TAKES = "Tensor x, Tensor? weight, Tensor? bias, Tensor? scale, Tensor? shift, int groups, float eps, str act"
_group_norm_act = operator(f"({_TAKES}) -> Tensor", naive.group_norm_act, _like, OPERATION)
_group_norm_act_backward = operator(
    f"(Tensor gradient, {_TAKES}) -> (Tensor, Tensor)", naive.group_norm_act_backward, _backward_like, BACKWARD
)
_group_norm_act.register_autograd(_gradient, setup_context=_keep)
