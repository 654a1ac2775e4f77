"""Guidance by a perturbed attention."""

from typing import Annotated

from pydantic import Field

from nodeflow import Denoiser, Ui, node
from nodeflow_diffusion.perturbed_recipes import PerturbedGuided, perturbed


@node(category="diffusion/guidance", title="Guide by perturbed attention")
def perturb(denoiser: Denoiser, scale: Annotated[float, Field(ge=0, le=100), Ui("slider")] = 3.0) -> Denoiser:
    """Move away from what the denoiser would do if it lost sight of the picture's structure (PAG).

    Costs one more pass of the network a step. It stands right behind diffusion.guide, whose scale can then be lower, or
    behind diffusion.condition.

    Args:
        denoiser: of Stable Diffusion 1, 2 or XL, with its texts.
        scale: how strongly; 0 does nothing.
    """
    perturbed(denoiser)  # says now what cannot be
    return PerturbedGuided(denoiser, scale)


PERTURBED_NODES = (perturb,)
