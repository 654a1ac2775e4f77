"""CLIP's vision towers as they are published, as recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.published import Shape, Sources, outlined, telling
from nodeflow_nn.said import json_object, spelled
from torch import Tensor, nn

from nodeflow import (
    QUIET,
    Checkpoint,
    CheckpointModel,
    Context,
    ImageEmbedding,
    ImageEncoder,
    ModelError,
    checkpoint_identity,
    find_checkpoint,
)
from nodeflow_text import clip_names, clip_resnet_names
from nodeflow_text.clip import Activation, ClipVisionTower
from nodeflow_text.clip_pictures import DEVIATION, MEAN, prepared
from nodeflow_text.clip_resnet import ClipResNetTower
from nodeflow_text.outlines import vision_shapes
from nodeflow_text.published_recipes import DTYPES, Precision, judged, no_tower, read, shared_space

PART = "image_encoder"
SETTINGS = ("preprocessor_config.json", "processor_config.json", "open_clip_config.json")
"""Of transformers, to its version 4 and from then on, and of open_clip: what colours are normalised by."""
Colours = tuple[float, float, float]


class LoadedVision:
    """A tower as nodes call it. space: see `ImageEmbedding`."""

    def __init__(self, module: Any, mean: Colours, deviation: Colours, space: str = "") -> None:
        self.module, self.mean, self.deviation, self.space = module, mean, deviation, space

    def __call__(self, pixels: Tensor) -> ImageEmbedding:
        """Pictures [B, 3, H, W] in 0..1, of any size -> vectors of the space of texts, as the tower gives them."""
        given = prepared(pixels.float(), self.module.config.side, self.mean, self.deviation)
        found = self.module(given.to(next(self.module.parameters()).dtype))
        return ImageEmbedding((found.pooled if found.projected is None else found.projected).float(), self.space)


@dataclass(frozen=True)
class ClipVisionModel(ImageEncoder, CheckpointModel):
    """The vision tower of a CLIP, a transformer or a ResNet. mean, deviation: by which colours are normalised."""

    activation: Activation | None = None
    precision: Precision = "fp32"
    mean: Colours = MEAN
    deviation: Colours = DEVIATION

    @classmethod
    def named(
        cls,
        name: str,
        activation: Activation | None = None,
        precision: Precision = "fp32",
        ctx: Context = QUIET,
    ) -> ClipVisionModel:
        """The vision tower in the checkpoint of that name; failures as `ClipEncoder.named`."""
        checkpoint = find_checkpoint(name, ctx, PART)
        _, shapes, sources, owns = _tower(checkpoint, activation)
        count = judged(checkpoint, shapes, sources, owns)
        mean, deviation = _colours([ctx.read(file) for file in said_of_pictures(checkpoint.path)])
        return cls(name, checkpoint_identity(checkpoint), count, PART, activation, precision, mean, deviation)

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.bytes * DTYPES[self.precision].itemsize // 4

    def build(self, device: torch.device | str) -> LoadedVision:
        """`(pixels) -> ImageEmbedding`."""
        checkpoint = self.checkpoint()
        make, _, sources, _ = _tower(checkpoint, self.activation)
        module = read(checkpoint, make, sources, device, DTYPES[self.precision])
        return LoadedVision(module, self.mean, self.deviation, shared_space(checkpoint, self.digest))

    def lay_out(self) -> LoadedVision:
        """The same without weights."""
        make, _, _, _ = _tower(self.checkpoint(), self.activation)
        with WithoutMemory():
            module = make()
        module = module.eval().requires_grad_(False).to(DTYPES[self.precision])
        return LoadedVision(module, self.mean, self.deviation)


def said_of_pictures(path: Path) -> tuple[Path, ...]:
    """The files in a model's folder, or beside its file, that say how its pictures are prepared."""
    home = path if path.is_dir() else path.parent
    pipeline = home.parent if home.name == PART else home
    files = (folder / name for folder in (home, pipeline / "feature_extractor") for name in SETTINGS)
    return tuple(file for file in files if file.is_file())


def _colours(files: list[Path]) -> tuple[Colours, Colours]:
    """Mean and deviation that the first file with any says; those of nearly all models if none does."""
    for file in files:
        whole = json_object(file, ModelError)
        said = whole.get("preprocess_cfg", whole.get("image_processor", whole))
        found = (
            [said.get(f"image_{name}", said.get(name)) for name in ("mean", "std")] if isinstance(said, dict) else []
        )
        if found != [None, None]:
            mean, deviation = (_three(value) for value in found or (None, None))
            if mean and deviation and min(deviation) > 0:
                return mean, deviation
            told = spelled(dict(zip(("mean", "std"), found, strict=False)) if found else said)
            raise ModelError(
                f"{file} says of how colours are normalised {told}, but expected three numbers each, above 0 those "
                "of std\n    fetch it again"
            )
    return MEAN, DEVIATION


def _three(value: Any) -> Colours | None:
    if not isinstance(value, list) or not all(type(number) in (int, float) for number in value) or len(value) != 3:
        return None
    red, green, blue = (float(number) for number in value)
    return (red, green, blue) if all(map(isfinite, (red, green, blue))) else None


def _tower(
    checkpoint: Checkpoint, activation: Activation | None
) -> tuple[Callable[[], nn.Module], Callable[[], Mapping[str, Shape]], Sources, Callable[[str], bool]]:
    """What makes the tower, and its shapes; where its tensors come from, and which of the checkpoint's are its own."""
    found, resnet = clip_names.towers(checkpoint.shapes, "vision"), clip_resnet_names.find(checkpoint.shapes)
    told = dict(checkpoint.config) | ({"hidden_act": activation, "vision_config": None} if activation else {})
    try:
        if found:
            config = clip_names.vision_config(found[0], telling(checkpoint.shapes), told)
            shapes = partial(vision_shapes, config)
            return partial(ClipVisionTower, config), shapes, found[0].sources(config.depth), found[0].owns
        if resnet is not None:
            other = clip_resnet_names.config_of(resnet, checkpoint.shapes)
            make = partial(ClipResNetTower, other)
            return make, partial(outlined, make), resnet.sources(other), resnet.owns
    except ValueError as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error
    raise ModelError(no_tower(checkpoint, "vision"))
