"""Samplers against what can be worked out by hand: one point, a Gaussian, and each other."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from nodeflow_diffusion.levels import Level, flow_levels, schedule_levels
from nodeflow_diffusion.samplers import ddim, ddpm, euler
from nodeflow_diffusion.schedules import alphas_cumprod, betas
from torch import Tensor

Walk = Callable[..., Tensor]
MEAN, STD = 0.3, 0.5


def levels(name: str, steps: int) -> list[Level]:
    if name == "flow":
        return flow_levels(steps)
    return schedule_levels(alphas_cumprod(betas(name)), steps)  # type: ignore[arg-type]


def drawing(shape: tuple[int, ...], seed: int = 1) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator, dtype=torch.float64)


def run(sampler: str, denoise: Callable[..., Tensor], x: Tensor, ways: list[Level], seed: int = 1) -> Tensor:
    noise, steps = drawing(tuple(x.shape), seed), list(pairwise(ways))
    if sampler == "ddpm":
        return ddpm(denoise, x, steps, noise=noise)
    if sampler == "euler":
        return euler(denoise, x, steps)
    return ddim(denoise, x, steps, eta=float(sampler.removeprefix("ddim ")), noise=noise)


SAMPLERS = ("ddpm", "euler", "ddim 0", "ddim 0.5", "ddim 1")
SCHEDULES = ("flow", "linear", "scaled_linear", "cosine")


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_world_of_one_point_is_found(sampler: str, name: str) -> None:
    point = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(1, 3, 2, 2)
    x = drawing((2, 3, 2, 2), 0)()
    found = run(sampler, lambda x, alpha, sigma: point.expand_as(x), x, levels(name, 7))
    torch.testing.assert_close(found, point.expand(2, -1, -1, -1), rtol=0, atol=1e-12)


def gaussian(x: Tensor, alpha: float, sigma: float) -> Tensor:
    """E[x_0 | x] where x_0 is normal with MEAN and STD: the best denoiser there is."""
    return MEAN + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x - alpha * MEAN)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["flow", "cosine"])
def test_a_gaussian_world_gets_its_mean_and_variance(sampler: str, name: str) -> None:
    ways = levels(name, 100)
    count = 10_000
    x = math.hypot(*ways[0]) * drawing((count, 1, 1, 1), 0)()
    found = run(sampler, gaussian, x, ways)
    # of 10,000 draws the mean has a standard error of STD / 100 and the deviation of STD / 141; four of these, and 1 %
    # for the 100 steps
    assert float(found.mean()) == pytest.approx(MEAN, abs=4 * STD / 100)
    assert float(found.std()) == pytest.approx(STD, rel=4 / 141 + 0.01)


@pytest.mark.parametrize("sampler", ["euler", "ddim 0"])
def test_the_flow_of_a_gaussian_is_followed_to_its_end(sampler: str) -> None:
    # the exact solution moves a point at k standard deviations to k standard deviations
    k = torch.tensor([-2.0, -0.5, 0, 1, 3], dtype=torch.float64).reshape(5, 1, 1, 1)
    found = run(sampler, gaussian, k, flow_levels(2000))
    torch.testing.assert_close(found, MEAN + STD * k, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_an_euler_step_is_a_ddim_step(name: str) -> None:
    x = drawing((2, 3, 2, 2), 0)()
    first, second = (run(sampler, gaussian, x, levels(name, 9)) for sampler in ("euler", "ddim 0"))
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_ddim_with_all_its_noise_is_ddpm(name: str) -> None:
    x = drawing((2, 3, 2, 2), 0)()
    first, second = (run(sampler, gaussian, x, levels(name, 9)) for sampler in ("ddpm", "ddim 1"))
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)


def test_ddpm_is_equation_7_between_neighbours() -> None:
    bars = alphas_cumprod(betas("linear"))
    t = 400
    beta, bar_t, bar_s = float(betas("linear")[t]), float(bars[t]), float(bars[t - 1])
    pair = tuple((bar**0.5, (1 - bar) ** 0.5) for bar in (bar_t, bar_s))
    x, x_0, z = 0.7, -0.2, 1.3
    found = ddpm(
        lambda *_: torch.tensor(x_0, dtype=torch.float64),
        torch.tensor(x, dtype=torch.float64),
        [pair],  # type: ignore[list-item]
        noise=lambda: torch.tensor(z, dtype=torch.float64),
    )
    mean = bar_s**0.5 * beta / (1 - bar_t) * x_0 + (1 - beta) ** 0.5 * (1 - bar_s) / (1 - bar_t) * x
    expected = mean + ((1 - bar_s) / (1 - bar_t) * beta) ** 0.5 * z
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_noise_is_added_in_the_last_step(sampler: str) -> None:
    x = drawing((1, 1, 2, 2), 0)()
    first, second = (run(sampler, gaussian, x, [(0.6, 0.8), (1.0, 0.0)], seed) for seed in (1, 2))
    assert torch.equal(first, second)
