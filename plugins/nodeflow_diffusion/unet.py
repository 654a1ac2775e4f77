"""A U-Net denoiser: residual blocks, self-attention, cross-attention to words, skip connections."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from nodeflow_nn.attention import Attention, KeysValues, Words
from nodeflow_nn.convolution import Downsample, NormAct, ResidualBlock, Upsample
from nodeflow_nn.embeddings import TimeEmbedding
from nodeflow_nn.transformer import mlp
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class UNetConfig:
    """channels: of the latents [B, channels, H, W]. widths: channels at full, half, quarter ... resolution. depth:
    residual and attention blocks a level, on each side. head_width: channels an attention head; divides every width.
    ratio: of the attention blocks' perceptrons. context_width, pooled_width: of the text. time_scale: as in
    TransformerConfig.
    """

    channels: int = 16
    widths: tuple[int, ...] = (128, 192)
    depth: int = 1
    head_width: int = 64
    ratio: int = 2
    context_width: int = 128
    pooled_width: int = 128
    time_scale: float = 1000.0


class AttentionBlock(nn.Module):
    """Self-attention, cross-attention to words, perceptron, over the positions of a feature map (LDM, section 3.3)."""

    def __init__(self, width: int, head_width: int, context_width: int, ratio: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, width // head_width)
        self.cross_attention = Attention(width, width // head_width, context_width, cross=True)
        self.mlp = mlp(width, ratio)
        for layer in (self.self_attention.out, self.cross_attention.out):
            nn.init.zeros_(layer.weight)

    def forward(self, x: Tensor, words: KeysValues, mask: Tensor | None) -> Tensor:
        """[B, width, H, W], what `cross_attention` read of the words, [B, L] -> [B, width, H, W]."""
        h: Tensor = x.flatten(2).transpose(1, 2)
        h = h + self.self_attention(self.norms[0](h))
        h = h + self.cross_attention(self.norms[1](h), words, mask)
        h = h + self.mlp(self.norms[2](h))
        return h.transpose(1, 2).reshape(x.shape)


class Stage(nn.Module):
    """A residual block and an attention block."""

    def __init__(self, channels: int, width: int, time_width: int, config: UNetConfig) -> None:
        super().__init__()
        self.residual = ResidualBlock(channels, width, time_width)
        self.attention = AttentionBlock(width, config.head_width, config.context_width, config.ratio)

    def forward(self, x: Tensor, time: Tensor, words: KeysValues, mask: Tensor | None) -> Tensor:
        """[B, channels, H, W] -> [B, width, H, W]."""
        h: Tensor = self.attention(self.residual(x, time), words, mask)
        return h


class UNet(nn.Module):
    """Encoder, middle and decoder with a skip from every stage to its mirror (Ronneberger et al. 2015; ADM; LDM)."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, time_width = tuple(config.widths), 2 * config.widths[0]
        self.time = TimeEmbedding(time_width, scale=config.time_scale)
        self.pooled_in = nn.Linear(config.pooled_width, time_width)
        self.latents_in = nn.Conv2d(config.channels, widths[0], 3, padding=1)
        self.positions = nn.Parameter(torch.zeros(1, widths[0], 8, 8))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        for wide, wider in zip(widths, (*widths[1:], None), strict=True):
            self.down.append(nn.ModuleList(Stage(wide, wide, time_width, config) for _ in range(config.depth)))
            self.up.insert(0, nn.ModuleList(Stage(2 * wide, wide, time_width, config) for _ in range(config.depth)))
            if wider is not None:
                self.shrink.append(Downsample(wide, wider))
                self.grow.insert(0, Upsample(wider, wide))
        self.middle = Stage(widths[-1], widths[-1], time_width, config)
        self.norm = NormAct(8, widths[0])
        self.latents_out = nn.Conv2d(widths[0], config.channels, 3, padding=1)
        for weight in self.latents_out.parameters():
            nn.init.zeros_(weight)

    def read(self, context: Tensor, mask: Tensor | None) -> Words:
        """What the network reads of the words; `forward` takes it in their place, for any time, to the same bit."""
        return Words(tuple(stage.attention.cross_attention.read(context) for stage in self._stages()), mask)

    def _stages(self) -> Iterator[Stage]:
        """In the order in which they are run."""
        for stages in (*self.down, [self.middle], *self.up):
            yield from stages

    def forward(self, x: Tensor, t: Tensor, context: Tensor | Words, mask: Tensor | None, pooled: Tensor) -> Tensor:
        """Prediction [B, channels, H, W] for noisy latents; the arguments are those of `with_features`."""
        return self.with_features(x, t, context, mask, pooled)[0]

    def with_features(
        self, x: Tensor, t: Tensor, context: Tensor | Words, mask: Tensor | None, pooled: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Prediction for noisy latents, and the features that it was read off.

        Args:
            x: [B, channels, H, W]; H and W divisible by 2 ** (len(widths) - 1).
            t: [B] times, in the units that `time_scale` expects.
            context: [B, L, context_width] words, or what `read` gave for them.
            mask: [B, L] bool, True where a word stands; None for all, and with what `read` gave, which has its own.
            pooled: [B, pooled_width].

        Returns: [B, channels, H, W] and [B, widths[0], H, W].
        """
        words = context if isinstance(context, Words) else self.read(context, mask)
        layers = iter(words.layers)
        time = self.time(t) + self.pooled_in(pooled)
        h = self.latents_in(x) + F.interpolate(self.positions, x.shape[-2:], mode="bilinear")
        skips = []
        for level, stages in enumerate(self.down):
            assert isinstance(stages, nn.ModuleList)
            for stage in stages:
                h = stage(h, time, next(layers), words.mask)
                skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        h = self.middle(h, time, next(layers), words.mask)
        for level, stages in enumerate(self.up):
            assert isinstance(stages, nn.ModuleList)
            for stage in stages:
                h = stage(torch.cat([h, skips.pop()], 1), time, next(layers), words.mask)
            if level < len(self.grow):
                h = self.grow[level](h)
        return self.latents_out(self.norm(h)), h
