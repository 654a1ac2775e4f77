"""Noise levels for sampling: lists of (alpha, sigma), most noise first, the picture (1, 0) last. All in float64."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from nodeflow_diffusion.schedules import flow_times, rectified_flow, variance_preserving

Level = tuple[float, float]
"""(alpha, sigma) of x = alpha x_0 + sigma noise."""
Spacing = Literal["trailing", "leading", "linspace"]

PICTURE: Level = (1.0, 0.0)


def flow_levels(steps: int, shift: float = 1.0) -> list[Level]:
    """The steps + 1 levels of rectified flow, alpha = 1 - t, sigma = t.

    shift: t becomes shift t / (1 + (shift - 1) t) (Stable Diffusion 3, eq. 23): above 1 more of the steps are spent
    where there is much noise, as larger pictures need.
    """
    t = flow_times(steps)
    return _listed(*rectified_flow(shift * t / (1 + (shift - 1) * t)))


def respaced(total: int, steps: int, spacing: Spacing) -> list[int]:
    """Which `steps` of a table's 0 .. total - 1 to visit, falling (Lin et al. 2023, table 2).

    "trailing" begins at the last, "leading" ends at the first, "linspace" does both.
    """
    if not 1 <= steps <= total:
        raise ValueError(f"{steps} steps of a schedule that has {total}\n    ask for 1 to {total}")
    if spacing == "leading":
        return [step * (total // steps) for step in reversed(range(steps))]
    if spacing == "linspace":
        return [round(step) for step in torch.linspace(total - 1, 0, steps, dtype=torch.float64).tolist()]
    return [round(total * left / steps) - 1 for left in range(steps, 0, -1)]


def schedule_levels(alphas_cumprod: Tensor, steps: int, spacing: Spacing = "trailing") -> list[Level]:
    """The steps + 1 levels of a variance-preserving table: those of the visited timesteps, then the picture."""
    visited = respaced(len(alphas_cumprod), steps, spacing)
    return [*_listed(*variance_preserving(alphas_cumprod[visited])), PICTURE]


def from_strength(levels: Sequence[Level], strength: float) -> list[tuple[Level, Level]]:
    """The last part of the way as (from, to) pairs: all of it for strength 1 only, none for 0, else at least one."""
    pairs = list(pairwise(levels))
    # a hair is added, for 0.29 of 100 steps is 28.999999999999996 in floating point
    kept = max(1, int(strength * len(pairs) + 1e-9)) if strength > 0 else 0
    return pairs[len(pairs) - kept :]


def _listed(alpha: Tensor, sigma: Tensor) -> list[Level]:
    return list(zip(alpha.tolist(), sigma.tolist(), strict=True))
