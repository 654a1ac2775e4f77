"""Guidance and one step of a sampler in plain torch: the specification."""

from torch import Tensor

from nodeflow.kernels.layouts import accumulator


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
    prediction = cond.to(exact)
    if uncond is not None:
        low = uncond.to(exact)
        prediction = low + guidance * (prediction - low)
    if clip is not None:
        prediction = prediction.clamp(-clip, clip)
    step = c_x * x.to(exact) + c_eps * prediction
    if noise is not None:
        step = step + c_noise * noise.to(exact)
    return step.to(x.dtype).contiguous()
