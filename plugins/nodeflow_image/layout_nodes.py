"""Size, frame and place: pictures resized, cut, turned, and put together."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodeflow import Image, Ui, node
from nodeflow_image import layout, sizes
from nodeflow_image.channels import paint_of, weighed
from nodeflow_image.resampling import resized

Side = Annotated[int, Field(ge=1, le=32768)]
Margin = Annotated[int, Field(ge=0, le=32768)]
Colour = Annotated[str, Ui("colour")]


@node(category="image/size")
def resize(
    image: Image,
    width: Side = 512,
    height: Side = 512,
    method: Literal["nearest", "bilinear", "bicubic", "lanczos", "area"] = "lanczos",
    fit: Literal["stretch", "cover", "contain"] = "stretch",
) -> Image:
    """Resize pictures. Shrinking never aliases, whatever the method but nearest.

    Args:
        image: the picture or batch.
        width: in pixels.
        height: in pixels.
        method: lanczos and bicubic are sharpest, bilinear softer; area is the plain mean; nearest keeps pixel art
            and labels.
        fit: stretch changes the proportions; cover keeps them and cuts off what is too much, evenly on both sides;
            contain keeps them and all of the picture, so that one side may come out shorter.
    """
    pixels = image.pixels
    box, before = (width, height), (pixels.shape[3], pixels.shape[2])
    if fit == "cover":
        across, down = sizes.covering(*before, box)
    else:
        across, down = sizes.contained(*before, box) if fit == "contain" else box
    sizes.bounded(across, down)
    if method == "nearest":
        pixels = resized(pixels, across, down, method)
    else:
        pixels = weighed(pixels, lambda plain: resized(plain, across, down, method))
    if fit == "cover":
        pixels = layout.cropped(pixels, (across - width) // 2, (down - height) // 2, width, height)
    return Image(pixels)


@node(category="image/size")
def crop(image: Image, left: Margin = 0, top: Margin = 0, width: Side = 512, height: Side = 512) -> Image:
    """Cut a rectangle out of pictures.

    Args:
        image: the picture or batch.
        left: pixels left of the cut.
        top: pixels above the cut.
        width: of the cut, in pixels.
        height: of the cut, in pixels.
    """
    return Image(layout.cropped(image.pixels, left, top, width, height))


@node(category="image/size")
def pad(
    image: Image,
    left: Margin = 0,
    top: Margin = 0,
    right: Margin = 0,
    bottom: Margin = 0,
    fill: Literal["colour", "edge", "mirror"] = "colour",
    colour: Colour = "#000000",
) -> Image:
    """Surround pictures by a margin.

    Args:
        image: the picture or batch.
        left: pixels to add on the left.
        top: pixels to add above.
        right: pixels to add on the right.
        bottom: pixels to add below.
        fill: one colour, the border's pixels drawn out, or the picture mirrored.
        colour: "#rrggbb", for the fill colour; opaque, and a grey picture stays grey under a grey.
    """
    margins = (left, top, right, bottom)
    if fill == "colour":
        return Image(layout.padded(image.pixels, margins, paint_of(colour)))
    return Image(layout.extended(image.pixels, margins, mirror=fill == "mirror"))


@node(category="image/size")
def flip(image: Image, direction: Literal["horizontal", "vertical"] = "horizontal") -> Image:
    """Mirror pictures.

    Args:
        image: the picture or batch.
        direction: horizontal swaps left and right, vertical top and bottom.
    """
    return Image(image.pixels.flip(3 if direction == "horizontal" else 2))


@node(category="image/size")
def rotate(image: Image, degrees: Literal[0, 90, 180, 270] = 90) -> Image:
    """Turn pictures clockwise by quarter turns, exactly.

    Args:
        image: the picture or batch.
        degrees: clockwise.
    """
    return Image(layout.turned(image.pixels, degrees))


@node(category="image/batch")
def grid(
    images: list[Image],
    columns: Annotated[int, Field(ge=0, le=1000)] = 0,
    gap: Annotated[int, Field(ge=0, le=1000)] = 0,
    colour: Colour = "#ffffff",
    captions: list[str] | None = None,
) -> Image:
    """Lay pictures of one size out on a sheet, row by row, with a line of text under each if wanted.

    Args:
        images: pictures and batches; each picture of a batch counts.
        columns: pictures in a row; 0 makes the sheet square-ish.
        gap: pixels between neighbours.
        colour: "#rrggbb" of the gaps, of empty places, and under the captions.
        captions: one for each picture, or none at all.
    """
    pictures = [image.pixels for image in images]
    return Image(layout.grid(pictures, columns, gap, paint_of(colour), captions))


@node(category="image/batch")
def batch(images: list[Image]) -> Image:
    """Put pictures of one size together into one batch, in order.

    Grey beside RGB becomes RGB, and without alpha beside alpha is opaque.

    Args:
        images: pictures and batches.
    """
    return Image(torch.cat(layout.stacked([image.pixels for image in images], "the batch")))


@node(category="image/batch")
def pick(image: Image, index: Annotated[int, Field(ge=0)] = 0) -> Image:
    """Take one picture out of a batch.

    Args:
        image: the batch.
        index: which one; the first is 0.
    """
    count = len(image.pixels)
    if not 0 <= index < count:
        raise ValueError(f"there is no picture {index} in a batch of {count}\n    the first is 0, the last {count - 1}")
    return Image(image.pixels[index : index + 1])


def _chosen(use_first: bool) -> list[str]:
    return ["first" if use_first else "second"]


@node(category="image/batch", needs=_chosen)
def switch(use_first: bool = True, first: Image | None = None, second: Image | None = None) -> Image:
    """Pass one of two pictures on; the other is not even computed.

    Args:
        use_first: whether the first is passed on.
        first: the picture if use_first is true.
        second: the picture if use_first is false.
    """
    chosen = first if use_first else second
    if chosen is None:
        name = "first" if use_first else "second"
        raise ValueError(f'"{name}" is chosen but nothing is wired into it\n    wire a picture in, or choose the other')
    return chosen


NODES = (resize, crop, pad, flip, rotate, grid, batch, pick, switch)
