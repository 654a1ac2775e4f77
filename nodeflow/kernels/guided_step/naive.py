"""Guidance and one step of a sampler in plain torch: the specification."""

import torch
from torch import Tensor

from nodeflow.kernels.layouts import accumulator, of_type


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
) -> Tensor:
    """c_x x + c_eps clamp(uncond + guidance (cond - uncond)) + c_noise noise, see `nodeflow.kernels.guided_step`."""
    exact = accumulator(x.dtype)
    prediction = of_type(exact, cond)
    if uncond is not None:
        prediction = torch.lerp(of_type(exact, uncond), prediction, guidance)
    if clip is not None:
        prediction = prediction.clamp(-clip, clip)
    step = (c_x * of_type(exact, x)).add_(prediction, alpha=c_eps)
    if noise is not None:
        step.add_(of_type(exact, noise), alpha=c_noise)
    return of_type(x.dtype, step).contiguous()
