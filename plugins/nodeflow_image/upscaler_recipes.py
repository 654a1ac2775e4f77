"""Published upscalers as recipes, and how they take large pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from nodeflow_codebooks.tiles import Tiling, blended, starts
from nodeflow_nn import published
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.soundness import unloaded
from torch import Tensor

from nodeflow import (
    QUIET,
    Checkpoint,
    CheckpointModel,
    Context,
    ModelError,
    Upscaler,
    checkpoint_identity,
    find_checkpoint,
)
from nodeflow_image.upscaler_names import Found, detect, shapes_of, sources
from nodeflow_image.upscalers import RRDBNet, folded

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class UpscalerModel(Upscaler, CheckpointModel):
    """An ESRGAN. scale: how many times as large it makes pictures."""

    scale: int
    precision: Precision = "fp32"

    @classmethod
    def named(cls, name: str, precision: Precision = "fp32", ctx: Context = QUIET) -> UpscalerModel:
        """The upscaler in the checkpoint of that name.

        Raises:
            ModelError: there is no such checkpoint, or no ESRGAN in it.
            PermissionError: `ctx` may not read it.
        """
        checkpoint = find_checkpoint(name, ctx)
        found = _detected(checkpoint)
        wanted = shapes_of(found.config)
        faults = published.faults(
            wanted, sources(found), checkpoint.shapes, lambda key: key.startswith(found.prefix), checkpoint.dtypes
        )
        if faults:
            raise ModelError(f"{checkpoint.path}: {published.told(faults)}\n    fetch it again, or name another file")
        count = 4 * sum(map(math.prod, wanted.values()))
        return cls(name, checkpoint_identity(checkpoint), count, "", found.config.scale, precision)

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.bytes * DTYPES[self.precision].itemsize // 4

    def build(self, device: torch.device | str) -> LoadedUpscaler:
        """`(pixels, ...) -> pixels`."""
        if self.precision == "fp16" and torch.device(device).type == "cpu":
            cure = "choose bf16 or fp32 (image.load_upscaler: precision)"
            raise ModelError(f"fp16 on a CPU is slower than fp32, where it works at all\n    {cure}")
        checkpoint = self.checkpoint()
        found = _detected(checkpoint)
        try:
            module = published.filled(
                lambda: RRDBNet(found.config),
                sources(found),
                published.Checkpoint.of(checkpoint),
                device,
                DTYPES[self.precision],
                channels_last=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(unloaded(checkpoint.path, error)) from error
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return LoadedUpscaler(module)

    def lay_out(self) -> LoadedUpscaler:
        """The same without weights."""
        found = _detected(self.checkpoint())
        with WithoutMemory():
            module = RRDBNet(found.config)
        return LoadedUpscaler(module.eval().requires_grad_(False).to(DTYPES[self.precision]))


def _detected(checkpoint: Checkpoint) -> Found:
    try:
        return detect(checkpoint.shapes)
    except ValueError as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error


class LoadedUpscaler:
    """An ESRGAN in memory."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, pixels: Tensor, side: int, overlap: int, looped: Callable[[range], Any] = iter) -> Tensor:
        """[B, 3, H, W] in 0..1 -> [B, 3, scale H, scale W] in 0..1, float32, on the device of `pixels`.

        Args:
            pixels: may lie on another device, which then is asked for one tile after the other.
            side: of a tile; larger pictures go in several.
            overlap: that neighbouring tiles share at least.
            looped: is given how many tiles there are, and yields once before each.
        """
        config = self.module.config
        cells = folded(pixels.float(), config.fold)
        folds = max(1, side // config.fold)
        tiling = Tiling(folds, min(overlap // config.fold, folds - 1))  # rounding may have made both the same
        count = len(cells) * math.prod(len(starts(length, tiling)) for length in cells.shape[-2:])
        turns = iter(looped(range(count)))
        weight = self.module.first.weight

        def through(tile: Tensor) -> Tensor:
            next(turns)
            given = tile.to(weight).contiguous(memory_format=torch.channels_last)
            found: Tensor = self.module(given).to(cells)
            return found

        found = blended(through, cells, tiling, 2**config.doublings, 3)
        for _ in turns:  # the loop ends as any other does
            pass
        high, wide = (side * config.scale for side in pixels.shape[-2:])
        found = found[..., :high, :wide]
        if weight.dtype == torch.float16 and not found.is_meta and not bool(found.isfinite().all()):
            raise ValueError(
                "what the upscaler gives are no numbers: it goes beyond what fp16 can hold\n"
                "    choose bf16 or fp32 (image.load_upscaler: precision)"
            )
        return found.clamp(0, 1)
