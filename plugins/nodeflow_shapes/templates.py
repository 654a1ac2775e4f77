"""Which shape, how large and where: the template that leaves the least of a silhouette unexplained."""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nodeflow_shapes.render import coverage
from nodeflow_shapes.scenes import SHAPES

RADII = tuple(0.09 * 1.09**i for i in range(14))  # to 0.276: all sizes and their jitter, with room for what is wrong
CLOSE = 0.3  # templates that the whole-pixel search leaves further behind the best than this never win
NUDGE = 0.5  # of a pixel, for finite differences
ROUNDS = 4


class Fit(NamedTuple):
    """The best template of each silhouette, all [N]; x, y, radius are fractions of the side.

    shape: index into SHAPES. residual: sum (silhouette - template)^2 over sum template^2.
    """

    shape: Tensor
    x: Tensor
    y: Tensor
    radius: Tensor
    residual: Tensor


def fit(silhouettes: Tensor) -> Fit:
    """Fit all shapes to silhouettes [N, S, S], 0..1: by correlation to two pixels, then by least squares."""
    coarse, places = _correlate(F.avg_pool2d(silhouettes, 2))  # halved: four times faster, and enough to begin with
    worth = coarse <= coarse.amin(1, keepdim=True) + CLOSE
    residual = torch.full_like(coarse, math.inf)
    for k, shape in enumerate(SHAPES):
        chosen = worth[:, k].nonzero()[:, 0]
        residual[chosen, k], places[chosen, k] = _refine(shape, silhouettes[chosen], places[chosen, k])
    best, shape_index = residual.min(1)
    x, y, radius = places[torch.arange(len(places)), shape_index].unbind(1)
    return Fit(shape_index, x, y, radius, best)


def softness(silhouettes: Tensor) -> Tensor:
    """How wide the edges of silhouettes [N, S, S] are: half-covered area over edge length, in pixels, [N].

    0.2 for an anti-aliased edge, 0.56 sigma for one blurred by a Gaussian: whatever the shape.
    """
    across = silhouettes.diff(dim=2, append=silhouettes[:, :, -1:])
    down = silhouettes.diff(dim=1, append=silhouettes[:, -1:])
    edge = (across.square() + down.square()).sqrt().flatten(1).sum(1)
    return (silhouettes * (1 - silhouettes)).flatten(1).sum(1) / edge.clamp(min=1)


@lru_cache(maxsize=4)
def _templates(side: int) -> tuple[Tensor, Tensor]:
    """Spectra [shapes * radii, side, side // 2 + 1] of templates about pixel (0, 0), and their energies."""
    radii = torch.tensor(RADII)
    middle = torch.full_like(radii, (side // 2 + 0.5) / side)
    drawn = torch.cat([coverage(shape, middle, middle, radii, size=side) for shape in SHAPES])
    drawn = drawn.roll((-(side // 2), -(side // 2)), (1, 2))
    return torch.fft.rfft2(drawn).conj(), drawn.square().sum((1, 2))


def _correlate(silhouettes: Tensor) -> tuple[Tensor, Tensor]:
    """The least residual [N, shapes] over all radii and whole-pixel offsets, and its x, y, radius [N, shapes, 3]."""
    count, side = silhouettes.shape[:2]
    spectra, energies = _templates(side)
    overlap = torch.fft.irfft2(torch.fft.rfft2(silhouettes)[:, None] * spectra, s=(side, side))
    match, offset = overlap.flatten(2).max(2)
    own = silhouettes.square().sum((1, 2))[:, None]
    residual = ((own - 2 * match + energies) / energies).reshape(count, len(SHAPES), len(RADII))
    residual, radius = residual.min(2)
    offset = offset.reshape(count, len(SHAPES), len(RADII)).gather(2, radius[..., None])[..., 0]
    x, y = (offset % side + 0.5) / side, (offset // side + 0.5) / side
    return residual, torch.stack([x, y, torch.tensor(RADII)[radius]], dim=-1)


def _refine(shape: str, silhouettes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Gauss-Newton from places [N, 3] (x, y, radius); returns the least residual seen [N] and its place [N, 3]."""
    side = silhouettes.shape[-1]

    def draw(place: Tensor) -> Tensor:
        return coverage(shape, *place.unbind(1), size=side).flatten(1)

    target = silhouettes.flatten(1)
    least, best = torch.full_like(places[:, 0], math.inf), places
    for step in range(ROUNDS + 1):
        drawn = draw(places)
        error = target - drawn
        residual = error.square().sum(1) / drawn.square().sum(1).clamp(min=1)
        better = residual < least
        least, best = torch.where(better, residual, least), torch.where(better[:, None], places, best)
        if step == ROUNDS:
            break
        # Forwards and backwards in turn: an edge upon a pixel's boundary shows its slope to one side only.
        nudge = (NUDGE if step % 2 == 0 else -NUDGE) / side
        slopes = torch.stack([draw(places + nudge * unit) - drawn for unit in torch.eye(3)], dim=2)
        normal = slopes.mT @ slopes + 0.1 * torch.eye(3)
        move = torch.linalg.solve(normal, (slopes.mT @ error[..., None])[..., 0])
        # A step beyond two pixels leaves the range in which an edge's slope says anything.
        places = places + nudge * move.clamp(-2 / NUDGE, 2 / NUDGE)
        places = torch.cat([places[:, :2], places[:, 2:].clamp(RADII[0] * 0.9, RADII[-1] * 1.1)], dim=1)
    return least, best
