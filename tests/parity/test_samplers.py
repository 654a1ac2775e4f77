"""Samplers and schedules give the numbers of diffusers, k-diffusion, guided-diffusion and latent diffusion.

Whole trajectories, in float64 here and float32 there: within 1e-4 of the largest number. The model of the kept ones is
eps(x, t) = tanh(x) cos(t / 100) for diffusers and D(x, sigma) = x / (1 + sigma^2) for k-diffusion.
"""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.guidance import Estimates, Learned
from nodeflow_diffusion.latent_unet import LatentUNet, LatentUNetConfig
from nodeflow_diffusion.latent_unet_names import sources
from nodeflow_diffusion.levels import Level, schedule_levels, sigma_levels, visited_levels
from nodeflow_diffusion.prediction import denoised, learned_share, step_between
from nodeflow_diffusion.respacing import in_sections, respaced
from nodeflow_diffusion.samplers import ddim, ddpm, euler
from nodeflow_diffusion.schedules import (
    alphas_cumprod,
    betas,
    cosine_betas,
    scaled_linear_betas,
    variance_preserving,
    zero_terminal_snr,
)
from nodeflow_diffusion.sigmas import exponential, karras
from nodeflow_diffusion.solvers import dpmpp_2m, heun, lms, plms, unipc
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.published import Checkpoint, filled
from safetensors.torch import save_file
from torch import Tensor

Found = Tensor | Learned
LINEAR, SCALED, COSINE = (alphas_cumprod(betas(name)) for name in ("linear", "scaled_linear", "cosine"))
PREDICTIONS = {"ddpm_v_sd": "v", "ddim_v_trailing_zsnr": "v", "unclip_prior": "x0"}
CLIPS = {"ddpm_linear": 1, "ddpm_cosine_learned": 1, "unclip_decoder": 1, "unclip_prior": 5}


def drawing(like: Tensor) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(0)
    return lambda: torch.randn(like.shape, generator=generator, dtype=torch.float32).double()


def times(ways: Iterable[Level], table: Tensor) -> Tensor:
    sigmas = torch.tensor([sigma / (alpha + sigma) for alpha, sigma in ways if sigma > 0], dtype=torch.float64)
    return step_between(sigmas, table)


def waves(title: str, table: Tensor, at: dict[Level, float]) -> Callable[..., Found]:
    """The kept trajectories' model, as a denoiser. at: the times of some levels; else the table's nearest."""

    def denoise(x: Tensor, alpha: float, sigma: float) -> Found:
        t = at.get((alpha, sigma), times([(alpha, sigma)], table).round())
        raw = torch.tanh(x) * torch.cos(torch.as_tensor(t) / 100)
        share = None
        if "learned" in title or title == "unclip_decoder":
            raw, share = learned_share(torch.cat([raw, torch.sin(x)], 1))
        found = denoised(PREDICTIONS.get(title, "eps"), raw, x, alpha, sigma)  # type: ignore[arg-type]
        if title in CLIPS:
            found = found.clamp(-CLIPS[title], CLIPS[title])
        return found if share is None else Learned(found, share)

    return denoise


def ended(ways: list[Level], table: Tensor) -> list[Level]:
    """A way that ends at the table's first step: diffusers' set_alpha_to_one=False."""
    return [*ways[:-1], visited_levels(table, [0])[0]]


def neighbours(ways: list[Level], visited: list[int], table: Tensor) -> list[tuple[Level, Level]]:
    """UnCLIP's steps as they were kept: each to the table's step just below."""
    below = [visited_levels(table, [t - 1])[0] if t > 0 else ways[-1] for t in visited]
    return list(zip(ways, below, strict=False))


