"""Published latent U-Nets as denoisers: Stable Diffusion 1, 2, XL, its refiner, and those that inpaint or edit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from nodeflow_nn import published
from nodeflow_nn.capture import captures_of
from nodeflow_nn.eightbit import held_in
from nodeflow_nn.said import json_object, spelled
from torch import Tensor

from nodeflow import (
    QUIET,
    Checkpoint,
    CheckpointModel,
    Context,
    Denoiser,
    LatentSpace,
    ModelError,
    Patch,
    Recipe,
    TextEmbedding,
    checkpoint_identity,
    find_checkpoint,
)
from nodeflow_diffusion.batches import column
from nodeflow_diffusion.control_recipes import Control, Controls
from nodeflow_diffusion.execution import Execution, levels
from nodeflow_diffusion.latent_unet import LatentUNet, Residuals, size_vector
from nodeflow_diffusion.latent_unet_families import Found, Task, known
from nodeflow_diffusion.latent_unet_names import sources
from nodeflow_diffusion.latent_unet_outline import Outline
from nodeflow_diffusion.network_recipes import Executed
from nodeflow_diffusion.patch_recipes import merged
from nodeflow_diffusion.picture_recipes import PictureStatistics
from nodeflow_diffusion.prediction import Prediction, denoised, step_between
from nodeflow_diffusion.readings import Readings
from nodeflow_diffusion.recipes import Around, LatentDenoiser, Scalar
from nodeflow_diffusion.schedules import alphas_cumprod, betas
from nodeflow_diffusion.text_recipes import same_text_space

Load = Callable[[Recipe], Any]
Asked = Literal["auto", "eps", "v"]
PART = "unet"
SCHEDULER = "scheduler/scheduler_config.json"
"""Of a pipeline: what its U-Net was trained to predict, and under which schedule."""
PREDICTIONS: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "v": "v"}
"""As scheduler_config.json, and the metadata of a single file, call them."""
TRAINED_WITH: dict[str, tuple[object, ...]] = {
    "beta_schedule": ("scaled_linear",),
    "beta_start": (0.00085,),
    "beta_end": (0.012,),
    "num_train_timesteps": (1000,),
    "trained_betas": (None,),
    "rescale_betas_zero_snr": (False,),
}
"""What scheduler_config.json may say of the noise that a U-Net was trained with."""
SIZES = {5: "the refiner's", 6: "the base's"}
"""By how many numbers stand beside the pooled text: height, width, top and left always; then the target's height and
width, or an aesthetic score.
"""
SCORE = 6.0
"""The aesthetic score of what is wished for, unless somebody says another."""
BESIDE: dict[Task, str] = {
    "inpaint": "a mask and a masked picture\n    put diffusion.inpaint_condition behind it",
    "edit": "the picture to edit\n    put diffusion.edit behind it",
    "depth": "a map of depth\n    put diffusion.depth_condition behind it",
}
"""What a U-Net sees beside its latents, by its task, and where that comes from."""


@dataclass(frozen=True)
class LatentUNetModel(Executed, CheckpointModel):
    """A published latent U-Net, and what its weights are changed by."""

    patches: tuple[Patch, ...] = ()

    def build(self, device: torch.device | str) -> torch.nn.Module:
        """The module on `device`."""
        checkpoint = self.checkpoint()
        found = _known(checkpoint)
        named, merging = _wanted(checkpoint, found)[1], merged(found.config, self.patches)
        return self.filled(partial(LatentUNet, found.config), named, checkpoint, device, merging)

    def lay_out(self) -> torch.nn.Module:
        """The same without weights."""
        return self.laid_out(partial(LatentUNet, self.outline().config))

    def outline(self) -> Outline:
        """What its header says of the module."""
        checkpoint = self.checkpoint()
        return _wanted(checkpoint, _known(checkpoint))[0]


def _known(checkpoint: Checkpoint) -> Found:
    try:
        return known(published.telling(checkpoint.shapes), checkpoint.config)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, KeyError):
            fault = f'its config.json lacks or garbles "{error.args[0]}"\n    fetch it again'
        elif isinstance(error, ValueError):
            fault = str(error)
        else:  # of Python's words nobody learns anything
            fault = "its config.json says things that no U-Net's does\n    fetch it again"
        raise ModelError(f"{checkpoint.path}: {fault}") from error


@lru_cache(maxsize=4)  # whoever opens, plans, changes and builds it asks for it
def _made(found: Found) -> tuple[Outline, dict[str, tuple[str, ...]]]:
    outline = Outline(found.config)
    return outline, sources(outline, found.layout, prefix=found.prefix, unclip=found.unclip)


def _wanted(checkpoint: Checkpoint, found: Found) -> tuple[Outline, dict[str, tuple[str, ...]]]:
    """What tensors the module has, and where each of them comes from."""
    try:
        return _made(found)
    except (ValueError, TypeError, ZeroDivisionError, IndexError) as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error


@dataclass(frozen=True)
class PublishedDenoiser(LatentDenoiser):
    """A published U-Net in the one convention of denoisers.

    Its x may have more channels than its space: those of what it sees beside the latents. task: what that is.
    vector_width: of what it reads beside the words, which is pooled text and sizes, or where `sizes` is 0 a picture
    (unCLIP); 0: it reads neither. sizes: channels of the sinusoid of each size. pictures: what is known of the pictures
    that it reads. controls: the ControlNets beside the network. perturbed: see `LatentUNet.forward`.
    """

    network: LatentUNetModel  # type: ignore[assignment]
    task: Task = "text"
    vector_width: int = 0
    sizes: int = 0
    pictures: PictureStatistics | None = None
    controls: tuple[Control, ...] = ()
    perturbed: bool = False
    masks_words: ClassVar[bool] = False

    @property
    def bound_pictures(self) -> int:
        """See `Around`."""
        return math.lcm(*(len(control.picture) for control in self.controls))

    def run_as(self, execution: Execution) -> PublishedDenoiser:
        """The same, its network and its ControlNets run in another way."""
        controls = tuple(replace(one, model=replace(one.model, execution=execution)) for one in self.controls)
        return replace(self, network=replace(self.network, execution=execution), controls=controls)

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        network, how = load(self.network), self.network.execution
        table = alphas_cumprod(betas(self.schedule or "scaled_linear")).float()
        table_on = cache(lambda device: table.to(device))
        estimate, told = partial(self._x_0, network), partial(self._read, network)
        once = Readings[TextEmbedding, Any](told) if how.read_once else told
        controls = Controls(self.controls, load, self._read) if self.controls else None

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            x, beside = self._parted(network.config.channels_in, x)
            text = self._judged(condition)
            pixels = x.shape[-2] * self.space.factor, x.shape[-1] * self.space.factor
            words = once(text, x.device, pixels)
            at = x.float(), levels(alpha, x), levels(sigma, x)
            more = None
            if controls is not None:
                z, t, _, _ = in_table(*at, table_on(x.device))
                more = controls.residuals(z, t, text, pixels, lambda: float((at[2] / (at[1] + at[2])).max()))
            given = *at, beside, words, more, table_on(x.device)
            if not how.capture:
                return estimate(*given)
            return captures_of(network).run(estimate, *given, key=(self.prediction, self.schedule, self.perturbed))

        return denoise

    def _x_0(
        self,
        network: Any,
        x: Tensor,
        alpha: Tensor,
        sigma: Tensor,
        beside: Tensor | None,
        words: Any,
        more: Residuals | None,
        table: Tensor,
    ) -> Tensor:
        """x_0 of x [B, C, H, W] at levels alpha and sigma [B], all float32; the device's work alone."""
        z, t, a, s = in_table(x, alpha, sigma, table)
        seen = z if beside is None else torch.cat([z, beside.to(z)], 1)
        prediction = network(seen.to(self.network.execution.dtype), t, *words, more, self.perturbed).float()
        return denoised(self.prediction, prediction, z, column(a, x), column(s, x))

    def _read(self, network: Any, text: TextEmbedding, device: torch.device, pixels: tuple[int, int]) -> Any:
        """What the network takes of a text: the words, or all that it reads of them; and the vector beside."""
        how = self.network.execution
        tokens = text.tokens.to(device, how.dtype)
        vector = None
        if self.vector_width and text.pooled is not None:
            vector = self.vector(text.pooled.to(device), pixels).to(how.dtype)
        return (network.read(tokens) if how.read_once else tokens), vector

    def vector(self, pooled: Tensor, pixels: tuple[int, int]) -> Tensor:
        """Pooled text and sizes [B, vector_width]: of the picture that is made, unless `pooled` has others already."""
        if pooled.shape[-1] == self.vector_width:
            return pooled
        height, across = (float(side) for side in pixels)
        count = (self.vector_width - pooled.shape[-1]) // self.sizes
        numbers = [height, across, 0.0, 0.0, height, across] if count == 6 else [height, across, 0.0, 0.0, SCORE]
        sizes = torch.tensor([numbers], device=pooled.device).expand(len(pooled), -1)
        return size_vector(pooled.float(), sizes, self.sizes)

    def _parted(self, channels_in: int, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The latents, and what stands beside them."""
        own, more = self.space.channels, channels_in - self.space.channels
        if x.shape[1] == channels_in:
            return (x, None) if not more else (x[:, :own], x[:, own:])
        if more:
            raise ValueError(f'"{self.network.name}" sees beside the latents {BESIDE[self.task]}')
        raise ValueError(
            f'"{self.network.name}" sees {channels_in} channels of latents alone, but was given {x.shape[1]}\n'
            "    load a model that was trained to inpaint or to edit"
        )

    def _judged(self, condition: TextEmbedding | None) -> TextEmbedding:
        if condition is None:
            raise ValueError(
                f'the denoiser "{self.network.name}" reads a text, but none is bound to it\n'
                '    put diffusion.condition or diffusion.guide in front; the text "" stands for no wish'
            )
        same_text_space(condition, self)
        cure = "encode the text with the encoder that was trained with this denoiser"
        width = None if condition.pooled is None else condition.pooled.shape[-1]
        if self.vector_width and not self.sizes and width != self.vector_width:
            raise ValueError(
                f'the denoiser "{self.network.name}" reads a picture beside the words (unCLIP), but none is bound to '
                "the text\n    put diffusion.unclip_condition between the texts and their guidance"
            )
        if self.sizes:
            fits = [self.vector_width - count * self.sizes for count in (0, *SIZES)]
            if width not in fits:
                told = f"a pooled text of width {fits[2]} or {fits[1]}, but the text has {width or 'none'}"
                raise ValueError(f'the denoiser "{self.network.name}" reads {told}\n    {cure}')
        return condition


def in_table(x: Tensor, alpha: Tensor, sigma: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """X at levels alpha and sigma [B] of any schedule in a table's own scale, its steps, and its levels there."""
    norm = torch.hypot(alpha, sigma)
    t = step_between(sigma / (alpha + sigma), table)
    # the table's last alpha stands in for an alpha of 0, by which eps would be divided
    return x / column(norm, x), t, (alpha / norm).clamp(min=table[-1].sqrt()), sigma / norm


def published_denoiser(name: str, asked: Asked = "auto", ctx: Context = QUIET) -> PublishedDenoiser:
    """The U-Net in the checkpoint of that name.

    Args:
        name: of a file or folder.
        asked: what it predicts; "auto" for what its files tell.
        ctx: says what may be read.

    Raises:
        ModelError: there is no such checkpoint, no U-Net in it that is known, or nothing tells what it predicts.
        PermissionError: `ctx` may not read it.
    """
    checkpoint = find_checkpoint(name, ctx, PART)
    found = _known(checkpoint)
    outline, named = _wanted(checkpoint, found)
    faults = published.faults(
        outline.shapes, named, checkpoint.shapes, lambda key: key.startswith(found.prefix), checkpoint.dtypes
    )
    if faults:
        raise ModelError(f"{checkpoint.path}: {published.told(faults)}\n    fetch it again, or name another file")
    count = 4 * sum(map(math.prod, outline.shapes.values()))
    model = LatentUNetModel(name, checkpoint_identity(checkpoint), count, PART, held=held_in(outline.shapes))
    family = found.family
    return PublishedDenoiser(
        model, LatentSpace(family.space, 4, 8), _prediction(checkpoint, found, asked, ctx), "scaled_linear",
        text_space=family.texts, text_widths=(found.config.context_width, None), task=found.task,
        vector_width=found.config.vector_width, sizes=_sizes(checkpoint, found),
        pictures=PictureStatistics.beside(checkpoint, name, ctx),
    )  # fmt: skip


def _sizes(checkpoint: Checkpoint, found: Found) -> int:
    if not found.config.vector_width or found.unclip or found.family.pictures:
        return 0
    width = checkpoint.config.get("addition_time_embed_dim", 256)
    if not isinstance(width, int) or not 0 < min(SIZES) * width < found.config.vector_width:
        raise ModelError(
            f"{checkpoint.path}: its addition_time_embed_dim is {width!r}, and no pooled text fits beside it"
        )
    return width


def said_beside(path: Path) -> tuple[Path, ...]:
    """The files of a pipeline, beside the folder of its U-Net, that say something of it."""
    return tuple(file for file in (path.parent / SCHEDULER,) if path.is_dir() and file.is_file())


def _prediction(checkpoint: Checkpoint, found: Found, asked: Asked, ctx: Context) -> Prediction:
    """What the U-Net predicts: as asked for, or by scheduler_config.json, the file's metadata, or what it is."""
    said = [_scheduled(ctx.read(file)) for file in said_beside(checkpoint.path)]
    told = said[0] if said else PREDICTIONS.get(checkpoint.metadata.get("modelspec.prediction_type", ""))
    if told is None and "v_pred" in checkpoint.tensors:  # an empty tensor by which fine-tuned models of XL say so
        told = "v"
    if asked != "auto":
        if told not in (None, asked):
            ctx.say(
                f'{checkpoint.path} says that it predicts "{told}", but is sampled as "{asked}"; pictures of noise or '
                "flat colour come of that: set the prediction to auto"
            )
        return asked
    if told is not None:
        return told
    family = found.family
    kinds = family.predictions if found.task == "text" else family.predictions[:1]
    if len(kinds) == 1:
        return kinds[0]
    raise ModelError(
        f"{checkpoint.path} does not say whether it predicts noise (eps) or velocity (v), and its shapes fit both\n"
        '    choose the prediction: "v" for Stable Diffusion 2 and 2.1 of 768 pixels, "eps" for those called base, of '
        "512; with the wrong one pictures are noise or flat colour"
    )


def _scheduled(file: Path) -> Prediction:
    said = json_object(file, ModelError)
    asked = said.get("prediction_type", "epsilon")
    kind = PREDICTIONS.get(asked) if isinstance(asked, str) else None
    if kind is None:
        known = " or ".join(spelled(name) for name in PREDICTIONS)
        raise ModelError(f"{file}: prediction_type is {spelled(asked)}, but expected {known}\n    name another model")
    odd = {name: said[name] for name, known in TRAINED_WITH.items() if name in said and said[name] not in known}
    if odd:
        told = ", ".join(f"{name} is {spelled(value)}" for name, value in odd.items())
        raise ModelError(f"{file}: {told}, but expected the noise of Stable Diffusion\n    name another model")
    return kind


def leaf_of(denoiser: Denoiser) -> PublishedDenoiser | None:
    """The published U-Net within what stands around it; None if there is another within."""
    while isinstance(denoiser, Around):
        denoiser = denoiser.denoiser
    return denoiser if isinstance(denoiser, PublishedDenoiser) else None
