"""Masks: drawn, found, changed, and turned into pictures and back."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodeflow import Image, Mask, Ui, node
from nodeflow_image import masks, sizes
from nodeflow_image.channels import colour_of, luma, split, with_channels
from nodeflow_image.resampling import blurred

Side = Annotated[int, Field(ge=1, le=32768)]
Place = Annotated[int, Field(ge=-32768, le=32768)]
Unit = Annotated[float, Field(ge=0, le=1), Ui("slider")]


@node(category="image/mask")
def mask_from_colour(
    image: Image, colour: Annotated[str, Ui("colour")] = "#ffffff", tolerance: Unit = 0.1, softness: Unit = 0.0
) -> Mask:
    """Cover where pictures have about one colour. What is clear is not covered.

    Args:
        image: the picture or batch.
        colour: "#rrggbb".
        tolerance: how far red, green and blue may each be off, of 1.
        softness: over how much more the coverage falls to nothing; 0 makes a hard edge.
    """
    return Mask(masks.near_colour(image.pixels, colour_of(colour), tolerance, softness))


@node(category="image/mask")
def mask_rectangle(
    width: Side = 512,
    height: Side = 512,
    left: Place = 128,
    top: Place = 128,
    across: Side = 256,
    down: Side = 256,
) -> Mask:
    """Draw a rectangle as a mask; what lies outside the mask is cut off.

    Args:
        width: of the mask, in pixels.
        height: of the mask, in pixels.
        left: of the rectangle, in pixels from the left.
        top: of the rectangle, in pixels from above.
        across: the rectangle's width in pixels.
        down: the rectangle's height in pixels.
    """
    sizes.bounded(width, height)
    return Mask(masks.rectangle(width, height, (left, top, across, down)))


@node(category="image/mask")
def mask_ellipse(
    width: Side = 512,
    height: Side = 512,
    x: Annotated[float, Field(ge=-32768, le=32768)] = 256.0,
    y: Annotated[float, Field(ge=-32768, le=32768)] = 256.0,
    radius_x: Annotated[float, Field(gt=0, le=32768)] = 128.0,
    radius_y: Annotated[float, Field(gt=0, le=32768)] = 128.0,
) -> Mask:
    """Draw an ellipse as a mask, its edge smooth.

    Args:
        width: of the mask, in pixels.
        height: of the mask, in pixels.
        x: the centre, in pixels from the left edge.
        y: the centre, in pixels from the upper edge.
        radius_x: half the ellipse's width in pixels.
        radius_y: half the ellipse's height in pixels.
    """
    sizes.bounded(width, height)
    return Mask(masks.ellipse(width, height, (x, y), (radius_x, radius_y)))


@node(category="image/mask")
def mask_invert(mask: Mask) -> Mask:
    """Cover what was not covered.

    Args:
        mask: the mask or batch.
    """
    return Mask(1 - mask.coverage)


@node(category="image/mask")
def mask_blur(mask: Mask, sigma: Annotated[float, Field(ge=0, le=200), Ui("slider")] = 4.0) -> Mask:
    """Soften a mask's edge by a Gaussian.

    Args:
        mask: the mask or batch.
        sigma: the Gaussian's standard deviation in pixels; 0 changes nothing.
    """
    return Mask(blurred(mask.coverage, sigma).clamp(0, 1))


@node(category="image/mask")
def mask_combine(
    first: Mask, second: Mask, mode: Literal["union", "intersection", "subtraction", "difference"] = "union"
) -> Mask:
    """Combine two masks of the same size.

    Args:
        first: a mask or batch.
        second: as many masks, or one for all.
        mode: what is in either, in both, in the first but not the second, or in just one.
    """
    sizes.alike(first.coverage, second.coverage, "the masks")
    return Mask(masks.COMBINATIONS[mode](first.coverage, second.coverage.to(first.coverage.device)))


@node(category="image/mask")
def mask_to_image(mask: Mask) -> Image:
    """Show a mask as a grey picture: white is covered.

    Args:
        mask: the mask or batch.
    """
    return Image(mask.coverage)


@node(category="image/mask")
def image_to_mask(image: Image, channel: Literal["grey", "red", "green", "blue", "alpha"] = "grey") -> Mask:
    """Take one channel of pictures as a mask.

    Args:
        image: the picture or batch.
        channel: grey is the luma; alpha covers everything where a picture has none.
    """
    plain, alpha = split(image.pixels)
    if channel == "grey":
        return Mask(luma(plain))
    if channel == "alpha":
        return Mask(torch.ones_like(plain[:, :1]) if alpha is None else alpha)
    place = ("red", "green", "blue").index(channel)
    return Mask(with_channels(plain, 3)[:, place : place + 1])


NODES = (
    mask_from_colour,
    mask_rectangle,
    mask_ellipse,
    mask_invert,
    mask_blur,
    mask_combine,
    mask_to_image,
    image_to_mask,
)
