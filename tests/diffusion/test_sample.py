"""The sampling node: seeds, batches, strength, previews, cancelling."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from nodeflow_diffusion.levels import Spacing
from nodeflow_diffusion.methods import Method
from nodeflow_diffusion.nodes import condition, empty, guide, inpaint
from nodeflow_diffusion.sampling_nodes import interpolate, invert, noise, sample, schedule, step_seed

from nodeflow import QUIET, Autoencoder, Cancelled, Denoiser, Latent, LatentSpace, Mask, Model, TextEmbedding
from nodeflow.testing import RecordingContext, assert_deterministic, check_plugin

Text = Callable[..., TextEmbedding]
METHODS = get_args(Method)


@pytest.fixture
def bound(denoiser: Denoiser, text: Text) -> Denoiser:
    return guide(denoiser, text(seed=1), text(seed=2), 2.0)


def blank(denoiser: Denoiser, count: int = 1) -> Latent:
    return empty(denoiser, 16, 16, count)


def test_the_plugin_is_in_order() -> None:
    assert {"diffusion.load", "diffusion.sample"} <= {spec.id for spec in check_plugin("nodeflow_diffusion")}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["flow", "linear", "scaled_linear", "cosine"])
def test_one_seed_gives_one_picture(bound: Denoiser, method: str, kind: str) -> None:
    found = assert_deterministic(
        sample, denoiser=bound, latent=blank(bound), schedule=schedule(kind), seed=3, steps=4, method=method, eta=0.5
    )
    assert torch.isfinite(found.samples).all()
    assert found.space == bound.space
    assert not torch.equal(found.samples, sample(bound, blank(bound), schedule(kind), seed=4, steps=4).samples)


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_is_the_same_alone_and_in_a_batch(bound: Denoiser, method: str) -> None:
    together = sample(bound, blank(bound, 3), seed=7, steps=4, method=method).samples
    for i in range(3):
        alone = sample(bound, blank(bound), seed=7 + i, steps=4, method=method).samples
        # the same noise; matrix products of other shapes add up in another order
        torch.testing.assert_close(together[[i]], alone, rtol=1e-3, atol=1e-4)


def test_churn_is_the_same_alone_and_in_a_batch(bound: Denoiser) -> None:
    together = sample(bound, blank(bound, 2), schedule("edm"), seed=7, steps=5, method="heun", churn=3.0).samples
    still = sample(bound, blank(bound, 2), schedule("edm"), seed=7, steps=5, method="heun").samples
    alone = sample(bound, blank(bound), schedule("edm"), seed=8, steps=5, method="heun", churn=3.0).samples
    torch.testing.assert_close(together[[1]], alone, rtol=1e-3, atol=1e-4)
    assert not torch.equal(together, still)


@pytest.mark.parametrize("spacing", get_args(Spacing))
def test_every_spacing_samples(bound: Denoiser, spacing: Spacing) -> None:
    found = sample(bound, blank(bound), schedule("scaled_linear", spacing), steps=4, method="dpmpp_2m").samples
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("kind", ["flow", "scaled_linear"])
def test_what_was_inverted_is_made_again(denoiser: Denoiser, text: Text, kind: str) -> None:
    bound, way = condition(denoiser, text(seed=1)), schedule(kind)
    picture = sample(bound, blank(bound), way, seed=2, steps=6)
    found = invert(bound, picture, way, steps=6, rounds=30)
    again = sample(bound, picture, way, noise=found, steps=6).samples
    once = sample(bound, picture, way, noise=invert(bound, picture, way, steps=6, rounds=1), steps=6).samples
    error, rough = ((made - picture.samples).abs().max() for made in (again, once))
    assert error < 0.05 * rough
    assert error < 1e-3 * picture.samples.abs().max()


def test_noise_of_a_batch_is_that_of_each_seed(denoiser: Denoiser) -> None:
    together = noise(blank(denoiser, 3), 11).samples
    for i in range(3):
        assert torch.equal(together[[i]], noise(blank(denoiser), 11 + i).samples)
    assert torch.equal(QUIET.noise(11, (1, 3, 4, 4)), together[:1])


def test_seeds_of_steps_do_not_meet() -> None:
    assert 10_000 == len({step_seed(seed, step) for seed in range(100) for step in range(100)})
    assert all(0 <= step_seed(seed, 1) < 2**53 for seed in range(100))


def test_noise_that_is_wired_takes_the_place_of_the_seed(bound: Denoiser) -> None:
    own = sample(bound, blank(bound), seed=5, steps=3).samples
    assert torch.equal(own, sample(bound, blank(bound), noise=noise(blank(bound), 5), steps=3).samples)
    row = interpolate(noise(blank(bound), 5), noise(blank(bound), 6), 4)
    found = sample(bound, blank(bound), noise=row, steps=3).samples
    assert (4, 3, 4, 4) == found.shape
    torch.testing.assert_close(found[:1], own, rtol=1e-3, atol=1e-4)
    shared = sample(bound, blank(bound, 2), noise=noise(blank(bound), 5), steps=3).samples
    torch.testing.assert_close(shared[0], shared[1], rtol=1e-4, atol=1e-5)


def test_strength_decides_how_much_is_left(bound: Denoiser, tmp_path: Path) -> None:
    picture = Latent(torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)), bound.space)
    assert torch.equal(picture.samples, sample(bound, picture, strength=0.0).samples)
    context = RecordingContext(tmp_path)
    sample(bound, picture, steps=10, strength=0.3, ctx=context)
    assert 3 == context.steps_taken[-1][1]
    fresh = sample(bound, blank(bound), steps=4, seed=2).samples
    assert torch.equal(fresh, sample(bound, picture, steps=4, seed=2, strength=1.0).samples)
    assert not torch.equal(fresh, sample(bound, picture, steps=4, seed=2, strength=0.9).samples)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["flow", "cosine"])
def test_what_the_mask_leaves_out_stays(bound: Denoiser, method: str, kind: str) -> None:
    picture = Latent(torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)), bound.space)
    coverage = torch.zeros(1, 1, 16, 16)
    coverage[..., :8, :] = 1
    painted = inpaint(bound, picture, Mask(coverage))
    found = sample(painted, picture, schedule(kind), steps=5, method=method).samples
    # plms divides what it knows of the noise by alpha, which begins at 5e-5 under cosine: float32's 6e-8 become 1e-3
    tolerance = 3e-3 if (method, kind) == ("plms", "cosine") else 1e-5
    torch.testing.assert_close(found[:, :, 2:], picture.samples[:, :, 2:], rtol=0, atol=tolerance)
    assert float((found[:, :, :2] - picture.samples[:, :, :2]).abs().min()) > 0


def test_a_run_can_be_stopped_at_every_step(bound: Denoiser, tmp_path: Path) -> None:
    context = RecordingContext(tmp_path, cancel_after=2)
    with pytest.raises(Cancelled):
        sample(bound, blank(bound), steps=10, ctx=context)
    assert (2, 10) == context.steps_taken[-1]


class GreySquares(Autoencoder, Model):
    """Decodes to grey squares; holds nothing."""

    space = LatentSpace("tiny", 3, 4)
    size = 0

    def build(self, device: object) -> "GreySquares":
        return self

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(samples), 3, 16, 16)


def test_previews_show_the_picture_as_it_emerges(bound: Denoiser, tmp_path: Path) -> None:
    context = RecordingContext(tmp_path)
    watched = sample(bound, blank(bound, 2), preview=GreySquares(), steps=3, ctx=context)
    assert (2, 3, 16, 16) == context.previews[-1].pixels.shape
    assert torch.equal(sample(bound, blank(bound, 2), steps=3).samples, watched.samples)


def test_latents_of_another_space_are_refused(bound: Denoiser) -> None:
    other = replace(blank(bound), space=LatentSpace("sd15", 3, 8))
    with pytest.raises(ValueError, match=r"expected Latent\[tiny\] but got Latent\[sd15\]"):
        sample(bound, other)
    with pytest.raises(ValueError, match=r"expected Latent\[tiny\] but got Latent\[sd15\]"):
        sample(bound, blank(bound), noise=other)
    with pytest.raises(ValueError, match="the noise and the latent do not go together"):
        sample(bound, blank(bound, 2), noise=noise(blank(bound, 3)))
    with pytest.raises(ValueError, match="expected two noises of one picture each"):
        interpolate(noise(blank(bound, 2)), noise(blank(bound, 2)))


def test_a_batch_of_texts_makes_a_batch_of_pictures(denoiser: Denoiser, text: Text) -> None:
    texts = text(3)
    found = sample(condition(denoiser, texts), blank(denoiser, 3), steps=2, seed=1).samples
    last = TextEmbedding(texts.tokens[2:], texts.mask[2:], texts.pooled[2:])  # type: ignore[index]
    alone = sample(condition(denoiser, last), blank(denoiser), steps=2, seed=3).samples
    torch.testing.assert_close(found[2:], alone, rtol=1e-3, atol=1e-4)


def test_values_that_are_no_numbers_are_told(bound: Denoiser, text: Text) -> None:
    with pytest.raises(ValueError, match="gave values that are no numbers\n    its weights may be damaged"):
        sample(guide(bound.denoiser, text(), replace(text(), pooled=torch.full((1, 6), torch.nan)), 2.0), blank(bound))
