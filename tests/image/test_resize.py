"""Resizing agrees with Pillow, keeps what should be kept, and fits as it says."""

import numpy as np
import pytest
import torch
from nodeflow_image.channels import weighed
from nodeflow_image.layout_nodes import resize
from nodeflow_image.resampling import blurred, resized
from PIL import Image as Pillow

from nodeflow import Image

SIZES = [(13, 9), (64, 48), (31, 101), (7, 5), (1, 1), (90, 40), (64, 20)]
PILLOWS = {
    "bilinear": Pillow.Resampling.BILINEAR,
    "bicubic": Pillow.Resampling.BICUBIC,
    "lanczos": Pillow.Resampling.LANCZOS,
}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", list(PILLOWS))
@pytest.mark.parametrize("size", SIZES)
def test_filters_agree_with_pillow_in_float(method: str, size: tuple[int, int]) -> None:
    picture = noise(1, 1, 48, 64)
    oracle = Pillow.fromarray(picture[0, 0].numpy()).resize(size, PILLOWS[method])
    # 1e-6: sums of up to 400 float32 products in another order; values are about 1
    torch.testing.assert_close(
        resized(picture, *size, method)[0, 0], torch.tensor(np.asarray(oracle)), atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize("size", SIZES)
def test_nearest_takes_the_pixel_under_the_middle(size: tuple[int, int]) -> None:
    picture = noise(2, 3, 48, 64)
    across, down = (
        [(2 * i + 1) * before // (2 * n) for i in range(n)] for before, n in zip((64, 48), size, strict=True)
    )
    assert torch.equal(picture[:, :, down][..., across], resized(picture, *size, "nearest"))


@pytest.mark.parametrize("size", [(32, 16), (128, 96), (192, 240)])
def test_nearest_is_pillows_where_no_middle_falls_between_two_pixels(size: tuple[int, int]) -> None:
    picture = noise(1, 1, 48, 64)
    oracle = Pillow.fromarray(picture[0, 0].numpy()).resize(size, Pillow.Resampling.NEAREST)
    assert torch.equal(torch.tensor(np.asarray(oracle)), resized(picture, *size, "nearest")[0, 0])


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_area_is_the_mean_of_what_a_pixel_covers(factor: int) -> None:
    picture = noise(2, 3, 30, 60)
    blocks = picture.reshape(2, 3, 30 // factor, factor, 60 // factor, factor)
    found = resized(picture, 60 // factor, 30 // factor, "area")
    torch.testing.assert_close(found, blocks.mean(dim=(3, 5)), atol=1e-6, rtol=0)


def test_area_weighs_pixels_that_are_covered_in_part() -> None:
    # three pixels onto two: each covers one and a half
    picture = torch.tensor([0.0, 0.6, 0.9]).reshape(1, 1, 1, 3)
    torch.testing.assert_close(resized(picture, 2, 1, "area").flatten(), torch.tensor([0.3 / 1.5, 1.2 / 1.5]))


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "lanczos", "area"])
@pytest.mark.parametrize("size", [(5, 7), (64, 48), (200, 3)])
def test_a_plain_picture_stays_plain(method: str, size: tuple[int, int]) -> None:
    plain = torch.full((2, 4, 20, 30), 0.7)
    found = resize(Image(plain), *size, method).pixels
    assert torch.float32 == found.dtype
    torch.testing.assert_close(found, torch.full((2, 4, size[1], size[0]), 0.7), atol=1e-6, rtol=0)


def test_the_same_size_changes_nothing() -> None:
    picture = noise(2, 3, 10, 12)
    for method in ("nearest", "bilinear", "bicubic", "lanczos", "area"):
        assert torch.equal(picture, resize(Image(picture), 12, 10, method).pixels)


def test_filters_that_overshoot_are_bounded() -> None:
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    for method in ("bicubic", "lanczos"):
        assert resized(edge, 32, 32, method).max() > 1
        found = resize(Image(edge), 32, 32, method).pixels
        assert (found.min().item(), found.max().item()) == (0.0, 1.0)


@pytest.mark.parametrize("method", ["bilinear", "bicubic", "lanczos", "area"])
def test_hidden_colours_do_not_bleed(method: str) -> None:
    picture = torch.zeros(1, 4, 16, 16)
    picture[:, 0, :, :8] = 1  # left: red, opaque
    picture[:, 3, :, :8] = 1
    picture[:, 1, :, 8:] = 1  # right: green, but clear
    found = resize(Image(picture), 5, 5, method).pixels[0]
    seen = found[3] > 1e-3
    assert found[1][seen].max().item() == 0.0
    torch.testing.assert_close(found[0][seen], torch.ones(int(seen.sum())), atol=1e-5, rtol=0)


def test_rgba_agrees_with_pillow() -> None:
    picture = (noise(1, 4, 24, 32) * 255).round() / 255
    lines = (picture[0] * 255).round().byte().permute(1, 2, 0).numpy()
    oracle = Pillow.fromarray(lines).resize((11, 9), Pillow.Resampling.BICUBIC)
    expected = torch.tensor(np.asarray(oracle)).permute(2, 0, 1)[None] / 255
    # Pillow rounds to 8 bits before, between and after its two passes, and divides by alpha from about 0.3 up
    torch.testing.assert_close(resize(Image(picture), 11, 9, "bicubic").pixels, expected, atol=6 / 255, rtol=0)


def test_contain_keeps_the_proportions_inside_the_box() -> None:
    picture = Image(noise(1, 3, 30, 60))
    assert resize(picture, 40, 40, fit="contain").pixels.shape == (1, 3, 20, 40)
    assert resize(picture, 200, 40, fit="contain").pixels.shape == (1, 3, 40, 80)
    assert resize(picture, 1, 1, fit="contain").pixels.shape == (1, 3, 1, 1)


def test_cover_fills_the_box_and_cuts_evenly() -> None:
    picture = torch.arange(60.0).expand(1, 1, 30, 60) / 60  # brightness is the column
    found = resize(Image(picture), 30, 30, "nearest", "cover").pixels
    assert torch.equal(picture[..., 15:45], found)
    assert resize(Image(picture), 50, 7, fit="cover").pixels.shape == (1, 1, 7, 50)
    assert resize(Image(picture), 7, 50, fit="cover").pixels.shape == (1, 1, 50, 7)


def test_too_large_a_result_is_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(ValueError, match="over 100 million pixels\n    "):
        resize(Image(torch.zeros(1, 1, 1, 1)), 32768, 32768)
    with pytest.raises(ValueError, match="over 100 million pixels"):  # a hair's breadth covers only as a giant
        resize(Image(torch.zeros(1, 1, 1, 10_000)), 10_000, 10_000, fit="cover")


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_blur_of_a_point_is_the_gaussian(sigma: float) -> None:
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    place = np.arange(41) - 20
    bell = np.exp(-0.5 * (place / sigma) ** 2)
    bell /= bell.sum()
    # 1e-4 of the peak: the tail beyond 4 sigma is cut off
    torch.testing.assert_close(
        blurred(point, sigma)[0, 0].double(), torch.tensor(np.outer(bell, bell)), atol=1e-4 * bell.max() ** 2, rtol=1e-4
    )


def test_blur_goes_on_with_the_border_and_keeps_sizes() -> None:
    ramp = torch.arange(5.0).expand(2, 3, 4, 5) / 5
    found = blurred(ramp, 1.0)
    weights = np.exp(-0.5 * np.arange(-4, 5) ** 2.0)
    expected = (weights / weights.sum()) @ np.array([0, 0, 0, 0, 0, 1, 2, 3, 4]) / 5
    assert ramp.shape == found.shape
    torch.testing.assert_close(found[..., 0], torch.full((2, 3, 4), float(expected)), atol=1e-6, rtol=0)


def test_weighing_leaves_pictures_without_alpha_alone() -> None:
    for channels in (1, 3):
        picture = noise(1, channels, 4, 4)
        assert torch.equal(picture, weighed(picture, lambda plain: plain))
