"""Thresholds: estimates held within the range of pictures."""

from typing import Annotated

from pydantic import Field

from nodeflow import Denoiser, Ui, node
from nodeflow_diffusion.threshold_recipes import Clipped, Thresholded

Bound = Annotated[float, Field(gt=0, le=1000)]


@node(category="diffusion/guidance", title="Clamp estimates")
def clamp(denoiser: Denoiser, bound: Bound = 1.0) -> Denoiser:
    """Cut what the denoiser makes at the ends of its range, as DDPM and what followed it do.

    For denoisers of pixels: the latents of autoencoders have no ends.

    Args:
        denoiser: guided or not; put it behind diffusion.guide, or guidance leads out of the range again.
        bound: the range is from minus this to this; pixels are -1 to 1.
    """
    return Clipped(denoiser, bound)


@node(category="diffusion/guidance", title="Threshold estimates")
def threshold(
    denoiser: Denoiser,
    quantile: Annotated[float, Field(gt=0, le=1), Ui("slider")] = 0.995,
    bound: Bound = 1.0,
    largest: Bound = 1000.0,
) -> Denoiser:
    """Bring strong guidance back into the range without flat patches of black and white (dynamic thresholding).

    In each step a picture that goes beyond its range is cut at the value that most of it stays below, and scaled back.

    Args:
        denoiser: guided or not; put it behind diffusion.guide.
        quantile: how much of a picture is left uncut; Imagen takes 0.995.
        bound: the range is from minus this to this; pixels are -1 to 1.
        largest: what lies beyond this is cut at once, so that few strong values do not grey the rest.
    """
    return Thresholded(denoiser, quantile, bound, largest)


THRESHOLD_NODES = (clamp, threshold)
