"""EDM's own loops: Heun's method with churn and without, over EDM's levels, of a small network with its weights.

The network is written out here, since no published one of the kind is loaded yet.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from nodeflow_diffusion.levels import EDM_SIGMAS, curve_levels
from nodeflow_diffusion.sigmas import karras
from nodeflow_diffusion.solvers import heun
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]
STEPS, SPREAD = 8, 1.003
WITHIN = (0.05, 50.0)
BLOCKS = ("enc.16x16_block0", "enc.8x8_down", "enc.8x8_block0")
BACK = (
    *(f"dec.8x8_{name}" for name in ("in0", "in1", "block0", "block1")),
    *(f"dec.16x16_{name}" for name in ("up", "block0", "block1")),
)


def convolved(x: Tensor, weights: Weights, name: str) -> Tensor:
    weight = weights[f"{name}.weight"]
    return functional.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)


def normed(x: Tensor, weights: Weights, name: str) -> Tensor:
    groups = min(32, x.shape[1] // 4)
    return functional.group_norm(x, groups, weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-5)


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def block(x: Tensor, told: Tensor, weights: Weights, name: str) -> Tensor:
    """A residual block whose second norm is scaled and shifted; halves or doubles the sides if its name says so."""

    def sized(x: Tensor) -> Tensor:
        if name.endswith("down"):
            return functional.avg_pool2d(x, 2)
        return functional.interpolate(x, scale_factor=2.0) if name.endswith("up") else x

    hidden = convolved(sized(functional.silu(normed(x, weights, f"{name}.norm0"))), weights, f"{name}.conv0")
    scale, shift = linear(told, weights, f"{name}.affine")[:, :, None, None].chunk(2, 1)
    hidden = functional.silu(torch.addcmul(shift, normed(hidden, weights, f"{name}.norm1"), scale + 1))
    around = sized(x)
    if f"{name}.skip.weight" in weights:
        around = convolved(around, weights, f"{name}.skip")
    return around + convolved(hidden, weights, f"{name}.conv1")


def network(x: Tensor, noise: Tensor, label: Tensor, weights: Weights) -> Tensor:
    half = torch.arange(8) / 8
    angles = noise[:, None] * (1 / 10000) ** half
    told = functional.silu(linear(torch.cat([angles.cos(), angles.sin()], 1), weights, "map_layer0"))
    told = functional.silu(linear(told, weights, "map_layer1") + linear(label, weights, "map_label"))
    x = convolved(x, weights, "enc.16x16_conv")
    skips = [x]
    for name in BLOCKS:
        x = block(x, told, weights, name)
        skips.append(x)
    for name in BACK:
        if x.shape[1] != weights[f"{name}.norm0.weight"].shape[0]:
            x = torch.cat([x, skips.pop()], 1)
        x = block(x, told, weights, name)
    return convolved(functional.silu(normed(x, weights, "out_norm")), weights, "out_conv")


def denoiser(weights: Weights, label: Tensor) -> Callable[..., Tensor]:
    """Table 1 of Karras et al. 2022, with sigma_data = 0.5, for any scale of x."""

    def denoise(x: Tensor, alpha: float, sigma: Tensor | float) -> Tensor:
        level = (torch.as_tensor(sigma, dtype=torch.float64) / alpha).float().reshape(-1, 1, 1, 1)
        total = (level.square() + 0.25).sqrt()
        z = (x / alpha).float()
        found = network(z / total, (level.log() / 4).flatten().expand(len(x)), label, weights)
        return (0.25 / total.square() * z + 0.5 * level / total * found).to(x.dtype)

    return denoise


@pytest.fixture
def weights(kept: Any) -> Weights:
    return {name.removeprefix("model."): value for name, value in kept("edm_adm").weights("edm.adm.m").items()}


def test_the_network_is_theirs(kept: Any, weights: Weights, agree: Any) -> None:
    numbers = kept("edm_adm")
    found = denoiser(weights, numbers.given("edm.adm.y"))(
        numbers.given("edm.adm.x"), 1.0, numbers.given("edm.adm.sigma").reshape(-1)
    )
    agree(numbers.expected("edm.adm.D"), found)


@pytest.mark.parametrize("scale", ["unit variance", "unit picture"])
@pytest.mark.parametrize("title", ["det", "churn"])
def test_kept_pictures(title: str, scale: str, kept: Any, weights: Weights, agree: Any) -> None:
    numbers = kept("edm_adm")
    start = numbers.given(f"edm_sample.adm.{title}.x").double()
    ways = curve_levels(STEPS, *EDM_SIGMAS, "karras")
    if scale == "unit picture":
        ways = [(1.0, sigma / alpha) for alpha, sigma in ways]
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(start.shape, generator=generator, dtype=torch.float64) for _ in range(STEPS)]
    # noise is drawn in every step there, used or not
    levels = karras(STEPS, *EDM_SIGMAS).tolist()
    used = iter([noise for noise, sigma in zip(drawn, levels, strict=True) if WITHIN[0] <= sigma <= WITHIN[1]])
    churn = 40 / STEPS if title == "churn" else 0.0
    denoise = denoiser(weights, numbers.given(f"edm_sample.adm.{title}.y"))
    with torch.inference_mode():
        found = heun(
            denoise,
            ways[0][1] * start,
            pairwise(ways),
            churn=churn,
            within=WITHIN,
            spread=SPREAD,
            noise=partial(next, used),
        )
    agree(numbers.expected(f"edm_sample.adm.{title}.x"), found, 1e-4)
