"""Colours, corrections and blending, against Pillow and by hand."""

import numpy as np
import pytest
import torch
from nodeflow_image.channels import colour_of, luma, to_common
from nodeflow_image.colour_nodes import adjust, blend, blur, colour, flatten, to_grey
from PIL import Image as Pillow

from nodeflow import Image, Mask


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def pixel(*values: float) -> Image:
    return Image(torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1))


def close(expected: list[float], image: Image) -> None:
    torch.testing.assert_close(image.pixels.flatten(), torch.tensor(expected, dtype=torch.float32), atol=1e-6, rtol=0)


def test_colour_is_what_the_hexadecimal_says() -> None:
    picture = colour(3, 2, "#FF8000").pixels
    assert picture.shape == (1, 3, 2, 3)
    assert torch.float32 == picture.dtype
    assert (picture[0, :, 1, 2] * 255).tolist() == [255, 128, 0]


@pytest.mark.parametrize(
    "text", ["", "red", "#fff", "#12345", "#1234567", "#12345g", "#12345６", "#123456\n", " #123456"]
)
def test_other_texts_are_no_colours(text: str) -> None:
    with pytest.raises(
        ValueError, match='is not a colour\n    write # and six hexadecimal digits: "#ff8000" is orange'
    ):
        colour_of(text)


def test_a_giant_of_one_colour_is_refused() -> None:
    with pytest.raises(ValueError, match="over 100 million pixels"):
        colour(32768, 32768)


def test_grey_is_pillows() -> None:
    lines = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    picture = torch.tensor(lines).permute(2, 0, 1)[None] / 255
    expected = torch.tensor(np.asarray(Pillow.fromarray(lines).convert("L")))[None, None] / 255
    # Pillow rounds to 8 bits
    torch.testing.assert_close(to_grey(Image(picture)).pixels, expected, atol=0.51 / 255, rtol=0)


def test_grey_keeps_alpha_and_leaves_grey_alone() -> None:
    close([0.299, 0.299, 0.299, 0.4], to_grey(pixel(1, 0, 0, 0.4)))
    close([0.3], to_grey(pixel(0.3)))


def test_channels_meet_without_loss() -> None:
    one, three, four = noise(2, 1, 2, 2), noise(1, 3, 2, 2), noise(1, 4, 2, 2)
    found = to_common([one, three, four])
    assert [tuple(picture.shape) for picture in found] == [(2, 4, 2, 2), (1, 4, 2, 2), (1, 4, 2, 2)]
    assert torch.equal(torch.cat([one, one, one, torch.ones(2, 1, 2, 2)], dim=1), found[0])
    assert torch.equal(torch.cat([three, torch.ones(1, 1, 2, 2)], dim=1), found[1])
    assert torch.equal(four, found[2])


def test_flatten_lays_on_a_colour() -> None:
    close([0.25 + 0.75, 0.75, 0.75], flatten(pixel(1, 0, 0, 0.25), "#ffffff"))
    close([0.25, 0, 0], flatten(pixel(1, 0, 0, 0.25), "#000000"))
    close([0.1, 0.2, 0.3], flatten(pixel(0.1, 0.2, 0.3), "#ffffff"))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_neutral_corrections_change_nothing(channels: int) -> None:
    picture = noise(2, channels, 5, 5)
    assert torch.equal(picture, adjust(Image(picture)).pixels)
    assert torch.equal(picture, blur(Image(picture), 0).pixels)


def test_adjust_by_hand() -> None:
    close([0.5, 1.0, 0.2], adjust(pixel(0.3, 0.9, 0.0), brightness=0.2))
    close([0.1, 1.0, 0.0], adjust(pixel(0.3, 0.9, 0.1), contrast=2.0))
    close([0.5, 0.5, 0.5], adjust(pixel(0.3, 0.9, 0.1), contrast=0.0))
    close([0.299] * 3, adjust(pixel(1, 0, 0), saturation=0.0))
    close([0.5, 1.0, 0.0], adjust(pixel(0.25, 1.0, 0.0), gamma=2.0))
    close([0.5, 0.5, 0.5, 0.7], adjust(pixel(0.3, 0.3, 0.3, 0.7), brightness=0.2))


def test_adjust_goes_in_the_order_it_says() -> None:
    # (0.5 + 0.1 - 0.5) * 2 + 0.5 = 0.7; grey has no saturation; 0.7 ** (1 / 2)
    close([0.7**0.5], adjust(pixel(0.5), brightness=0.1, contrast=2.0, saturation=3.0, gamma=2.0))


