"""Denoisers of pixels that learn their variance as well (Improved DDPM), to be trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn

from nodeflow import Objective, Recipe, Trainable, node
from nodeflow_diffusion.adm_families import PICTURE
from nodeflow_diffusion.adm_recipes import ARCHITECTURE
from nodeflow_diffusion.adm_unet import GROUPS, AdmConfig, AdmUNet
from nodeflow_diffusion.schedules import alphas_cumprod, betas
from nodeflow_diffusion.training_losses import hybrid_loss as hybrid

Load = Callable[[Recipe], Any]
Trained = Literal["linear", "cosine"]


@dataclass(frozen=True)
class NewAdm(Trainable):
    """A U-Net of pixels with first weights."""

    config: AdmConfig
    architecture: str = ARCHITECTURE

    def assemble(self, load: Load) -> AdmUNet:
        del load  # it has no children
        return AdmUNet(self.config)


@dataclass(frozen=True)
class HybridLoss(Objective):
    """The loss of a U-Net that learns noise and variance. weight: of the variational bound."""

    denoiser: Trainable
    schedule: Trained = "cosine"
    weight: float = 1e-3

    @property
    def parts(self) -> Mapping[str, Trainable]:
        return {"denoiser": self.denoiser}

    @property
    def notes(self) -> Mapping[str, Any]:
        return {"prediction": "eps", "schedule": self.schedule, "variance": "learned"}

    def assemble(self, load: Load) -> "LoadedHybridLoss":
        return LoadedHybridLoss(load(self.denoiser), self)


class LoadedHybridLoss:
    """A HybridLoss, loaded."""

    def __init__(self, denoiser: AdmUNet, recipe: HybridLoss) -> None:
        self.modules: dict[str, nn.Module] = {"denoiser": denoiser}
        self._denoiser, self._weight = denoiser, recipe.weight
        self._table = alphas_cumprod(betas(recipe.schedule))

    def loss(self, batch: Mapping[str, Any], generator: Any) -> Tensor:
        """Scalar loss of a batch with "pictures"."""
        if "pictures" not in batch:
            raise ValueError(
                "a denoiser of pixels learns from pictures, but the data set has none\n"
                "    take the data set itself, without train.prepare"
            )
        pixels: Tensor = batch["pictures"].to(next(self._denoiser.parameters()).device) * 2 - 1
        cells = 2 ** (len(self._denoiser.config.widths) - 1)
        if pixels.shape[1] != PICTURE or any(side % cells for side in pixels.shape[-2:]):
            raise ValueError(
                f"the denoiser is for RGB pictures whose sides are multiples of {cells}, but the data set's are "
                f"{list(pixels.shape[1:])}\n    give it fewer widths, or take pictures of another size"
            )
        return hybrid(self._denoiser, pixels, (), generator, alphas_cumprod=self._table, weight=self._weight)

    def finish(self, data: Any, seen: int) -> None:
        """A denoiser has nothing that is measured after training."""


@node(category="train/model", title="New ADM")
def new_adm(
    widths: Annotated[list[Annotated[int, Field(ge=32, le=2048)]], Field(min_length=1, max_length=8)] | None = None,
    layers: Annotated[int, Field(ge=1, le=16)] = 2,
    attention_levels: Annotated[int, Field(ge=0, le=8)] = 1,
    head_channels: Annotated[int, Field(ge=8, le=512)] = 32,
    resize: Literal["residual", "convolution"] = "residual",
) -> Trainable:
    """Describe a U-Net of pixels that is to be trained to find noise, and to say how sure it is (Improved DDPM).

    Args:
        widths: channels at full resolution, at a half, at a quarter and so on, multiples of 32 and of head_channels;
            64, 128 and 128 if left out.
        layers: residual blocks at each resolution.
        attention_levels: how many of the coarsest resolutions have attention; the middle always has.
        head_channels: channels of an attention head.
        resize: from one resolution to the next by residual blocks, or by convolutions, which is less work.
    """
    chosen = tuple(widths or (64, 128, 128))
    if wrong := [width for width in chosen if width % GROUPS or width % head_channels]:
        raise ValueError(f"expected multiples of {GROUPS} and of head_channels {head_channels}, but widths has {wrong}")
    if attention_levels > len(chosen):
        raise ValueError(f"{attention_levels} levels with attention of {len(chosen)} in all")
    first = len(chosen) - attention_levels
    config = AdmConfig(
        channels_out=2 * PICTURE,
        base=chosen[0],
        widths=chosen,
        layers=layers,
        attends=tuple(level >= first for level in range(len(chosen))),
        heads=tuple(width // head_channels for width in chosen),
        mixed=False,
        resize=resize,
    )
    return NewAdm(config)


@node(category="train/loss", title="Hybrid loss")
def hybrid_loss(
    denoiser: Trainable,
    schedule: Trained = "cosine",
    weight: Annotated[float, Field(ge=0, le=1)] = 0.001,
) -> Objective:
    """Train a denoiser of pixels to find the noise, and the variance of each step, with which fewer steps are enough.

    Args:
        denoiser: of diffusion.new_adm.
        schedule: how the noise grows with its thousand steps; cosine is better for small pictures.
        weight: of the variational bound, which teaches the variance.
    """
    if not isinstance(denoiser.config, AdmConfig) or denoiser.config.channels_out != 2 * PICTURE:
        raise ValueError(
            "this loss is for denoisers of pixels that learn a variance, but the model is of architecture "
            f"{denoiser.architecture}\n    describe one by diffusion.new_adm"
        )
    return HybridLoss(denoiser, schedule, weight)


ADM_TRAINING_NODES = (new_adm, hybrid_loss)
