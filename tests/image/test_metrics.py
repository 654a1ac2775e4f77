"""Metrics against a slow loop in float64 and by hand."""

import math

import numpy as np
import pytest
import torch
from nodeflow_image.colour_nodes import compare

from nodeflow import Image

COLUMNS = ("picture", "mse", "psnr", "ssim", "max difference")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def slow_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13, pixel by pixel: 11 x 11 Gaussian window, sigma 1.5, K1 = 0.01, K2 = 0.03, L = 1."""
    window = np.array([[math.exp(-(i * i + j * j) / (2 * 1.5**2)) for j in range(-5, 6)] for i in range(-5, 6)])
    window /= window.sum()
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            cov = (window * (a - mean_a) * (b - mean_b)).sum()
            found.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * cov + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )
    return float(np.mean(found))


def test_metrics_agree_with_the_slow_loop() -> None:
    first, second = noise(2, 3, 17, 15), noise(2, 3, 17, 15, seed=1) * 0.3 + noise(2, 3, 17, 15) * 0.7
    table, _ = compare(Image(first), Image(second))
    assert table.columns == COLUMNS
    for place, row in enumerate(table.rows):
        x, y = first[place].double().numpy(), second[place].double().numpy()
        mse = ((x - y) ** 2).mean()
        expected = (
            place,
            mse,
            10 * math.log10(1 / mse),
            np.mean([slow_ssim(x[channel], y[channel]) for channel in range(3)]),
            np.abs(x - y).max(),
        )
        assert row == pytest.approx(expected, rel=1e-10)


def test_equal_pictures_are_infinitely_alike() -> None:
    picture = Image(noise(1, 3, 20, 20))
    table, difference = compare(picture, picture)
    assert ((0, 0.0, math.inf, 1.0, 0.0),) == table.rows
    assert torch.equal(torch.zeros(1, 3, 20, 20), difference.pixels)


def test_black_and_white_by_hand() -> None:
    table, difference = compare(Image(torch.zeros(1, 1, 11, 11)), Image(torch.ones(1, 1, 11, 11)))
    assert table.rows[0] == pytest.approx((0, 1.0, 0.0, 1e-4 / (1 + 1e-4), 1.0), rel=1e-9)
    assert torch.equal(torch.ones(1, 1, 11, 11), difference.pixels)


def test_small_pictures_have_no_ssim() -> None:
    table, _ = compare(Image(torch.zeros(1, 1, 10, 40)), Image(torch.full((1, 1, 10, 40), 0.5)))
    assert ((0, 0.25, pytest.approx(6.0206, abs=1e-4), None, 0.5),) == table.rows


def test_one_is_compared_with_each_and_grey_with_rgb() -> None:
    table, difference = compare(
        Image(torch.full((1, 1, 4, 4), 0.5)), Image(torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]))
    )
    assert [row[:2] for row in table.rows] == [(0, 0.25), (1, 0.25)]
    assert torch.equal(torch.full((2, 3, 4, 4), 0.5), difference.pixels)


def test_a_difference_of_alpha_alone_is_seen() -> None:
    clear, half = torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    half[:, 3] = 0.5
    table, difference = compare(Image(clear), Image(half))
    assert table.rows[0][4] == 0.5
    assert torch.equal(torch.full((1, 3, 2, 2), 0.5), difference.pixels)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="the pictures to compare differ in size: 3 x 2 and 2 x 2\n    resize"):
        compare(Image(torch.zeros(1, 1, 2, 3)), Image(torch.zeros(1, 1, 2, 2)))
