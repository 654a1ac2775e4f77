"""Denoisers to be trained, and what they are trained for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nodeflow import Dataset, Objective, Recipe, Trainable, node
from nodeflow_diffusion.hints import RegionHead, region_loss
from nodeflow_diffusion.schedules import ScheduleName, alphas_cumprod, betas
from nodeflow_diffusion.training_losses import captioned_flow_loss, captioned_schedule_loss
from nodeflow_diffusion.transformer import DiffusionTransformer, TransformerConfig
from nodeflow_diffusion.unet import UNet, UNetConfig

Load = Callable[[Recipe], Any]
Width = Annotated[int, Field(ge=8, le=4096)]
Depth = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=100)]
Times = Literal["flow", "steps"]
Network = DiffusionTransformer | UNet
SCALES: dict[Times, float] = {"flow": 1000.0, "steps": 1.0}
"""What a model's times are multiplied with: 0..1 of rectified flow, 0..999 of a schedule's steps."""


@dataclass(frozen=True)
class NewDenoiser(Trainable):
    """A denoiser with first weights."""

    architecture: Literal["transformer", "unet"]
    config: TransformerConfig | UNetConfig

    def assemble(self, load: Load) -> Network:
        del load  # it has no children
        config = self.config
        return DiffusionTransformer(config) if isinstance(config, TransformerConfig) else UNet(config)


@dataclass(frozen=True)
class CaptionedLoss(Objective):
    """The loss of a denoiser that reads captions. schedule: None for rectified flow. questions: about each place, by
    how many answers they have; hints: the weight of that lesson.
    """

    denoiser: Trainable
    text: Trainable
    drop: float
    prediction: Literal["eps", "v", "x0", "flow"] = "flow"
    schedule: ScheduleName | None = None
    questions: tuple[int, ...] = ()
    hints: float = 0.0

    @property
    def parts(self) -> Mapping[str, Trainable]:
        return {"denoiser": self.denoiser, "text": self.text}

    @property
    def notes(self) -> Mapping[str, Any]:
        notes: dict[str, Any] = {"prediction": self.prediction, "captions_dropped": self.drop}
        notes |= {"hints": self.hints} if self.questions else {}
        space = getattr(self.text, "text_space", "")
        notes |= {"text_space": space} if space else {}
        return notes | ({} if self.schedule is None else {"schedule": self.schedule})

    def assemble(self, load: Load) -> "LoadedLoss":
        text = load(self.text)  # before the denoiser, as when the shipped weights were drawn
        return LoadedLoss(load(self.denoiser), text, self)


class LoadedLoss:
    """A CaptionedLoss, loaded."""

    def __init__(self, denoiser: Network, text: nn.Module, recipe: CaptionedLoss) -> None:
        self.modules: dict[str, nn.Module] = {"denoiser": denoiser, "text": text}
        if recipe.questions:
            self.modules["hints"] = RegionHead(_width(denoiser), sum(recipe.questions))
        self._denoiser, self._text, self._recipe = denoiser, text, recipe
        self._table = None if recipe.schedule is None else alphas_cumprod(betas(recipe.schedule)).float()

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Scalar loss of a batch with "latents" and "ids"."""
        if "latents" not in batch or "ids" not in batch:
            raise ValueError(
                "a denoiser learns from latents, but the data set has none\n    put train.prepare behind the data set"
            )
        latents, ids = self._on_device(batch["latents"]), self._on_device(batch["ids"])
        recipe, config = self._recipe, self._denoiser.config
        if latents.shape[1] != config.channels:
            raise ValueError(
                f"the denoiser is for latents of {config.channels} channels, but the data set's have "
                f"{latents.shape[1]}\n    give the denoiser the autoencoder's number of channels"
            )
        drop = recipe.drop
        features: list[Tensor] = []

        def watched(x: Tensor, t: Tensor, context: Tensor, mask: Tensor | None, pooled: Tensor) -> Tensor:
            prediction, seen = self._denoiser.with_features(x, t, context, mask, pooled)
            features.append(seen)
            return prediction

        if self._table is None:
            value = captioned_flow_loss(watched, self._text, latents, ids, generator, drop=drop)
        else:
            kind, table = recipe.prediction, self._table
            value = captioned_schedule_loss(
                watched, self._text, latents, ids, generator, kind=kind, alphas_cumprod=table, drop=drop
            )
        if not recipe.questions:
            return value
        if "regions" not in batch:
            raise ValueError(
                "this data set does not tell what stands where\n"
                "    train on the data set that the loss got as regions, or leave regions out there"
            )
        logits = self.modules["hints"](features[0])
        return value + recipe.hints * region_loss(logits, self._on_device(batch["regions"]), recipe.questions)

    def _on_device(self, values: Tensor) -> Tensor:
        return values.to(next(self._denoiser.parameters()).device)

    def finish(self, data: Any, seen: int) -> None:
        """A denoiser has nothing that is measured after training."""


