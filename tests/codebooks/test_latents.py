"""Latents stretched to another size."""

from typing import get_args

import pytest
import torch
from nodeflow_codebooks.latent_nodes import Method, resize

from nodeflow import Latent, LatentSpace

SPACE = LatentSpace("sd15", 4, 8)


def drawn(high: int, wide: int) -> Latent:
    return Latent(torch.randn(2, 4, high, wide, generator=torch.Generator().manual_seed(0)), SPACE)


@pytest.mark.parametrize("method", get_args(Method))
def test_latents_take_the_size_of_the_pictures_that_are_asked_for(method: Method) -> None:
    latent = drawn(6, 8)
    found = resize(latent, 96, 72, method)
    assert ((2, 4, 9, 12), SPACE) == (tuple(found.samples.shape), found.space)
    torch.testing.assert_close(latent.samples, resize(latent, 64, 48, method).samples, rtol=0, atol=1e-6)
    flat = Latent(torch.full((1, 4, 6, 8), 1.5), SPACE)
    torch.testing.assert_close(torch.full((1, 4, 9, 12), 1.5), resize(flat, 96, 72, method).samples, rtol=1e-5, atol=0)


def test_nearest_repeats_cells_and_area_is_their_mean() -> None:
    latent = drawn(4, 4)
    twice = resize(latent, 64, 64)
    assert torch.equal(latent.samples.repeat_interleave(2, 2).repeat_interleave(2, 3), twice.samples)
    torch.testing.assert_close(latent.samples, resize(twice, 32, 32, "area").samples, rtol=0, atol=1e-6)


def test_broken_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="100 x 64 pixels are no whole cells of 8 x 8\n    take 96 x 64"):
        resize(drawn(4, 4), 100, 64)
