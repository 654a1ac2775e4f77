"""Published autoencoders of latent diffusion as recipes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from nodeflow_nn import published
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.soundness import unloaded
from torch import Tensor

from nodeflow import (
    QUIET,
    Autoencoder,
    Checkpoint,
    CheckpointModel,
    Composition,
    Context,
    LatentSpace,
    ModelError,
    Recipe,
    checkpoint_identity,
    find_checkpoint,
)
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoder
from nodeflow_codebooks.latent_autoencoder_families import OVERFLOWS, Found, Scaling, SpaceName, detect, space_of
from nodeflow_codebooks.latent_autoencoder_names import is_own, sources
from nodeflow_codebooks.latent_autoencoder_outline import outline
from nodeflow_codebooks.tiles import Tiling, blended

Load = Callable[[Recipe], Any]
Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PART = "vae"
NAMELESS = (PART, "last", "checkpoints", "ckpts")
"""Files and folders that every model has."""
WHOLE = 2048 * 2048
"""Pixels of a picture that goes through whole unless tiles are asked for: at 2048 x 2048 one feature map of the
decoder's last level takes 2 GB in fp32, and a few are there at once."""
AT_ONCE = 1024 * 1024
"""Pixels of a batch that go through together: more take more memory, and are no faster once a device is busy."""
AUTOMATIC = Tiling(1024, 128)
"""Pixels, of the tiles of larger ones."""