def test_more_saturation_keeps_the_luma() -> None:
    picture = noise(1, 3, 8, 8) * 0.2 + 0.4  # far enough from 0 and 1 that nothing is cut off
    found = adjust(Image(picture), saturation=1.5).pixels
    torch.testing.assert_close(luma(found), luma(picture), atol=1e-6, rtol=0)
    torch.testing.assert_close(found - luma(found), 1.5 * (picture - luma(picture)), atol=1e-6, rtol=0)


def test_blur_does_not_bleed_hidden_colours() -> None:
    picture = torch.zeros(1, 4, 1, 8)
    picture[:, 0, :, :4] = picture[:, 3, :, :4] = 1  # red, opaque
    picture[:, 1, :, 4:] = 1  # green, clear
    found = blur(Image(picture), 1.0).pixels
    assert found[:, 1].max().item() == 0.0
    torch.testing.assert_close(found[:, 0, :, :6], torch.ones(1, 1, 6), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("normal", [0.8, 0.4]),
        ("multiply", [0.16, 0.28]),
        ("screen", [0.84, 0.82]),
        ("overlay", [2 * 0.2 * 0.8, 1 - 2 * 0.3 * 0.6]),
        ("add", [1.0, 1.0]),
        ("difference", [0.6, 0.3]),
    ],
)
def test_blend_modes_by_hand(mode: str, expected: list[float]) -> None:
    below = Image(torch.tensor([0.2, 0.7]).reshape(1, 1, 1, 2))
    above = Image(torch.tensor([0.8, 0.4]).reshape(1, 1, 1, 2))
    close(expected, blend(below, above, mode=mode))
    half = [(a + b) / 2 for a, b in zip([0.2, 0.7], expected, strict=True)]
    close(half, blend(below, above, opacity=0.5, mode=mode))
    close(half, blend(below, above, Mask(torch.full((1, 1, 1, 2), 0.5)), mode=mode))
    # the same with an opaque alpha below goes by the other formula
    opaque = Image(torch.cat([below.pixels.expand(1, 3, 1, 2), torch.ones(1, 1, 1, 2)], dim=1))
    close([*half, *half, *half, 1, 1], blend(opaque, above, opacity=0.5, mode=mode))


def test_blend_of_alpha_over_alpha_is_pillows() -> None:
    below, above = (np.random.default_rng(seed).integers(0, 256, (16, 16, 4), dtype=np.uint8) for seed in (1, 2))
    oracle = np.asarray(Pillow.alpha_composite(Pillow.fromarray(below), Pillow.fromarray(above)))
    first, second = (Image(torch.tensor(lines).permute(2, 0, 1)[None] / 255) for lines in (below, above))
    found = blend(first, second).pixels[0].permute(1, 2, 0) * 255
    torch.testing.assert_close(found, torch.tensor(oracle).float(), atol=1.01, rtol=0)  # Pillow's integers


def test_blend_over_nothing_is_the_picture_above() -> None:
    close([0.1, 0.2, 0.3, 0.5], blend(pixel(1, 1, 1, 0), pixel(0.1, 0.2, 0.3, 0.5), mode="multiply"))
    close([0, 0, 0, 0], blend(pixel(1, 1, 1, 0), pixel(1, 1, 1, 0)))


@pytest.mark.parametrize(
    ("below", "above", "expected"), [(1, 1, 1), (1, 3, 3), (1, 4, 3), (3, 1, 3), (3, 4, 3), (4, 1, 4), (4, 4, 4)]
)
def test_blend_has_alpha_only_if_the_picture_below_has(below: int, above: int, expected: int) -> None:
    found = blend(Image(noise(1, below, 2, 2)), Image(noise(3, above, 2, 2)), Mask(noise(1, 1, 2, 2))).pixels
    assert (3, expected, 2, 2) == found.shape


def test_blend_goes_with_batches() -> None:
    below, above, mask = noise(1, 4, 2, 2), noise(1, 3, 2, 2), noise(3, 1, 2, 2)
    found = blend(Image(below), Image(above), Mask(mask)).pixels
    each = [blend(Image(below), Image(above), Mask(mask[place : place + 1])).pixels for place in range(3)]
    assert torch.equal(torch.cat(each), found)


def test_blend_refuses_other_sizes_and_counts() -> None:
    small, large = Image(noise(1, 3, 2, 2)), Image(noise(1, 3, 2, 3))
    with pytest.raises(ValueError, match="below and above differ in size: 2 x 2 and 3 x 2\n    resize"):
        blend(small, large)
    with pytest.raises(ValueError, match="the picture below and the mask differ in size: 2 x 2 and 3 x 2"):
        blend(small, small, Mask(noise(1, 1, 2, 3)))
    with pytest.raises(ValueError, match="hold 2 and 3 pictures\n    "):
        blend(Image(noise(2, 3, 2, 2)), Image(noise(3, 3, 2, 2)))
