"""Estimates of a denoiser held within the range of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodeflow import Recipe, TextEmbedding
from nodeflow_diffusion.guidance import Found, changed, thresholded
from nodeflow_diffusion.recipes import Around, Scalar

Load = Callable[[Recipe], Any]


@dataclass(frozen=True, eq=False)
class Clipped(Around):
    """Static thresholding (Ho et al. 2020): every estimate cut at -bound and bound."""

    bound: float = 1.0

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Found:
            found = inner(x, alpha, sigma, condition)
            return changed(found, lambda x_0: x_0.clamp(-self.bound, self.bound))

        return denoise


@dataclass(frozen=True, eq=False)
class Thresholded(Around):
    """Dynamic thresholding (`guidance.thresholded`) of every estimate."""

    quantile: float = 0.995
    bound: float = 1.0
    largest: float = float("inf")

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Found:
            found = inner(x, alpha, sigma, condition)
            return changed(found, lambda x_0: thresholded(x_0, self.quantile, self.bound, self.largest))

        return denoise
