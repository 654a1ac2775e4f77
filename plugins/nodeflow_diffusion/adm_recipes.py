"""Networks of improved and guided diffusion in files: denoisers of pixels, and what enlarges pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import torch
from nodeflow_codebooks.pixel_recipes import PIXELS
from nodeflow_nn import published
from nodeflow_nn.capture import captures_of
from nodeflow_nn.checkpoints import describe
from nodeflow_nn.eightbit import held_in
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.weights import from_config, read_config
from torch import Tensor

from nodeflow import (
    QUIET,
    Checkpoint,
    CheckpointModel,
    Context,
    Labels,
    LatentSpace,
    ModelError,
    Recipe,
    TextEmbedding,
    checkpoint_identity,
    find_checkpoint,
)
from nodeflow_diffusion.adm_families import PICTURE, Found, Kind, Noise, Settings, known
from nodeflow_diffusion.adm_names import sources
from nodeflow_diffusion.adm_unet import AdmClassifier, AdmConfig, AdmEncoder, AdmUNet
from nodeflow_diffusion.batches import column
from nodeflow_diffusion.execution import levels
from nodeflow_diffusion.guidance import Learned
from nodeflow_diffusion.network_recipes import Executed
from nodeflow_diffusion.prediction import Prediction, denoised, learned_share, log_ratios, step_at
from nodeflow_diffusion.recipes import LatentDenoiser, Scalar
from nodeflow_diffusion.schedules import alphas_cumprod, betas

Load = Callable[[Recipe], Any]
Named = dict[str, tuple[str, ...]]
NOBODY, DDPM = Settings(), Noise()
ARCHITECTURE = "adm"
"""What weights that nodeflow trained are called."""
BUILDERS = {ARCHITECTURE: from_config(AdmUNet, AdmConfig)}
CURES = {
    "u-net": "diffusion.load_classifier opens classifiers",
    "classifier": "diffusion.load_adm opens what draws pictures",
}


@dataclass(frozen=True)
class AdmModel(Executed, CheckpointModel):
    """A network of improved or guided diffusion, and what was said of it."""

    kind: Kind = "u-net"
    settings: Settings = NOBODY

    @classmethod
    def named(
        cls, name: str, kind: Kind = "u-net", settings: Settings = NOBODY, ctx: Context = QUIET
    ) -> tuple[AdmModel, Found]:
        """The network in the checkpoint of that name, and what is known of it.

        Raises:
            ModelError: there is no such checkpoint, no such network in it, or nothing tells what shapes do not.
            PermissionError: `ctx` may not read it.
        """
        checkpoint = find_checkpoint(name, ctx)
        found = _known(checkpoint, kind, settings)
        shapes, named = _wanted(checkpoint, found)
        faults = published.faults(shapes, named, checkpoint.shapes, bool, checkpoint.dtypes)  # all must be used
        if faults:
            raise ModelError(f"{checkpoint.path}: {published.told(faults)}\n    fetch it again, or name another file")
        count = 4 * sum(torch.Size(shape).numel() for shape in shapes.values())
        layers = {key: shape for key, shape in shapes.items() if key != "labels.weight"}  # an embedding stays as it is
        return cls(name, checkpoint_identity(checkpoint), count, "", kind, settings, held=held_in(layers)), found

    def build(self, device: torch.device | str) -> torch.nn.Module:
        """The module on `device`."""
        checkpoint = self.checkpoint()
        found = _known(checkpoint, self.kind, self.settings)
        return self.filled(partial(_made, found), _wanted(checkpoint, found)[1], checkpoint, device)

    def lay_out(self) -> torch.nn.Module:
        """The same without weights."""
        return self.laid_out(partial(_made, _known(self.checkpoint(), self.kind, self.settings)))


def _known(checkpoint: Checkpoint, kind: Kind, settings: Settings) -> Found:
    try:
        own = checkpoint.metadata.get("architecture") == ARCHITECTURE
        found = _own(checkpoint, settings) if own else known(published.telling(checkpoint.shapes), settings)
    except (ValueError, TypeError) as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error
    if found.kind != kind:
        raise ModelError(f"{checkpoint.path} holds a {found.kind}, not a {kind}\n    {CURES[kind]}")
    if found.config.channels_in not in (PICTURE, 2 * PICTURE) or (
        kind == "u-net" and found.config.channels_out not in (PICTURE, 2 * PICTURE)
    ):
        told = f"{found.config.channels_in} channels and gives {found.config.channels_out}"
        raise ModelError(f"{checkpoint.path} takes {told}, which is none of RGB\n    name another file")
    return found


def _own(checkpoint: Checkpoint, settings: Settings) -> Found:
    """What nodeflow trained, which tells all of itself."""
    header = describe(checkpoint.path, BUILDERS, ModelError).header
    schedule = header.provenance.get("schedule")
    if schedule not in ("linear", "cosine"):
        raise ValueError(f"it was trained under schedule {schedule!r}, but expected linear or cosine")
    if settings != NOBODY:
        raise ValueError("it tells how it was trained\n    leave heads, order, schedule, steps and times as they are")
    return Found("", "u-net", read_config(AdmConfig, header.config), 0, 0, Noise(schedule), own=True)


def _made(found: Found) -> AdmEncoder:
    return AdmClassifier(found.config, found.pooled) if found.kind == "classifier" else AdmUNet(found.config)


@lru_cache(maxsize=8)  # of 256 pixels it takes 0.2 s, and whoever opens, plans and builds it asks for it
def _laid_out(kind: Kind, config: AdmConfig, pooled: int, own: bool) -> tuple[dict[str, published.Shape], Named]:
    with WithoutMemory():
        module = _made(Found("", kind, config, pooled, 0, DDPM))
    shapes = published.shapes_of(module)
    return shapes, {name: (name,) for name in shapes} if own else sources(module)


def _wanted(checkpoint: Checkpoint, found: Found) -> tuple[dict[str, published.Shape], Named]:
    """The shapes of the module's tensors, and where each of them comes from."""
    try:
        return _laid_out(found.kind, found.config, found.pooled, found.own)
    except ValueError as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error


