"""Denoisers as recipes: a network in a file, what adapts it to the one convention, and what is put around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from math import lcm
from typing import Any, ClassVar

import torch
from nodeflow_nn.capture import captures_of
from nodeflow_nn.checkpoints import build, describe, lay_out
from nodeflow_nn.eightbit import held_in
from nodeflow_nn.weights import from_config
from torch import Tensor

from nodeflow import (
    QUIET,
    Composition,
    Context,
    Denoiser,
    FileModel,
    Latent,
    LatentSpace,
    ModelError,
    Recipe,
    TextEmbedding,
    expecting,
    file_identity,
    find_checkpoint,
    find_weights,
)
from nodeflow_diffusion.batches import column, for_each, times
from nodeflow_diffusion.execution import Execution, levels
from nodeflow_diffusion.guidance import Found, Learned, changed, halved, paired
from nodeflow_diffusion.network_recipes import AS_EVER, Executed
from nodeflow_diffusion.prediction import Prediction, denoised, nearest_step
from nodeflow_diffusion.readings import Readings
from nodeflow_diffusion.schedules import ScheduleName, alphas_cumprod, betas
from nodeflow_diffusion.text_recipes import joined, repeated, same_text_space, same_widths, spread
from nodeflow_diffusion.transformer import DiffusionTransformer, TransformerConfig
from nodeflow_diffusion.unet import UNet, UNetConfig

BUILDERS = {
    "transformer": from_config(DiffusionTransformer, TransformerConfig),
    "unet": from_config(UNet, UNetConfig),
}
Load = Callable[[Recipe], Any]
Scalar = float | Tensor


@dataclass(frozen=True)
class Network(Executed, FileModel):
    """A denoising network, and how it is run."""

    def build(self, device: torch.device | str) -> torch.nn.Module:
        """The module on `device`."""
        self.judge(device)
        how = self.execution
        module = build(self.path, BUILDERS, device, ModelError, dtype=how.dtype, eight=how.eight)
        return self.execution.arranged(module, device)

    def lay_out(self) -> torch.nn.Module:
        """The same without weights."""
        module = lay_out(self.path, BUILDERS, ModelError)
        return self.execution.laid_out(module)


@dataclass(frozen=True)
class LatentDenoiser(Denoiser, Composition):
    """A network whose prediction is adapted to the one convention of denoisers.

    prediction: what the network predicts. schedule: the variance-preserving schedule whose steps are its times; None
    for one that reads the time 0..1 of rectified flow. side: cells of the latents it can see; None for any. text_space:
    what it shares with the text encoder trained with it; "" if its file does not tell. text_widths: of the words and of
    the pooled text that it reads, the latter None if it reads none; None if its file does not tell.
    """

    network: Network
    space: LatentSpace
    prediction: Prediction = "flow"
    schedule: ScheduleName | None = None
    side: int | None = None
    text_space: str = ""
    text_widths: tuple[int, int | None] | None = None
    masks_words: ClassVar[bool] = True
    """Whether its network leaves out the places of a text where no word stands."""

    @property
    def execution(self) -> Execution:
        """How the network is run."""
        return self.network.execution

    def run_as(self, execution: Execution) -> LatentDenoiser:
        """The same, its network run in another way."""
        return replace(self, network=replace(self.network, execution=execution))

    @classmethod
    def named(cls, name: str, ctx: Context = QUIET) -> LatentDenoiser:
        """The denoiser in the weights of that name.

        Raises:
            ModelError: there is no such file, or it is none that can be used.
            PermissionError: `ctx` may not read it.
        """
        path = find_weights(name, ctx)
        checkpoint = find_checkpoint(name, ctx)
        with expecting(checkpoint, "nodeflow unet", "nodeflow transformer"):
            found = describe(path, BUILDERS, ModelError)
        about = found.header.provenance
        try:
            space = LatentSpace(**about["space"])
            kind, schedule = about.get("prediction", "flow"), about.get("schedule")
        except (KeyError, TypeError) as error:
            cure = 'write {"space": {"name": ..., "channels": ..., "factor": ...}} into its provenance'
            raise ModelError(f"{path} does not say which latent space it denoises\n    {cure}") from error
        kinds, schedules = ("eps", "v", "x0", "flow"), ("linear", "scaled_linear", "cosine")
        if kind not in kinds or (kind != "flow" and schedule not in schedules):
            told = f"{path} predicts {kind!r} under schedule {schedule!r}"
            raise ModelError(f"{told}, but expected one of {kinds} and, but for flow, one of {schedules}")
        if space.channels != found.header.config.get("channels"):
            raise ModelError(
                f"{path} has {found.header.config.get('channels')} channels, but its space {space} has not"
            )
        network = Network(name, file_identity(path), found.bytes, held=held_in(checkpoint.shapes))
        config, texts = found.header.config, found.header.text_space
        words, pooled = config.get("context_width"), config.get("pooled_width")
        read = None if words is None or pooled is None else (words, pooled)
        return cls(network, space, kind, schedule if kind != "flow" else None, config.get("grid"), texts, read)

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        network, how = load(self.network), self.network.execution
        table = None if self.schedule is None else alphas_cumprod(betas(self.schedule)).float()
        table_on = cache(lambda device: None if table is None else table.to(device))
        estimate = partial(self._estimate, network)
        told = partial(self._told, network)
        once = Readings[TextEmbedding, Any](told) if how.read_once else told

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            self._check(network.config, x, condition)
            assert condition is not None
            given = x.float(), levels(alpha, x), levels(sigma, x), once(condition, x.device), table_on(x.device)
            if not how.capture:
                return estimate(*given)
            return captures_of(network).run(estimate, *given, key=(self.prediction, self.schedule))

        return denoise

    def _told(self, network: Any, text: TextEmbedding, device: torch.device) -> tuple[Any, Tensor | None, Any]:
        """What the network takes of a text: the words, or all that it reads of them; their mask; the pooled text."""
        how = self.network.execution
        tokens, pooled = (None if part is None else part.to(device, how.dtype) for part in (text.tokens, text.pooled))
        mask = text.mask.to(device)
        return (network.read(tokens, mask), None, pooled) if how.read_once else (tokens, mask, pooled)

    def _estimate(
        self, network: Any, x: Tensor, alpha: Tensor, sigma: Tensor, words: tuple[Any, ...], table: Tensor | None
    ) -> Tensor:
        """x_0 of x [B, C, H, W] at levels alpha and sigma [B], all float32; the device's work alone."""
        t = sigma / (alpha + sigma)
        if table is None:
            z, a, s = x / column(alpha + sigma, x), 1 - t, t
        else:
            # in the table's own scale; its last alpha stands in for an alpha of 0, by which eps would be divided
            norm = torch.hypot(alpha, sigma)
            t = nearest_step(t, table).to(x)
            z, a, s = x / column(norm, x), (alpha / norm).clamp(min=table[-1].sqrt()), sigma / norm
        prediction = network(z.to(self.network.execution.dtype), t, *words).float()
        return denoised(self.prediction, prediction, z, column(a, x), column(s, x))

    def _check(self, config: Any, x: Tensor, condition: TextEmbedding | None) -> None:
        if condition is None:
            raise ValueError(
                f'the denoiser "{self.network.name}" reads a text, but none is bound to it\n'
                '    put diffusion.condition or diffusion.guide in front; the text "" stands for no wish'
            )
        same_text_space(condition, self)
        same_widths(condition, (config.context_width, config.pooled_width))
        if self.side is not None and x.shape[-2:] != (self.side, self.side):
            pixels, found = self.side * self.space.factor, [cells * self.space.factor for cells in x.shape[-2:]]
            raise ValueError(
                f'the denoiser "{self.network.name}" makes pictures of {pixels} x {pixels}, '
                f"but the latent is of {found[1]} x {found[0]}\n    ask for {pixels} x {pixels} and resize the result"
            )
        halved = 2 ** (len(getattr(config, "widths", "1")) - 1)
        if any(cells % halved for cells in x.shape[-2:]):
            found = [cells * self.space.factor for cells in x.shape[-2:]]
            raise ValueError(
                f'the denoiser "{self.network.name}" makes pictures whose sides are multiples of '
                f"{halved * self.space.factor}, but the latent is of {found[1]} x {found[0]}\n"
                "    ask for such a size and resize the result"
            )


