"""What published U-Nets see beside their latents: mask and masked picture, or the picture that is edited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nodeflow import Recipe, TextEmbedding
from nodeflow_diffusion.guidance import Found, edited
from nodeflow_diffusion.recipes import Around, Scalar
from nodeflow_diffusion.text_recipes import spread

Load = Callable[[Recipe], Any]


@dataclass(frozen=True, eq=False)
class Beside(Around):
    """A denoiser that sees `seen` [B or 1, C, h, w] beside the latents [B, 4, h, w] of its x."""

    seen: Tensor

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
            if at_once:
                a, b, c = inner(torch.cat([full, full, none]), thrice(alpha), thrice(sigma), texts(count)).chunk(3)
            else:
                a = inner(full, alpha, sigma, wanted(count))
                b, c = (inner(seen, alpha, sigma, other(count)) for seen in (full, none))
            return edited(a, b, c, self.text_scale, self.picture_scale)

        return denoise


@dataclass(frozen=True, eq=False)
class Enlarged(Around):
    """A denoiser that sees a small picture, `small` [B or 1, C, h, w], scaled to the size of the one that it draws."""

    small: Tensor

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: object = None) -> Found:
            seen = F.interpolate(self.small.to(x), x.shape[-2:], mode="bilinear")
            found: Found = inner(beside(x, seen), alpha, sigma, condition)
            return found

        return denoise


def beside(x: Tensor, seen: Tensor) -> Tensor:
    """Latents [k B, C, h, w] and for each of its pictures what is seen beside it, along the channels.

    Raises:
        ValueError: that is of another size, or of another number of pictures.
    """
    count, rest = divmod(len(x), len(seen))
    if seen.shape[-2:] != x.shape[-2:] or rest:
        raise ValueError(
            f"what the denoiser shall see is {list(seen.shape)}, but the latent {list(x.shape)}\n"
            "    sample into a latent of the picture's size, and of as many pictures"
        )
    return torch.cat([x, seen.to(x).repeat(count, 1, 1, 1)], 1)


def thrice(value: Scalar) -> Scalar:
    """A number for all, or one each of a batch that is tripled."""
    return value.repeat(3) if isinstance(value, Tensor) and value.dim() else value
