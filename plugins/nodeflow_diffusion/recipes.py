"""Denoisers as recipes: a network in a file, what adapts it to the one convention, and what is put around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from nodeflow_nn.checkpoints import build, describe, lay_out
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
    file_identity,
    find_weights,
)
from nodeflow_diffusion.guidance import guided, rescaled
from nodeflow_diffusion.prediction import Prediction, denoised, nearest_step
from nodeflow_diffusion.schedules import ScheduleName, alphas_cumprod, betas
from nodeflow_diffusion.transformer import DiffusionTransformer, TransformerConfig
from nodeflow_diffusion.unet import UNet, UNetConfig

BUILDERS = {
    "transformer": from_config(DiffusionTransformer, TransformerConfig),
    "unet": from_config(UNet, UNetConfig),
}
Load = Callable[[Recipe], Any]
Scalar = float | Tensor


@dataclass(frozen=True)
class Network(FileModel):
    """A denoising network."""

    def build(self, device: torch.device | str) -> torch.nn.Module:
        """The module on `device`."""
        return build(self.path, BUILDERS, device, ModelError)

    def lay_out(self) -> torch.nn.Module:
        """The same without weights."""
        return lay_out(self.path, BUILDERS, ModelError)


@dataclass(frozen=True)
class LatentDenoiser(Denoiser, Composition):
    """A network whose prediction is adapted to the one convention of denoisers.

    prediction: what the network predicts. schedule: the variance-preserving schedule whose steps are its times; None
    for one that reads the time 0..1 of rectified flow. side: cells of the latents it can see; None for any.
    """

    network: Network
    space: LatentSpace
    prediction: Prediction = "flow"
    schedule: ScheduleName | None = None
    side: int | None = None

    @classmethod
    def named(cls, name: str, ctx: Context = QUIET) -> LatentDenoiser:
        """The denoiser in the weights of that name.

        Raises:
            ModelError: there is no such file, or it is none that can be used.
            PermissionError: `ctx` may not read it.
        """
        path = find_weights(name, ctx)
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
        network = Network(name, file_identity(path), found.bytes)
        return cls(network, space, kind, schedule if kind != "flow" else None, found.header.config.get("grid"))

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        network = load(self.network)
        table = None if self.schedule is None else alphas_cumprod(betas(self.schedule)).float()

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            self._check(network.config, x, condition)
            assert condition is not None
            assert condition.pooled is not None
            words = [condition.tokens.to(x), condition.mask.to(x.device), condition.pooled.to(x)]
            alpha, sigma = (torch.as_tensor(value).to(x).expand(len(x)) for value in (alpha, sigma))
            t = sigma / (alpha + sigma)
            if table is None:
                z, a, s = x / column(alpha + sigma, x), 1 - t, t
            else:
                # in the table's own scale; its last alpha stands in for an alpha of 0, by which eps would be divided
                norm, at = torch.hypot(alpha, sigma), table.to(x.device)
                t = nearest_step(t, at).to(x)
                z, a, s = x / column(norm, x), (alpha / norm).clamp(min=at[-1].sqrt()), sigma / norm
            return denoised(self.prediction, network(z, t, *words), z, column(a, x), column(s, x))

        return denoise

    def _check(self, config: Any, x: Tensor, condition: TextEmbedding | None) -> None:
        if condition is None or condition.pooled is None:
            raise ValueError(
                f'the denoiser "{self.network.name}" reads a text, but none is bound to it\n'
                '    put diffusion.condition or diffusion.guide in front; the text "" stands for no wish'
            )
        widths = condition.tokens.shape[-1], condition.pooled.shape[-1]
        wanted = config.context_width, config.pooled_width
        if widths != wanted:
            raise ValueError(
                f'the denoiser "{self.network.name}" reads words of width {wanted}, but the text has {widths}\n'
                "    encode the text with the encoder that was trained with this denoiser"
            )
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


@dataclass(frozen=True, eq=False)
class Conditioned(Around):
    """A denoiser with a text bound to it: one for every picture, or one text for all."""

    embedding: TextEmbedding

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            del condition  # what is bound stays bound
            found: Tensor = inner(x, alpha, sigma, spread(self.embedding, len(x)))
            return found

        return denoise


@dataclass(frozen=True, eq=False)
class Guided(Around):
    """Classifier-free guidance: both texts in one pass of the network.

    rescale: share of the spread that is brought back. start, stop: the noise levels sigma / (alpha + sigma), from 1
    (noise) to 0 (picture), between which guidance acts; outside the wanted text alone is followed.
    """

    positive: TextEmbedding
    negative: TextEmbedding
    scale: float = 2.0
    rescale: float = 0.0
    start: float = 1.0
    stop: float = 0.0

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            del condition  # what is bound stays bound
            level = float((torch.as_tensor(sigma) / (torch.as_tensor(alpha) + sigma)).max())
            wanted, other = spread(self.positive, len(x)), spread(self.negative, len(x))
            conditional: Tensor
            if self.scale == 1 or not self.stop <= level <= self.start:
                conditional = inner(x, alpha, sigma, wanted)
                return conditional
            both = inner(torch.cat([x, x]), twice(alpha), twice(sigma), joined(wanted, other))
            conditional, unconditional = both.chunk(2)
            x_0 = guided(conditional, unconditional, self.scale)
            return rescaled(x_0, conditional, self.rescale) if self.rescale else x_0

        return denoise


@dataclass(frozen=True, eq=False)
class Masked(Around):
    """Inpainting: where `mask` [B, 1, h, w] is 0 the picture is known, and its estimate is `original` [B, C, h, w].

    That keeps the known region at the noised original in every step: given the true x_0 there, each sampler moves it
    along q(x_s | x_t, x_0), the very distribution from which RePaint (Lugmayr et al. 2022, eq. 8) draws it anew.
    """

    original: Tensor
    mask: Tensor

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: TextEmbedding | None = None) -> Tensor:
            for name, known in (("picture", self.original), ("mask", self.mask)):
                if known.shape[-2:] != x.shape[-2:] or len(known) not in (1, len(x)):
                    raise ValueError(
                        f"the {name} to paint into is {list(known.shape)}, but the latent {list(x.shape)}\n"
                        "    wire the same latent into diffusion.inpaint and diffusion.sample"
                    )
            return torch.lerp(self.original.to(x), inner(x, alpha, sigma, condition), self.mask.to(x))

        return denoise


def column(values: Tensor, x: Tensor) -> Tensor:
    """[B] -> [B, 1, 1, 1], as many dimensions as x has."""
    return values.reshape(-1, *[1] * (x.dim() - 1))


def twice(value: Scalar) -> Scalar:
    """A number for all, or one each of a batch that is doubled."""
    return value.repeat(2) if isinstance(value, Tensor) and value.dim() else value


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


def spread(embedding: TextEmbedding, count: int) -> TextEmbedding:
    """The texts of `count` pictures: as many, or one repeated.

    Raises:
        ValueError: there are neither one nor `count` texts.
    """
    texts = len(embedding.tokens)
    if texts == count:
        return embedding
    if texts != 1:
        raise ValueError(
            f"{texts} texts are bound to the denoiser, but the latent has {count} pictures\n"
            f"    ask for {texts} pictures (diffusion.empty: count), or encode one text"
        )
    pooled = None if embedding.pooled is None else embedding.pooled.expand(count, -1)
    return TextEmbedding(embedding.tokens.expand(count, -1, -1), embedding.mask.expand(count, -1), pooled)


def joined(first: TextEmbedding, second: TextEmbedding) -> TextEmbedding:
    """Two batches of texts as one; the shorter texts get places that no network reads."""
    if first.tokens.shape[-1] != second.tokens.shape[-1] or (first.pooled is None) != (second.pooled is None):
        raise ValueError(
            "the two texts of the guidance come from different encoders\n    encode both with the same text encoder"
        )
    length = max(first.mask.shape[1], second.mask.shape[1])
    parts = [(text, length - text.mask.shape[1]) for text in (first, second)]
    tokens = torch.cat([torch.nn.functional.pad(text.tokens, (0, 0, 0, more)) for text, more in parts])
    mask = torch.cat([torch.nn.functional.pad(text.mask, (0, more)) for text, more in parts])
    pooled = None
    if first.pooled is not None and second.pooled is not None:
        pooled = torch.cat([first.pooled, second.pooled])
    return TextEmbedding(tokens, mask, pooled)
