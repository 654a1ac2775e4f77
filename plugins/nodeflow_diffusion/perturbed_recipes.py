"""Guidance by a worse estimate of the same network: one whose self-attention was perturbed (Ahn et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from nodeflow import Denoiser, Recipe, TextEmbedding
from nodeflow_diffusion.guidance import Estimates, Found, Learned, Steered, changed, rescaled, whole
from nodeflow_diffusion.latent_unet_recipes import PublishedDenoiser
from nodeflow_diffusion.recipes import Around, Conditioned, Guided, LoadedGuidance, Scalar

Load = Callable[[Recipe], Any]


@dataclass(frozen=True, eq=False)
class PerturbedGuided(Around):
    """Away from what the network finds for the wanted text when, in its middle, each place attends to itself alone.

    The estimate becomes x + scale (c - p): x as guidance by texts gives it, c of the wanted text, p of the wanted text
    perturbed (eq. 16, and as published beside guidance by texts). A rescaling of that guidance comes last.
    """

    scale: float = 3.0

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma) -> denoised`."""
        known = self.denoiser
        rescale = known.rescale if isinstance(known, Guided) else 0.0
        inner = load(replace(known, rescale=0.0) if isinstance(known, Guided) else known)
        estimates = inner.estimates if isinstance(inner, LoadedGuidance) else inner
        worse = load(perturbed(known))

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Found:
            del condition  # what is bound stays bound
            found: Found = estimates(x, alpha, sigma)
            pair = found.x_0 if isinstance(found, Learned | Steered) else found
            conditional = pair.conditional if isinstance(pair, Estimates) else pair
            away = self.scale * (conditional - whole(worse(x, alpha, sigma)))
            return changed(found, lambda x_0: rescaled(x_0 + away, conditional, rescale) if rescale else x_0 + away)

        return denoise


def perturbed(denoiser: Denoiser) -> Denoiser:
    """A denoiser that follows the wanted text alone, its network perturbed.

    Raises:
        ValueError: its network cannot be, or no text is bound to it.
    """
    if isinstance(denoiser, Guided):
        return Conditioned(_perturbed(denoiser.denoiser), denoiser.positive)
    if isinstance(denoiser, Conditioned):
        return replace(denoiser, denoiser=_perturbed(denoiser.denoiser))
    raise ValueError(
        "perturbed attention has to follow the wanted text\n"
        "    put diffusion.perturb right behind diffusion.guide or diffusion.condition"
    )


def _perturbed(denoiser: Denoiser) -> Denoiser:
    if isinstance(denoiser, PublishedDenoiser):
        return replace(denoiser, perturbed=True)
    if isinstance(denoiser, Around):
        return replace(denoiser, denoiser=_perturbed(denoiser.denoiser))
    raise ValueError(
        "this denoiser's attention cannot be perturbed; that of Stable Diffusion 1, 2 and XL can\n"
        "    leave diffusion.perturb out"
    )
