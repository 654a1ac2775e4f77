"""Samplers and noise levels against diffusers' schedulers, run side by side where diffusers is installed.

Whole trajectories of eps(x, t) = tanh(x) cos(t / 100), in float64 here and float32 there: within 1e-4 of the largest.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from nodeflow_diffusion.guidance import thresholded
from nodeflow_diffusion.levels import Level, flow_levels, schedule_levels, visited_levels
from nodeflow_diffusion.prediction import denoised, step_between
from nodeflow_diffusion.respacing import respaced
from nodeflow_diffusion.samplers import ddim, ddim_inversion, ddpm, euler, lcm
from nodeflow_diffusion.schedules import (
    alphas_cumprod,
    betas,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
    zero_terminal_snr,
)
from nodeflow_diffusion.solvers import dpmpp_2m, flow_time, heun, plms, unipc
from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own
SCALED = alphas_cumprod(betas("scaled_linear"))
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
TRAILING = {"timestep_spacing": "trailing"}
TO_FIRST = {"lower_order_final": False, "final_sigmas_type": "sigma_min"}


@pytest.fixture
def diffusers() -> Any:
    return pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'nodeflow-engine[parity]'")


def start() -> Tensor:
    return torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)).double()


def drawing() -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(0)
    return lambda: torch.randn(2, 3, 4, 4, generator=generator).double()


def wave(x: Tensor, t: Any) -> Tensor:
    return torch.tanh(x) * torch.cos(torch.as_tensor(t) / 100)


def theirs(scheduler: Any, steps: int, x: Tensor, **told: Any) -> tuple[list[float], Tensor]:
    """The times a scheduler visits, and where its loop ends."""
    scheduler.set_timesteps(steps, **told)
    generator, x = torch.Generator().manual_seed(0), x.float()
    takes = "generator" in scheduler.step.__code__.co_varnames
    for t in scheduler.timesteps:
        eps = wave(scheduler.scale_model_input(x, t), t.item())
        x = scheduler.step(eps, t, x, **({"generator": generator} if takes else {})).prev_sample
    return scheduler.timesteps.tolist(), x


def ours(table: Tensor, ways: list[Level], visited: list[float]) -> Callable[..., Tensor]:
    """The same model as a denoiser, at the same times."""
    at = dict(zip(ways, visited, strict=False))

    def denoise(x: Tensor, alpha: float, sigma: float) -> Tensor:
        share = torch.tensor(sigma / (alpha + sigma), dtype=torch.float64)
        t = at[alpha, sigma] if (alpha, sigma) in at else step_between(share, table).round()
        return denoised("eps", wave(x, t), x, alpha, sigma)

    return denoise


def to_first(spacing: Any, steps: int) -> list[Level]:
    """A way of a spacing that ends at the table's first step instead of the picture."""
    return [*schedule_levels(SCALED, steps, spacing)[:-1], visited_levels(SCALED, [0])[0]]


