"""Samplers of higher order, which join several estimates in a step: the published algorithms and nothing else.

Their convention is that of `samplers`. Pairs follow on each other: a step remembers those before it. Where the way
begins with noise alone (alpha = 0) or ends at the picture (sigma = 0), at the ends of log(alpha / sigma), a step is of
first order.
"""

from collections import deque
from collections.abc import Callable, Sequence
from math import expm1, inf, log
from typing import Literal

from torch import Tensor

from nodeflow_diffusion.guidance import Estimates, whole
from nodeflow_diffusion.levels import Level
from nodeflow_diffusion.samplers import Denoise, Noise, Steps, moved

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
LARGEST_CHURN = 2**0.5 - 1


def noise_to_picture(level: Level) -> float:
    """The time of Karras et al. 2022: sigma / alpha, without bound for noise alone."""
    alpha, sigma = level
    return sigma / alpha if alpha > 0 else inf


def flow_time(level: Level) -> float:
    """The time of rectified flow: sigma / (alpha + sigma), 1 for noise alone."""
    alpha, sigma = level
    return sigma / (alpha + sigma)


def heun(
    denoise: Denoise,
    x: Tensor,
    steps: Steps,
    *,
    time: Callable[[Level], float] = noise_to_picture,
    churn: float = 0.0,
    within: tuple[float, float] = (0.0, inf),
    spread: float = 1.0,
    noise: Noise,
) -> Tensor:
    """Heun's method, two estimates a step, and for churn > 0 stochastic (Karras et al. 2022, algorithms 1 and 2).

    A step of Heun's is one of Euler's with the estimate D + t / (2 s) (D' - D), where D' is that at its end: so it
    reads in the coordinates z = x / alpha with time sigma / alpha, and in those of rectified flow (`flow_time`) alike.
    churn: by what share sigma is raised before each step whose sigma / alpha lies `within` (their gamma, S_tmin and
    S_tmax), at most sqrt(2) - 1. spread: deviation of the noise that raises it (their S_noise).
    """
    for (alpha_t, sigma_t), level in steps:
        if churn > 0 and alpha_t > 0 and within[0] <= sigma_t / alpha_t <= within[1]:
            before, sigma_t = sigma_t, sigma_t * (1 + min(churn, LARGEST_CHURN))
            x = x + spread * (sigma_t**2 - before**2) ** 0.5 * noise()
        alpha_s, sigma_s = level
        c_x, c_0 = sigma_s / sigma_t, alpha_s - sigma_s / sigma_t * alpha_t
        t, s = time((alpha_t, sigma_t)), time(level)
        if s == 0 or t == inf:
            x = moved(x, denoise(x, alpha_t, sigma_t), c_x, c_0)
            continue
        x_0 = whole(denoise(x, alpha_t, sigma_t))
        ahead = whole(denoise(moved(x, x_0, c_x, c_0), *level))
        x = moved(x, Estimates(ahead, x_0, t / (2 * s)), c_x, c_0)
    return x


def plms(denoise: Denoise, x: Tensor, steps: Steps) -> Tensor:
    """Pseudo linear multistep: DDIM with eps carried on from up to four steps (Liu et al. 2022, eq. 9, 11 and 12).

    The first step is improved Euler, which takes a second estimate at its end.
    """
    past: deque[Tensor] = deque(maxlen=4)
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x_0 = whole(denoise(x, alpha_t, sigma_t))
        c_x, c_0 = sigma_s / sigma_t, alpha_s - sigma_s / sigma_t * alpha_t
        if alpha_t > 0:
            past.appendleft((x - alpha_t * x_0) / sigma_t)
            eps = past[0]
            if len(past) > 1:
                eps = _sum(ADAMS_BASHFORTH[len(past) - 1], past)
            elif sigma_s > 0:
                ahead = moved(x, x_0, c_x, c_0)
                eps = (eps + (ahead - alpha_s * whole(denoise(ahead, alpha_s, sigma_s))) / sigma_s) / 2
            x_0 = _by_noise(x_0, past[0], eps, (alpha_t, sigma_t))
        x = moved(x, x_0, c_x, c_0)
    return x


def lms(denoise: Denoise, x: Tensor, steps: Steps) -> Tensor:
    """Linear multistep of four steps on dz = eps dt, z = x / alpha at t = sigma / alpha (Adams and Bashforth 1883).

    For steps of any length: each eps weighs as the integral of its Lagrange polynomial over the step.
    """
    past: deque[tuple[float, Tensor]] = deque(maxlen=4)
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x_0 = whole(denoise(x, alpha_t, sigma_t))
        if alpha_t > 0:
            t, s, latest = sigma_t / alpha_t, sigma_s / alpha_s, (x - alpha_t * x_0) / sigma_t
            past.appendleft((t, latest))
            times = [time for time, _ in past]
            weights = [_integral(times, i, t, s) / (s - t) for i in range(len(times))]
            x_0 = _by_noise(x_0, latest, _sum(weights, [eps for _, eps in past]), (alpha_t, sigma_t))
        x = moved(x, x_0, sigma_s / sigma_t, alpha_s - sigma_s / sigma_t * alpha_t)
    return x


def _by_noise(x_0: Tensor, eps: Tensor, other: Tensor, level: Level) -> Tensor:
    """The estimate that goes with another noise than its own eps.

    By their difference: near alpha = 0, x less the noise would leave nothing but what was rounded off.
    """
    alpha, sigma = level
    return x_0 - sigma / alpha * (other - eps)


