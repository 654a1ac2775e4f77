"""Pictures as CLIP's vision towers take them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of the colours of the pictures that OpenAI's models, and nearly all of open_clip's, were trained on."""
LONGEST = 64
"""Times the shorter side: of longer pictures the middle is cut out before they are resized. A line of a pixel's height
and 16,384 of width, resized as a whole, would take 10 GB.
"""


def prepared(pixels: Tensor, side: int, mean: Sequence[float] = MEAN, deviation: Sequence[float] = DEVIATION) -> Tensor:
    """Resized to the shorter side, cut to the middle, normalised.

    Bicubic with antialiasing, as Pillow does it, but for its rounding to 256 steps of brightness.

    Args:
        pixels: [B, 3, H, W], 0..1.
        side: of the square that is cut out.
        mean: of each colour.
        deviation: likewise.

    Returns: [B, 3, side, side].
    """
    shorter = min(pixels.shape[-2:])
    pixels = middle(pixels, *(min(length, LONGEST * shorter) for length in pixels.shape[-2:]))
    high, wide = pixels.shape[-2:]
    size = side * high // shorter, side * wide // shorter
    if size != (high, wide):
        pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 1)
    cut = middle(pixels, side, side)
    colours = (torch.tensor(values, dtype=cut.dtype, device=cut.device)[:, None, None] for values in (mean, deviation))
    return (cut - next(colours)) / next(colours)


def middle(pixels: Tensor, high: int, wide: int) -> Tensor:
    """What lies in the middle of pictures [B, C, H, W]: [B, C, high, wide]."""
    top, left = (round((length - side) / 2) for length, side in zip(pixels.shape[-2:], (high, wide), strict=True))
    return pixels[..., top : top + high, left : left + wide]
