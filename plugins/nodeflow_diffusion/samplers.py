"""Samplers: the published algorithms and nothing else.

denoise(x, alpha, sigma) estimates x_0 of x = alpha x_0 + sigma eps, or gives the two estimates that guidance makes one
of. steps: pairs ((alpha_t, sigma_t), (alpha_s, sigma_s)), s the next, less noisy level; whoever iterates them owns
progress and cancelling. noise(): standard normal, shaped as x. All take x [B, C, H, W] at the first level and return it
at the last.
"""

from collections.abc import Callable, Iterable

from torch import Tensor

from nodeflow.kernels import guided_step
from nodeflow_diffusion.guidance import Estimates
from nodeflow_diffusion.levels import Level

Denoise = Callable[[Tensor, float, float], Tensor | Estimates]
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
        c_x, c_0 = alpha_ts * sigma_s**2 / sigma_t**2, alpha_s * variance_ts / sigma_t**2
        x = moved(x, x_0, c_x, c_0, variance_ts**0.5 * sigma_s / sigma_t, noise)
    return x


def ddim(denoise: Denoise, x: Tensor, steps: Steps, *, eta: float = 0.0, noise: Noise) -> Tensor:
    """Deterministic for eta = 0, DDPM for eta = 1 (Song et al. 2020, eq. 12 and 16).

    x_s = alpha_s x_0 + kept eps + fresh noise, where eps = (x_t - alpha_t x_0) / sigma_t.
    """
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x_0 = denoise(x, alpha_t, sigma_t)
        fresh = eta * sigma_s / sigma_t * (sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2) ** 0.5
        kept = max(0.0, sigma_s**2 - fresh**2) ** 0.5
        x = moved(x, x_0, kept / sigma_t, alpha_s - kept / sigma_t * alpha_t, fresh, noise)
    return x


def euler(denoise: Denoise, x: Tensor, steps: Steps) -> Tensor:
    """Euler's method on dz = v dt, v = eps - x_0 (Liu et al. 2022, algorithm 1).

    Any schedule is brought to the flow's coordinates, z = x / (alpha + sigma) at t = sigma / (alpha + sigma), where the
    way is straightest, z_s = z + (s - t) v with v = (z - x_0) / t; there one Euler step is one DDIM step.
    """
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        t, s = sigma_t / (alpha_t + sigma_t), sigma_s / (alpha_s + sigma_s)
        x_0 = denoise(x, alpha_t, sigma_t)
        x = moved(x, x_0, s / t * (alpha_s + sigma_s) / (alpha_t + sigma_t), (1 - s / t) * (alpha_s + sigma_s))
    return x


def moved(
    x: Tensor, x_0: Tensor | Estimates, c_x: float, c_0: float, c_noise: float = 0.0, noise: Noise | None = None
) -> Tensor:
    """c_x x + c_0 x_0 + c_noise noise(): on a GPU one kernel, the guidance of two estimates included.

    Noise is drawn only where some is added.
    """
    conditional, unconditional, scale = x_0 if isinstance(x_0, Estimates) else (x_0, None, 1.0)
    drawn = noise() if noise is not None and c_noise > 0 else None
    weights = {"c_x": c_x, "c_eps": c_0, "c_noise": c_noise if drawn is not None else 0.0}
    return guided_step(conditional, unconditional, x, drawn, guidance=scale, **weights)
