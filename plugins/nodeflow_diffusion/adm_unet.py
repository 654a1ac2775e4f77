"""The U-Net of improved and guided diffusion (ADM), and the half of it that tells classes apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from nodeflow_nn.convolution import NormAct
from nodeflow_nn.embeddings import timestep_embedding
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import attention
from nodeflow_diffusion.latent_unet import NormAct as Norm
from nodeflow_diffusion.latent_unet import levels, perceptron

Resize = Literal["residual", "convolution"]
Way = Literal["up", "down"]
GROUPS = 32
"""Of all group norms."""


@dataclass(frozen=True)
class AdmConfig:
    """channels_in: of the pictures, with those of the small ones beside them where it enlarges. channels_out: of the
    prediction, and of the variance where that is learnt; of the classifier its classes. base: of the sinusoid of the
    time, which then has four times as many. widths: channels at full, half, quarter ... resolution. layers: residual
    blocks a level on the way down; one more on the way up. attends: levels with attention; the middle always has some.
    heads: of the attentions, by level; the middle has the last. mixed: whether queries, keys and values lie side by
    side within each head ("legacy" there), not all heads' queries first. film: the time scales and shifts, else it is
    added. resize: between levels, by residual blocks or by convolutions. classes: that it is told; 0: none.
    """

    channels_in: int = 3
    channels_out: int = 6
    base: int = 256
    widths: tuple[int, ...] = (256, 256, 512, 512, 1024, 1024)
    layers: int = 2
    attends: tuple[bool, ...] = (False, False, False, True, True, True)
    heads: tuple[int, ...] = (4, 4, 8, 8, 16, 16)
    mixed: bool = True
    film: bool = True
    resize: Resize = "residual"
    classes: int = 0

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.attends) == len(self.heads):
            raise ValueError(
                f"{len(self.widths)} widths, {len(self.attends)} attends and {len(self.heads)} heads, "
                "but expected as many of each: one a level"
            )
        if odd := [width for width in self.widths if width % GROUPS]:
            raise ValueError(f"{GROUPS} groups do not divide the widths {odd}")
        for width, heads, attends in zip(self.widths, self.heads, (*self.attends[:-1], True), strict=True):
            if attends and (heads < 1 or width % heads):
                raise ValueError(f"{heads} heads do not divide width {width}")


class AdmResidual(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution, twice, told of the time in between, and a skip (Dhariwal and Nichol 2021).

    `way` doubles or halves the resolution between the first norm and its convolution, and on the skip. Its linear layer
    from the time, which gives `told` numbers, is a slice of the network's `times`.
    """

    def __init__(self, channels: int, width: int, *, film: bool, way: Way | None = None) -> None:
        super().__init__()
        self.film, self.way, self.told = film, way, width * (2 if film else 1)
        self.norm1, self.norm2 = NormAct(GROUPS, channels), NormAct(GROUPS, width)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(channels, width, 1) if channels != width else None
        cleared(self.conv2)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """[B, channels, H, W], [B, told] -> [B, width, H', W']."""
        h = self.conv1(resized(self.norm1(x), self.way))
        h = self.norm2(h, *told.chunk(2, 1)) if self.film else self.norm2(h + told[:, :, None, None])
        y: Tensor = self.conv2(h)
        x = resized(x, self.way)
        return y + (x if self.skip is None else self.skip(x))