def _integral(nodes: Sequence[float], i: int, start: float, end: float) -> float:
    """Of the polynomial that is 1 at node i and 0 at the others, by Simpson's rule: exact up to the third degree."""

    def at(t: float) -> float:
        value = 1.0
        for j, node in enumerate(nodes):
            if j != i:
                value *= (t - node) / (nodes[i] - node)
        return value

    return (end - start) / 6 * (at(start) + 4 * at((start + end) / 2) + at(end))


def dpmpp_2m(denoise: Denoise, x: Tensor, steps: Steps, *, eta: float = 0.0, noise: Noise) -> Tensor:
    """DPM-Solver++ of second order, multistep (Lu et al. 2022b, algorithm 2); for eta = 1 its SDE (eq. 17).

    left = e^-h, h the growth of log(alpha / sigma); the estimate is carried on from the one of the step before, as far
    as half of this step lies from it.
    """
    past: tuple[float, Tensor] | None = None
    for (alpha_t, sigma_t), (alpha_s, sigma_s) in steps:
        x_0 = denoise(x, alpha_t, sigma_t)
        left = alpha_t * sigma_s / (sigma_t * alpha_s)
        c_x, c_0 = sigma_s / sigma_t * left**eta, alpha_s * (1 - left ** (1 + eta))
        fresh = sigma_s * max(0.0, 1 - left ** (2 * eta)) ** 0.5
        if left == 0:
            past, x = None, moved(x, x_0, c_x, c_0, fresh, noise)
            continue
        h, current = -log(left), whole(x_0)
        carried = current if past is None else Estimates(current, past[1], 1 + h / (2 * past[0]))
        past, x = (h, current), moved(x, carried, c_x, c_0, fresh, noise)
    return x


def unipc(
    denoise: Denoise, x: Tensor, steps: Steps, *, order: int = 2, variant: Literal["bh1", "bh2"] = "bh2"
) -> Tensor:
    """UniPC of x_0 (Zhao et al. 2023, algorithms 5 and 6): a predictor of that order and a corrector of one more.

    The corrector costs no estimate: it takes the one at the end of a step, which the next step begins with. variant:
    their B(h), h for bh1 and e^h - 1 for bh2.
    """
    past: deque[tuple[float, Tensor]] = deque(maxlen=order)
    start: tuple[Tensor, Level] | None = None
    for (alpha_t, sigma_t), level in steps:
        x_0 = whole(denoise(x, alpha_t, sigma_t))
        here = log(alpha_t / sigma_t) if alpha_t > 0 else -inf
        if start is not None:
            x = _unified(*start, (alpha_t, sigma_t), [*past, (here, x_0)], variant)
        if here > -inf:
            past.appendleft((here, x_0))
            start = x, (alpha_t, sigma_t)
            known = list(past) if level[1] > 0 else [past[0]]
            x = _unified(x, (alpha_t, sigma_t), level, known, variant)
        else:
            x = moved(x, x_0, level[1] / sigma_t, level[0])
    return x


def _unified(
    x: Tensor, level_t: Level, level_s: Level, known: Sequence[tuple[float, Tensor]], variant: Literal["bh1", "bh2"]
) -> Tensor:
    """One step from t to s by estimates known at some log(alpha / sigma), that at t first (Zhao et al. 2023, eq. 3)."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = level_t, level_s
    (start, x_0), others = known[0], known[1:]
    left = alpha_t * sigma_s / (sigma_t * alpha_s)
    joined = x_0
    if others:
        h = log(left)  # downwards, as x_0 is carried on and not eps
        size = h if variant == "bh1" else expm1(h)
        ratios = [(start - there) / h for there, _ in others]
        weights = [size / expm1(h) * a / r for a, r in zip(_coefficients(h, size, ratios), ratios, strict=True)]
        joined = _sum([1 - sum(weights), *weights], [x_0, *(estimate for _, estimate in others)])
    return moved(x, joined, sigma_s / sigma_t, alpha_s * (1 - left))


def _coefficients(h: float, size: float, ratios: Sequence[float]) -> list[float]:
    """The a of sum a_m r_m^(n-1) = n! h phi_(n+1)(h) / B(h), n = 1 .. (theorem 3.1); a lone one is a half.

    phi_1(h) = (e^h - 1) / h, phi_(n+1)(h) = (phi_n(h) - 1 / n!) / h. Each a_m is the sum of what is wanted, weighted by
    the coefficients of the Lagrange polynomial of r_m.
    """
    if len(ratios) == 1:
        return [0.5]
    wanted, rest, factorial = [], expm1(h), 1.0
    for n in range(1, len(ratios) + 1):
        factorial *= n
        rest = rest / h - 1 / factorial
        wanted.append(rest * factorial / size)
    found = []
    for ratio in ratios:
        powers = [1.0]  # of the polynomial, the constant first
        for other in ratios:
            if other != ratio:
                times_r, times_other = [0.0, *powers], [*powers, 0.0]
                powers = [(a - other * b) / (ratio - other) for a, b in zip(times_r, times_other, strict=True)]
        found.append(sum(power * value for power, value in zip(powers, wanted, strict=True)))
    return found


def _sum(weights: Sequence[float], tensors: Sequence[Tensor] | deque[Tensor]) -> Tensor:
    terms = [weight * tensor for weight, tensor in zip(weights, tensors, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
