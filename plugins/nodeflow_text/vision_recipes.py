"""CLIP's vision towers as they are published, as recipes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nodeflow_nn.placing import WithoutMemory
from torch import nn

from nodeflow import QUIET, Checkpoint, CheckpointModel, Context, ModelError, checkpoint_identity, find_checkpoint
from nodeflow_text import clip_names
from nodeflow_text.clip import Activation, ClipVisionConfig, ClipVisionTower
from nodeflow_text.published_recipes import judged, no_tower, read


@dataclass(frozen=True)
class ClipVisionModel(CheckpointModel):
    """The vision tower of a CLIP; loads to the module."""

    activation: Activation | None = None

    @classmethod
    def named(cls, name: str, activation: Activation | None = None, ctx: Context = QUIET) -> ClipVisionModel:
        """The vision tower in the checkpoint of that name; failures as `ClipEncoder.named`."""
        checkpoint = find_checkpoint(name, ctx, "image_encoder")
        tower, config = _vision_tower(checkpoint, activation)
        count = judged(checkpoint, lambda: ClipVisionTower(config), tower.sources(config.depth), tower.owns)
        return cls(name, checkpoint_identity(checkpoint), count, "image_encoder", activation)

    def build(self, device: torch.device | str) -> nn.Module:
        """The module."""
        checkpoint = self.checkpoint()
        tower, config = _vision_tower(checkpoint, self.activation)
        return read(checkpoint, lambda: ClipVisionTower(config), tower.sources(config.depth), device)

    def lay_out(self) -> nn.Module:
        """The same without weights."""
        _, config = _vision_tower(self.checkpoint(), self.activation)
        with WithoutMemory():
            return ClipVisionTower(config).eval().requires_grad_(False)


def _vision_tower(checkpoint: Checkpoint, activation: Activation | None) -> tuple[clip_names.Tower, ClipVisionConfig]:
    found = clip_names.towers(checkpoint.shapes, "vision")
    if not found:
        raise ModelError(no_tower(checkpoint, "vision"))
    told = dict(checkpoint.config) | ({"hidden_act": activation, "vision_config": None} if activation else {})
    try:
        return found[0], clip_names.vision_config(found[0], checkpoint.shapes, told)
    except ValueError as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error
