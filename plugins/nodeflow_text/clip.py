"""The two towers of CLIP (Radford et al. 2021): texts and pictures as tokens and as vectors of one space."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import attention

Activation = Literal["quick_gelu", "gelu"]
END: Final = 49407
"""The number of the token that ends a text, in the vocabulary that all published models share; 49406 begins it."""


def quick_gelu(x: Tensor) -> Tensor:
    """X sigmoid(1.702 x), the approximation of GELU that OpenAI's models were trained with."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Final[dict[Activation, Callable[[Tensor], Tensor]]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


@dataclass(frozen=True)
class ClipTextConfig:
    """vocabulary: different tokens. length: tokens of a text. width, depth, heads, hidden: of the transformer.
    activation: gelu is the erf form. projection: channels of the space shared with pictures; None: no projection.
    end: the token where the pooled vector is read.
    """

    vocabulary: int = 49408
    length: int = 77
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    activation: Activation = "quick_gelu"
    projection: int | None = None
    end: int = END


@dataclass(frozen=True)
class ClipVisionConfig:
    """side: of the square pictures in pixels. patch: side of a patch. The rest as in ClipTextConfig."""

    side: int = 224
    patch: int = 14
    width: int = 1024
    depth: int = 24
    heads: int = 16
    hidden: int = 4096
    activation: Activation = "quick_gelu"
    projection: int | None = None


class Layer(nn.Module):
    """Pre-norm transformer layer with fused queries, keys and values."""

    def __init__(self, width: int, heads: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide width {width}")
        self.heads, self.activation = heads, ACTIVATIONS[activation]
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        """[B, N, width] -> the same; causal: a token reads those before it and itself."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        x = x + self.out(attention(q, k, v, causal=causal).transpose(1, 2).flatten(2))
        y: Tensor = x + self.down(self.activation(self.up(self.norm2(x))))
        return y


class ClipText(NamedTuple):
    """tokens [B, N, width]; pooled [B, width], the end token's after all layers and the final norm; projected
    [B, projection], the pooled vector in the space of pictures, not normalised, or None.
    """

    tokens: Tensor
    pooled: Tensor
    projected: Tensor | None


class ClipTextTower(nn.Module):
    """Token and position embeddings, causal transformer, final norm, projection."""

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Parameter(torch.randn(config.length, config.width))
        self.layers = nn.ModuleList(
            Layer(config.width, config.heads, config.hidden, config.activation) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        self.projection = nn.Linear(config.width, config.projection, bias=False) if config.projection else None

    def states(self, ids: Tensor) -> list[Tensor]:
        """[B, N] int64, N up to `length` -> depth + 1 times [B, N, width]: before the first layer and after each."""
        found = [self.tokens(ids) + self.positions[: ids.shape[1]]]
        for layer in self.layers:
            found.append(layer(found[-1], causal=True))
        return found

    def forward(self, ids: Tensor, skip: int = 0, norm: bool = True) -> ClipText:
        """Texts -> tokens and pooled vector.

        Args:
            ids: [B, N] int64 with the end token in each row; the first counts.
            skip: layers at the end whose work the tokens do without ("clip skip" minus one); 1: penultimate layer.
            norm: whether the final norm is applied to the tokens, whichever layer they are of.
        """
        if not 0 <= skip <= self.config.depth:
            raise ValueError(f"skip is {skip}, but there are {self.config.depth} layers\n    skip fewer")
        states = self.states(ids)
        last = self.norm(states[-1])
        at = (ids == self.config.end).int().argmax(-1)
        pooled = last.take_along_dim(at[:, None, None], 1).squeeze(1)
        tokens = states[-1 - skip]
        if norm:
            tokens = self.norm(tokens) if skip else last
        return ClipText(tokens, pooled, None if self.projection is None else self.projection(pooled))


class ClipVision(NamedTuple):
    """tokens [B, 1 + patches, width], after all layers; pooled [B, width], the first of them after the final norm;
    projected [B, projection], the pooled vector in the space of texts, not normalised, or None.
    """

    tokens: Tensor
    pooled: Tensor
    projected: Tensor | None


class ClipVisionTower(nn.Module):
    """Patches, a class token and positions, norm, transformer, final norm, projection (a ViT)."""

    def __init__(self, config: ClipVisionConfig) -> None:
        super().__init__()
        if config.side % config.patch:
            raise ValueError(f"patches of {config.patch} pixels do not divide a side of {config.side}")
        self.config = config
        self.first = nn.Parameter(torch.randn(config.width))
        self.patches = nn.Conv2d(3, config.width, config.patch, config.patch, bias=False)
        self.positions = nn.Parameter(torch.randn(1 + (config.side // config.patch) ** 2, config.width))
        self.norm_in, self.norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.layers = nn.ModuleList(
            Layer(config.width, config.heads, config.hidden, config.activation) for _ in range(config.depth)
        )
        self.projection = nn.Linear(config.width, config.projection, bias=False) if config.projection else None

    def states(self, x: Tensor) -> list[Tensor]:
        """Pictures -> depth + 1 times [B, 1 + patches, width]: before the first layer and after each.

        Args:
            x: [B, 3, side, side], normalised with the mean and deviation that the model was trained with.
        """
        side = self.config.side
        if x.ndim != 4 or x.shape[1:] != (3, side, side):
            raise ValueError(f"pictures are {list(x.shape)}, but expected [B, 3, {side}, {side}]")
        patches = self.patches(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.first.expand(len(x), 1, -1), patches], 1) + self.positions
        found = [self.norm_in(h)]
        for layer in self.layers:
            found.append(layer(found[-1], causal=False))
        return found

    def forward(self, x: Tensor) -> ClipVision:
        """Pictures, as `states` takes them -> tokens and vectors."""
        tokens = self.states(x)[-1]
        pooled = self.norm(tokens[:, 0])
        return ClipVision(tokens, pooled, None if self.projection is None else self.projection(pooled))
