"""Latents changed without a decoder."""

from typing import Annotated, Literal

from pydantic import Field
from torch.nn import functional as F

from nodeflow import Latent, node

Method = Literal["nearest", "bilinear", "bicubic", "area"]
Side = Annotated[int, Field(ge=8, le=8192)]


@node(category="codebooks", title="Resize latents")
def resize(latent: Latent, width: Side = 1024, height: Side = 1024, method: Method = "nearest") -> Latent:
    """Stretch latents to the size of other pictures, as a draft that is sampled further (strength 0.5 and more).

    Decoded as they are, they look blurred or blocky: cells between those of an encoder mean little. To enlarge a
    picture and keep it, decode it, take image.resize, and encode it.

    Args:
        latent: one, or a batch.
        width: of the pictures, in pixels: a multiple of what a cell takes, mostly 8.
        height: likewise.
        method: nearest repeats cells, bilinear and bicubic go from one to the next, area is the mean of those that a
            smaller one covers.
    """
    factor = latent.space.factor
    if width % factor or height % factor:
        raise ValueError(
            f"{width} x {height} pixels are no whole cells of {factor} x {factor}\n"
            f"    take {width - width % factor} x {height - height % factor}"
        )
    smooth = method in ("bilinear", "bicubic")
    samples = F.interpolate(
        latent.samples,
        (height // factor, width // factor),
        mode="nearest-exact" if method == "nearest" else method,
        align_corners=False if smooth else None,
    )
    return Latent(samples, latent.space)


LATENT_NODES = (resize,)
