"""Guidance: how two estimates of a picture become one."""

from typing import NamedTuple

import torch
from torch import Tensor


class Estimates(NamedTuple):
    """Two estimates of a picture, with the text and without, and the scale of the guidance between them."""

    conditional: Tensor
    unconditional: Tensor
    scale: float


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """The guided estimate u + scale (c - u) (Ho and Salimans 2022, eq. 6, with scale = 1 + w); shapes as given.

    Holds for estimates of x_0 as for the noise: the one is affine in the other, at the same x.
    """
    return torch.lerp(unconditional, conditional, scale)


def whole(x_0: Tensor | Estimates) -> Tensor:
    """The estimate that is meant, in the shape of each."""
    return guided(*x_0) if isinstance(x_0, Estimates) else x_0


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
    if angle.sin() < 1e-6:  # the same direction, or opposite ones, between which no arc is the shortest
        mixed = torch.lerp(a, b, amount)
    else:
        mixed = (torch.sin((1 - amount) * angle) * a + torch.sin(amount * angle) * b) / angle.sin()
    return mixed.to(first.dtype).reshape(len(amount), *first.shape[1:])
