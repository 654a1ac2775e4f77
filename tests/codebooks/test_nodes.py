"""Pictures to latents and back, by a small autoencoder of random weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nodeflow_codebooks import autoencoder as maths
from nodeflow_codebooks.nodes import BATCH, decode, encode, load, mix
from nodeflow_nn.weights import save_weights

from nodeflow import Autoencoder, Image, Latent, LatentSpace, ModelError
from nodeflow.leaves import models_in
from nodeflow.testing import assert_deterministic, check_plugin

CONFIG = maths.AutoencoderConfig(
    picture=8, patch=4, latent_channels=3, width=16, heads=2, encoder_depth=1, decoder_depth=1, detail_width=8
)
ABOUT = {"space": {"name": "tiny", "channels": 3, "factor": 4}}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_weights(tmp_path / "tiny.safetensors", maths.Autoencoder(CONFIG), "autoencoder", CONFIG, ABOUT)
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def autoencoder(weights: Path) -> Autoencoder:
    return load("tiny")


def pictures(count: int = 2, channels: int = 3, side: int = 8) -> Image:
    return Image(torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0)))


def test_the_plugin_is_in_order() -> None:
    assert {"codebooks.load", "codebooks.decode"} <= {spec.id for spec in check_plugin("nodeflow_codebooks")}


def test_a_recipe_says_its_space_and_size(autoencoder: Autoencoder) -> None:
    assert LatentSpace("tiny", 3, 4) == autoencoder.space
    (model,) = models_in(autoencoder)
    assert model.size == sum(4 * value.numel() for value in maths.Autoencoder(CONFIG).state_dict().values())


def test_pictures_go_in_and_come_out(autoencoder: Autoencoder) -> None:
    latent = assert_deterministic(encode, autoencoder=autoencoder, image=pictures())
    assert (2, 3, 2, 2) == latent.samples.shape
    assert autoencoder.space == latent.space
    image = assert_deterministic(decode, autoencoder=autoencoder, latent=latent)
    assert (2, 3, 8, 8) == image.pixels.shape
    assert torch.float32 == image.pixels.dtype
    assert 0 <= float(image.pixels.min()) <= float(image.pixels.max()) <= 1


def test_grey_pictures_are_taken_as_rgb(autoencoder: Autoencoder) -> None:
    grey = pictures(1, 1)
    expected = encode(autoencoder, Image(grey.pixels.repeat(1, 3, 1, 1)))
    assert torch.equal(expected.samples, encode(autoencoder, grey).samples)


def test_large_batches_go_in_parts(autoencoder: Autoencoder) -> None:
    many = pictures(BATCH + 3)
    latent = encode(autoencoder, many)
    assert BATCH + 3 == len(latent.samples) == len(decode(autoencoder, latent).pixels)
    last = encode(autoencoder, Image(many.pixels[-1:])).samples
    # matrix products of other shapes add up in another order
    torch.testing.assert_close(latent.samples[-1:], last, rtol=1e-4, atol=1e-5)


def test_mixtures_end_at_their_latents(autoencoder: Autoencoder) -> None:
    first, second = encode(autoencoder, pictures()), Latent(torch.ones(2, 3, 2, 2), autoencoder.space)
    assert torch.equal(first.samples, mix(first, second, 0).samples)
    assert torch.equal(second.samples, mix(first, second, 1).samples)
    torch.testing.assert_close(mix(first, second).samples, (first.samples + 1) / 2, rtol=1e-6, atol=1e-6)


def test_what_does_not_go_together_is_refused_by_a_sentence(autoencoder: Autoencoder) -> None:
    latent = encode(autoencoder, pictures())
    other = replace(latent, space=LatentSpace("sd15", 3, 8))
    with pytest.raises(ValueError, match=r"expected Latent\[tiny\] but got Latent\[sd15\]\n    load an autoencoder"):
        decode(autoencoder, other)
    with pytest.raises(ValueError, match="the latents do not go together"):
        mix(latent, other)
    with pytest.raises(ValueError, match="knows pictures of 8 x 8, but this one is 12 x 12\n    resize it first"):
        encode(autoencoder, pictures(side=12))
    with pytest.raises(ValueError, match="has an alpha channel, which latents have not\n    flatten it first"):
        encode(autoencoder, pictures(channels=4))
    with pytest.raises(ValueError, match="knows pictures of 8 x 8, but the latent is of 12 x 12"):
        decode(autoencoder, Latent(torch.zeros(1, 3, 3, 3), autoencoder.space))


def test_weights_of_something_else_are_refused(weights: Path) -> None:
    save_weights(weights, maths.Autoencoder(CONFIG), "transformer", CONFIG, ABOUT)
    with pytest.raises(ModelError, match='is of the kind "nodeflow transformer", but expected nodeflow autoencoder'):
        load("tiny")