ROUGH = torch.cumprod(1 - cosine_betas().float(), 0).double()
"""The cosine table as diffusers has it: its last step, 1 - 0.999 in float32, is 5e-5 off."""
ZERO = zero_terminal_snr(SCALED)
UNCLIP = respaced(1000, 12, "linspace")
WAYS: dict[str, tuple[Any, Tensor, Any]] = {
    "ddpm_linear": (ddpm, LINEAR, schedule_levels(LINEAR, 20, "leading")),
    "ddpm_cosine_learned": (ddpm, COSINE, schedule_levels(COSINE, 20, "leading")),
    "ddpm_v_sd": (ddpm, SCALED, schedule_levels(SCALED, 10, "leading")),
    "ddim_sd": (partial(ddim, eta=0.5), SCALED, ended(schedule_levels(SCALED, 20, "leading", offset=1), SCALED)),
    "ddim_v_trailing_zsnr": (partial(ddim, eta=0.5), ZERO, schedule_levels(ZERO, 10)),
    "pndm_sd": (plms, SCALED, ended(schedule_levels(SCALED, 20, "leading", offset=1), SCALED)),
    "euler_sd": (euler, SCALED, schedule_levels(SCALED, 20, "linspace_exact")),
    "euler_karras": (euler, SCALED, schedule_levels(SCALED, 12, "karras")),
    "euler_a": (partial(ddim, eta=1.0), SCALED, schedule_levels(SCALED, 12, "linspace_exact")),
    "lms": (lms, SCALED, schedule_levels(SCALED, 12, "linspace_exact")),
    "heun": (heun, SCALED, schedule_levels(SCALED, 12, "linspace_exact")),
    "dpmpp_2m": (dpmpp_2m, SCALED, schedule_levels(SCALED, 15, "sgm_uniform")),
    "dpmpp_2m_karras": (dpmpp_2m, SCALED, schedule_levels(SCALED, 15, "karras")),
    "unipc": (unipc, SCALED, schedule_levels(SCALED, 12, "sgm_uniform")),
    "unclip_decoder": (ddpm, ROUGH, visited_levels(ROUGH, UNCLIP)),
    "unclip_prior": (ddpm, ROUGH, visited_levels(ROUGH, UNCLIP)),
}
NOISELESS = (euler, lms, plms, unipc)


def without_noise(sampler: Any) -> bool:
    return getattr(sampler, "func", sampler) in NOISELESS


@pytest.mark.parametrize("title", WAYS)
def test_kept_trajectories_of_diffusers(title: str, kept: Any, agree: Any) -> None:
    numbers = kept("schedulers_hf")
    sampler, table, ways = WAYS[title]
    expected = numbers.expected(f"sched.{title}.timesteps").double()
    if title == "pndm_sd":
        expected = torch.cat([expected[:2], expected[3:]])
    if title == "heun":
        expected = torch.cat([expected[:1], expected[1::2]])
    found = times(ways[: len(expected)], table)
    # a place on a straight line from sigma to sigma is up to 1.6e-3 off that by their logarithms
    torch.testing.assert_close(found.round() if title == "dpmpp_2m_karras" else found, expected, rtol=0, atol=2.5e-3)
    at = dict(zip(ways, expected.tolist(), strict=False))
    # the samplers that count in sigma / alpha begin with sigma times the noise, the others with noise alone
    start = ways[0][1] if {sampler, getattr(sampler, "func", sampler)} & {euler, lms, heun} or title == "euler_a" else 1
    x = start * numbers.given(f"sched.{title}.x0").double()
    steps = neighbours(ways, UNCLIP, table) if "unclip" in title else pairwise(ways)
    more = {} if without_noise(sampler) else {"noise": drawing(x)}
    expected = numbers.expected(f"sched.{title}.x")
    if "unclip" in title:
        # its last step weighs the picture by beta / (1 - abar), which is 1, but 0.9995 in float32
        beta = cosine_betas()[0].float()
        expected = expected / (beta / (1 - (1 - beta)))
    agree(expected, sampler(waves(title, table, at), x, steps, **more), 1e-4)


def shrinking(x: Tensor, alpha: float, sigma: float) -> Tensor:
    return x / alpha / (1 + (sigma / alpha) ** 2)


K_DIFFUSION = (
    ("euler", euler),
    ("euler_ancestral", partial(ddim, eta=1.0)),
    ("euler_ancestral", ddpm),
    ("heun", heun),
    ("lms", lms),
    ("dpmpp_2m", dpmpp_2m),
)


@pytest.mark.parametrize(("title", "sampler"), K_DIFFUSION)
def test_kept_trajectories_of_k_diffusion(title: str, sampler: Any, kept: Any, agree: Any) -> None:
    numbers = kept("k_diffusion")
    ways = sigma_levels(karras(10, 0.03, 14.6))
    x = ways[0][0] * numbers.given(f"k.{title}.x").double()
    more = {} if without_noise(sampler) else {"noise": drawing(x)}
    agree(numbers.expected(f"k.{title}.x"), sampler(shrinking, x, pairwise(ways), **more), 1e-4)
    exploding = [(1.0, sigma / alpha) for alpha, sigma in ways]
    more = {} if without_noise(sampler) else {"noise": drawing(x)}
    found = sampler(shrinking, x / ways[0][0], pairwise(exploding), **more)
    agree(numbers.expected(f"k.{title}.x"), found, 1e-4)


