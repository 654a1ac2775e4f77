"""Noise levels as sigmas of x = x_0 + sigma eps, falling, without the last 0: [steps] float64."""

import math

import torch
from torch import Tensor


def karras(steps: int, smallest: float, largest: float, rho: float = 7.0) -> Tensor:
    """Evenly in sigma^(1/rho): short steps where there is little noise (Karras et al. 2022, eq. 5)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    first, last = largest ** (1 / rho), smallest ** (1 / rho)
    return torch.pow(first + ramp * (last - first), rho)


def polyexponential(steps: int, smallest: float, largest: float, rho: float = 1.0) -> Tensor:
    """Log sigma as a power of what is left of the way: evenly for rho = 1, else more steps at one end.

    Above 1 the steps are short where there is little noise.
    """
    ramp = torch.linspace(1, 0, steps, dtype=torch.float64) ** rho
    return torch.exp(ramp * (math.log(largest) - math.log(smallest)) + math.log(smallest))


def exponential(steps: int, smallest: float, largest: float) -> Tensor:
    """Evenly in log sigma."""
    return polyexponential(steps, smallest, largest)


def of_table(alphas_cumprod: Tensor) -> Tensor:
    """The sigmas of a variance-preserving table's steps, rising: sigma / alpha of each."""
    return ((1 - alphas_cumprod) / alphas_cumprod).sqrt()


def between_steps(alphas_cumprod: Tensor, places: list[float]) -> Tensor:
    """The sigmas at places between a table's steps, on straight lines from sigma to sigma: [places]."""
    known, wanted = of_table(alphas_cumprod), torch.tensor(places, dtype=torch.float64)
    below = wanted.floor().long().clamp(0, len(known) - 1)
    above = (below + 1).clamp(max=len(known) - 1)
    return torch.lerp(known[below], known[above], wanted - below)
