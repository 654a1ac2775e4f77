"""What autoencoders minimise."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from nodeflow_codebooks.autoencoder import Autoencoder, reparametrise


@dataclass(frozen=True)
class ReconstructionConfig:
    """How a reconstruction is judged.

    pixel: mean squared error, or absolute. kl_weight: of the mean KL divergence a latent number (variational only).
    latent_noise: standard deviation of the noise added to normalised latents, so that the decoder forgives a
    denoiser's errors. picture_noise: standard deviation of the noise added to the picture, whose target stays clean
    (denoising autoencoder, Vincent et al. 2008). learn: the whole, or the decoder alone, for an encoder whose latents
    are in use already.
    """

    pixel: Literal["mse", "l1"] = "mse"
    kl_weight: float = 1e-6
    latent_noise: float = 0.1
    picture_noise: float = 0.0
    learn: Literal["all", "decoder"] = "all"


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) per number, in nats: -(1 + log s2 - mu2 - s2) / 2 (Kingma and Welling 2013)."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp())


def pixel_error(prediction: Tensor, target: Tensor, kind: Literal["mse", "l1"]) -> Tensor:
    """Mean squared or mean absolute error over everything; scalar."""
    return F.mse_loss(prediction, target) if kind == "mse" else F.l1_loss(prediction, target)


def reconstruction_loss(
    model: Autoencoder, pictures: Tensor, config: ReconstructionConfig, generator: torch.Generator
) -> Tensor:
    """Loss of one batch of pictures [B, C, H, W], 0..1; scalar.

    A plain autoencoder's latents are normalised by the batch's own statistics (and the buffers follow, momentum 0.02),
    which keeps their scale from drifting against the noise. A variational one's scale is held by the KL term. Where
    the decoder alone learns, latents are what `encode` gives.
    """
    seen = pictures
    if config.picture_noise:
        seen = pictures + config.picture_noise * torch.randn(pictures.shape, generator=generator).to(pictures.device)
    latents, extra = _latents(model, seen, config, generator)
    if config.latent_noise:
        latents = latents + config.latent_noise * torch.randn(latents.shape, generator=generator).to(latents.device)
    return pixel_error(model.decode_open(latents), pictures, config.pixel) + extra


def _latents(
    model: Autoencoder, pictures: Tensor, config: ReconstructionConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor | float]:
    """Normalised latents, and what the loss adds for them."""
    if config.learn == "decoder":
        with torch.no_grad():
            mean, log_variance = model.moments(pictures)
            if log_variance is not None:
                mean = reparametrise(mean, log_variance, torch.randn(mean.shape, generator=generator).to(mean.device))
            return (mean - model.latent_mean) / model.latent_std, 0.0
    mean, log_variance = model.moments(pictures)
    model.track(mean.detach(), 0.02)
    if log_variance is None:
        variance, centre = torch.var_mean(mean, (0, 2, 3), correction=0, keepdim=True)
        return (mean - centre) * (variance + 1e-6).rsqrt(), 0.0
    raw = reparametrise(mean, log_variance, torch.randn(mean.shape, generator=generator).to(mean.device))
    divergence = config.kl_weight * kl_divergence(mean, log_variance).mean()
    return (raw - model.latent_mean) / model.latent_std, divergence