class Steps:
    """The steps of a network's own schedule, for levels of any other."""

    def __init__(self, noise: Noise) -> None:
        self.per_step = noise.per_step
        table = log_ratios(alphas_cumprod(betas(noise.schedule, noise.steps))).float()
        self.on = cache(lambda device: table.to(device))

    def at(self, x: Tensor, alpha: Tensor, sigma: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """X at levels alpha and sigma [B] of any schedule in unit variance, the network's times, and its levels there.

        table: `on(x.device)`. Its last level stands in for noise alone, as eps would be divided by an alpha of 0.
        """
        norm = torch.hypot(alpha, sigma)
        t = step_at((sigma / alpha).log(), table) * self.per_step
        smallest = (1 + (2 * table[-1]).exp()).rsqrt()
        return x / column(norm, x), t, (alpha / norm).clamp(min=smallest), sigma / norm


@dataclass(frozen=True)
class AdmDenoiser(LatentDenoiser):
    """A U-Net of improved or guided diffusion in the one convention of denoisers.

    noise: it was trained with. classes: that it must be told one of; 0: none. enlarges: it sees a small picture beside
    its x, as further channels. learned: it gives the variance of a step as well. halvings: of its sides.
    """

    network: AdmModel  # type: ignore[assignment]
    space: LatentSpace = PIXELS
    prediction: Prediction = "eps"
    noise: Noise = DDPM
    classes: int = 0
    enlarges: bool = False
    learned: bool = True
    halvings: int = 0

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        network, how, steps = load(self.network), self.network.execution, Steps(self.noise)
        estimate = partial(self._both, network, steps)

        def denoise(
            x: Tensor, alpha: Scalar, sigma: Scalar, condition: Labels | TextEmbedding | None = None
        ) -> Tensor | Learned:
            self._judge(x)
            at = x.float(), levels(alpha, x), levels(sigma, x)
            given = *at, self._labels(condition, x), steps.on(x.device)
            found = captures_of(network).run(estimate, *given, key=self.noise) if how.capture else estimate(*given)
            return Learned(*found.chunk(2, 1)) if self.learned else found

        return denoise

    def _both(
        self, network: Any, steps: Steps, x: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None, table: Tensor
    ) -> Tensor:
        """x_0 of x [B, C, H, W] at levels alpha and sigma [B], and behind it what was learnt of the variance."""
        pictures, seen = x[:, :PICTURE], x[:, PICTURE:]
        z, t, a, s = steps.at(pictures, alpha, sigma, table)
        given = torch.cat([z, seen], 1) if self.enlarges else z
        found = network(given.to(self.network.execution.dtype), t, labels).float()
        eps, share = learned_share(found) if self.learned else (found, None)
        x_0 = denoised("eps", eps, z, column(a, x), column(s, x))
        return x_0 if share is None else torch.cat([x_0, share], 1)

    def _labels(self, condition: Labels | TextEmbedding | None, x: Tensor) -> Tensor | None:
        name = self.network.name
        if isinstance(condition, TextEmbedding):
            cure = "diffusion.label tells it one" if self.classes else "leave diffusion.condition and guide out"
            kind = "classes" if self.classes else "nothing"
            raise ValueError(f'the denoiser "{name}" reads {kind}, not texts\n    {cure}')
        if not self.classes:
            if condition is not None:
                raise ValueError(f'the denoiser "{name}" is told no class\n    leave diffusion.label out')
            return None
        if condition is None:
            raise ValueError(
                f'the denoiser "{name}" draws one of {self.classes} classes, but none is bound to it\n'
                "    put diffusion.label in front"
            )
        return torch.tensor(condition.numbers, device=x.device)

    def _judge(self, x: Tensor) -> None:
        name, wanted = self.network.name, 2 * PICTURE if self.enlarges else PICTURE
        if x.shape[1] != wanted:
            told, cure = (
                ("enlarges a small picture, but none is bound to it", "put diffusion.enlarge in front")
                if self.enlarges
                else ("sees nothing beside the picture that it draws", "leave diffusion.enlarge out")
            )
            raise ValueError(f'the denoiser "{name}" {told}\n    {cure}')
        cells = 2**self.halvings
        if any(side % cells for side in x.shape[-2:]):
            raise ValueError(
                f'the denoiser "{name}" makes pictures whose sides are multiples of {cells}, '
                f"not of {x.shape[-1]} x {x.shape[-2]}\n    ask for such a size and resize the result"
            )


def adm_denoiser(name: str, settings: Settings = NOBODY, ctx: Context = QUIET) -> AdmDenoiser:
    """The denoiser in the checkpoint of that name; failures as `AdmModel.named`."""
    model, found = AdmModel.named(name, "u-net", settings, ctx)
    config = found.config
    return AdmDenoiser(
        model, noise=found.noise, classes=config.classes, enlarges=config.channels_in > PICTURE,
        learned=config.channels_out > PICTURE, halvings=len(config.widths) - 1,
    )  # fmt: skip
