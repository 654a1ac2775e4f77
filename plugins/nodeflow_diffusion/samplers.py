"""Samplers: the published algorithms and nothing else.

denoise(x, alpha, sigma) estimates x_0 of x = alpha x_0 + sigma eps. steps: pairs ((alpha_t, sigma_t), (alpha_s,
sigma_s)), s the next, less noisy level; whoever iterates them owns progress and cancelling. noise(): standard normal,
shaped as x. All take x [B, C, H, W] at the first level and return it at the last.
"""

from collections.abc import Callable, Iterable

from torch import Tensor

from nodeflow_diffusion.levels import Level

Denoise = Callable[[Tensor, float, float], Tensor]
Steps = Iterable[tuple[Level, Level]]
Noise = Callable[[], Tensor]


def ddpm(denoise: Denoise, x: Tensor, steps: Steps, *, noise: Noise) -> Tensor:
    """Ancestral sampling: x_s from q(x_s | x_t, x_0) (Ho et al. 2020, algorithm 2 and eq. 7).

    In the form that skips steps and needs no variance-preserving schedule (Kingma et al. 2021, appendix A.4).
    """
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x_0 = denoise(x, alpha_t, sigma_t)
        alpha_ts = alpha_t / alpha_s
        variance_ts = sigma_t**2 - alpha_ts**2 * sigma_s**2
        x = (alpha_ts * sigma_s**2 * x + alpha_s * variance_ts * x_0) / sigma_t**2
        if sigma_s > 0:
            x = x + variance_ts**0.5 * sigma_s / sigma_t * noise()
    return x


def ddim(denoise: Denoise, x: Tensor, steps: Steps, *, eta: float = 0.0, noise: Noise) -> Tensor:
    """Deterministic for eta = 0, DDPM for eta = 1 (Song et al. 2020, eq. 12 and 16)."""
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x_0 = denoise(x, alpha_t, sigma_t)
        eps = (x - alpha_t * x_0) / sigma_t
        fresh = eta * sigma_s / sigma_t * (sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2) ** 0.5
        x = alpha_s * x_0 + max(0.0, sigma_s**2 - fresh**2) ** 0.5 * eps
        if fresh > 0:
            x = x + fresh * noise()
    return x


def euler(denoise: Denoise, x: Tensor, steps: Steps) -> Tensor:
    """Euler's method on dz = v dt, v = eps - x_0 (Liu et al. 2022, algorithm 1).

    Any schedule is brought to the flow's coordinates, z = x / (alpha + sigma) at t = sigma / (alpha + sigma), where the
    way is straightest; there one Euler step is one DDIM step.
    """
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        t, s = sigma_t / (alpha_t + sigma_t), sigma_s / (alpha_s + sigma_s)
        z = x / (alpha_t + sigma_t)
        v = (z - denoise(x, alpha_t, sigma_t)) / t
        x = (z + (s - t) * v) * (alpha_s + sigma_s)
    return x
