"""The variational bound of diffusion with a learned variance, and the hybrid loss (Nichol and Dhariwal 2021)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from nodeflow_diffusion.batches import column
from nodeflow_diffusion.guidance import Learned
from nodeflow_diffusion.prediction import denoised, learned_share

BITS = math.log(2.0)
HALF_STEP = 1 / 255
"""Half the distance of two of the 256 values of a pixel in -1..1."""
EDGE = 0.999
"""Beyond it a pixel is the first or the last of these values, to which all that lies outside counts."""
SMALLEST = 1e-12
"""Probabilities below it count as that."""


class HybridTerms(NamedTuple):
    """Parts of the loss, [B]: mean squared error of the noise, and one step of the bound, in bits a number."""

    simple: Tensor
    bound: Tensor


def hybrid_terms(
    output: Tensor, x_0: Tensor, eps: Tensor, x_t: Tensor, step: Tensor, alphas_cumprod: Tensor
) -> HybridTerms:
    """The parts of L_hybrid = L_simple + lambda L_vlb by picture (section 3.1 and eq. 3 to 5, 15, 16).

    The bound teaches the variance alone: no gradient of it goes into the mean. Its sum over all steps is L_vlb but for
    the part of the noise itself.

    Args:
        output: [B, 2 C, H, W]: the noise, and the share of the variance (`prediction.learned_share`).
        x_0: [B, C, H, W] pixels, -1..1.
        eps: the noise in x_t, as x_0.
        x_t: what the network saw, as x_0.
        step: [B] int64 of the table.
        alphas_cumprod: [T] float64.
    """
    found, share = learned_share(output)
    simple = (found - eps).square().flatten(1).mean(1)
    kept = alphas_cumprod.to(step.device)
    alpha, sigma = (column(values[step], x_0) for values in (kept.sqrt(), (1 - kept).sqrt()))
    mean = denoised("eps", found.detach(), x_t, alpha, sigma)
    return HybridTerms(simple, bound(Learned(mean, share), x_0, x_t, step, kept))


def bound(found: Learned, x_0: Tensor, x_t: Tensor, step: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """One step's part of the variational bound, in bits a number: [B].

    The divergence of q(x_t-1 | x_t, x_0) from the model's normal distribution; of the first step, what the model gives
    for the pixels as values of 256 (Ho et al. 2020, eq. 13).

    Args:
        found: what a denoiser makes of x_t: one estimate, and its share.
        x_0: [B, C, H, W] pixels, -1..1.
        x_t: as x_0.
        step: [B] int64 of the table.
        alphas_cumprod: [T] float64.
    """
    assert isinstance(found.x_0, Tensor)
    before = torch.cat([alphas_cumprod.new_ones(1), alphas_cumprod[:-1]])
    beta = 1 - alphas_cumprod / before
    posterior = beta * (1 - before) / (1 - alphas_cumprod)
    smallest, largest = posterior.clone(), beta
    smallest[0] = posterior[1]  # of the first step it is 0
    of_x_0 = beta * before.sqrt() / (1 - alphas_cumprod)
    of_x_t = (1 - before) * (alphas_cumprod / before).sqrt() / (1 - alphas_cumprod)
    c_0, c_t, low, high = (column(values[step], x_0) for values in (of_x_0, of_x_t, smallest.log(), largest.log()))
    true, mean = c_0 * x_0 + c_t * x_t, c_0 * found.x_0 + c_t * x_t
    log_variance = torch.lerp(low.expand_as(mean), high.expand_as(mean), found.share)
    apart = divergence(true, low, mean, log_variance)
    first = -log_likelihood(x_0, mean, log_variance / 2)
    return torch.where(column(step == 0, x_0) > 0, first, apart).flatten(1).mean(1) / BITS


def divergence(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) | N(other mean, other variance)) of each number, in nats; all broadcast."""
    apart = other_log_variance - log_variance
    return (apart + (-apart).exp() + (mean - other_mean).square() * (-other_log_variance).exp() - 1) / 2


def log_likelihood(x: Tensor, mean: Tensor, log_spread: Tensor) -> Tensor:
    """The log probability of pixels in -1..1, as values of 256, under normal distributions; in nats, shaped as x."""
    above = _normal((x - mean + HALF_STEP) * (-log_spread).exp())
    below = _normal((x - mean - HALF_STEP) * (-log_spread).exp())
    share = torch.where(x < -EDGE, above, torch.where(x > EDGE, 1 - below, above - below))
    return share.clamp(min=SMALLEST).log()


def _normal(x: Tensor) -> Tensor:
    """The distribution function of the standard normal, approximated as published models were trained with it."""
    return (1 + torch.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2
