"""Pixels as latents: for denoisers that work on pictures themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodeflow import Autoencoder, Composition, LatentSpace, Recipe

PIXELS = LatentSpace("pixels", 3, 1)
"""Where samples are pixels in -1..1."""


@dataclass(frozen=True)
class Pixels(Autoencoder, Composition):
    """An autoencoder without weights: each pixel is a cell."""

    space: LatentSpace = PIXELS

    def assemble(self, load: Callable[[Recipe], Any]) -> LoadedPixels:
        """An object with `encode` and `decode`."""
        del load  # it has no children
        return LoadedPixels()


class LoadedPixels:
    """Pixels of 0..1 as those of -1..1, and back."""

    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] in 0..1 -> the same in -1..1.

        Raises:
            ValueError: they are to be drawn with noise.
        """
        if noise is not None:
            raise ValueError("a picture has one latent of pixels, not a distribution of them\n    leave draw off")
        return pixels * 2 - 1

    def decode(self, samples: Tensor) -> Tensor:
        """[B, 3, H, W] in -1..1, cut there -> the same in 0..1."""
        return (samples.clamp(-1, 1) + 1) / 2
