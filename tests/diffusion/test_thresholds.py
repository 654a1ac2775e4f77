"""Estimates held within their range, alone and with guidance, masks and learned variances."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from nodeflow_diffusion.guidance import Estimates, Learned, changed, guided, halved, paired, thresholded, whole
from nodeflow_diffusion.nodes import empty, guide
from nodeflow_diffusion.prediction import learned_share
from nodeflow_diffusion.sampling_nodes import sample
from nodeflow_diffusion.threshold_nodes import clamp, threshold
from torch import Tensor

from nodeflow import QUIET, Denoiser, LatentSpace, Model, TextEmbedding

Text = Callable[..., TextEmbedding]


def drawn(seed: int, count: int = 2) -> Tensor:
    return torch.randn(count, 4, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_a_picture_within_its_range_is_left_alone() -> None:
    x_0 = drawn(0).tanh()
    assert torch.equal(x_0, thresholded(x_0, 0.995))


def test_each_picture_is_cut_at_its_own_quantile_and_scaled_back() -> None:
    x_0 = torch.stack([drawn(0, 1)[0].tanh(), 5 * drawn(1, 1)[0]])
    found = thresholded(x_0, 0.9)
    s = float(torch.quantile(x_0[1].abs().flatten(), 0.9))
    assert torch.equal(x_0[0], found[0])
    torch.testing.assert_close(found[1], x_0[1].clamp(-s, s) / s, rtol=1e-6, atol=0)
    assert float(found.abs().max()) == pytest.approx(1, rel=1e-6)
    wide = thresholded(x_0, 0.9, 2.0, 3.0)
    torch.testing.assert_close(wide[1], x_0[1].clamp(-3, 3) * 2 / 3, rtol=1e-6, atol=0)


def test_the_whole_quantile_is_the_largest_value() -> None:
    x_0 = 5 * drawn(1)
    largest = x_0.abs().flatten(1).max(1).values[:, None, None, None]
    torch.testing.assert_close(thresholded(x_0, 1.0), x_0 / largest, rtol=1e-6, atol=0)


def test_thresholds_stack_on_guidance(denoiser: Denoiser, text: Text) -> None:
    strong = guide(denoiser, text(seed=1), text(seed=2), 30.0)
    x = drawn(3)[:, :3].repeat(1, 1, 2, 2)[..., :4, :4]
    free = QUIET.load(strong)(x, 0.6, 0.8)
    assert float(free.abs().max()) > 1
    torch.testing.assert_close(QUIET.load(clamp(strong, 0.5))(x, 0.6, 0.8), free.clamp(-0.5, 0.5))
    found = QUIET.load(threshold(strong, 0.9))(x, 0.6, 0.8)
    torch.testing.assert_close(found, thresholded(free, 0.9))
    for recipe in (clamp(strong), threshold(strong)):
        pictures = sample(recipe, empty(recipe, 16, 16), steps=3, seed=1).samples
        assert float(pictures.abs().max()) <= 1.00001


@dataclass(frozen=True)
class Widening(Denoiser, Model):
    """A denoiser with a learned variance: the picture 3 x, the share what the text's first number says."""

    space = LatentSpace("tiny", 3, 4)
    size = 0

    def build(self, device: Any) -> Any:
        def denoise(x: Tensor, alpha: Any, sigma: Any, condition: TextEmbedding | None = None) -> Learned:
            assert condition is not None
            return Learned(3 * x, condition.tokens[:, 0, :1, None, None].expand_as(x).sigmoid())

        return denoise


@pytest.mark.parametrize("rescale", [0.0, 0.5])
def test_a_learned_variance_goes_through_guidance_and_thresholds(text: Text, rescale: float) -> None:
    wanted, other = text(seed=1), text(seed=2)
    recipe = clamp(guide(Widening(), wanted, other, 3.0, rescale))
    x = drawn(4)[:, :3]
    found = QUIET.load(recipe)(x, 0.6, 0.8)
    assert isinstance(found, Learned)
    torch.testing.assert_close(whole(found), (3 * x).clamp(-1, 1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.share, wanted.tokens[:, 0, :1, None, None].expand_as(x).sigmoid())
    made = [sample(recipe, empty(recipe, 16, 16), steps=4, seed=1, method="ddpm").samples for _ in range(2)]
    assert torch.equal(*made)


def test_learned_estimates_in_halves_and_pairs() -> None:
    both = Learned(drawn(0, 4), drawn(1, 4).sigmoid())
    first, second = halved(both)
    assert isinstance(first, Learned)
    assert torch.equal(both.share[:2], first.share)
    pair = paired(first, second, 2.0)
    assert isinstance(pair, Learned)
    assert isinstance(pair.x_0, Estimates)
    assert torch.equal(guided(whole(first), whole(second), 2.0), whole(pair))
    assert torch.equal(first.share, pair.share)
    assert torch.equal(whole(pair) + 1, whole(changed(pair, lambda x_0: x_0 + 1)))


def test_a_network_of_twice_the_channels_tells_picture_and_share() -> None:
    output = torch.cat([drawn(0), torch.full((2, 4, 3, 3), -1.0)], 1)
    found, share = learned_share(output)
    assert torch.equal(drawn(0), found)
    assert torch.equal(torch.zeros_like(found), share)
