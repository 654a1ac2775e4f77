"""Colour and light: plain colours, corrections, blending, and the measure of a difference."""

from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field

from nodeflow import Image, Mask, Table, Ui, node
from nodeflow_image import metrics, sizes
from nodeflow_image.blending import blended
from nodeflow_image.channels import adjusted, colour_of, flattened, joined, luma, split, to_common, weighed
from nodeflow_image.resampling import blurred

Side = Annotated[int, Field(ge=1, le=32768)]
Colour = Annotated[str, Ui("colour")]
Factor = Annotated[float, Field(ge=0, le=4), Ui("slider")]


class Compared(NamedTuple):
    table: Table
    difference: Image


@node(category="image/colour")
def colour(width: Side = 512, height: Side = 512, colour: Colour = "#808080") -> Image:
    """Make a picture of one colour.

    Args:
        width: in pixels.
        height: in pixels.
        colour: "#rrggbb".
    """
    sizes.bounded(width, height)
    return Image(colour_of(colour).repeat(1, 1, height, width))


@node(category="image/colour")
def adjust(
    image: Image,
    brightness: Annotated[float, Field(ge=-1, le=1), Ui("slider")] = 0.0,
    contrast: Factor = 1.0,
    saturation: Factor = 1.0,
    gamma: Annotated[float, Field(ge=0.1, le=10), Ui("slider")] = 1.0,
) -> Image:
    """Correct brightness, contrast, saturation and gamma, in this order. Alpha is kept.

    Args:
        image: the picture or batch.
        brightness: added to each value.
        contrast: factor about middle grey; 0 leaves only that.
        saturation: factor about the grey of the same luma; 0 takes the colour out.
        gamma: over 1 lifts the shadows, under 1 deepens them; black and white stay.
    """
    plain, alpha = split(image.pixels)
    return Image(joined(adjusted(plain, brightness, contrast, saturation, gamma), alpha))


@node(category="image/colour")
def to_grey(image: Image) -> Image:
    """Take the colour out (Rec. 601 luma). One channel; four where there is alpha, which is kept.

    Args:
        image: the picture or batch.
    """
    plain, alpha = split(image.pixels)
    return Image(joined(luma(plain), alpha))


@node(category="image/colour")
def flatten(image: Image, colour: Colour = "#ffffff") -> Image:
    """Lay pictures with alpha on a plain colour, so that they have none. Others pass as they are.

    Args:
        image: the picture or batch.
        colour: "#rrggbb" of the ground.
    """
    return Image(flattened(image.pixels, colour_of(colour)))


@node(category="image/colour")
def blur(image: Image, sigma: Annotated[float, Field(ge=0, le=200), Ui("slider")] = 2.0) -> Image:
    """Blur pictures by a Gaussian. Clear pixels lend no colour to their neighbours.

    Args:
        image: the picture or batch.
        sigma: the Gaussian's standard deviation in pixels; 0 changes nothing.
    """
    return Image(weighed(image.pixels, lambda plain: blurred(plain, sigma)) if sigma else image.pixels)


@node(category="image/combine")
def blend(
    below: Image,
    above: Image,
    mask: Mask | None = None,
    opacity: Annotated[float, Field(ge=0, le=1), Ui("slider")] = 1.0,
    mode: Literal["normal", "multiply", "screen", "overlay", "add", "difference"] = "normal",
) -> Image:
    """Lay one picture over another of the same size.

    The result has alpha if the one below has; grey over grey stays grey; a single picture goes with each of a batch.

    Args:
        below: the picture or batch that is covered.
        above: the picture or batch that covers; its alpha counts.
        mask: where it covers; everywhere if not wired.
        opacity: how much of it is seen.
        mode: how the colours combine.
    """
    sizes.alike(below.pixels, above.pixels, "the pictures below and above")
    coverage = torch.ones(1, 1, 1, 1) if mask is None else mask.coverage
    if mask is not None:
        sizes.alike(below.pixels, coverage, "the picture below and the mask")
        sizes.alike(above.pixels, coverage, "the picture above and the mask")
    return Image(blended(below.pixels, above.pixels, coverage * opacity, mode))


def _difference(first: Image, second: Image) -> tuple[Any, Image]:
    sizes.alike(first.pixels, second.pixels, "the pictures to compare")
    x, y = to_common([first.pixels, second.pixels])
    return ..., Image(metrics.difference(x, y))


@node(category="image/measure", forecast=_difference)
def compare(first: Image, second: Image) -> Compared:
    """Measure how alike pictures are: mean squared error, PSNR, SSIM and the largest difference, pair by pair.

    PSNR is in dB and infinite for equal pictures. SSIM (Wang et al. 2004, Gaussian window) is empty for pictures under
    11 pixels. The difference picture is |first - second|.

    Args:
        first: a picture or batch.
        second: as many pictures of the same size, or one that each is compared with.
    """
    sizes.alike(first.pixels, second.pixels, "the pictures to compare")
    x, y = to_common([first.pixels, second.pixels])
    count = max(len(x), len(y))
    x, y = x.expand(count, -1, -1, -1), y.expand(count, -1, -1, -1)
    errors, largest, similar = metrics.mse(x, y), metrics.largest(x, y), metrics.ssim(x, y)
    rows = tuple(
        (place, errors[place], metrics.psnr(errors[place]), similar[place] if similar else None, largest[place])
        for place in range(count)
    )
    table = Table("comparison", ("picture", "mse", "psnr", "ssim", "max difference"), rows)
    return Compared(table, Image(metrics.difference(x, y)))


NODES = (colour, adjust, to_grey, flatten, blur, blend, compare)
