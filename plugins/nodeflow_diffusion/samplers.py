"""Samplers of one estimate a step: the published algorithms and nothing else. Those of more are in `solvers`.

denoise(x, alpha, sigma) estimates x_0 of x = alpha x_0 + sigma eps, or gives the two estimates that guidance makes one
of, and may add a learned variance. steps: pairs ((alpha_t, sigma_t), (alpha_s, sigma_s)), s the next, less noisy level;
whoever iterates them owns progress and cancelling. noise(): standard normal, shaped as x. All take x [B, C, H, W] at
the first level and return it at the last.
"""

from collections.abc import Callable, Iterable
from functools import partial

from torch import Tensor

from nodeflow.kernels import guided_step
from nodeflow_diffusion.guidance import Estimates, Found, Learned, Steered, whole
from nodeflow_diffusion.levels import Level

Denoise = Callable[[Tensor, float, float], Found]
Steps = Iterable[tuple[Level, Level]]
Noise = Callable[[], Tensor]


def ddpm(denoise: Denoise, x: Tensor, steps: Steps, *, noise: Noise) -> Tensor:
    """Ancestral sampling: x_s from q(x_s | x_t, x_0) (Ho et al. 2020, algorithm 2 and eq. 7).

    In the form that skips steps and needs no variance-preserving schedule (Kingma et al. 2021, appendix A.4). The
    variance is that of the posterior, or the learned one of the denoisers that have it. A gradient moves the mean by
    the variance times itself (Dhariwal and Nichol 2021, algorithm 1).
    """
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x_0, gradient = unsteered(denoise(x, alpha_t, sigma_t))
        alpha_ts = alpha_t / alpha_s
        variance_ts = sigma_t**2 - alpha_ts**2 * sigma_s**2
        c_x, c_0 = alpha_ts * sigma_s**2 / sigma_t**2, alpha_s * variance_ts / sigma_t**2
        fresh = variance_ts**0.5 * sigma_s / sigma_t
        if isinstance(x_0, Learned) and fresh > 0:
            spread = fresh * (variance_ts**0.5 / fresh) ** x_0.share
            x = moved(x, x_0, c_x, c_0, 1.0, partial(_of_spread, noise, spread))
        else:
            spread = fresh
            x = moved(x, x_0, c_x, c_0, fresh, noise)
        if gradient is not None:
            x = x + spread**2 * gradient
    return x


def unsteered(found: Found) -> tuple[Tensor | Estimates | Learned, Tensor | None]:
    """An estimate before a gradient moved it, and that gradient."""
    return (found.found, found.gradient) if isinstance(found, Steered) else (found, None)


def _of_spread(noise: Noise, spread: Tensor) -> Tensor:
    return spread * noise()


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


def ddim_inversion(denoise: Denoise, x: Tensor, steps: Steps, *, rounds: int = 1) -> Tensor:
    """The noise from which DDIM makes x (Song et al. 2020, section 4.3): x at the first, less noisy level.

    steps: pairs from s to t, the noisier level. x_t solves the step of DDIM that leads back, and stands on both sides
    of it: x_t = alpha_t / alpha_s x_s + (sigma_t - sigma_s alpha_t / alpha_s) eps(x_t, t). One round takes eps at x_s
    instead, as inversion mostly does; every further round comes nearer to the very solution (Pan et al. 2023).
    """
    for (alpha_s, sigma_s), (alpha_t, sigma_t) in steps:
        x_s = x
        for _ in range(rounds):
            x_0 = whole(denoise(x, alpha_t, sigma_t))
            if alpha_t > 0:
                eps = (x - alpha_t * x_0) / sigma_t
                x = moved(x_s, eps, alpha_t / alpha_s, sigma_t - sigma_s * alpha_t / alpha_s)
            elif sigma_s > 0:  # noise alone, in which no picture is left to begin from
                x = moved(x_s, x_0, sigma_t / sigma_s, -alpha_s * sigma_t / sigma_s)
    return x


def euler(denoise: Denoise, x: Tensor, steps: Steps) -> Tensor:
    """Euler's method on dz = v dt, v = eps - x_0 (Liu et al. 2022, algorithm 1).

    Any schedule is brought to the flow's coordinates, z = x / (alpha + sigma) at t = sigma / (alpha + sigma), where the
    way is straightest, z_s = z + (s - t) v with v = (z - x_0) / t; there one Euler step is one DDIM step. So it is in
    those of Karras et al. 2022, z = x / alpha at t = sigma / alpha.
    """
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        t, s = sigma_t / (alpha_t + sigma_t), sigma_s / (alpha_s + sigma_s)
        x_0 = denoise(x, alpha_t, sigma_t)
        x = moved(x, x_0, s / t * (alpha_s + sigma_s) / (alpha_t + sigma_t), (1 - s / t) * (alpha_s + sigma_s))
    return x


def lcm(denoise: Denoise, x: Tensor, steps: Steps, *, noise: Noise) -> Tensor:
    """Each estimate noised anew to the next level (Song et al. 2023, algorithm 1; Luo et al. 2023): for few steps.

    denoise: of a consistency model, whose one estimate is a picture.
    """
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x = moved(x, denoise(x, alpha_t, sigma_t), 0.0, alpha_s, sigma_s, noise)
    return x


def moved(x: Tensor, x_0: Found, c_x: float, c_0: float, c_noise: float = 0.0, noise: Noise | None = None) -> Tensor:
    """c_x x + c_0 x_0 + c_noise noise(): on a GPU one kernel, the guidance of two estimates included.

    Noise is drawn only where some is added. What is given for x_0 may as well be eps.
    """
    if isinstance(x_0, Learned | Steered):
        x_0 = x_0.x_0
    conditional, unconditional, scale = x_0 if isinstance(x_0, Estimates) else (x_0, None, 1.0)
    drawn = noise() if noise is not None and c_noise > 0 else None
    weights = {"c_x": c_x, "c_eps": c_0, "c_noise": c_noise if drawn is not None else 0.0}
    return guided_step(conditional, unconditional, x, drawn, guidance=scale, **weights)
