"""ControlNets on disk, bound to pictures, and beside a denoiser's network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from nodeflow_nn import published
from nodeflow_nn.eightbit import held_in
from torch import Tensor

from nodeflow import (
    QUIET,
    Checkpoint,
    CheckpointModel,
    Context,
    ModelError,
    Recipe,
    TextEmbedding,
    checkpoint_identity,
    find_checkpoint,
)
from nodeflow_diffusion import control_names
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.latent_unet import LatentUNetConfig, Residuals
from nodeflow_diffusion.network_recipes import Executed
from nodeflow_diffusion.readings import Readings

PART = "controlnet"


@dataclass(frozen=True)
class ControlModel(Executed, CheckpointModel):
    """A published ControlNet, and the U-Net that it is beside."""

    unet: LatentUNetConfig

    @classmethod
    def named(cls, name: str, unet: LatentUNetConfig, execution: Execution, ctx: Context = QUIET) -> ControlModel:
        """The ControlNet in the checkpoint of that name, for such a U-Net.

        Raises:
            ModelError: there is none, none that is known, or one for another U-Net.
            PermissionError: `ctx` may not read it.
        """
        checkpoint = find_checkpoint(name, ctx, PART)
        found = _detected(checkpoint)
        shapes, config = _shapes(checkpoint, found, unet), found.beside(unet)
        faults = published.faults(
            shapes,
            found.sources(unet),
            checkpoint.shapes,
            lambda key: key.startswith(found.prefix),
            checkpoint.dtypes,
        )
        if faults:
            raise ModelError(f"{checkpoint.path}: {published.told(faults)}\n    fetch it again, or name another file")
        odd = [
            f"{field} is {mine}, not {wanted}"
            for field, wanted in vars(unet).items()
            if field not in ("channels_in", "channels_out") and (mine := vars(config)[field]) != wanted
        ]
        if odd:
            raise ModelError(
                f"{checkpoint.path} was not made for this denoiser: its {'; its '.join(odd)}\n"
                "    name a ControlNet for the kind of model that the denoiser is"
            )
        count = 4 * sum(map(math.prod, shapes.values()))
        return cls(name, checkpoint_identity(checkpoint), count, PART, unet, execution=execution, held=held_in(shapes))

    def build(self, device: torch.device | str) -> LoadedControl:
        """The module on `device`."""
        checkpoint = self.checkpoint()
        found = _detected(checkpoint)
        module = self.filled(partial(found.make, self.unet), found.sources(self.unet), checkpoint, device)
        return LoadedControl(module, found.flip)

    def lay_out(self) -> LoadedControl:
        """The same without weights."""
        found = _detected(self.checkpoint())
        return LoadedControl(self.laid_out(partial(found.make, self.unet)), found.flip)


@dataclass(frozen=True)
class LoadedControl:
    """A ControlNet in memory. flip: it takes blue before red."""

    net: Any
    flip: bool


def _detected(checkpoint: Checkpoint) -> control_names.Control:
    try:
        return control_names.detect(published.telling(checkpoint.shapes), checkpoint.config)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        fault = f"it lacks or garbles {error}" if isinstance(error, KeyError | IndexError) else str(error)
        raise ModelError(f"{checkpoint.path}: {fault}") from error


def _shapes(checkpoint: Checkpoint, found: control_names.Control, unet: LatentUNetConfig) -> dict[str, tuple[int, ...]]:
    try:
        return found.shapes(unet)
    except (ValueError, TypeError, ZeroDivisionError, IndexError) as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error


@dataclass(frozen=True, eq=False)
class Control:
    """A ControlNet and the picture [B, 3, H, W] that it sees: one for all pictures of a batch, or one for each.

    start, stop: the noise levels sigma / (alpha + sigma), from 1 (noise) to 0 (picture), between which it acts.
    """

    model: ControlModel
    picture: Tensor
    strength: float = 1.0
    start: float = 1.0
    stop: float = 0.0

    def acts(self, level: Callable[[], float]) -> bool:
        """Whether it does anything at a noise level, which is asked for only where that matters."""
        if self.strength == 0:
            return False
        return (self.start >= 1 and self.stop <= 0) or self.stop <= level() <= self.start


class Controls:
    """All ControlNets beside a network.

    Args:
        controls: which.
        load: loads their models.
        read: `(network, text, device, pixels) -> words and vector`, as the denoiser has it for its own network.
    """

    def __init__(self, controls: Sequence[Control], load: Callable[[Recipe], Any], read: Callable[..., Any]) -> None:
        self.loaded = [(control, load(control.model)) for control in controls]
        self.words = [Readings[TextEmbedding, Any](partial(read, loaded.net)) for _, loaded in self.loaded]
        self.seen: dict[int, Tensor] = {}

    def residuals(
        self, z: Tensor, t: Tensor, text: TextEmbedding, pixels: tuple[int, int], level: Callable[[], float]
    ) -> Residuals | None:
        """What they add together to the network at z [B, C, H, W] and steps t [B]; None if none acts."""
        total: Residuals | None = None
        for at, (control, loaded) in enumerate(self.loaded):
            if not control.acts(level):
                continue
            seen = self._seen(at, z, pixels)
            words, vector = self.words[at](text, z.device, pixels)
            own = loaded.net(z.to(seen.dtype), t, words, vector, seen)
            scaled = tuple(control.strength * part for part in own)
            total = scaled if total is None else tuple(a + b for a, b in zip(total, scaled, strict=True))
        return total

    def _seen(self, at: int, z: Tensor, pixels: tuple[int, int]) -> Tensor:
        """What a network makes of its picture, once for all steps, for each picture of the batch."""
        control, loaded = self.loaded[at]
        picture = control.picture
        if tuple(picture.shape[-2:]) != pixels:
            raise ValueError(
                f'the picture for "{control.model.name}" is {picture.shape[-1]} x {picture.shape[-2]}, but the latent '
                f"is of {pixels[1]} x {pixels[0]}\n    bring it to that size first (image.resize)"
            )
        if len(z) % len(picture):
            raise ValueError(
                f'{len(picture)} pictures are bound to "{control.model.name}", but the latent has {len(z)}\n'
                "    give one picture, or as many as are made"
            )
        if at not in self.seen:
            dtype = control.model.execution.dtype
            picture = picture.to(z.device, dtype)
            self.seen[at] = loaded.net.see(picture.flip(1) if loaded.flip else picture)
        seen = self.seen[at]
        return seen.repeat(len(z) // len(seen), 1, 1, 1)