def test_kept_sigmas_of_k_diffusion(kept: Any) -> None:
    numbers = kept("k_diffusion")
    for title, found in (("karras", karras(10, 0.03, 14.6)), ("exp", exponential(10, 0.03, 14.6))):
        expected = numbers.expected(f"k_sigmas.{title}").double()[:-1]
        torch.testing.assert_close(found, expected, rtol=2e-6, atol=0)  # kept in float32


def test_kept_schedules_of_guided_diffusion(kept: Any) -> None:
    numbers = kept("guided_diffusion")
    exact = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
    exact(cosine_betas(), numbers.expected("gd_sched.betas_cos"))
    # the logarithm of what ddpm adds between neighbours; the first, of no noise, is kept as the second
    alpha, sigma = variance_preserving(COSINE)
    share = (sigma[:-1] / sigma[1:]).square() * (1 - (alpha[1:] / alpha[:-1]).square())
    exact(share.log(), numbers.expected("gd_sched.posterior_logvar")[1:])
    for title, total, sections in (
        ("ddpm_cos_10", 1000, "10"),
        ("ddpm_lin_4,3,2", 90, "4,3,2"),
        ("ddim8_lin", 1000, "ddim8"),
    ):
        expected = [int(step) for step in numbers.expected(f"gd_sample.{title}.map")]
        assert expected == in_sections(total, sections)[::-1]


def test_kept_schedules_of_latent_diffusion(kept: Any) -> None:
    numbers = kept("ldm")
    exact = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
    exact(scaled_linear_betas(), numbers.expected("ldm_ddim.betas"))
    steps = respaced(1000, 20, "leading", offset=1)
    assert numbers.expected("ldm_ddim.timesteps").tolist() == steps[::-1]
    ways = ended(schedule_levels(SCALED, 20, "leading", offset=1), SCALED)
    for i, ((alpha_t, sigma_t), (alpha_s, sigma_s)) in enumerate(pairwise(ways)):
        fresh = 0.5 * sigma_s / sigma_t * (1 - (alpha_t / alpha_s) ** 2) ** 0.5
        found = torch.tensor([alpha_t**2, alpha_s**2, fresh], dtype=torch.float64)
        kept_ones = [
            float(numbers.expected(f"ldm_ddim.{name}")[19 - i]) for name in ("alphas", "alphas_prev", "sigmas")
        ]
        exact(found, torch.tensor(kept_ones, dtype=torch.float64))


@pytest.mark.parametrize("title", ["ddim", "plms"])
def test_kept_pictures_of_latent_diffusion(title: str, kept: Any, agree: Any, tmp_path: Path) -> None:
    numbers = kept("ldm")
    weights = numbers.weights("ldm_unet.m")
    config = LatentUNetConfig(widths=(32, 64), depths=(1, 1), heads=(4, 4), context_width=24, groups=32)
    unet = from_single_file(config, weights, tmp_path)
    wanted = numbers.given(f"ldm_sample_cfg.{title}.ctx")
    texts = torch.cat([wanted, torch.zeros_like(wanted)])

    def denoise(x: Tensor, alpha: float, sigma: float) -> Estimates:
        t = times([(alpha, sigma)], SCALED).round().long().expand(2 * len(x))
        eps = unet(torch.cat([x, x]).float(), t, texts, None)
        both = denoised("eps", eps.double(), torch.cat([x, x]), alpha, sigma)
        return Estimates(*both.chunk(2), 7.5)

    x = numbers.given(f"ldm_sample_cfg.{title}.x").double()
    ways = ended(schedule_levels(SCALED, 8, "leading", offset=1), SCALED)
    with torch.inference_mode():
        if title == "plms":
            found = plms(denoise, x, pairwise(ways))
        else:
            found = ddim(denoise, x, pairwise(ways), noise=drawing(x))
    agree(numbers.expected(f"ldm_sample_cfg.{title}.z"), found, 1.5e-4)  # the reference's own floor is 1.2e-4


def from_single_file(config: LatentUNetConfig, weights: dict[str, Tensor], folder: Path) -> Any:
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "unet.safetensors")
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    checkpoint = Checkpoint(folder / "unet.safetensors", dict.fromkeys(shapes, folder / "unet.safetensors"), shapes)
    with WithoutMemory():
        wanted = sources(LatentUNet(config), "ldm")
    return filled(lambda: LatentUNet(config), wanted, checkpoint, "cpu").eval()