class AdmAttention(nn.Module):
    """Self-attention over the positions of a feature map, around a skip."""

    def __init__(self, width: int, heads: int, *, mixed: bool) -> None:
        super().__init__()
        self.heads, self.mixed = heads, mixed
        self.norm = Norm(width, GROUPS, silu=False)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        cleared(self.out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        h = self.qkv(self.norm(x).permute(0, 2, 3, 1).flatten(1, 2))  # of channels-last these are views
        q, k, v = heads_of(h, self.heads, mixed=self.mixed)
        h = self.out(attention(q, k, v).transpose(1, 2).flatten(2))
        y: Tensor = h.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        return y + x


class AttentionPool(nn.Module):
    """One vector of a feature map: what attention gives its mean (as CLIP's ResNets have it)."""

    def __init__(self, width: int, heads: int, side: int, width_out: int) -> None:
        super().__init__()
        self.heads = heads
        self.positions = nn.Parameter(torch.randn(width, side * side + 1) * width**-0.5)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width_out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, side, side] -> [B, width_out]."""
        h = x.flatten(2)
        h = torch.cat([h.mean(2, keepdim=True), h], 2) + self.positions
        q, k, v = heads_of(self.qkv(h.transpose(1, 2)), self.heads, mixed=False)
        y: Tensor = self.out(attention(q[:, :, :1], k, v).flatten(1))
        return y


class AdmStage(nn.Module):
    """A residual block, and attention where the level has some."""

    def __init__(self, channels: int, level: int, config: AdmConfig) -> None:
        super().__init__()
        width = config.widths[level]
        self.residual = AdmResidual(channels, width, film=config.film)
        self.attention = AdmAttention(width, config.heads[level], mixed=config.mixed) if config.attends[level] else None

    def forward(self, x: Tensor, told: Iterator[Tensor]) -> Tensor:
        """[B, channels, H, W] -> [B, width, H, W]."""
        h: Tensor = self.residual(x, next(told))
        return h if self.attention is None else self.attention(h)


class AdmLevel(nn.Module):
    """Stages at one resolution; `resize` leads to the next, and is absent at the last."""

    def __init__(self, channels: list[int], level: int, config: AdmConfig, way: Way | None) -> None:
        super().__init__()
        width = config.widths[level]
        self.way = way
        self.stages = nn.ModuleList(AdmStage(given, level, config) for given in channels)
        self.resize: nn.Module | None = None
        if way and config.resize == "residual":
            self.resize = AdmResidual(width, width, film=config.film, way=way)
        elif way:
            self.resize = nn.Conv2d(width, width, 3, stride=2 if way == "down" else 1, padding=1)

    def on(self, x: Tensor, told: Iterator[Tensor]) -> Tensor:
        """X at the next level's resolution: [B, width, H, W] -> [B, width, H', W']."""
        if isinstance(self.resize, AdmResidual):
            h: Tensor = self.resize(x, next(told))
        else:
            assert self.resize is not None
            h = self.resize(resized(x, "up") if self.way == "up" else x)
        return h


class AdmEncoder(nn.Module):
    """The half of the U-Net that leads to its middle, told of the time and the class.

    All linear layers that read the time are one, `times`: the slices stand in the order in which the blocks use them. A
    subclass makes it by `tell`, once it has all its blocks.
    """

    times: nn.Linear

    def __init__(self, config: AdmConfig) -> None:
        super().__init__()
        self.config = config
        time, last = 4 * config.base, len(config.widths) - 1
        self.time = perceptron(config.base, time)
        self.labels = nn.Embedding(config.classes, time) if config.classes else None
        self.first = nn.Conv2d(config.channels_in, config.widths[0], 3, padding=1)
        down, _ = levels(config)
        self.down = nn.ModuleList(
            AdmLevel(channels, level, config, "down" if level < last else None) for level, channels in enumerate(down)
        )
        width = config.widths[-1]
        self.middle = nn.ModuleList(
            [
                AdmResidual(width, width, film=config.film),
                AdmAttention(width, config.heads[-1], mixed=config.mixed),
                AdmResidual(width, width, film=config.film),
            ]
        )

    def tell(self) -> None:
        """Makes the layer from which all blocks there are get the time."""
        self.told_widths = [module.told for module in self.modules() if isinstance(module, AdmResidual)]
        self.times = nn.Linear(4 * self.config.base, sum(self.told_widths))

    def encoded(self, x: Tensor, t: Tensor, labels: Tensor | None) -> tuple[list[Tensor], Tensor, Iterator[Tensor]]:
        """The skips, the middle, and what the blocks behind it are told.

        Raises:
            ValueError: there is a class where none is read, or none where one is.
        """
        if (labels is None) != (self.labels is None):
            raise ValueError(f"this network is told {'a class, but got none' if labels is None else 'no class'}")
        time = self.time(timestep_embedding(t, self.config.base).to(self.times.bias.dtype))
        if self.labels is not None:
            time = time + self.labels(labels)
        told = iter(self.times(F.silu(time)).split(self.told_widths, 1))
        h = self.first(x.contiguous(memory_format=torch.channels_last))
        skips = [h]
        for level in self.down:
            assert isinstance(level, AdmLevel)
            for stage in level.stages:
                h = stage(h, told)
                skips.append(h)
            if level.resize is not None:
                h = level.on(h, told)
                skips.append(h)
        before, between, behind = self.middle
        return skips, behind(between(before(h, next(told))), next(told)), told


