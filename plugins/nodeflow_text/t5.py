"""The encoder of T5 (Raffel et al. 2020) and of its version 1.1 (Shazeer 2020): texts as tokens."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import attention, rms_norm

EPS = 1e-6


@dataclass(frozen=True)
class T5Config:
    """vocabulary: different tokens. width: channels of the tokens. heads, head_width: of the attention, whose inner
    width need not be that of the tokens. hidden, depth: of the layers. gated: v1.1's perceptron, a tanh-GELU gate;
    otherwise v1.0's ReLU. buckets, distance: of the relative positions; beyond the distance all are one.
    """

    vocabulary: int = 32128
    width: int = 4096
    heads: int = 64
    head_width: int = 64
    hidden: int = 10240
    depth: int = 24
    gated: bool = True
    buckets: int = 32
    distance: int = 128


class T5Norm(nn.Module):
    """Root-mean-square norm with a gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] float32 -> the same in the gain's type."""
        return rms_norm(x, self.weight.to(x.dtype), EPS).to(self.weight.dtype)


class T5Layer(nn.Module):
    """Attention without a scale, then the perceptron, each after a norm; what is added to is kept in float32.

    In float16 the sums of the larger models exceed its 65,504, and the perceptron's result alone may: its rows are
    brought to at most 1 by a power of two, and back in float32.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        inner = config.heads * config.head_width
        self.heads, self.gated = config.heads, config.gated
        self.norm1, self.norm2 = T5Norm(config.width), T5Norm(config.width)
        self.qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, config.width, bias=False)
        self.up = nn.Linear(config.width, (2 if config.gated else 1) * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
        """[B, N, width] float32, [1, heads, N, N], [B, N] bool or None -> [B, N, width] float32."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        attended = attention(q, k, v, bias=bias, mask=mask, scale=1.0).transpose(1, 2).flatten(2)
        x = x + scaled(self.out, attended)
        h = self.up(self.norm2(x))
        if self.gated:
            gate, h = h.float().chunk(2, -1)
            h = F.gelu(gate, approximate="tanh") * h
        else:
            h = F.relu(h)
        return x + scaled(self.down, h)


def scaled(linear: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer without bias, of any type, whose result is float32 and does not overflow in float16."""
    if linear.weight.dtype != torch.float16:
        y: Tensor = linear(x.to(linear.weight.dtype))
        return y.float()
    x = x.float()
    size = torch.exp2(x.abs().amax(-1, keepdim=True).clamp_min(2.0**-24).log2().ceil())
    small: Tensor = linear((x / size).half())
    return small.float() * size


class T5Encoder(nn.Module):
    """Token embedding, layers that share one table of relative positions, final norm."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.buckets, config.heads)
        self.layers = nn.ModuleList(T5Layer(config) for _ in range(config.depth))
        self.norm = T5Norm(config.width)

    def states(self, ids: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """As `forward`, depth + 1 times [B, N, width] float32: before the first layer and after each, unnormalised."""
        count = ids.shape[1]
        places = torch.arange(count, device=ids.device)
        near = buckets(places[None, :] - places[:, None], self.config.buckets, self.config.distance)
        bias = self.positions(near).permute(2, 0, 1)[None]
        found = [self.tokens(ids).float()]
        for layer in self.layers:
            found.append(layer(found[-1], bias, mask))
        return found

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Texts -> tokens.

        Args:
            ids: [B, N] int64.
            mask: [B, N] bool, True where a token stands; others are not read, but have results all the same.

        Returns: [B, N, width] in the type of the weights.
        """
        tokens: Tensor = self.norm(self.states(ids, mask)[-1])
        return tokens


def buckets(offset: Tensor, count: int, distance: int) -> Tensor:
    """Relative positions by number (Raffel et al. 2020, section 2.1): near ones each its own, far ones by logarithm.

    Args:
        offset: int64, place of the key minus place of the query.
        count: buckets; the first half is for keys before the query, the second for those after it.
        distance: from where on all are one.

    Returns: int64 0..count - 1, of offset's shape.
    """
    half, exact = count // 2, count // 4
    far = offset.abs()
    steps = torch.log(far.clamp_min(1).float() / exact) / math.log(distance / exact) * (half - exact)
    number = torch.where(far < exact, far, (exact + steps.long()).clamp_max(half - 1))
    return number + half * (offset > 0)
