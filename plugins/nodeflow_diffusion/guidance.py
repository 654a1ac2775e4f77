"""Guidance: how two estimates of a picture become one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Estimates(NamedTuple):
    """Two estimates of a picture, with the text and without, and the scale of the guidance between them."""

    conditional: Tensor
    unconditional: Tensor
    scale: float


class Learned(NamedTuple):
    """An estimate, and the variance of a step as the network learnt it: denoisers with a learned variance give this.

    share: as x, 0..1, where the logarithm of the variance of q(x_s | x_t) lies between its bounds: 0 at that of
    q(x_s | x_t, x_0), 1 at that of q(x_t | x_s) (Nichol and Dhariwal 2021, eq. 15). Only `samplers.ddpm` reads it.
    """

    x_0: Tensor | Estimates
    share: Tensor


class Steered(NamedTuple):
    """An estimate that a gradient of log p(y | x_t) moved, in both forms of Dhariwal and Nichol 2021, section 4.

    x_0: as the score with the gradient has it (algorithm 2). found: the estimate before. gradient: as x, by which
    `samplers.ddpm` moves the mean of a step, times its variance (algorithm 1); all others go by x_0.
    """

    x_0: Tensor
    found: Tensor | Estimates | Learned
    gradient: Tensor


Found = Tensor | Estimates | Learned | Steered
"""What a denoiser gives a sampler."""


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """The guided estimate u + scale (c - u) (Ho and Salimans 2022, eq. 6, with scale = 1 + w); shapes as given.

    Holds for estimates of x_0 as for the noise: the one is affine in the other, at the same x.
    """
    return torch.lerp(unconditional, conditional, scale)


def edited(full: Tensor, picture: Tensor, none: Tensor, text_scale: float, picture_scale: float) -> Tensor:
    """Guidance of two scales (Brooks et al. 2022, eq. 3); shapes as given.

    Args:
        full: the estimate for text and picture.
        picture: for the picture alone.
        none: for neither.
        text_scale: how far from the second to the first.
        picture_scale: how far from the third to the second.
    """
    return none + picture_scale * (picture - none) + text_scale * (full - picture)


def whole(x_0: Found) -> Tensor:
    """The estimate that is meant, in the shape of each."""
    if isinstance(x_0, Learned | Steered):
        x_0 = x_0.x_0
    return guided(*x_0) if isinstance(x_0, Estimates) else x_0


def changed(found: Found, change: Callable[[Tensor], Tensor]) -> Tensor | Learned:
    """What was found with another estimate; the variance stays. Of what a gradient moved, that is part of it then."""
    x_0 = change(whole(found))
    if isinstance(found, Steered):
        found = found.found
    return Learned(x_0, found.share) if isinstance(found, Learned) else x_0


def steered(found: Found, gradient: Tensor, factor: Tensor) -> Steered:
    """What was found, moved along a gradient; along several, if it was moved before.

    Args:
        found: by a denoiser of x = alpha x_0 + sigma eps.
        gradient: of log p(y | x) by x, as x.
        factor: sigma^2 / alpha, by which eps - sigma gradient moves x_0; broadcasts against x.
    """
    x_0 = whole(found) + factor * gradient
    if isinstance(found, Steered):
        return Steered(x_0, found.found, found.gradient + gradient)
    return Steered(x_0, found, gradient)


def thresholded(x_0: Tensor, quantile: float, bound: float = 1.0, largest: float = float("inf")) -> Tensor:
    """Dynamic thresholding (Saharia et al. 2022, section 2.3): x_0 [B, ...] held within -bound..bound.

    Of each picture the values beyond its quantile of |x_0| are cut, and the rest scaled down with it, if it is above
    the bound; a quantile above `largest` counts as that.
    """
    # not torch.quantile, which takes 16 million numbers at most
    ordered = x_0.abs().flatten(1).float().sort(1).values
    place = quantile * (ordered.shape[1] - 1)
    below = int(place)
    s = torch.lerp(ordered[:, below], ordered[:, min(below + 1, ordered.shape[1] - 1)], place - below)
    s = s.clamp(bound, max(bound, largest)).reshape(-1, *[1] * (x_0.dim() - 1)).to(x_0)
    return x_0.clamp(-s, s) * (bound / s)


def halved(both: Tensor | Learned | Steered) -> tuple[Tensor | Learned, Tensor | Learned]:
    """What was found for twice the pictures, as that of the first half and that of the second."""
    if isinstance(both, Steered):
        both = changed(both, lambda x_0: x_0)
    if not isinstance(both, Learned):
        first, second = both.chunk(2)
        return first, second
    (first, second), shares = whole(both).chunk(2), both.share.chunk(2)
    return Learned(first, shares[0]), Learned(second, shares[1])


def paired(conditional: Found, unconditional: Found, scale: float, rescale: float = 0.0) -> Found:
    """Both estimates for guidance; of a learned variance, that of the condition (Nichol et al. 2021, as published).

    rescale: share of the spread that is brought back; above 0 the two are made one at once.
    """
    pair = Estimates(whole(conditional), whole(unconditional), scale)
    if isinstance(conditional, Steered):
        conditional = conditional.found
    x_0 = rescaled(guided(*pair), pair.conditional, rescale) if rescale else pair
    return Learned(x_0, conditional.share) if isinstance(conditional, Learned) else x_0


def rescaled(x_0: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Bring back the spread that guidance raised, for a share of 0..1 (Lin et al. 2023, eq. 15 and 16).

    x_0, conditional: [B, C, H, W]; the spread is the standard deviation of each picture.
    """
    over = tuple(range(1, x_0.dim()))
    factor = conditional.std(over, keepdim=True) / x_0.std(over, keepdim=True).clamp(min=1e-8)
    return x_0 * torch.lerp(torch.ones_like(factor), factor, share)


def slerp(first: Tensor, second: Tensor, amount: Tensor) -> Tensor:
    """Spherical interpolation (Shoemake 1985): noise on the way between two noises keeps its variance.

    first, second: [1, C, H, W]. amount: [N], 0..1. Returns [N, C, H, W].
    """
    a, b, amount = first.flatten().double(), second.flatten().double(), amount.double()[:, None]
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    # the same direction, or opposite ones, between which no arc is the shortest; or none at all (NaN) of zeros
    if not angle.sin() >= 1e-6:
        mixed = torch.lerp(a, b, amount)
    else:
        mixed = (torch.sin((1 - amount) * angle) * a + torch.sin(amount * angle) * b) / angle.sin()
    return mixed.to(first.dtype).reshape(len(amount), *first.shape[1:])
