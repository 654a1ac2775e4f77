"""Masks drawn, found by colour, and combined. All [B, 1, H, W] in 0..1."""

from collections.abc import Callable

import torch
from torch import Tensor

from nodeflow_image.channels import split, with_channels

LINES = 16  # across which an ellipse's edge is averaged within a pixel; along the other direction it is exact
LAST_BIT = 1e-6  # a tolerance of 10 / 255 reaches colours 10 steps away, whichever way both were rounded


def rectangle(width: int, height: int, box: tuple[int, int, int, int]) -> Tensor:
    """A mask [1, 1, height, width] that covers box (left, top, width, height), as far as it lies inside."""
    left, top, across, down = box
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, max(top, 0) : max(top + down, 0), max(left, 0) : max(left + across, 0)] = 1
    return mask


def ellipse(width: int, height: int, centre: tuple[float, float], radii: tuple[float, float]) -> Tensor:
    """A mask [1, 1, height, width] of an ellipse, its edge anti-aliased by coverage. Pixel (0, 0) spans 0..1."""
    (x, y), (across, down) = centre, radii
    left = torch.arange(width)
    covered = torch.zeros(height, width)
    for line in range(LINES):
        offset = (torch.arange(height) + (line + 0.5) / LINES - y) / down
        half = across * (1 - offset**2).clamp_min(0).sqrt()[:, None]
        covered += (torch.minimum(left + 1, x + half) - torch.maximum(left, x - half)).clamp_(0, 1)
    return (covered / LINES)[None, None]


def near_colour(picture: Tensor, colour: Tensor, tolerance: float, softness: float) -> Tensor:
    """Where a picture has about that colour [1, 3, 1, 1]: 1 up to `tolerance`, falling to 0 over `softness` more.

    The distance is the largest of the three channels' differences. Clear pixels have no colour: alpha multiplies.
    """
    seen, alpha = split(picture)
    distance = (with_channels(seen, 3) - colour.to(seen)).abs().amax(dim=1, keepdim=True)
    if softness:
        near = (1 - (distance - tolerance) / softness).clamp(0, 1)
    else:
        near = (distance <= tolerance + LAST_BIT).to(distance)
    return near if alpha is None else near * alpha


COMBINATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "union": torch.maximum,
    "intersection": torch.minimum,
    "subtraction": lambda first, second: torch.minimum(first, 1 - second),
    "difference": lambda first, second: (first - second).abs(),
}
"""What is in either, in both, in the first but not the second, in just one."""
