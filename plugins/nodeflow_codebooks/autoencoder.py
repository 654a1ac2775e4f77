"""The patch autoencoder: pictures to a small grid of latents and back (AE), or to a Gaussian each (VAE)."""

from dataclasses import dataclass

import torch
from nodeflow_nn.convolution import ResidualBlock, from_patches, to_patches
from nodeflow_nn.transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of a patch autoencoder.

    picture: side of the (square) picture in pixels. patch: pixels a latent's side stands for; even. channels:
    colours. latent_channels: numbers a latent. width, heads: of the transformer blocks. encoder_depth, decoder_depth:
    blocks. detail_width, detail_depth: channels and number of the residual convolutions at twice the latents'
    resolution. variational: latents are drawn from a predicted Gaussian (VAE).
    """

    picture: int = 64
    patch: int = 8
    channels: int = 3
    latent_channels: int = 16
    width: int = 192
    heads: int = 3
    encoder_depth: int = 2
    decoder_depth: int = 3
    detail_width: int = 64
    detail_depth: int = 2
    variational: bool = False

    @property
    def grid(self) -> int:
        """Latents a side."""
        return self.picture // self.patch


def reparametrise(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Mean + exp(log_variance / 2) * noise (Kingma and Welling 2013, section 2.4); all of one shape."""
    return torch.addcmul(mean, (0.5 * log_variance).exp(), noise)


class Autoencoder(nn.Module):
    """Patch transformer encoder, patch transformer and convolutional decoder.

    The latents that leave `encode` and enter `decode` have zero mean and unit variance in each channel: `latent_mean`
    and `latent_std` are buffers, kept in the weights' file, set by `measure` (or while training, by batch).
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        patch_width, tokens = config.channels * config.patch**2, config.grid**2
        out = config.latent_channels * (2 if config.variational else 1)
        self.patches_in = nn.Linear(patch_width, config.width)
        self.encoder_positions = nn.Parameter(0.02 * torch.randn(tokens, config.width))
        self.encoder = nn.Sequential(*(Block(config.width, config.heads) for _ in range(config.encoder_depth)))
        self.latents_out = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, out))
        self.latents_in = nn.Linear(config.latent_channels, config.width)
        self.decoder_positions = nn.Parameter(0.02 * torch.randn(tokens, config.width))
        self.decoder = nn.Sequential(*(Block(config.width, config.heads) for _ in range(config.decoder_depth)))
        self.detail_in = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 4 * config.detail_width))
        self.detail = nn.Sequential(*(ResidualBlock(config.detail_width) for _ in range(config.detail_depth)))
        self.pixels_out = nn.Conv2d(config.detail_width, config.channels * (config.patch // 2) ** 2, 1)
        self.register_buffer("latent_mean", torch.zeros(config.latent_channels, 1, 1))
        self.register_buffer("latent_std", torch.ones(config.latent_channels, 1, 1))

    def moments(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and log-variance (None unless variational) of the latents, not normalised.

        pictures: [B, channels, picture, picture], 0..1. Returns [B, latent_channels, grid, grid] each; the
        log-variance is held within -30..20 (LDM).
        """
        tokens = self.patches_in(to_patches(pictures * 2 - 1, self.config.patch)) + self.encoder_positions
        latents = from_patches(self.latents_out(self.encoder(tokens)), 1, self.config.grid)
        if not self.config.variational:
            return latents, None
        mean, log_variance = latents.chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def encode(self, pictures: Tensor, noise: Tensor | None = None) -> Tensor:
        """Normalised latents of pictures.

        Args:
            pictures: [B, channels, picture, picture], 0..1.
            noise: standard normal [B, latent_channels, grid, grid]: draw from a VAE's Gaussian; None gives its mean.

        Returns: [B, latent_channels, grid, grid], unit variance.
        """
        mean, log_variance = self.moments(pictures)
        if noise is not None and log_variance is not None:
            mean = reparametrise(mean, log_variance, noise)
        return (mean - self.latent_mean) / self.latent_std

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures of normalised latents: [B, latent_channels, grid, grid] -> [B, channels, picture, picture], 0..1."""
        return self.decode_open(latents).clamp(0, 1)

    def decode_open(self, latents: Tensor) -> Tensor:
        """`decode` before the clamp, for losses."""
        latents = latents * self.latent_std + self.latent_mean
        tokens = self.latents_in(to_patches(latents, 1)) + self.decoder_positions
        detail = from_patches(self.detail_in(self.decoder(tokens)), 2, self.config.grid)
        pixels = F.pixel_shuffle(self.pixels_out(self.detail(detail)), self.config.patch // 2)
        return pixels * 0.5 + 0.5

    @torch.no_grad()
    def track(self, latents: Tensor, momentum: float) -> None:
        """Move the buffers towards the statistics of raw latents [B, latent_channels, grid, grid]."""
        variance, mean = torch.var_mean(latents, (0, 2, 3), correction=0, keepdim=True)
        self.latent_mean.lerp_(mean[0], momentum)
        self.latent_std.lerp_(variance[0].sqrt(), momentum)

    @torch.no_grad()
    def measure(self, pictures: Tensor, batch: int = 64) -> None:
        """Set the buffers from the latents of pictures [N, channels, picture, picture], 0..1."""
        self.track(torch.cat([self.moments(part)[0] for part in torch.split(pictures, batch)]), 1.0)
