"""The U-Net of latent diffusion that reads words: Stable Diffusion 1, 2 and XL, its refiner, and their variants."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from nodeflow_nn.embeddings import timestep_embedding
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import attention, geglu, group_norm_act

Reading = tuple[tuple[Tensor, Tensor], ...]
"""What the network reads of a prompt: for each cross-attention, in order, its keys and its values [B, heads, L, d]."""
Residuals = tuple[Tensor, ...]
"""What a ControlNet adds: to each skip, in the order in which the encoder makes them, and last to the middle."""


@dataclass(frozen=True)
class LatentUNetConfig:
    """channels_in: of the latents, with mask and picture beside them where it paints into or edits one. channels_out:
    of the prediction. widths: channels at full, half, quarter ... resolution. layers: residual blocks a level on the
    way down; one more on the way up. depths: transformer blocks after each residual block, by level; 0: none.
    middle_depth: transformer blocks in the middle. heads: of the attentions, by level; the middle has the last.
    context_width: of the words. vector_width: of what is added to the time (pooled text, sizes); 0: nothing.
    groups: of all group norms.
    """

    channels_in: int = 4
    channels_out: int = 4
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    depths: tuple[int, ...] = (1, 1, 1, 0)
    middle_depth: int = 1
    heads: tuple[int, ...] = (8, 8, 8, 8)
    context_width: int = 768
    vector_width: int = 0
    groups: int = 32

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.depths) == len(self.heads):
            raise ValueError(
                f"{len(self.widths)} widths, {len(self.depths)} depths and {len(self.heads)} heads, "
                "but expected as many of each: one a level"
            )


class NormAct(nn.GroupNorm):
    """GroupNorm, and SiLU unless it is the transformer's."""

    def __init__(self, width: int, groups: int, *, eps: float = 1e-5, silu: bool = True) -> None:
        super().__init__(groups, width, eps)
        self.silu = silu

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        act = "silu" if self.silu else "none"
        return group_norm_act(x, self.weight, self.bias, self.num_groups, eps=self.eps, act=act)  # type: ignore[arg-type]


class Residual(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution, twice, the time added in between, and a skip (LDM, appendix E).

    Its linear layer from the time to `shift` is a slice of the network's `times`.
    """

    def __init__(self, channels: int, width: int, groups: int) -> None:
        super().__init__()
        self.width = width
        self.norm1, self.norm2 = NormAct(channels, groups), NormAct(width, groups)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(channels, width, 1) if channels != width else None

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        """[B, channels, H, W], [B, width] -> [B, width, H, W]."""
        h = self.conv1(self.norm1(x))
        h += shift[:, :, None, None]  # in place: no backward reads what a convolution gave
        y: Tensor = self.conv2(self.norm2(h))
        y += x if self.skip is None else self.skip(x)
        return y


class Block(nn.Module):
    """Self-attention, attention to the words, gated perceptron, each after a LayerNorm and around a skip.

    The keys and values of the words come from a slice of the network's `words`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide width {width}")
        self.width, self.heads = width, heads
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.words_q, self.words_out = nn.Linear(width, width, bias=False), nn.Linear(width, width)
        self.mlp_in, self.mlp_out = nn.Linear(width, 8 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, perturbed: bool = False) -> Tensor:
        """[B, N, width], twice [B, heads, L, d] -> [B, N, width]; perturbed: each place attends to itself alone."""
        q, k, v = heads_of(self.qkv(self.norm1(x)), 3, self.heads)
        h: Tensor = self.out((v if perturbed else attention(q, k, v)).transpose(1, 2).flatten(2))
        h += x
        (q,) = heads_of(self.words_q(self.norm2(h)), 1, self.heads)
        g: Tensor = self.words_out(attention(q, keys, values).transpose(1, 2).flatten(2))
        g += h
        y: Tensor = self.mlp_out(geglu(self.mlp_in(self.norm3(g))))
        y += g
        return y


class Transformer(nn.Module):
    """Blocks over the positions of a feature map, between two projections and around a skip.

    The projections of published checkpoints are 1x1 convolutions or linear layers, which are the same.
    """

    def __init__(self, width: int, heads: int, depth: int, groups: int) -> None:
        super().__init__()
        self.norm = NormAct(width, groups, eps=1e-6, silu=False)
        self.proj_in, self.proj_out = nn.Linear(width, width), nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))

    def forward(self, x: Tensor, words: Iterator[tuple[Tensor, Tensor]], perturbed: bool = False) -> Tensor:
        """[B, width, H, W] -> the same."""
        h = self.proj_in(self.norm(x).permute(0, 2, 3, 1).flatten(1, 2))  # of channels-last these are views
        for block in self.blocks:
            h = block(h, *next(words), perturbed)
        y: Tensor = self.proj_out(h).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        y += x
        return y


