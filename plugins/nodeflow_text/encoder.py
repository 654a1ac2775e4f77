"""A small text encoder: words to context tokens and a pooled vector."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from nodeflow_nn.transformer import Block
from torch import Tensor, nn

from nodeflow_text.pieces import PieceTokenizer
from nodeflow_text.words import PAD, WordTokenizer


@dataclass(frozen=True)
class TextEncoderConfig:
    """words: the vocabulary. length: tokens a prompt. width: channels of the tokens. heads, depth: of the transformer
    layers. pooled_width: channels of the pooled vector. merges: of a PieceTokenizer, which then takes the words' place.
    """

    words: tuple[str, ...]
    length: int = 16
    width: int = 128
    heads: int = 4
    depth: int = 2
    pooled_width: int = 128
    merges: tuple[str, ...] | None = None

    def tokenizer(self) -> WordTokenizer | PieceTokenizer:
        """What numbers the prompts; 0 fills up."""
        if self.merges is None:
            return WordTokenizer(tuple(self.words), self.length)
        return PieceTokenizer(tuple(self.merges), self.length)


class TextContext(NamedTuple):
    """tokens [B, L, width]; mask [B, L] bool, True where a word stands (and at the first place of an empty prompt);
    pooled [B, pooled_width].
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor


class TextEncoder(nn.Module):
    """Embedding table, learned positions, bidirectional transformer layers, masked mean."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = config.tokenizer()
        self.embedding = nn.Embedding(self.tokenizer.size, config.width)
        self.positions = nn.Parameter(torch.randn(config.length, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.pooled_out = nn.Linear(config.width, config.pooled_width)

    def forward(self, ids: Tensor) -> TextContext:
        """[B, length] int64 of the tokenizer -> context."""
        mask = ids != PAD
        mask[:, 0] = True
        x = self.embedding(ids) + self.positions
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        weight = mask.unsqueeze(-1).to(x)
        return TextContext(x, mask, self.pooled_out((x * weight).sum(1) / weight.sum(1)))

    def encode(self, prompts: list[str]) -> TextContext:
        """Prompts -> context; "" is the unconditional prompt."""
        context: TextContext = self(self.tokenizer.encode(prompts).to(self.positions.device))
        return context