class AdmUNet(AdmEncoder):
    """Encoder, middle and decoder with skips (Nichol and Dhariwal 2021; Dhariwal and Nichol 2021)."""

    def __init__(self, config: AdmConfig) -> None:
        super().__init__(config)
        _, up = levels(config)
        last = len(config.widths) - 1
        self.up = nn.ModuleList(
            AdmLevel(channels, last - place, config, "up" if place < last else None)
            for place, channels in enumerate(up)
        )
        self.norm = NormAct(GROUPS, config.widths[0])
        self.last = nn.Conv2d(config.widths[0], config.channels_out, 3, padding=1)
        cleared(self.last)
        self.tell()

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Prediction for noisy pictures.

        Args:
            x: [B, channels_in, H, W]; H and W divisible by 2 ** (len(widths) - 1).
            t: [B] steps, or what stands for them; fractions are steps in between.
            labels: [B] int64, if it is told a class.

        Returns: [B, channels_out, H, W].
        """
        skips, h, told = self.encoded(x, t, labels)
        for level in self.up:
            assert isinstance(level, AdmLevel)
            for stage in level.stages:
                h = stage(torch.cat([h, skips.pop()], 1), told)
            if level.resize is not None:
                h = level.on(h, told)
        y: Tensor = self.last(self.norm(h))
        return y


class AdmClassifier(AdmEncoder):
    """Classes of noisy pictures (Dhariwal and Nichol 2021, section 4): the encoder, and attention that pools.

    Args:
        config: its channels_out are the classes.
        side: cells along a side of the feature map that is pooled: the pictures' side / 2 ** (len(widths) - 1).
    """

    def __init__(self, config: AdmConfig, side: int) -> None:
        super().__init__(config)
        width = config.widths[-1]
        self.norm = NormAct(GROUPS, width)
        self.pool = AttentionPool(width, config.heads[-1], side, config.channels_out)
        self.tell()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """[B, channels_in, H, W] pictures of that side, [B] steps -> [B, channels_out] logits."""
        _, h, _ = self.encoded(x, t, None)
        y: Tensor = self.pool(self.norm(h))
        return y


def cleared(layer: nn.Conv2d | nn.Linear) -> None:
    """A layer that gives zeros until it has learnt otherwise, as all last ones of a branch do."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)


def resized(x: Tensor, way: Way | None) -> Tensor:
    """Each cell four times, or the mean of four: [B, C, H, W] -> [B, C, 2 H, 2 W] or [B, C, H / 2, W / 2]."""
    if way == "up":
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    return F.avg_pool2d(x, 2) if way == "down" else x


def heads_of(x: Tensor, heads: int, *, mixed: bool) -> tuple[Tensor, ...]:
    """[B, N, 3 heads d] -> queries, keys and values, each [B, heads, N, d], all views. mixed: see `AdmConfig`."""
    if mixed:
        parts: tuple[Tensor, ...] = torch.unflatten(x, -1, (heads, 3, -1)).permute(3, 0, 2, 1, 4).unbind()
    else:
        parts = torch.unflatten(x, -1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind()
    return parts