CASES: dict[str, tuple[str, dict[str, Any], Any, bool, list[Level]]] = {
    # scheduler, settings, sampler, whether it takes noise, levels
    "ddpm trailing": ("DDPM", TRAILING | {"clip_sample": False}, ddpm, True, schedule_levels(SCALED, 7)),
    "ddim trailing": ("DDIM", TRAILING | {"clip_sample": False}, ddim, True, schedule_levels(SCALED, 10)),
    "ddim offset": (
        "DDIM", {"steps_offset": 1, "clip_sample": False}, ddim, True, schedule_levels(SCALED, 7, "leading", offset=1)
    ),
    "pndm trailing": (
        "PNDM", TRAILING | {"skip_prk_steps": True, "set_alpha_to_one": True}, plms, False, schedule_levels(SCALED, 10)
    ),
    "euler trailing": ("EulerDiscrete", TRAILING, euler, False, schedule_levels(SCALED, 7)),
    "euler exponential": (
        "EulerDiscrete", {"use_exponential_sigmas": True}, euler, False, schedule_levels(SCALED, 7, "exponential")
    ),
    "euler a trailing": ("EulerAncestralDiscrete", TRAILING, partial(ddim, eta=1.0), True, schedule_levels(SCALED, 7)),
    "heun karras": (
        "HeunDiscrete", {"use_karras_sigmas": True}, heun, True, schedule_levels(SCALED, 7, "karras")
    ),
    "2m sde": (
        "DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++"}, partial(dpmpp_2m, eta=1.0), True,
        schedule_levels(SCALED, 9, "sgm_uniform"),
    ),
    "2m sde karras": (
        "DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
        partial(dpmpp_2m, eta=1.0), True, schedule_levels(SCALED, 9, "karras"),
    ),
    "2m trailing": ("DPMSolverMultistep", TRAILING, dpmpp_2m, True, schedule_levels(SCALED, 9)),
    "2m to the first": (
        "DPMSolverMultistep", {"lower_order_final": False, "final_sigmas_type": "sigma_min"}, dpmpp_2m, True,
        to_first("sgm_uniform", 9),
    ),
    **{
        f"unipc {variant} {order}": (
            "UniPCMultistep", {"solver_type": variant, "solver_order": order} | TO_FIRST,
            partial(unipc, order=order, variant=variant), False, to_first("sgm_uniform", 9),
        )
        for variant in ("bh1", "bh2") for order in (1, 2, 3)
    },
    "unipc karras": (
        "UniPCMultistep", {"use_karras_sigmas": True}, unipc, False, schedule_levels(SCALED, 9, "karras")
    ),
}  # fmt: skip
FROM_SIGMA = ("EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "LMSDiscrete")
"""Schedulers that begin with sigma times the noise, not with noise alone."""


@pytest.mark.parametrize("title", CASES)
def test_trajectories(title: str, diffusers: Any, agree: Any) -> None:
    name, settings, sampler, noisy, ways = CASES[title]
    scheduler = getattr(diffusers, f"{name}Scheduler")(**SD, **settings)
    x = start()
    steps = len(ways) - 1
    sigma = ways[0][1] / ways[0][0]
    visited, expected = theirs(scheduler, steps, sigma * x if name in FROM_SIGMA else x)
    if name == "PNDM":
        visited = [*visited[:2], *visited[3:]]
    if name == "HeunDiscrete":
        visited = [visited[0], *visited[1::2]]
    shares = torch.tensor([sigma / (alpha + sigma) for alpha, sigma in ways[:steps]], dtype=torch.float64)
    found = step_between(shares, SCALED)
    rounded = name in ("DPMSolverMultistep", "UniPCMultistep") and "karras" in title
    torch.testing.assert_close(
        found.round() if rounded else found, torch.tensor(visited, dtype=torch.float64), rtol=0, atol=2.5e-3
    )
    begun = ways[0][0] * sigma * x if name in FROM_SIGMA else x
    more = {"noise": drawing()} if noisy else {}
    agree(expected, sampler(ours(SCALED, ways, visited), begun, pairwise(ways), **more), 1e-4)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_tables(name: str, diffusers: Any) -> None:
    # in float32 there: 1e-6 of what is left of the picture after 1000 products
    ends = {"linear": (1e-4, 0.02), "scaled_linear": (0.00085, 0.012)}.get(name, (1e-4, 0.02))
    made = {"linear": linear_betas, "scaled_linear": scaled_linear_betas, "squaredcos_cap_v2": cosine_betas}[name]()
    told = {"beta_schedule": name, "beta_start": ends[0], "beta_end": ends[1]}
    scheduler = diffusers.DDIMScheduler(**told)
    torch.testing.assert_close(alphas_cumprod(made).float(), scheduler.alphas_cumprod, rtol=1e-4, atol=1e-6)
    if name != "squaredcos_cap_v2":
        scheduler = diffusers.DDIMScheduler(**told, rescale_betas_zero_snr=True)
        found = zero_terminal_snr(alphas_cumprod(made)).float()
        torch.testing.assert_close(found, scheduler.alphas_cumprod, rtol=0, atol=1e-5)
        assert float(found[-1]) == 0


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_consistency_steps(steps: int, diffusers: Any, agree: Any) -> None:
    scheduler = diffusers.LCMScheduler(**SD)
    x, ways = start(), schedule_levels(SCALED, steps, "lcm")
    visited, expected = theirs(scheduler, steps, x)
    plain = ours(SCALED, ways, visited)

    def bounded(x: Tensor, alpha: float, sigma: float) -> Tensor:
        # what makes the model's estimate of no noise its input (Luo et al. 2023, eq. 9), with their constants
        t = 10 * dict(zip(ways, visited, strict=False))[alpha, sigma]
        return 0.25 / (t**2 + 0.25) * x + t / (t**2 + 0.25) ** 0.5 * plain(x, alpha, sigma)

    agree(expected, lcm(bounded, x, pairwise(ways), noise=drawing()), 1e-4)


def test_inversion(diffusers: Any, agree: Any) -> None:
    x = start()
    scheduler = diffusers.DDIMInverseScheduler(**SD, clip_sample=False)
    visited, expected = theirs(scheduler, 10, x)
    ways = schedule_levels(SCALED, 10, "leading")[::-1]
    assert visited == respaced(1000, 10, "leading")[::-1]
    found = ddim_inversion(ours(SCALED, ways[1:], visited), x, pairwise(ways))
    agree(expected, found, 1e-4)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flows(shift: float, diffusers: Any, agree: Any) -> None:
    for name, sampler in (("Euler", euler), ("Heun", partial(heun, time=flow_time, noise=drawing()))):
        scheduler = getattr(diffusers, f"FlowMatch{name}DiscreteScheduler")(shift=shift)
        scheduler.set_timesteps(8)
        x = start().float()
        for t in scheduler.timesteps:
            x = scheduler.step(torch.tanh(x) * torch.cos(t / 100), t, x).prev_sample
        sigmas = list(dict.fromkeys(scheduler.sigmas.tolist()))
        ways = [(1 - sigma, sigma) for sigma in sigmas]

        def denoise(x: Tensor, alpha: float, sigma: float) -> Tensor:
            return denoised("flow", torch.tanh(x) * torch.cos(torch.tensor(10 * sigma)), x, alpha, sigma)

        agree(x, sampler(denoise, start(), pairwise(ways)), 1e-4)
        assert len(ways) == len(flow_levels(8, shift))


def test_dynamic_thresholds(diffusers: Any, agree: Any) -> None:
    scheduler = diffusers.DDPMScheduler(
        thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1.7, clip_sample=False
    )
    x = 1.5 * start().float() * torch.tensor([0.3, 2.0])[:, None, None, None]
    agree(scheduler._threshold_sample(x), thresholded(x, 0.9, 1.0, 1.7))