@dataclass(frozen=True, eq=False)
class Around(Denoiser, Composition):
    """What is put around a denoiser works in its space."""

    denoiser: Denoiser

    @property
    def space(self) -> LatentSpace:  # type: ignore[override]
        """That of the denoiser inside."""
        return self.denoiser.space

    @property
    def text_space(self) -> str:
        """Likewise; "" where that is not known."""
        return getattr(self.denoiser, "text_space", "")

    @property
    def text_widths(self) -> tuple[int, int | None] | None:
        """Likewise; None where they are not known."""
        return getattr(self.denoiser, "text_widths", None)

    @property
    def execution(self) -> Execution:
        """How the network inside is run."""
        return getattr(self.denoiser, "execution", AS_EVER)

    @property
    def masks_words(self) -> bool:
        """That of the denoiser inside."""
        return getattr(self.denoiser, "masks_words", True)

    @property
    def bound_pictures(self) -> int:
        """Of so many pictures, or of a multiple, a batch must be, as what stands here is bound to each; 1: of any."""
        return getattr(self.denoiser, "bound_pictures", 1)

    def joined(self, first: TextEmbedding, second: TextEmbedding) -> TextEmbedding:
        """Two batches of texts as one, so that the network inside reads of each what it would by itself."""
        return joined(first, second) if self.masks_words else joined(*repeated(first, second))


