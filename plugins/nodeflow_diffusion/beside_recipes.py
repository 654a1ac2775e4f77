"""What published U-Nets see beside their latents: mask and masked picture, or the picture that is edited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import lcm
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nodeflow import Recipe, TextEmbedding
from nodeflow_diffusion.batches import beside, times
from nodeflow_diffusion.guidance import Found, edited
from nodeflow_diffusion.recipes import Around, Scalar
from nodeflow_diffusion.text_recipes import spread

Load = Callable[[Recipe], Any]


@dataclass(frozen=True, eq=False)
class Beside(Around):
    """A denoiser that sees `seen` [B or 1, C, h, w] beside the latents [B, 4, h, w] of its x."""

    seen: Tensor

    @property
    def bound_pictures(self) -> int:
        """See `Around`."""
        return lcm(len(self.seen), super().bound_pictures)

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            found: Tensor = inner(beside(x, self.seen), alpha, sigma, condition)
            return found

        return denoise


@dataclass(frozen=True, eq=False)
class Edited(Around):
    """Guidance by text and by picture (Brooks et al. 2022, eq. 3): three estimates in one pass, or in three.

    picture: what the network sees of the picture to edit, [B or 1, 4, h, w]; zeros stand for none.
    """

    picture: Tensor
    positive: TextEmbedding
    negative: TextEmbedding
    text_scale: float = 7.5
    picture_scale: float = 1.5

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma) -> denoised`."""
        inner, at_once = load(self.denoiser), self.execution.batch_guidance
        wanted, other = (cache(partial(spread, text)) for text in (self.positive, self.negative))
        join = self.joined
        texts = cache(lambda count: join(join(wanted(count), other(count)), other(count)))

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            del condition  # what is bound stays bound
            count = len(x)
            full = beside(x, self.picture)
            none = beside(x, torch.zeros_like(self.picture))
            if at_once and count % self.bound_pictures == 0:  # see `LoadedGuidance`
                a, b, c = inner(torch.cat([full, full, none]), times(alpha, 3), times(sigma, 3), texts(count)).chunk(3)
            else:
                a = inner(full, alpha, sigma, wanted(count))
                b, c = (inner(seen, alpha, sigma, other(count)) for seen in (full, none))
            return edited(a, b, c, self.text_scale, self.picture_scale)

        return denoise


@dataclass(frozen=True, eq=False)
class Enlarged(Around):
    """A denoiser that sees a small picture, `small` [B or 1, C, h, w], scaled to the size of the one that it draws."""

    small: Tensor

    @property
    def bound_pictures(self) -> int:
        """See `Around`."""
        return lcm(len(self.small), super().bound_pictures)

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: object = None) -> Found:
            seen = F.interpolate(self.small.to(x), x.shape[-2:], mode="bilinear")
            found: Found = inner(beside(x, seen), alpha, sigma, condition)
            return found

        return denoise
