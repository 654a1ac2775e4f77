"""A latent diffusion transformer that reads its words as extra keys and values in every block."""

from dataclasses import dataclass

import torch
from nodeflow_nn.attention import Words
from nodeflow_nn.convolution import from_patches, to_patches
from nodeflow_nn.embeddings import TimeEmbedding, grid_positions
from nodeflow_nn.transformer import EPS, AdaptiveBlock
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import layer_norm_modulate


@dataclass(frozen=True)
class TransformerConfig:
    """channels, grid: of the latents [B, channels, grid, grid]. patch: latents a token's side. width, depth, heads,
    ratio: of the blocks. context_width, pooled_width: of the text. time_scale: what t is multiplied with before the
    sinusoid: 1000 for t in 0..1 (rectified flow), 1 for 0..999.
    """

    channels: int = 16
    grid: int = 8
    patch: int = 1
    width: int = 256
    depth: int = 6
    heads: int = 4
    ratio: int = 4
    context_width: int = 128
    pooled_width: int = 128
    time_scale: float = 1000.0


class DiffusionTransformer(nn.Module):
    """DiT (Peebles and Xie 2023) with adaLN-single (PixArt-alpha), qk-norm, and words in joint attention."""

    positions: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width, rows = config.width, config.grid // config.patch
        token = config.channels * config.patch**2
        self.tokens_in = nn.Linear(token, width)
        self.learned_positions = nn.Parameter(torch.zeros(rows * rows, width))
        self.register_buffer("positions", grid_positions(rows, rows, width), persistent=False)
        self.time = TimeEmbedding(width, scale=config.time_scale)
        self.pooled_in = nn.Linear(config.pooled_width, width)
        self.modulation_out = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(
            AdaptiveBlock(width, config.heads, config.context_width, config.ratio) for _ in range(config.depth)
        )
        self.last_modulation_out = nn.Linear(width, 2 * width)
        self.tokens_out = nn.Linear(width, token)
        for layer in (self.modulation_out, self.last_modulation_out, self.tokens_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def read(self, context: Tensor, mask: Tensor | None) -> Words:
        """What the network reads of the words; `forward` takes it in their place, for any time, to the same bit."""
        return Words(tuple(block.attention.read(context) for block in self.blocks), mask)  # type: ignore[operator, union-attr]

    def forward(self, x: Tensor, t: Tensor, context: Tensor | Words, mask: Tensor | None, pooled: Tensor) -> Tensor:
        """Prediction [B, channels, grid, grid] for noisy latents; the arguments are those of `with_features`."""
        return self.with_features(x, t, context, mask, pooled)[0]

    def with_features(
        self, x: Tensor, t: Tensor, context: Tensor | Words, mask: Tensor | None, pooled: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Prediction for noisy latents, and the features that it was read off.

        Args:
            x: [B, channels, grid, grid].
            t: [B] times, in the units that `time_scale` expects.
            context: [B, L, context_width] words, or what `read` gave for them.
            mask: [B, L] bool, True where a word stands; None for all, and with what `read` gave, which has its own.
            pooled: [B, pooled_width].

        Returns: [B, channels, grid, grid] and [B, width, grid / patch, grid / patch].
        """
        rows = self.config.grid // self.config.patch
        tokens = self.tokens_in(to_patches(x, self.config.patch)) + (self.positions + self.learned_positions)
        condition = F.silu(self.time(t) + self.pooled_in(pooled))
        modulation = self.modulation_out(condition).unflatten(-1, (6, -1))
        words = context if isinstance(context, Words) else self.read(context, mask)
        for block, layer in zip(self.blocks, words.layers, strict=True):
            tokens = block(tokens, modulation, layer, words.mask)
        shift, scale = self.last_modulation_out(condition).chunk(2, -1)
        prediction = self.tokens_out(layer_norm_modulate(tokens, None, scale, shift, EPS))
        return from_patches(prediction, self.config.patch, rows), tokens.movedim(1, -1).unflatten(-1, (rows, rows))
