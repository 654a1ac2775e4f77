"""Noise schedules: how much picture and how much noise at each time. All in float64.

A variance-preserving schedule is a table of betas; its alphas_cumprod give x_t = alpha x_0 + sigma eps with
alpha = sqrt(alphas_cumprod), sigma = sqrt(1 - alphas_cumprod). Rectified flow has alpha = 1 - t, sigma = t, t in 0..1.
"""

import math
from typing import Literal

import torch
from torch import Tensor

ScheduleName = Literal["linear", "scaled_linear", "cosine"]


def linear_betas(steps: int = 1000, start: float = 1e-4, end: float = 0.02) -> Tensor:
    """Betas on a line (DDPM, section 4): [steps] float64."""
    return torch.linspace(start, end, steps, dtype=torch.float64)


def scaled_linear_betas(steps: int = 1000, start: float = 0.00085, end: float = 0.012) -> Tensor:
    """Betas whose square roots lie on a line (LDM, Stable Diffusion): [steps] float64."""
    return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64).square()


def cosine_betas(steps: int = 1000, offset: float = 0.008, largest: float = 0.999) -> Tensor:
    """Betas whose alphas_cumprod are a squared cosine (Improved DDPM, eq. 17): [steps] float64.

    beta_t = min(1 - f((t + 1) / T) / f(t / T), largest), f(u) = cos((u + offset) / (1 + offset) pi / 2)^2.
    """
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = torch.cos((u + offset) / (1 + offset) * (math.pi / 2)).square()
    return (1 - f[1:] / f[:-1]).clamp(max=largest)


def betas(name: ScheduleName, steps: int = 1000) -> Tensor:
    """A schedule's betas by name, with its paper's constants: [steps] float64.

    Those of "linear" are for 1000 steps; of more each is as much smaller, so that they end at the same noise (Nichol
    and Dhariwal 2021, as they published it).
    """
    if name == "linear":
        return linear_betas(steps, 1e-4 * (1000 / steps), 0.02 * (1000 / steps))
    return {"scaled_linear": scaled_linear_betas, "cosine": cosine_betas}[name](steps)


def alphas_cumprod(betas: Tensor) -> Tensor:
    """Running product of 1 - beta (DDPM, section 2): [steps] float64, falling from about 1 to about 0."""
    return torch.cumprod(1 - betas.double(), 0)


def zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """The schedule with its last step moved to noise alone, its first kept (Lin et al. 2023, algorithm 1): [steps].

    sqrt(alphas_cumprod) is shifted so that it ends at 0 and stretched so that it begins as before. What predicts the
    noise cannot be sampled from there, as its estimate of the picture is divided by alpha.
    """
    alpha = alphas_cumprod.sqrt()
    return ((alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))).square()


def variance_preserving(alphas_cumprod: Tensor) -> tuple[Tensor, Tensor]:
    """Alpha and sigma of x_t = alpha x_0 + sigma eps, alpha^2 + sigma^2 = 1; shapes as given."""
    return alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()


def rectified_flow(t: Tensor) -> tuple[Tensor, Tensor]:
    """Alpha = 1 - t and sigma = t of x_t = alpha x_0 + sigma eps (Liu et al. 2022); t in 0 (picture) .. 1 (noise)."""
    return 1 - t, t


def flow_times(steps: int) -> Tensor:
    """Steps + 1 evenly spaced times from 1 (noise) to 0 (picture), float64."""
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)
