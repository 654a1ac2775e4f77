"""Autoencoders as recipes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nodeflow_nn.checkpoints import build, describe
from nodeflow_nn.weights import from_config
from torch import Tensor

from nodeflow import Autoencoder, LatentSpace, Model, ModelError, file_identity, find_weights
from nodeflow_codebooks import autoencoder

BUILDERS = {"autoencoder": from_config(autoencoder.Autoencoder, autoencoder.AutoencoderConfig)}


@dataclass(frozen=True)
class PatchAutoencoder(Autoencoder, Model):
    """A patch autoencoder: the weights of that name, with that content.

    `bytes` is what it takes as float32; `side` the side in pixels of the pictures it knows.
    """

    name: str
    digest: str
    bytes: int
    space: LatentSpace
    side: int

    @classmethod
    def named(cls, name: str) -> PatchAutoencoder:
        """The autoencoder in the weights of that name.

        Raises:
            ModelError: there is no such file, or it is no autoencoder.
        """
        path = find_weights(name)
        found = describe(path, BUILDERS, ModelError)
        config = autoencoder.AutoencoderConfig(**found.header.config)
        told = found.header.provenance.get("space", {"name": path.stem})
        space = LatentSpace(str(told["name"]), config.latent_channels, config.patch)
        if config.channels != 3:
            raise ModelError(f"{path} is for pictures of {config.channels} channels, not 3\n    name another file")
        return cls(name, file_identity(path), found.bytes, space, config.picture)

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.bytes

    def build(self, device: torch.device | str) -> LoadedAutoencoder:
        """An object with `encode` and `decode`."""
        path = find_weights(self.name)
        if file_identity(path) != self.digest:
            raise ModelError(f"{path} has changed since the graph looked at it\n    run the graph again")
        module = build(path, BUILDERS, device, ModelError)
        assert isinstance(module, autoencoder.Autoencoder)
        return LoadedAutoencoder(module, self)


class LoadedAutoencoder:
    """The module, with its inputs judged before it sees them."""

    def __init__(self, module: autoencoder.Autoencoder, recipe: PatchAutoencoder) -> None:
        self.module, self.recipe = module, recipe

    def encode(self, pixels: Tensor) -> Tensor:
        """[B, 3, side, side] in 0..1 -> [B, C, side / factor, side / factor] of unit variance."""
        side = self.recipe.side
        if pixels.shape[-2:] != (side, side):
            raise ValueError(
                f'the autoencoder "{self.recipe.name}" knows pictures of {side} x {side}, but this one is '
                f"{pixels.shape[-1]} x {pixels.shape[-2]}\n    resize it first (image.resize)"
            )
        return self.module.encode(pixels.to(self.module.latent_mean))

    def decode(self, samples: Tensor) -> Tensor:
        """[B, C, side / factor, side / factor] of unit variance -> [B, 3, side, side] in 0..1."""
        side, factor = self.recipe.side, self.recipe.space.factor
        if samples.shape[-2:] != (side // factor, side // factor):
            raise ValueError(
                f'the autoencoder "{self.recipe.name}" knows pictures of {side} x {side}, but the latent is of '
                f"{samples.shape[-1] * factor} x {samples.shape[-2] * factor}\n    sample pictures of {side} x {side}"
            )
        return self.module.decode(samples.to(self.module.latent_mean))