@node(category="train/model", title="New diffusion transformer")
def new_transformer(
    channels: Annotated[int, Field(ge=1, le=256)] = 16,
    grid: Annotated[int, Field(ge=1, le=256)] = 8,
    patch: Annotated[int, Field(ge=1, le=16)] = 1,
    width: Width = 192,
    depth: Depth = 6,
    heads: Annotated[int, Field(ge=1, le=64)] = 3,
    ratio: Annotated[int, Field(ge=1, le=16)] = 4,
    context_width: Width = 128,
    pooled_width: Width = 128,
    times: Times = "flow",
) -> Trainable:
    """Describe a diffusion transformer that is to be trained on latents.

    Args:
        channels: numbers in a cell of the latents: the autoencoder's.
        grid: cells along a side of the latents; a multiple of patch.
        patch: cells along a side of one token; 2 computes four times faster and draws less finely.
        width: channels of the blocks; a multiple of 4 and of heads.
        depth: how many blocks.
        heads: of their attention.
        ratio: how many times wider the perceptrons are.
        context_width: the text encoder's width.
        pooled_width: the text encoder's pooled_width.
        times: what it is going to be trained for: rectified flow, or the steps of a schedule.
    """
    for whole, part, names in ((grid, patch, "grid {} of patch {}"), (width, heads, "width {} of heads {}")):
        if whole % part:
            raise ValueError(f"expected a multiple, but {names.format(whole, part)} is none")
    if width % 4:
        raise ValueError(f"width {width} is no multiple of 4")
    config = TransformerConfig(
        channels, grid, patch, width, depth, heads, ratio, context_width, pooled_width, SCALES[times]
    )
    return NewDenoiser("transformer", config)


@node(category="train/model", title="New U-Net")
def new_unet(
    channels: Annotated[int, Field(ge=1, le=256)] = 16,
    widths: Annotated[list[int], Field(min_length=1, max_length=8)] | None = None,
    depth: Depth = 1,
    head_width: Annotated[int, Field(ge=8, le=512)] = 64,
    ratio: Annotated[int, Field(ge=1, le=16)] = 2,
    context_width: Width = 128,
    pooled_width: Width = 128,
    times: Times = "flow",
) -> Trainable:
    """Describe a U-Net that is to be trained on latents: residual and attention blocks, and skips across.

    Args:
        channels: numbers in a cell of the latents: the autoencoder's.
        widths: channels at full resolution, at a half, at a quarter and so on, multiples of head_width; 128 and 192
            if left out.
        depth: residual and attention blocks at each resolution.
        head_width: channels of an attention head.
        ratio: how many times wider the perceptrons are.
        context_width: the text encoder's width.
        pooled_width: the text encoder's pooled_width.
        times: what it is going to be trained for: rectified flow, or the steps of a schedule.
    """
    chosen = tuple(widths or (128, 192))
    if wrong := [width for width in chosen if width < head_width or width % head_width or width % 8]:
        raise ValueError(f"expected multiples of 8 and of head_width {head_width}, but widths has {wrong}")
    config = UNetConfig(channels, chosen, depth, head_width, ratio, context_width, pooled_width, SCALES[times])
    return NewDenoiser("unet", config)


@node(category="train/loss", title="Flow loss")
def flow_loss(
    denoiser: Trainable, text: Trainable, drop: Share = 0.1, regions: Dataset | None = None, hints: Weight = 0.1
) -> Objective:
    """Train a denoiser by rectified flow: to see, in a mix of picture and noise, which way the noise lies.

    Args:
        denoiser: what is trained.
        text: the text encoder, trained along unless it is frozen.
        drop: share of captions that are emptied, so that guidance has something to compare with.
        regions: the data set, if the denoiser is to learn besides what stands where in its pictures.
        hints: the weight of that second lesson.
    """
    _judged(denoiser, text, "flow")
    return CaptionedLoss(denoiser, text, drop, questions=_questions(regions), hints=hints)


@node(category="train/loss", title="Schedule loss")
def schedule_loss(
    denoiser: Trainable,
    text: Trainable,
    prediction: Literal["eps", "v", "x0"] = "v",
    schedule: ScheduleName = "cosine",
    drop: Share = 0.1,
    regions: Dataset | None = None,
    hints: Weight = 0.1,
) -> Objective:
    """Train a denoiser on the thousand steps of a variance-preserving schedule (DDPM).

    Args:
        denoiser: what is trained; described with times "steps".
        text: the text encoder, trained along unless it is frozen.
        prediction: what the denoiser gives: the noise, v (a blend of both that suits every step), or the picture.
        schedule: how the noise grows with the steps.
        drop: share of captions that are emptied, so that guidance has something to compare with.
        regions: the data set, if the denoiser is to learn besides what stands where in its pictures.
        hints: the weight of that second lesson.
    """
    _judged(denoiser, text, "steps")
    return CaptionedLoss(denoiser, text, drop, prediction, schedule, _questions(regions), hints)


def _questions(regions: Dataset | None) -> tuple[int, ...]:
    if regions is None:
        return ()
    if not regions.answers:
        raise ValueError("the data set does not tell what stands where\n    leave regions out")
    return tuple(len(answers) for answers in regions.answers.values())


def _width(denoiser: Network) -> int:
    config = denoiser.config
    return config.width if isinstance(config, TransformerConfig) else config.widths[0]


def _judged(denoiser: Trainable, text: Trainable, times: Times) -> None:
    if not isinstance(denoiser.config, TransformerConfig | UNetConfig):
        raise ValueError(f"this loss is for denoisers, but the model is of architecture {denoiser.architecture}")
    if denoiser.config.time_scale != SCALES[times]:
        raise ValueError(f'the denoiser reads other times than this loss has\n    describe it with times "{times}"')
    wanted = (denoiser.config.context_width, denoiser.config.pooled_width)
    found = (getattr(text.config, "width", None), getattr(text.config, "pooled_width", None))
    if found != wanted:
        raise ValueError(
            f"the denoiser reads words and prompts of width {wanted}, but the text encoder gives {found}\n"
            "    set context_width and pooled_width to the text encoder's width and pooled_width"
        )


TRAINING_NODES = (new_transformer, new_unet, flow_loss, schedule_loss)