@dataclass(frozen=True)
class LatentAutoencoderModel(Autoencoder, CheckpointModel):
    """A KL or VQ autoencoder of latent diffusion. `scaling` makes its latents those of `space`. codes: of its codebook;
    0: it has none.
    """

    space: LatentSpace
    scaling: Scaling
    precision: Precision = "fp32"
    codes: int = 0

    @classmethod
    def named(
        cls, name: str, space: SpaceName | Literal["auto"] = "auto", precision: Precision = "fp32", ctx: Context = QUIET
    ) -> LatentAutoencoderModel:
        """The autoencoder in the checkpoint of that name.

        Raises:
            ModelError: there is no such checkpoint, it is no such autoencoder, or nothing tells its space.
            PermissionError: `ctx` may not read it.
        """
        checkpoint = find_checkpoint(name, ctx, PART)
        found = _detected(checkpoint)
        try:
            called, scaling = space_of(found, space, _called(name))
        except ValueError as error:
            raise ModelError(f"{checkpoint.path}: {error}") from error
        config = found.config
        if config.channels != 3:
            raise ModelError(f"{checkpoint.path} is for pictures of {config.channels} channels, not 3")
        count = _judged(found, checkpoint)
        lives_in = LatentSpace(called, config.space_channels, config.factor)
        return cls(name, checkpoint_identity(checkpoint), 4 * count, PART, lives_in, scaling, precision, config.codes)

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.bytes * DTYPES[self.precision].itemsize // 4

    def build(self, device: torch.device | str) -> LoadedLatentAutoencoder:
        """An object with `encode` and `decode`."""
        if self.precision == "fp16" and torch.device(device).type == "cpu":
            cure = "choose bf16 or fp32 (codebooks.load_vae: precision)"
            raise ModelError(f"fp16 on a CPU is slower than fp32, where it works at all\n    {cure}")
        checkpoint = self.checkpoint()
        found = _detected(checkpoint)
        theirs = published.Checkpoint.of(checkpoint)
        named = sources(found, found.layout, found.prefix)
        try:
            module = published.filled(
                lambda: LatentAutoencoder(found.config), named, theirs, device, DTYPES[self.precision],
                channels_last=True,
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(unloaded(checkpoint.path, error)) from error
        return LoadedLatentAutoencoder(module.to(memory_format=torch.channels_last), self)  # type: ignore[call-overload]

    def lay_out(self) -> LoadedLatentAutoencoder:
        """The same without weights."""
        config = _detected(self.checkpoint()).config
        with WithoutMemory():
            model = LatentAutoencoder(config).eval().requires_grad_(False)
        return LoadedLatentAutoencoder(model.to(DTYPES[self.precision]), self)


def _called(name: str) -> str:
    """A space by the name of its model, where no other is known: "vq-f4" for "vae/vq-f4.safetensors" and for
    "vq-f4/checkpoints/last".
    """
    path = Path(name.removesuffix(".safetensors"))
    while path.name in NAMELESS and path.parent.name:
        path = path.parent
    return path.name


def _detected(checkpoint: Checkpoint) -> Found:
    try:
        return detect(published.telling(checkpoint.shapes), checkpoint.config)
    except (ValueError, TypeError) as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error


def _judged(found: Found, checkpoint: Checkpoint) -> int:
    """Refuses a checkpoint whose tensors are not exactly those of the module; how many numbers it holds."""
    wanted, named = outline(found.config), sources(found, found.layout, found.prefix)
    faults = published.faults(
        wanted, named, checkpoint.shapes, lambda name: is_own(name, found.prefix), checkpoint.dtypes
    )
    if faults:
        raise ModelError(f"{checkpoint.path}: {published.told(faults)}\n    fetch it again, or name another file")
    return sum(map(math.prod, wanted.values()))


class LoadedLatentAutoencoder:
    """The module, with its inputs judged before it sees them and large ones cut into tiles."""

    def __init__(self, module: Any, recipe: LatentAutoencoderModel) -> None:
        self.module, self.recipe = module, recipe

    def encode(self, pixels: Tensor, noise: Tensor | None = None, tiling: Tiling | None = None) -> Tensor:
        """[B, 3, H, W] in 0..1 -> [B, C, H / factor, W / factor] of unit variance.

        Args:
            pixels: H and W are multiples of the factor.
            noise: of the latents' shape, to draw them; None gives their mean.
            tiling: in pixels; None cuts only what is too large to go through whole.
        """
        space = self.recipe.space
        high, wide = pixels.shape[-2:]
        if high % space.factor or wide % space.factor or not high or not wide:
            nearest = [max(side // space.factor, 1) * space.factor for side in (wide, high)]
            raise ValueError(
                f"a picture of {wide} x {high} cannot be cut into cells of {space.factor} pixels\n"
                f"    resize it to {nearest[0]} x {nearest[1]} (image.resize), or crop it"
            )
        channels = space.channels * (2 if self._variational else 1)
        moments = self._through(self._moments, pixels, self._tiling(tiling, pixels), 1 / space.factor, channels)
        mean = moments[:, : space.channels]
        if noise is not None:
            if not self._variational:
                raise ValueError(
                    "a VQ autoencoder has one latent for each picture\n    leave out what it is drawn with"
                )
            mean = torch.addcmul(mean, (moments[:, space.channels :] / 2).exp(), noise.to(mean))
        return (mean - self.recipe.scaling.shift) * self.recipe.scaling.factor

    def decode(self, samples: Tensor, tiling: Tiling | None = None) -> Tensor:
        """[B, C, h, w] of unit variance -> [B, 3, factor h, factor w] in 0..1."""
        space, scaling = self.recipe.space, self.recipe.scaling
        tiling = self._tiling(tiling, samples, space.factor)
        latents = samples.float() / scaling.factor + scaling.shift
        pixels = self._through(self._pixels, latents, tiling, space.factor, 3)
        return pixels.mul_(0.5).add_(0.5).clamp_(0, 1)

    def codes(self, pixels: Tensor, tiling: Tiling | None = None) -> Tensor:
        """[B, 3, H, W] in 0..1 -> codes int64 [B, H / factor, W / factor], of an autoencoder with a codebook."""
        scaling = self.recipe.scaling
        latents = self.encode(pixels, tiling=tiling) / scaling.factor + scaling.shift
        found: Tensor = self.module.codes(self._own(latents))
        return found

    def decode_codes(self, codes: Tensor, tiling: Tiling | None = None) -> Tensor:
        """Codes int64 [B, h, w] -> [B, 3, factor h, factor w] in 0..1."""
        factor, latents = self.recipe.space.factor, self.module.looked_up(codes)
        tiling = self._tiling(tiling, latents, factor)
        pixels = self._through(lambda part: self.module.pictures(self._own(part)), latents, tiling, factor, 3)
        return pixels.mul_(0.5).add_(0.5).clamp_(0, 1)

    @property
    def _variational(self) -> bool:
        return not self.module.config.codes

    def _moments(self, pixels: Tensor) -> Tensor:
        mean, log_variance = self.module.moments(self._own(pixels) * 2 - 1)
        return mean if log_variance is None else torch.cat([mean, log_variance], 1)

    def _pixels(self, latents: Tensor) -> Tensor:
        pixels: Tensor = self.module.decode(self._own(latents))
        return pixels

    def _own(self, x: Tensor) -> Tensor:
        return x.to(self.module.decoder.first.weight)

    def _tiling(self, asked: Tiling | None, x: Tensor, factor: int = 1) -> Tiling | None:
        """In cells of x; None where it goes through whole."""
        high, wide = (side * factor for side in x.shape[-2:])
        if asked is None and high * wide > WHOLE:
            asked = AUTOMATIC
        if asked is None or max(high, wide) <= asked.side:
            return None
        cell = self.recipe.space.factor
        if asked.side % cell or asked.overlap % cell:
            raise ValueError(f"tiles of {asked.side} pixels that share {asked.overlap} are no multiples of {cell}")
        return Tiling(asked.side // factor, asked.overlap // factor)

    def _through(self, network: Any, x: Tensor, tiling: Tiling | None, scale: float, channels: int) -> Tensor:
        """In one pass so many pictures as have `AT_ONCE` pixels together, one at least."""
        parts = torch.split(x, max(1, int(AT_ONCE // (max(1.0, scale) ** 2 * x.shape[2] * x.shape[3]))))
        if tiling is not None:
            found = blended(network, x.float(), tiling, scale, channels)
        elif len(parts) == 1:
            found = network(x).float()
        else:
            found = torch.cat([network(part).float() for part in parts])
        if self.recipe.precision == "fp16" and not found.is_meta and not bool(found.isfinite().all()):
            space = self.recipe.space
            known = f"{space}'s autoencoder is known to go beyond" if space.name in OVERFLOWS else "it goes beyond"
            raise ValueError(
                f"what the autoencoder gives are no numbers: {known} what fp16 can hold\n"
                "    choose bf16 or fp32 (codebooks.load_vae: precision)"
            )
        return found


@dataclass(frozen=True)
class Tiled(Autoencoder, Composition):
    """An autoencoder whose pictures go through it in tiles. side, overlap: of the tiles, in pixels."""

    autoencoder: LatentAutoencoderModel
    side: int
    overlap: int

    @property
    def space(self) -> LatentSpace:  # type: ignore[override]
        """That of the autoencoder."""
        return self.autoencoder.space

    @property
    def codes(self) -> int:
        """Likewise."""
        return self.autoencoder.codes

    def assemble(self, load: Load) -> LoadedTiled:
        """An object with `encode` and `decode`."""
        return LoadedTiled(load(self.autoencoder), Tiling(self.side, self.overlap))


class LoadedTiled:
    """Encodes and decodes in tiles of that size."""

    def __init__(self, inner: LoadedLatentAutoencoder, tiling: Tiling) -> None:
        self.inner, self.tiling = inner, tiling

    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """As `LoadedLatentAutoencoder.encode`."""
        return self.inner.encode(pixels, noise, self.tiling)

    def decode(self, samples: Tensor) -> Tensor:
        """As `LoadedLatentAutoencoder.decode`."""
        return self.inner.decode(samples, self.tiling)

    def codes(self, pixels: Tensor) -> Tensor:
        """As `LoadedLatentAutoencoder.codes`."""
        return self.inner.codes(pixels, self.tiling)

    def decode_codes(self, codes: Tensor) -> Tensor:
        """As `LoadedLatentAutoencoder.decode_codes`."""
        return self.inner.decode_codes(codes, self.tiling)