class Stage(nn.Module):
    """A residual block, and a transformer where the level has one."""

    def __init__(self, channels: int, level: int, config: LatentUNetConfig) -> None:
        super().__init__()
        width, depth = config.widths[level], config.depths[level]
        self.residual = Residual(channels, width, config.groups)
        self.transformer = Transformer(width, config.heads[level], depth, config.groups) if depth else None

    def forward(self, x: Tensor, shifts: Iterator[Tensor], words: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
        """[B, channels, H, W] -> [B, width, H, W]."""
        h: Tensor = self.residual(x, next(shifts))
        return h if self.transformer is None else self.transformer(h, words)


class Middle(nn.Module):
    """A transformer between two residual blocks."""

    def __init__(self, config: LatentUNetConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.residual1 = Residual(width, width, config.groups)
        self.transformer = Transformer(width, config.heads[-1], config.middle_depth, config.groups)
        self.residual2 = Residual(width, width, config.groups)

    def forward(
        self, x: Tensor, shifts: Iterator[Tensor], words: Iterator[tuple[Tensor, Tensor]], perturbed: bool = False
    ) -> Tensor:
        """[B, width, H, W] -> the same."""
        h: Tensor = self.residual2(self.transformer(self.residual1(x, next(shifts)), words, perturbed), next(shifts))
        return h


class Level(nn.Module):
    """Stages at one resolution; `resize` is the convolution on the way to the next, absent at the last."""

    def __init__(self, channels: list[int], level: int, config: LatentUNetConfig, *, stride: int | None) -> None:
        super().__init__()
        width = config.widths[level]
        self.stages = nn.ModuleList(Stage(given, level, config) for given in channels)
        self.resize = nn.Conv2d(width, width, 3, stride, padding=1) if stride else None


class Encoder(nn.Module):
    """The first half of the U-Net, which a ControlNet has as well, told of time and words.

    All linear layers that read the time are one, `times`, and all keys and values of the words are one, `words`: the
    slices stand in the order in which the blocks use them. A subclass makes them by `tell`, once it has all its blocks.
    """

    whole = False
    """Whether the way up follows."""
    times: nn.Linear
    words: nn.Linear

    def __init__(self, config: LatentUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, time_width = config.widths, 4 * config.widths[0]
        self.time = perceptron(widths[0], time_width)
        self.vector = perceptron(config.vector_width, time_width) if config.vector_width else None
        self.first = nn.Conv2d(config.channels_in, widths[0], 3, padding=1)
        down, _ = levels(config)
        self.down = nn.ModuleList(
            Level(channels, level, config, stride=2 if level < len(widths) - 1 else None)
            for level, channels in enumerate(down)
        )
        self.middle = Middle(config)

    def tell(self) -> None:
        """Makes the layers from which all blocks there are get the time and the words."""
        self.shift_widths = [module.width for module in self.modules() if isinstance(module, Residual)]
        self.readers = [(module.width, module.heads) for module in self.modules() if isinstance(module, Block)]
        self.times = nn.Linear(4 * self.config.widths[0], sum(self.shift_widths))
        self.words = nn.Linear(self.config.context_width, 2 * sum(width for width, _ in self.readers), bias=False)

    def told(
        self, t: Tensor, context: Tensor | Reading, vector: Tensor | None
    ) -> tuple[Iterator[Tensor], Iterator[tuple[Tensor, Tensor]]]:
        """For each residual block its shift, and for each transformer block its keys and values."""
        shifts = iter(self.times(F.silu(self._told(t, vector))).split(self.shift_widths, 1))
        return shifts, iter(self.read(context) if isinstance(context, Tensor) else context)

    def read(self, context: Tensor) -> Reading:
        """What the network reads of a prompt, once for all steps; `forward` takes it in the context's place.

        Args:
            context: [B, L, context_width] words.
        """
        if context.ndim != 3 or context.shape[-1] != self.config.context_width:
            raise ValueError(f"the words are {list(context.shape)}, but expected [B, L, {self.config.context_width}]")
        parts = self.words(context).split([2 * width for width, _ in self.readers], -1)
        return tuple(
            (keys, values)
            for part, (_, heads) in zip(parts, self.readers, strict=True)
            for keys, values in [heads_of(part, 2, heads)]
        )

    def encoded(
        self,
        x: Tensor,
        shifts: Iterator[Tensor],
        words: Iterator[tuple[Tensor, Tensor]],
        hint: Tensor | None = None,
        perturbed: bool = False,
    ) -> tuple[list[Tensor], Tensor]:
        """The skips and the middle of x [B, channels_in, H, W]; `hint` [B, widths[0], H, W] is added to the first."""
        h = self.first(x.contiguous(memory_format=torch.channels_last))
        if hint is not None:
            h = h + hint
        skips = [h]
        for level in self.down:
            for stage in level.stages:  # type: ignore[union-attr]
                h = stage(h, shifts, words)
                skips.append(h)
            if level.resize is not None:
                h = level.resize(h)  # type: ignore[operator]
                skips.append(h)
        return skips, self.middle(h, shifts, words, perturbed)

    def _told(self, t: Tensor, vector: Tensor | None) -> Tensor:
        """[B, 4 widths[0]]: the time, and the vector if there is one."""
        if (vector is None) != (self.vector is None):
            told = "takes a vector of pooled text and sizes, but got none" if vector is None else "takes no vector"
            raise ValueError(f"this U-Net {told}\n    see size_vector for what each model's vector is made of")
        waves = timestep_embedding(t, self.config.widths[0]).to(self.times.bias.dtype)
        time: Tensor = self.time(waves)
        return time if self.vector is None else time + self.vector(vector)


class LatentUNet(Encoder):
    """Encoder, middle and decoder with skips, told of time and words (Rombach et al. 2022; Podell et al. 2023)."""

    whole = True

    def __init__(self, config: LatentUNetConfig) -> None:
        super().__init__(config)
        _, up = levels(config)
        last = len(config.widths) - 1
        self.up = nn.ModuleList(
            Level(channels, last - place, config, stride=1 if place < last else None)
            for place, channels in enumerate(up)
        )
        self.norm = NormAct(config.widths[0], config.groups)
        self.last = nn.Conv2d(config.widths[0], config.channels_out, 3, padding=1)
        self.tell()

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor | Reading,
        vector: Tensor | None = None,
        residuals: Residuals | None = None,
        perturbed: bool = False,
    ) -> Tensor:
        """Prediction for noisy latents.

        Args:
            x: [B, channels_in, H, W], of any memory format.
            t: [B] steps 0..999; fractions are steps in between.
            context: [B, L, context_width] words, or what `read` gave for them.
            vector: [B, vector_width], if the network takes one; see `size_vector`.
            residuals: what ControlNets add.
            perturbed: in the middle each place attends to itself alone (Ahn et al. 2024, section 4.2).

        Returns: [B, channels_out, H, W], channels last.
        """
        shifts, words = self.told(t, context, vector)
        skips, h = self.encoded(x, shifts, words, perturbed=perturbed)
        if residuals is not None:
            skips = [skip + more for skip, more in zip(skips, residuals[:-1], strict=True)]
            h = h + residuals[-1]
        for level in self.up:
            for stage in level.stages:  # type: ignore[union-attr]
                h = stage(torch.cat([h, skips.pop()], 1), shifts, words)
            if level.resize is not None:
                # to the size of the next skip: an odd side was halved upwards
                h = level.resize(F.interpolate(h, skips[-1].shape[2:], mode="nearest"))  # type: ignore[operator]
        y: Tensor = self.last(self.norm(h))
        return y


class Levelled(Protocol):
    """What a U-Net's config says of its levels."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at full, half, quarter ... resolution."""

    @property
    def layers(self) -> int:
        """Residual blocks a level on the way down; one more on the way up."""


def levels(config: Levelled) -> tuple[list[list[int]], list[list[int]]]:
    """Channels that each stage gets: by level on the way down, and on the way up, where the deepest stands first."""
    down, skips, current = list[list[int]](), [config.widths[0]], config.widths[0]
    for level, width in enumerate(config.widths):
        down.append([current, *[width] * (config.layers - 1)])
        skips += [width] * (config.layers + (level < len(config.widths) - 1))
        current = width
    up = list[list[int]]()
    for width in reversed(config.widths):
        up.append([before + skips.pop() for before in [current, *[width] * config.layers]])
        current = width
    return down, up


def heads_of(x: Tensor, count: int, heads: int) -> tuple[Tensor, ...]:
    """[B, N, count * heads * d] -> count times [B, heads, N, d], all views."""
    parts: tuple[Tensor, ...] = torch.unflatten(x, -1, (count, heads, -1)).permute(2, 0, 3, 1, 4).unbind()
    return parts


def perceptron(width_in: int, width: int) -> nn.Sequential:
    """Linear, SiLU, linear."""
    return nn.Sequential(nn.Linear(width_in, width), nn.SiLU(), nn.Linear(width, width))


def size_vector(pooled: Tensor, sizes: Tensor, width: int = 256) -> Tensor:
    """The vector of Stable Diffusion XL: pooled text, then a sinusoid of each number (Podell et al. 2023, section 2.2).

    Args:
        pooled: [B, P] pooled text, of the larger encoder.
        sizes: [B, S] pixels, height before width. Base: original size, top left corner of the crop, target size.
            Refiner: original size, corner, and in the sixth's place one aesthetic score (6 is good, 2.5 is bad).
        width: channels of each sinusoid.

    Returns: [B, P + S width] in pooled's type.
    """
    waves = timestep_embedding(sizes.flatten(), width).reshape(len(sizes), -1)
    return torch.cat([pooled, waves.to(pooled)], -1)
