"""What holds for all nodes: registered, deterministic, float32 in 0..1, and their inputs stay as they were."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nodeflow_image import register_nodes
from nodeflow_image.colour_nodes import adjust, blend, blur, colour, compare, flatten, to_grey
from nodeflow_image.layout_nodes import batch, crop, flip, grid, pad, pick, resize, rotate, switch
from nodeflow_image.mask_nodes import (
    image_to_mask,
    mask_blur,
    mask_combine,
    mask_ellipse,
    mask_from_colour,
    mask_invert,
    mask_rectangle,
    mask_to_image,
)

from nodeflow import Image, Mask


def image(channels: int, batch: int = 2) -> Image:
    return Image(torch.rand(batch, channels, 12, 14, generator=torch.Generator().manual_seed(channels)))


def mask(seed: int = 0) -> Mask:
    return Mask(torch.rand(2, 1, 12, 14, generator=torch.Generator().manual_seed(seed)))


ON_PICTURES: dict[str, Callable[[Image], Any]] = {
    "resize": lambda x: resize(x, 20, 7),
    "resize nearest": lambda x: resize(x, 20, 7, "nearest"),
    "resize same": lambda x: resize(x, 14, 12),
    "resize cover": lambda x: resize(x, 20, 7, "area", "cover"),
    "crop": lambda x: crop(x, 1, 1, 4, 4),
    "pad": lambda x: pad(x, 1, 1, colour="#12ab34"),
    "pad mirror": lambda x: pad(x, 1, 1, fill="mirror"),
    "flip": lambda x: flip(x),
    "rotate": lambda x: rotate(x, 270),
    "grid": lambda x: grid([x, x], captions=["a", "b", "c", "d"], colour="#12ab34"),
    "batch": lambda x: batch([x, image(4)]),
    "pick": lambda x: pick(x, 1),
    "switch": lambda x: switch(True, x),
    "adjust": lambda x: adjust(x, 0.1, 1.5, 1.5, 0.7),
    "to_grey": lambda x: to_grey(x),
    "flatten": lambda x: flatten(x),
    "blur": lambda x: blur(x),
    "compare": lambda x: compare(x, image(3)).difference,
    "mask_from_colour": lambda x: mask_from_colour(x, "#808080", 0.2, 0.3),
    "image_to_mask": lambda x: image_to_mask(x, "green"),
} | {
    f"blend {mode}": lambda x, mode=mode: blend(x, image(4), mask(), 0.5, mode)
    for mode in ("normal", "multiply", "screen", "overlay", "add", "difference")
}
ON_MASKS: dict[str, Callable[[Mask], Any]] = {
    "invert": lambda x: mask_invert(x),
    "blur": lambda x: mask_blur(x),
    "combine": lambda x: mask_combine(x, mask(1), "subtraction"),
    "to_image": lambda x: mask_to_image(x),
}


def fits(value: Image | Mask) -> None:
    tensor = value.pixels if isinstance(value, Image) else value.coverage
    assert tensor.dtype == torch.float32
    assert tensor.numel() > 0
    assert 0 <= tensor.min().item() <= tensor.max().item() <= 1


def tensor_of(value: Image | Mask) -> torch.Tensor:
    return value.pixels if isinstance(value, Image) else value.coverage


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", list(ON_PICTURES))
def test_nodes_on_pictures_keep_the_contract(name: str, channels: int) -> None:
    given = image(channels)
    before = given.pixels.clone()
    found = ON_PICTURES[name](given)
    fits(found)
    assert torch.equal(before, given.pixels)
    assert torch.equal(tensor_of(found), tensor_of(ON_PICTURES[name](given)))


@pytest.mark.parametrize("name", list(ON_MASKS))
def test_nodes_on_masks_keep_the_contract(name: str) -> None:
    given = mask()
    before = given.coverage.clone()
    found = ON_MASKS[name](given)
    fits(found)
    assert torch.equal(before, given.coverage)
    assert torch.equal(tensor_of(found), tensor_of(ON_MASKS[name](given)))


def test_nodes_that_draw_keep_the_contract() -> None:
    for drawn in (colour(), mask_rectangle(), mask_ellipse()):
        assert tensor_of(drawn).shape[2:] == (512, 512)
        fits(drawn)


def test_each_node_is_registered_once_with_a_docstring() -> None:
    nodes = register_nodes()
    names = [function.__name__ for function in nodes]
    assert len(names) == len(set(names)) == 28
    for function in nodes:
        assert hasattr(function, "__nodeflow__"), function.__name__
        assert function.__doc__, function.__name__
