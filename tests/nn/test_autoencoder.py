"""The autoencoder, its variational form, and their losses."""

import copy

import pytest
import torch
from nodeflow_codebooks.autoencoder import Autoencoder, AutoencoderConfig, reparametrise
from nodeflow_codebooks.losses import ReconstructionConfig, kl_divergence, pixel_error, reconstruction_loss
from torch.distributions import Normal
from torch.distributions import kl_divergence as divergence

SIZES = {"picture": 16, "patch": 4, "latent_channels": 3, "width": 24, "heads": 2, "encoder_depth": 1}
PLAIN = AutoencoderConfig(**SIZES, decoder_depth=1, detail_width=8)
VARIATIONAL = AutoencoderConfig(**SIZES, decoder_depth=1, detail_width=8, variational=True)


def pictures(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("config", [PLAIN, VARIATIONAL])
def test_pictures_to_latents_and_back(config: AutoencoderConfig) -> None:
    model = Autoencoder(config)
    latents = model.encode(pictures())
    assert (6, 3, 4, 4) == latents.shape
    decoded = model.decode(latents)
    assert (6, 3, 16, 16) == decoded.shape
    assert 0 <= decoded.min() <= decoded.max() <= 1


def test_measured_latents_have_zero_mean_and_unit_variance() -> None:
    model = Autoencoder(PLAIN)
    model.measure(pictures(), batch=4)
    variance, mean = torch.var_mean(model.encode(pictures()), (0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(variance, torch.ones(3), rtol=1e-4, atol=0)


def test_normalisation_is_undone_by_the_decoder() -> None:
    model = Autoencoder(PLAIN)
    raw = model.moments(pictures())[0]
    before = model.decode_open(raw)
    model.measure(pictures())
    torch.testing.assert_close(model.decode_open(model.encode(pictures())), before, rtol=1e-4, atol=1e-4)


def test_kl_is_that_of_two_normals() -> None:
    mean, log_variance = torch.randn(2, 50, dtype=torch.float64)
    expected = divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros(()).double(), 1.0))
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected, rtol=1e-12, atol=1e-12)


def test_reparametrisation_moves_and_scales_the_noise() -> None:
    noise = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    drawn = reparametrise(torch.full_like(noise, 2.0), torch.full_like(noise, 0.25).log(), noise)
    torch.testing.assert_close(drawn, 2 + 0.5 * noise)
    mean = torch.zeros(3, requires_grad=True)
    log_variance = torch.zeros(3, requires_grad=True)
    reparametrise(mean, log_variance, torch.tensor([1.0, -2.0, 3.0])).sum().backward()
    assert [1, 1, 1] == mean.grad.tolist()
    assert [0.5, -1.0, 1.5] == log_variance.grad.tolist()


def test_a_variational_encoding_without_noise_is_its_mean() -> None:
    model = Autoencoder(VARIATIONAL)
    mean, log_variance = model.moments(pictures())
    assert torch.equal(mean, model.encode(pictures()))
    noise = torch.ones_like(mean)
    torch.testing.assert_close(model.encode(pictures(), noise), mean + (0.5 * log_variance).exp())


def test_pixel_error_of_the_perfect_is_zero() -> None:
    for kind in ("mse", "l1"):
        assert 0 == pixel_error(pictures(), pictures(), kind)
        assert pixel_error(pictures(), 1 - pictures(), kind) > 0


@pytest.mark.parametrize("config", [PLAIN, VARIATIONAL])
def test_loss_reaches_every_parameter_and_is_decided_by_the_generator(config: AutoencoderConfig) -> None:
    model = Autoencoder(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
    settings = ReconstructionConfig(pixel="l1", kl_weight=0.1, picture_noise=0.05)
    generators = (torch.Generator().manual_seed(4) for _ in range(2))
    first, again = (reconstruction_loss(copy.deepcopy(model), pictures(), settings, g) for g in generators)
    assert torch.equal(first, again)
    reconstruction_loss(model, pictures(), settings, torch.Generator().manual_seed(4)).backward()
    untouched = [path for path, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A plain autoencoder's last bias is taken out again by the normalisation.
    assert [] == [path for path in untouched if path != "latents_out.1.bias"]


def test_noise_on_the_picture_leaves_the_target_clean() -> None:
    model = Autoencoder(PLAIN)
    model.decode_open = lambda latents: pictures()  # type: ignore[method-assign]
    settings = ReconstructionConfig(picture_noise=0.5)
    assert 0 == reconstruction_loss(model, pictures(), settings, torch.Generator().manual_seed(0))
