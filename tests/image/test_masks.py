"""Masks by hand, and by the area of what they draw."""

import math

import pytest
import torch
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


def row(*values: float) -> Mask:
    return Mask(torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1))


def close(expected: list[float], mask: Mask) -> None:
    torch.testing.assert_close(mask.coverage.flatten(), torch.tensor(expected, dtype=torch.float32), atol=1e-6, rtol=0)


def greys(*steps: int) -> Image:
    return Image((torch.tensor(steps) / 255).reshape(1, 1, 1, -1))


def test_rectangle_covers_its_pixels_and_is_cut_off() -> None:
    assert mask_rectangle(4, 3, 1, 1, 2, 2).coverage[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    assert mask_rectangle(3, 2, -5, -5, 6, 6).coverage[0, 0].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert mask_rectangle(3, 2, 2, 1, 9, 9).coverage[0, 0].tolist() == [[0, 0, 0], [0, 0, 1]]
    for left, top in ((-9, 0), (3, 0), (0, 2), (0, -9)):
        assert mask_rectangle(3, 2, left, top, 2, 2).coverage.sum() == 0


def test_ellipse_has_its_area_and_symmetry() -> None:
    mask = mask_ellipse(64, 48, 32, 24, 20, 10).coverage
    assert mask.shape == (1, 1, 48, 64)
    # the mean over 16 lines misses half-ellipses' curved ends by 1e-3 of the area at this size
    assert mask.sum().item() == pytest.approx(math.pi * 20 * 10, rel=1e-3)
    torch.testing.assert_close(mask, mask.flip(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(mask, mask.flip(3), atol=1e-6, rtol=0)
    assert (mask.min().item(), mask.max().item()) == (0.0, 1.0)


def test_ellipse_agrees_with_counting_points() -> None:
    fine = 32
    y, x = torch.meshgrid(*[(torch.arange(size * fine) + 0.5) / fine for size in (12, 16)], indexing="ij")
    inside = (((x - 7.3) / 5.5) ** 2 + ((y - 4.1) / 6.2) ** 2 <= 1).float()
    expected = inside.reshape(12, fine, 16, fine).mean(dim=(1, 3))
    torch.testing.assert_close(mask_ellipse(16, 12, 7.3, 4.1, 5.5, 6.2).coverage[0, 0], expected, atol=0.03, rtol=0)


def test_a_speck_of_an_ellipse_still_counts() -> None:
    mask = mask_ellipse(3, 3, 1.5, 1.5, 0.25, 0.25).coverage[0, 0]
    assert mask[1, 1].item() == pytest.approx(math.pi / 16, rel=0.05)
    assert mask.sum() == mask[1, 1]


def test_giants_are_refused() -> None:
    for draw in (mask_rectangle, mask_ellipse):
        with pytest.raises(ValueError, match="over 100 million pixels"):
            draw(32768, 32768)


def test_colour_is_found_up_to_the_tolerance() -> None:
    picture = greys(90, 100, 110, 111, 120, 130)
    close([1, 1, 1, 0, 0, 0], mask_from_colour(picture, "#646464", tolerance=10 / 255))
    close([1, 1, 1, 0.95, 0.5, 0], mask_from_colour(picture, "#646464", tolerance=10 / 255, softness=20 / 255))
    close([0, 1, 0, 0, 0, 0], mask_from_colour(picture, "#646464", tolerance=0))


def test_colour_is_judged_by_the_worst_channel_and_not_where_it_is_clear() -> None:
    picture = torch.tensor([[1.0, 0, 0, 1], [1, 0.15, 0, 1], [1, 0.05, 0.05, 0.5], [1, 0, 0, 0]]).T.reshape(1, 4, 1, 4)
    close([1, 0, 0.5, 0], mask_from_colour(Image(picture), "#ff0000", tolerance=0.1))


def test_invert_and_combine_by_hand() -> None:
    first, second = row(0, 1, 0.25, 1), row(0, 0, 0.75, 1)
    close([1, 0, 0.75, 0], mask_invert(first))
    close([0, 1, 0.75, 1], mask_combine(first, second, "union"))
    close([0, 0, 0.25, 1], mask_combine(first, second, "intersection"))
    close([0, 1, 0.25, 0], mask_combine(first, second, "subtraction"))
    close([0, 1, 0.5, 0], mask_combine(first, second, "difference"))


def test_combine_refuses_other_sizes() -> None:
    with pytest.raises(ValueError, match="the masks differ in size: 2 x 1 and 3 x 1\n    "):
        mask_combine(row(0, 0), row(0, 0, 0))


def test_blur_softens_and_keeps_the_amount() -> None:
    mask = torch.zeros(1, 1, 31, 31)
    mask[..., 15, 15] = 1
    found = mask_blur(Mask(mask), 2.0).coverage
    assert found.sum().item() == pytest.approx(1, rel=1e-5)
    assert found.max().item() == pytest.approx(1 / (2 * math.pi * 4), rel=1e-3)
    assert torch.equal(mask, mask_blur(Mask(mask), 0.0).coverage)


def test_masks_and_pictures_change_into_each_other() -> None:
    mask = row(0, 0.5, 1)
    assert mask_to_image(mask).pixels.shape == (1, 1, 1, 3)
    assert torch.equal(mask.coverage, image_to_mask(mask_to_image(mask)).coverage)


@pytest.mark.parametrize(
    ("channel", "rgba", "rgb", "grey"),
    [
        ("grey", 0.2 * 0.299 + 0.4 * 0.587 + 0.6 * 0.114, 0.2 * 0.299 + 0.4 * 0.587 + 0.6 * 0.114, 0.3),
        ("red", 0.2, 0.2, 0.3),
        ("green", 0.4, 0.4, 0.3),
        ("blue", 0.6, 0.6, 0.3),
        ("alpha", 0.8, 1, 1),
    ],
)
def test_each_channel_can_be_a_mask(channel: str, rgba: float, rgb: float, grey: float) -> None:
    for values, expected in (([0.2, 0.4, 0.6, 0.8], rgba), ([0.2, 0.4, 0.6], rgb), ([0.3], grey)):
        image = Image(torch.tensor(values).reshape(1, -1, 1, 1))
        close([expected], image_to_mask(image, channel))