@dataclass(frozen=True, eq=False)
class Conditioned(Around):
    """A denoiser with a text bound to it: one for every picture, or one text for all."""

    embedding: TextEmbedding

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma) -> denoised`."""
        inner = load(self.denoiser)
        text = cache(partial(spread, self.embedding))

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            del condition  # what is bound stays bound
            found: Tensor = inner(x, alpha, sigma, text(len(x)))
            return found

        return denoise


@dataclass(frozen=True, eq=False)
class Guided(Around):
    """Classifier-free guidance: both texts in one pass of the network, or in two (`Execution.batch_guidance`).

    rescale: share of the spread that is brought back. start, stop: the noise levels sigma / (alpha + sigma), from 1
    (noise) to 0 (picture), between which guidance acts; outside the wanted text alone is followed. scales: in place of
    `scale`, those from level 1 to level 0 at equal distances, on straight lines between.
    """

    positive: TextEmbedding
    negative: TextEmbedding
    scale: float = 2.0
    rescale: float = 0.0
    start: float = 1.0
    stop: float = 0.0
    scales: tuple[float, ...] = ()

    def scale_at(self, level: Callable[[], float]) -> float:
        """The scale at a noise level, which is asked for only if it matters: on a device, that waits for it."""
        if (self.stop > 0 or self.start < 1) and not self.stop <= level() <= self.start:
            return 1.0
        if len(self.scales) < 2:
            return self.scales[0] if self.scales else self.scale
        place = (1 - min(max(level(), 0.0), 1.0)) * (len(self.scales) - 1)
        before = min(int(place), len(self.scales) - 2)
        share = place - before
        return self.scales[before] * (1 - share) + self.scales[before + 1] * share

    def assemble(self, load: Load) -> LoadedGuidance:
        """`(x, alpha, sigma) -> denoised`."""
        return LoadedGuidance(self, load(self.denoiser))


class LoadedGuidance:
    """A denoiser under guidance, and its two estimates before they become one."""

    def __init__(self, recipe: Guided, inner: Any) -> None:
        self.recipe, self.inner = recipe, inner
        # the same tensors in every step: what a network made of a text serves until the last
        wanted, other = (cache(partial(spread, text)) for text in (recipe.positive, recipe.negative))
        self.wanted, self.other = wanted, other
        join = recipe.joined
        self.both = cache(lambda count: join(wanted(count), other(count)))  # without self: nothing held in a circle

    def __call__(
        self, x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None
    ) -> Tensor | Learned:
        """`(x, alpha, sigma) -> denoised`; what is bound stays bound."""
        del condition
        return changed(self.estimates(x, alpha, sigma), lambda x_0: x_0)

    def estimates(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> Found:
        """The estimate, or the two of which guidance makes one."""
        conditional: Found
        scale = self.recipe.scale_at(lambda: _level(alpha, sigma))
        if scale == 1:
            conditional = self.inner(x, alpha, sigma, self.wanted(len(x)))
            return conditional
        # another number of pictures is refused within, which in a batch of twice as many might not be seen
        if self.recipe.execution.batch_guidance and len(x) % self.recipe.bound_pictures == 0:
            both = self.inner(torch.cat([x, x]), times(alpha, 2), times(sigma, 2), self.both(len(x)))
            conditional, unconditional = halved(both)
        else:
            conditional = self.inner(x, alpha, sigma, self.wanted(len(x)))
            unconditional = self.inner(x, alpha, sigma, self.other(len(x)))
        return paired(conditional, unconditional, scale, self.recipe.rescale)


def _level(alpha: Scalar, sigma: Scalar) -> float:
    """The noise level of a step, 0..1; of several, the highest."""
    level = sigma / (alpha + sigma)
    return float(level.max() if isinstance(level, Tensor) else level)


@dataclass(frozen=True, eq=False)
class Masked(Around):
    """Inpainting: where `mask` [B or 1, 1, h, w] is 0 the picture is known, its estimate `original` [B or 1, C, h, w].

    That keeps the known region at the noised original in every step: given the true x_0 there, each sampler moves it
    along q(x_s | x_t, x_0), the very distribution from which RePaint (Lugmayr et al. 2022, eq. 8) draws it anew.
    """

    original: Tensor
    mask: Tensor

    @property
    def bound_pictures(self) -> int:
        """See `Around`."""
        return lcm(len(self.original), len(self.mask), super().bound_pictures)

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Found:
            original = for_each(self.original, x, "the picture to paint into is")
            mask = for_each(self.mask, x, "the mask of where to paint is")
            found = inner(x, alpha, sigma, condition)
            return changed(found, lambda x_0: torch.lerp(original, x_0, mask))

        return denoise


def run_as(denoiser: Denoiser, execution: Execution) -> Denoiser:
    """A denoiser whose network is run in another way, whatever stands around it.

    Raises:
        ValueError: it is none of this package's.
    """
    if isinstance(denoiser, Around):
        return replace(denoiser, denoiser=run_as(denoiser.denoiser, execution))
    if isinstance(denoiser, LatentDenoiser):
        return denoiser.run_as(execution)
    cure = "its plugin decides that; leave diffusion.execution out"
    raise ValueError(f"how this denoiser, {type(denoiser).__name__}, is run cannot be chosen\n    {cure}")


def same_space(latent: Latent, denoiser: Denoiser) -> None:
    """Refuse latents of another space than the denoiser's.

    Raises:
        ValueError: they differ.
    """
    if latent.space != denoiser.space:
        raise ValueError(
            f"expected Latent[{denoiser.space}] but got Latent[{latent.space}]\n"
            f"    encode the picture for {denoiser.space}, or load a denoiser of {latent.space}"
        )
