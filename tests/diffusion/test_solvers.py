"""Solvers of higher order against the exact flow of a Gaussian, and against each other."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import pytest
import torch
from nodeflow_diffusion.guidance import Estimates, Learned
from nodeflow_diffusion.levels import Level, flow_levels, schedule_levels
from nodeflow_diffusion.samplers import ddim, ddim_inversion, ddpm, euler, lcm
from nodeflow_diffusion.schedules import alphas_cumprod, betas
from nodeflow_diffusion.solvers import dpmpp_2m, flow_time, heun, lms, plms, unipc
from torch import Tensor

MEAN, STD = 0.3, 0.5
Sampler = Callable[..., Tensor]


def silent() -> Tensor:
    raise AssertionError("noise was drawn")


def drawing(shape: tuple[int, ...] = (2, 3, 2, 2), seed: int = 1) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator, dtype=torch.float64)


def gaussian(x: Tensor, alpha: float, sigma: float) -> Tensor:
    """E[x_0 | x] where x_0 is normal with MEAN and STD: the best denoiser there is."""
    return MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * MEAN)


def spread(level: Level) -> float:
    return math.hypot(level[0] * STD, level[1])


def carried(x: Tensor, first: Level, last: Level) -> Tensor:
    """Where the flow carries x exactly: as many standard deviations from the mean as before."""
    return last[0] * MEAN + spread(last) / spread(first) * (x - first[0] * MEAN)


def even(steps: int, start: float = 1.0, end: float = -2.0) -> list[Level]:
    """Levels evenly in log(sigma / alpha)."""
    ratios = [math.exp(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio)) for ratio in ratios]


def straight(steps: int, start: float = 0.9, end: float = 0.1) -> list[Level]:
    times = [start + (end - start) * step / steps for step in range(steps + 1)]
    return [(1 - t, t) for t in times]


DETERMINISTIC: dict[str, Sampler] = {
    "euler": euler,
    "ddim": partial(ddim, noise=silent),
    "heun": partial(heun, noise=silent),
    "heun of the flow": partial(heun, time=flow_time, noise=silent),
    "plms": plms,
    "lms": lms,
    "dpmpp_2m": partial(dpmpp_2m, noise=silent),
    "unipc bh1": partial(unipc, variant="bh1"),
    "unipc bh2": unipc,
    "unipc 1": partial(unipc, order=1),
    "unipc 3": partial(unipc, order=3),
}
ORDERS = {
    # plms and lms are of the order of their first step; UniPC's corrector adds one to the order it is called by, of
    # which the first steps of "unipc 3" take a part away again: 3.7 and 3.8
    "euler": 1, "ddim": 1, "heun": 2, "heun of the flow": 2, "plms": 2, "lms": 2, "dpmpp_2m": 2, "unipc bh1": 3,
    "unipc bh2": 3, "unipc 1": 2, "unipc 3": 3.7,
}  # fmt: skip


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("ways", [even, straight])
def test_the_error_falls_with_the_power_of_the_order(name: str, ways: Callable[[int], list[Level]]) -> None:
    x = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    errors = []
    for steps in (64, 128):
        levels = ways(steps)
        found = DETERMINISTIC[name](gaussian, x, pairwise(levels))
        errors.append(float((found - carried(x, levels[0], levels[-1])).abs().max()))
    order = math.log2(errors[0] / errors[1])
    assert order > ORDERS[name] - 0.15


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("kind", ["flow", "linear", "scaled_linear"])
def test_a_world_of_one_point_is_found_whole(name: str, kind: str) -> None:
    point = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(1, 3, 2, 2).expand(2, -1, -1, -1)
    table = None if kind == "flow" else alphas_cumprod(betas(kind))  # type: ignore[arg-type]
    levels = flow_levels(7) if table is None else schedule_levels(table, 7)
    found = DETERMINISTIC[name](lambda *_: point, drawing()(), pairwise(levels))
    torch.testing.assert_close(found, point, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("kind", ["flow", "cosine"])
def test_one_step_is_the_estimate(name: str, kind: str) -> None:
    levels = flow_levels(1) if kind == "flow" else schedule_levels(alphas_cumprod(betas("cosine")), 1)
    x = drawing()()
    found = DETERMINISTIC[name](gaussian, x, pairwise(levels))
    torch.testing.assert_close(found, gaussian(x, *levels[0]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in DETERMINISTIC if name != "heun of the flow"])
def test_the_scale_of_the_levels_does_not_matter(name: str) -> None:
    x, levels = drawing()(), even(9)
    exploding = [(1.0, sigma / alpha) for alpha, sigma in levels]
    found = DETERMINISTIC[name](gaussian, x, pairwise(levels)) / levels[-1][0]
    other = DETERMINISTIC[name](gaussian, x / levels[0][0], pairwise(exploding))
    torch.testing.assert_close(found, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_two_estimates_count_as_the_one_that_guidance_makes(name: str) -> None:
    def doubled(x: Tensor, alpha: float, sigma: float) -> Estimates:
        return Estimates(gaussian(x, alpha, sigma), torch.zeros_like(x), 2.0)

    def one(x: Tensor, alpha: float, sigma: float) -> Tensor:
        return 2 * gaussian(x, alpha, sigma)

    x, levels = drawing()(), schedule_levels(alphas_cumprod(betas("linear")), 6)
    found = DETERMINISTIC[name](doubled, x, pairwise(levels))
    torch.testing.assert_close(found, DETERMINISTIC[name](one, x, pairwise(levels)), rtol=1e-9, atol=1e-9)


STOCHASTIC: dict[str, Sampler] = {
    "ddpm": ddpm,
    "dpmpp_2m_sde": partial(dpmpp_2m, eta=1.0),
    "dpmpp_2m half": partial(dpmpp_2m, eta=0.5),
    "heun churned": partial(heun, churn=0.1),
}


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("levels", [flow_levels(200), schedule_levels(alphas_cumprod(betas("cosine")), 200)])
def test_noise_on_the_way_keeps_mean_and_variance(name: str, levels: Sequence[Level]) -> None:
    shape = (10_000, 1, 1, 1)
    x = drawing(shape, 0)()
    found = STOCHASTIC[name](gaussian, x, pairwise(levels), noise=drawing(shape))
    # four standard errors of 10,000 draws, and 2 % for the 200 steps
    assert float(found.mean()) == pytest.approx(MEAN, abs=4 * STD / 100)
    assert float(found.std()) == pytest.approx(STD, rel=4 / 141 + 0.02)


def test_the_sde_without_noise_is_the_ode() -> None:
    x, levels = drawing()(), even(8)
    still = dpmpp_2m(gaussian, x, pairwise(levels), noise=silent)
    assert torch.equal(still, dpmpp_2m(gaussian, x, pairwise(levels), eta=0.0, noise=drawing()))


def test_first_order_solvers_are_ddim() -> None:
    # the first of each, and what one estimate allows
    x, levels = drawing()(), even(1)
    expected = ddim(gaussian, x, pairwise(levels), noise=silent)
    for sampler in (euler, lms, partial(dpmpp_2m, noise=silent), partial(unipc, order=1)):
        torch.testing.assert_close(sampler(gaussian, x, pairwise(levels)), expected, rtol=1e-12, atol=1e-12)


def test_the_sde_of_first_order_is_ddpm() -> None:
    x, levels = drawing()(), even(1)
    found = dpmpp_2m(gaussian, x, pairwise(levels), eta=1.0, noise=drawing())
    torch.testing.assert_close(found, ddpm(gaussian, x, pairwise(levels), noise=drawing()), rtol=1e-12, atol=1e-12)


def test_heun_without_churn_draws_nothing_and_with_it_only_within_its_range() -> None:
    x, levels = drawing()(), even(8)
    still = heun(gaussian, x, pairwise(levels), churn=0.0, noise=silent)
    assert torch.equal(still, heun(gaussian, x, pairwise(levels), churn=0.2, within=(1e6, 1e7), noise=silent))
    drawn: list[Tensor] = []

    def counted() -> Tensor:
        drawn.append(torch.zeros_like(x))
        return drawn[-1]

    ratios = [sigma / alpha for alpha, sigma in levels[:-1]]
    heun(gaussian, x, pairwise(levels), churn=0.2, within=(ratios[5], ratios[2]), noise=counted)
    assert 4 == len(drawn)


def test_churn_is_algorithm_2_worked_out_by_hand() -> None:
    t, s, gamma, extra = 2.0, 1.0, 0.25, 0.7
    x = torch.tensor([1.5], dtype=torch.float64)
    steps = [((1.0, t), (1.0, s))]
    found = heun(gaussian, x, steps, churn=gamma, spread=1.003, noise=lambda: torch.full_like(x, extra))
    raised = t * (1 + gamma)
    z = x + 1.003 * (raised**2 - t**2) ** 0.5 * extra
    slope = (z - gaussian(z, 1.0, raised)) / raised
    ahead = z + (s - raised) * slope
    expected = z + (s - raised) * (slope + (ahead - gaussian(ahead, 1.0, s)) / s) / 2
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    much = heun(gaussian, x, steps, churn=9.0, noise=lambda: torch.full_like(x, extra))
    most = heun(gaussian, x, steps, churn=2**0.5 - 1, noise=lambda: torch.full_like(x, extra))
    assert torch.equal(much, most)


@pytest.mark.parametrize("kind", ["flow", "scaled_linear"])
def test_sampling_what_was_inverted_returns_the_start(kind: str) -> None:
    table = alphas_cumprod(betas("scaled_linear"))
    levels = flow_levels(10) if kind == "flow" else schedule_levels(table, 10)
    back = [(less, more) for more, less in pairwise(levels)][::-1]

    def wavy(x: Tensor, alpha: float, sigma: float) -> Tensor:
        return gaussian(x, alpha, sigma) + 0.1 * alpha * torch.sin(3 * x)

    start, errors = 0.5 * drawing()(), []
    for rounds in (1, 3, 40):
        noise = ddim_inversion(wavy, start, back, rounds=rounds)
        errors.append(float((ddim(wavy, noise, pairwise(levels), noise=silent) - start).abs().max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


def test_a_consistency_step_noises_the_estimate_anew() -> None:
    x, noise = drawing()(), drawing((2, 3, 2, 2), 2)()
    levels = [(0.0, 1.0), (0.6, 0.8), (1.0, 0.0)]
    found = lcm(gaussian, x, pairwise(levels), noise=lambda: noise)
    second = 0.6 * gaussian(x, 0.0, 1.0) + 0.8 * noise
    torch.testing.assert_close(found, gaussian(second, 0.6, 0.8), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_learned_variance_lies_between_its_bounds_by_the_logarithm(share: float) -> None:
    x, noise = torch.zeros(1, 3, 2, 2, dtype=torch.float64), drawing((1, 3, 2, 2))()
    (alpha_t, sigma_t), (alpha_s, sigma_s) = pair = even(1)[0], even(1)[1]

    def told(x: Tensor, *_: float) -> Learned:
        return Learned(torch.zeros_like(x), torch.full_like(x, share))

    found = ddpm(told, x, [pair], noise=lambda: noise)
    beta = 1 - (alpha_t / alpha_s) ** 2
    posterior = sigma_s**2 / sigma_t**2 * beta
    variance = math.exp(share * math.log(beta) + (1 - share) * math.log(posterior))
    torch.testing.assert_close(found, variance**0.5 * noise, rtol=1e-12, atol=0)
    if share == 0:
        plain = ddpm(lambda x, *_: torch.zeros_like(x), x, [pair], noise=lambda: noise)
        torch.testing.assert_close(found, plain, rtol=1e-12, atol=0)
    last = ddpm(told, x, [(pair[1], (1.0, 0.0))], noise=silent)
    torch.testing.assert_close(last, torch.zeros_like(x), rtol=0, atol=0)


def test_who_reads_no_variance_takes_the_estimate() -> None:
    x, levels = drawing()(), even(5)

    def told(x: Tensor, alpha: float, sigma: float) -> Learned:
        return Learned(gaussian(x, alpha, sigma), torch.ones_like(x))

    for name, sampler in DETERMINISTIC.items():
        found = sampler(told, x, pairwise(levels))
        assert torch.equal(found, sampler(gaussian, x, pairwise(levels))), name
