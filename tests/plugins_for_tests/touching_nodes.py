"""Nodes that write to pictures that are not theirs."""

from collections import Counter
from typing import NamedTuple

import torch

from nodeflow import QUIET, Context, Image, Mask, node

CALLS: Counter[str] = Counter()
BUFFER = torch.zeros(1, 1, 2, 2)


class Both(NamedTuple):
    image: Image
    mask: Mask


@node(category="p")
def grey(level: float = 0.5) -> Image:
    """A grey picture."""
    CALLS["grey"] += 1
    return Image(torch.full((1, 1, 2, 2), level))


@node(category="p")
def both(level: float = 0.5) -> Both:
    """A picture and a mask."""
    return Both(Image(torch.full((1, 1, 2, 2), level)), Mask(torch.ones(1, 1, 2, 2)))


@node(category="p")
def inferred(level: float = 0.5) -> Image:
    """A picture made in inference mode."""
    with torch.inference_mode():
        return Image(torch.full((1, 1, 2, 2), level))


@node(category="p")
def passed(image: Image) -> Image:
    """The very same picture."""
    return image


@node(category="p")
def mean(image: Image, spare: list[Image] | None = None) -> float:
    """How bright a picture is."""
    CALLS["mean"] += 1
    return float(image.pixels.mean())


@node(category="p")
def darken(image: Image, how: str = "zero") -> Image:
    """Writes to its input."""
    if how == "view":
        image.pixels[:, :, 0].mul_(0.5)
    elif how == "inference":
        with torch.inference_mode():
            image.pixels.zero_()
    elif how != "none":
        image.pixels.zero_()
    if how == "raise":
        raise ValueError("and fails")
    return image


@node(category="p")
def darken_many(images: list[Image]) -> float:
    """Writes to the last of many."""
    images[-1].pixels.zero_()
    return 0.0


@node(category="p")
def darken_slowly(image: Image, *, ctx: Context = QUIET) -> Image:
    """Writes to its input, then takes steps for ever."""
    for _ in ctx.steps(iter(int, 1)):
        image.pixels.zero_()
    return image


@node(category="p")
def buffered(level: float = 0.5) -> Image:
    """Gives the same tensor each time."""
    return Image(BUFFER.fill_(level))
