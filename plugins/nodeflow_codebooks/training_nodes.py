"""Autoencoders to be trained, and what they are trained for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodeflow import Objective, Recipe, Trainable, node
from nodeflow_codebooks import losses
from nodeflow_codebooks.autoencoder import Autoencoder, AutoencoderConfig

Load = Callable[[Recipe], Any]
Width = Annotated[int, Field(ge=8, le=4096)]
Depth = Annotated[int, Field(ge=0, le=100)]
Noise = Annotated[float, Field(ge=0, le=10)]
MEASURED = 2048
"""Pictures whose latents are measured at the end: their standard deviation is known to 0.2 % then."""


@dataclass(frozen=True)
class NewAutoencoder(Trainable):
    """A patch autoencoder with first weights."""

    config: AutoencoderConfig
    architecture: str = "autoencoder"

    def assemble(self, load: Load) -> Autoencoder:
        del load  # it has no children
        return Autoencoder(self.config)


@dataclass(frozen=True)
class Reconstruction(Objective):
    """The reconstruction loss of an autoencoder."""

    autoencoder: Trainable
    config: losses.ReconstructionConfig

    @property
    def parts(self) -> Mapping[str, Trainable]:
        return {"autoencoder": self.autoencoder}

    @property
    def notes(self) -> Mapping[str, Any]:
        notes: dict[str, Any] = {"loss": asdict(self.config)}
        before = self.autoencoder.notes.get("began_with", {})
        if self.config.learn == "decoder" and "space" in before:
            notes["space"] = before["space"]
        return notes

    def assemble(self, load: Load) -> "LoadedReconstruction":
        return LoadedReconstruction(load(self.autoencoder), self.config)


class LoadedReconstruction:
    """A Reconstruction, loaded."""

    def __init__(self, autoencoder: Autoencoder, config: losses.ReconstructionConfig) -> None:
        self.modules = {"autoencoder": autoencoder}
        self._autoencoder, self._config = autoencoder, config

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Scalar loss of a batch with "pictures"."""
        return losses.reconstruction_loss(self._autoencoder, self._pictures(batch), self._config, generator)

    def finish(self, data: Any, seen: int) -> None:
        """Measure the latents of further pictures, so that they leave the encoder with unit variance.

        Where the decoder alone learns, they stay what they are.
        """
        if self._config.learn == "decoder":
            return
        first = math.ceil(seen / MEASURED)
        self._autoencoder.measure(self._pictures(data.batch(first, MEASURED)))

    def _pictures(self, batch: Mapping[str, Any]) -> Tensor:
        if "pictures" not in batch:
            raise ValueError("an autoencoder learns from pictures, but the data set has none\n    wire its source in")
        pictures: Tensor = batch["pictures"].to(self._autoencoder.latent_mean)
        side = self._autoencoder.config.picture
        if pictures.shape[-2:] != (side, side):
            raise ValueError(
                f"the autoencoder is for pictures of {side} x {side}, but the data set's are "
                f"{pictures.shape[-1]} x {pictures.shape[-2]}\n    give both the same size"
            )
        return pictures


@node(category="train/model", title="New autoencoder")
def new_autoencoder(
    size: Annotated[int, Field(ge=8, le=1024)] = 64,
    patch: Annotated[int, Field(ge=2, le=64, multiple_of=2)] = 8,
    latent_channels: Annotated[int, Field(ge=1, le=256)] = 16,
    width: Width = 160,
    heads: Annotated[int, Field(ge=1, le=64)] = 2,
    encoder_depth: Depth = 2,
    decoder_depth: Depth = 2,
    detail_width: Width = 48,
    detail_depth: Depth = 2,
    variational: bool = False,
) -> Trainable:
    """Describe an autoencoder that is to be trained: a patch transformer, and convolutions behind its decoder.

    Args:
        size: side of the pictures in pixels; a multiple of patch.
        patch: pixels that one latent cell stands for, along each side.
        latent_channels: numbers in a cell.
        width: channels of the transformer blocks; a multiple of heads.
        heads: of their attention.
        encoder_depth: blocks from picture to latent.
        decoder_depth: blocks from latent to picture.
        detail_width: channels of the convolutions that draw the detail; a multiple of 8.
        detail_depth: how many of them.
        variational: predict a Gaussian for each number of a cell (VAE) instead of the number (AE).
    """
    for whole, part, names in (
        (size, patch, ("size", "patch")),
        (width, heads, ("width", "heads")),
        (detail_width, 8, ("detail_width", "8")),
    ):
        if whole % part:
            raise ValueError(f"{names[0]} {whole} is no multiple of {names[1]}{'' if names[1] == '8' else f' {part}'}")
    config = AutoencoderConfig(
        picture=size,
        patch=patch,
        latent_channels=latent_channels,
        width=width,
        heads=heads,
        encoder_depth=encoder_depth,
        decoder_depth=decoder_depth,
        detail_width=detail_width,
        detail_depth=detail_depth,
        variational=variational,
    )
    return NewAutoencoder(config)


@node(category="train/loss", title="Reconstruction loss")
def reconstruction_loss(
    autoencoder: Trainable,
    pixel: Literal["mse", "l1"] = "mse",
    latent_noise: Noise = 0.1,
    picture_noise: Noise = 0.0,
    kl_weight: Annotated[float, Field(ge=0, le=1)] = 1e-6,
    learn: Literal["all", "decoder"] = "all",
) -> Objective:
    """Train an autoencoder to give back the pictures it is shown.

    Args:
        autoencoder: what is trained.
        pixel: squared error, or absolute, which blurs less and learns slower.
        latent_noise: standard deviation of the noise added to the latents, so that the decoder forgives a denoiser's
            errors.
        picture_noise: standard deviation of the noise that is added to the picture and is to be removed.
        kl_weight: pull of a variational autoencoder's latents towards the standard normal distribution.
        learn: the decoder alone draws better without moving the latents, which denoisers know already; begin with
            the weights of a trained autoencoder (train.begin_with).
    """
    if autoencoder.architecture != "autoencoder":
        raise ValueError(f"this loss is for autoencoders, but the model is of architecture {autoencoder.architecture}")
    config = losses.ReconstructionConfig(pixel, kl_weight, latent_noise, picture_noise, learn)
    return Reconstruction(autoencoder, config)


TRAINING_NODES = (new_autoencoder, reconstruction_loss)
