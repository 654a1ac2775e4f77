"""Autoencoders as recipes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nodeflow_nn.checkpoints import build, describe, lay_out
from nodeflow_nn.weights import from_config
from torch import Tensor

from nodeflow import (
    QUIET,
    Autoencoder,
    Context,
    FileModel,
    LatentSpace,
    ModelError,
    expecting,
    file_identity,
    find_checkpoint,
    find_weights,
)
from nodeflow_codebooks import autoencoder

BUILDERS = {"autoencoder": from_config(autoencoder.Autoencoder, autoencoder.AutoencoderConfig)}


@dataclass(frozen=True)
class PatchAutoencoder(Autoencoder, FileModel):
    """A patch autoencoder. `side` is the side in pixels of the pictures it knows."""

    space: LatentSpace
    side: int

    @classmethod
    def named(cls, name: str, ctx: Context = QUIET) -> PatchAutoencoder:
        """The autoencoder in the weights of that name.

        Raises:
            ModelError: there is no such file, or it is no autoencoder.
            PermissionError: `ctx` may not read it.
        """
        path = find_weights(name, ctx)
        checkpoint = find_checkpoint(name, ctx)
        with expecting(checkpoint, "nodeflow autoencoder"):
            if "architecture" not in checkpoint.metadata:
                cure = "codebooks.load_vae opens published autoencoders"
                raise ModelError(f"{path} holds none of nodeflow's own weights\n    {cure}")
            found = describe(path, BUILDERS, ModelError)
        config = autoencoder.AutoencoderConfig(**found.header.config)
        told = found.header.provenance.get("space", {"name": path.stem})
        space = LatentSpace(str(told["name"]), config.latent_channels, config.patch, config.picture)
        if config.channels != 3:
            raise ModelError(f"{path} is for pictures of {config.channels} channels, not 3\n    name another file")
        return cls(name, file_identity(path), found.bytes, space, config.picture)

    def build(self, device: torch.device | str) -> LoadedAutoencoder:
        """An object with `encode` and `decode`."""
        return self._loaded(build(self.path, BUILDERS, device, ModelError))

    def lay_out(self) -> LoadedAutoencoder:
        """The same without weights."""
        return self._loaded(lay_out(self.path, BUILDERS, ModelError))

    def _loaded(self, module: torch.nn.Module) -> LoadedAutoencoder:
        assert isinstance(module, autoencoder.Autoencoder)
        return LoadedAutoencoder(module, self)


class LoadedAutoencoder:
    """The module, with its inputs judged before it sees them."""

    def __init__(self, module: autoencoder.Autoencoder, recipe: PatchAutoencoder) -> None:
        self.module, self.recipe = module, recipe

    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """[B, 3, side, side] in 0..1 -> [B, C, side / factor, side / factor] of unit variance.

        Args:
            pixels: pictures.
            noise: of the latents' shape: draws them from a VAE's Gaussian; None takes its mean.
        """
        side = self.recipe.side
        if pixels.shape[-2:] != (side, side):
            raise ValueError(
                f'the autoencoder "{self.recipe.name}" knows pictures of {side} x {side}, but this one is '
                f"{pixels.shape[-1]} x {pixels.shape[-2]}\n    resize it first (image.resize)"
            )
        if noise is not None and not self.module.config.variational:
            raise ValueError(
                f'the autoencoder "{self.recipe.name}" has one latent for each picture, and none to draw\n'
                "    encode without drawing, or load a variational autoencoder"
            )
        return self.module.encode(pixels.to(self.module.latent_mean), noise)

    def decode(self, samples: Tensor) -> Tensor:
        """[B, C, side / factor, side / factor] of unit variance -> [B, 3, side, side] in 0..1."""
        side, factor = self.recipe.side, self.recipe.space.factor
        if samples.shape[-2:] != (side // factor, side // factor):
            raise ValueError(
                f'the autoencoder "{self.recipe.name}" knows pictures of {side} x {side}, but the latent is of '
                f"{samples.shape[-1] * factor} x {samples.shape[-2] * factor}\n    sample pictures of {side} x {side}"
            )
        return self.module.decode(samples.to(self.module.latent_mean))
