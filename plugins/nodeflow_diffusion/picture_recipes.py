"""What an unCLIP knows of the pictures that it was trained with: the statistics of their vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from nodeflow_nn.published import Checkpoint as Tensors
from nodeflow_nn.said import json_object, spelled
from torch import Tensor

from nodeflow import QUIET, Checkpoint, CheckpointModel, Context, ModelError, checkpoint_identity, find_checkpoint

PART, UNET = "image_normalizer", "unet"
NAMES = (("mean", "std"), ("noise_augmentor.data_mean", "noise_augmentor.data_std"))
"""Of the part of a diffusers folder, and of a single file."""
SCHEDULER = "image_noising_scheduler/scheduler_config.json"
NOISE = {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 1000}
"""What that may say, which single files do not tell."""


@dataclass(frozen=True)
class PictureStatistics(CheckpointModel):
    """Mean and standard deviation of pictures' vectors, by which their noise is scaled. width: of the vectors."""

    width: int

    @classmethod
    def beside(cls, unet: Checkpoint, name: str, ctx: Context = QUIET) -> PictureStatistics | None:
        """Those of the whole model of that name, whose U-Net this is; None if it has none.

        Raises:
            ModelError: they are damaged, or their noise is another than published models'.
            PermissionError: `ctx` may not read them.
        """
        if statistics_beside(unet.path, name):
            scheduler = unet.path.parent / SCHEDULER
            if scheduler.is_file():
                _judge(ctx.read(scheduler))
            unet = find_checkpoint(name, ctx, PART)
        names = _names(unet)
        if names is None:
            return None
        shapes = [unet.shapes[name] for name in names]
        width = shapes[0][-1] if shapes[0] else 0
        if any(shape not in ((1, width), (width,)) for shape in shapes) or not width:
            found = " and ".join(f"{name} {list(shape)}" for name, shape in zip(names, shapes, strict=True))
            raise ModelError(f"{unet.path}: {found} are not the mean and deviation of vectors\n    fetch it again")
        return cls(name, checkpoint_identity(unet), 8 * width, PART, width)

    def build(self, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Both [width], float32."""
        checkpoint = self.checkpoint()
        names = _names(checkpoint)
        assert names is not None  # as its content is what it was
        with Tensors.of(checkpoint).reading() as read:
            mean, deviation = (read(name).flatten().to(device, torch.float32) for name in names)
        return mean, deviation

    def lay_out(self) -> tuple[Tensor, Tensor]:
        """The same without numbers."""
        return torch.empty(self.width, device="meta"), torch.empty(self.width, device="meta")


def _judge(scheduler: Path) -> None:
    said = json_object(scheduler, ModelError)
    odd = [
        f"{name} is {spelled(said[name])}, but expected {spelled(known)}"
        for name, known in NOISE.items()
        if said.get(name, known) != known
    ]
    if odd:
        raise ModelError(f"{scheduler}: {'; '.join(odd)}\n    name another model")


def statistics_beside(unet: Path, name: str) -> bool:
    """Whether the folder of that name is a whole model with a part for them, whose U-Net is this folder."""
    return unet.is_dir() and unet.name == UNET != Path(name).name and (unet.parent / PART).is_dir()


def _names(checkpoint: Checkpoint) -> tuple[str, str] | None:
    return next((names for names in NAMES if all(name in checkpoint.tensors for name in names)), None)
