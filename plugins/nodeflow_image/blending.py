"""One picture over another: separable blend modes and alpha, as the W3C's Compositing and Blending Level 1 has them."""

from collections.abc import Callable

import torch
from torch import Tensor

from nodeflow_image.channels import SEEN, joined, split, to_common


def overlay(below: Tensor, above: Tensor) -> Tensor:
    return torch.where(below <= 0.5, 2 * below * above, 1 - 2 * (1 - below) * (1 - above))


MODES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "normal": lambda _below, above: above,
    "multiply": lambda below, above: below * above,
    "screen": lambda below, above: below + above - below * above,
    "overlay": overlay,
    "add": lambda below, above: (below + above).clamp_max(1),
    "difference": lambda below, above: (below - above).abs(),
}
"""B(below, above) of colours in 0..1."""


def blended(below: Tensor, above: Tensor, coverage: Tensor, mode: str) -> Tensor:
    """Lay `above` on `below` where `coverage` [B or 1, 1, H, W] says so. The result has alpha only if `below` has.

    co = as (1 - ab) Cs + as ab B(Cb, Cs) + (1 - as) ab Cb, with as = above's alpha * coverage; ao = as + ab (1 - as).
    """
    Cb, ab = split(below)
    Cs, alpha = split(above.to(below.device))
    Cb, Cs = to_common([Cb, Cs])
    coverage = coverage.to(below.device)
    strength = coverage if alpha is None else coverage * alpha
    if ab is None:
        return torch.lerp(Cb, MODES[mode](Cb, Cs), strength).clamp_(0, 1)
    co = strength * (1 - ab) * Cs + strength * ab * MODES[mode](Cb, Cs) + (1 - strength) * ab * Cb
    ao = strength + ab * (1 - strength)
    return joined(co / ao.clamp_min(SEEN), ao.expand(len(co), -1, -1, -1)).clamp_(0, 1)
