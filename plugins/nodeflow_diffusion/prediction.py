"""What a denoiser predicts, and how the one becomes the other; a flow model under any schedule.

Everywhere x_t = alpha x_0 + sigma eps. Predictions: "x0" the picture; "eps" the noise; "v" = alpha eps - sigma x_0
(Salimans and Ho 2022); "flow" = eps - x_0, the velocity of rectified flow in its own time. alpha and sigma broadcast
against x_t ([B, 1, 1, 1], or numbers).
"""

from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["eps", "v", "x0", "flow"]
Number = Tensor | float


def denoised(kind: Prediction, prediction: Tensor, x_t: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """The picture x_0 that a prediction means.

    "eps" divides by alpha, which is 0 for pure noise; "v" and "flow" stay finite whenever alpha^2 + sigma^2 and
    alpha + sigma do.
    """
    if kind == "x0":
        return prediction
    if kind == "eps":
        return (x_t - sigma * prediction) / alpha
    if kind == "v":
        return (alpha * x_t - sigma * prediction) / (alpha * alpha + sigma * sigma)
    return (x_t - sigma * prediction) / (alpha + sigma)


def predicted(kind: Prediction, x_0: Tensor, x_t: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """The prediction that means x_0: the inverse of `denoised`; all but "x0" divide by sigma."""
    if kind == "x0":
        return x_0
    eps = (x_t - alpha * x_0) / sigma
    if kind == "eps":
        return eps
    return alpha * eps - sigma * x_0 if kind == "v" else eps - x_0


def target(kind: Prediction, x_0: Tensor, eps: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """What a model of that kind is trained towards."""
    if kind == "x0":
        return x_0
    if kind == "eps":
        return eps
    return alpha * eps - sigma * x_0 if kind == "v" else eps - x_0


def to_flow(x_t: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """The rectified-flow point and time of a point on any schedule: exact, as x_t = (alpha + sigma) x_flow.

    alpha, sigma: [B]. Returns x_flow, shaped as x_t, and t = sigma / (alpha + sigma), [B].
    """
    total = alpha + sigma
    return x_t / total.reshape(-1, *[1] * (x_t.dim() - 1)).to(x_t), sigma / total


def from_flow(x_flow: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The inverse of `to_flow`: x_t = (alpha + sigma) x_flow; alpha, sigma: [B] of the schedule."""
    return x_flow * (alpha + sigma).reshape(-1, *[1] * (x_flow.dim() - 1)).to(x_flow)


def nearest_step(t_flow: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The step of a variance-preserving table whose sigma / (alpha + sigma) is nearest to each flow time: [B] int64."""
    alpha, sigma = alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()
    table = sigma / (alpha + sigma)
    return torch.argmin((t_flow.to(table)[:, None] - table[None]).abs(), 1)


def step_between(t_flow: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The step of a variance-preserving table for each flow time: [B], as `step_at`."""
    return step_at((t_flow / (1 - t_flow)).to(alphas_cumprod).log(), log_ratios(alphas_cumprod))


def log_ratios(alphas_cumprod: Tensor) -> Tensor:
    """log(sigma / alpha) of each step of a variance-preserving table; in float64 exact where there is little noise."""
    return ((1 - alphas_cumprod) / alphas_cumprod).log() / 2


def step_at(log_ratio: Tensor, table: Tensor) -> Tensor:
    """The step of a table of log(sigma / alpha) for each such logarithm: [B], a fraction where it lies between two.

    Between two steps it is taken to be a line, as samplers of Stable Diffusion do for levels that are not the table's
    own; those give whole steps. Beyond the table's ends its ends are taken.
    """
    above = torch.searchsorted(table, log_ratio).clamp(1, len(table) - 1)
    low, high = table[above - 1], table[above]
    step = above - 1 + ((log_ratio - low) / (high - low)).clamp(0, 1)
    # noise alone lies infinitely far from the step before it
    step = torch.where(log_ratio < table[-1], step, len(table) - 1)
    # float32 tells neighbours apart to about a thousandth of a step
    return torch.where((step - step.round()).abs() < 2e-3, step.round(), step)


def learned_share(prediction: Tensor) -> tuple[Tensor, Tensor]:
    """The prediction [B, C, H, W] and its share (`guidance.Learned`) of an output [B, 2 C, H, W] that learns both.

    The second half, -1..1 where it has been trained, is the share of 0..1 doubled and moved (Nichol and Dhariwal 2021,
    eq. 15, as they published it).
    """
    found, raw = prediction.chunk(2, 1)
    return found, (raw + 1) / 2
