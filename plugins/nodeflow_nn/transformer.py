"""Transformer blocks: pre-norm, ReLU perceptron, and the adaptive form of DiT.

ReLU because on a CPU it costs 1 ms where erf-GELU costs 2-5 and tanh-GELU 10-30, at equal loss.
"""

import torch
from torch import Tensor, nn

from nodeflow.kernels import layer_norm_modulate
from nodeflow_nn.attention import Attention, KeysValues

EPS = 1e-5
"""Added to the variance by norms, as `torch.nn.LayerNorm` does it."""


def mlp(width: int, ratio: int = 4) -> nn.Sequential:
    """Two linear layers with a ReLU between: width -> ratio * width -> width; the last weight begins at 0."""
    first, last = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)
    nn.init.zeros_(last.weight)
    return nn.Sequential(first, nn.ReLU(), last)


class Block(nn.Module):
    """Pre-norm transformer block (Xiong et al. 2020): x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        width: channels of the tokens.
        heads: attention heads.
        ratio: widening of the perceptron.
    """

    def __init__(self, width: int, heads: int, ratio: int = 4) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = mlp(width, ratio)
        nn.init.zeros_(self.attention.out.weight)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, N, width] -> [B, N, width]; mask [B, N] bool, True where a token exists."""
        x = x + self.attention(self.norm1(x), mask=mask)
        residual: Tensor = self.mlp(self.norm2(x))
        return x + residual


class AdaptiveBlock(nn.Module):
    """DiT block whose six modulations are shared by all blocks, plus a table of its own (adaLN-single, PixArt-alpha).

    Args:
        width: channels of the tokens.
        heads: attention heads.
        context_width: channels of the words, read as extra keys and values; None for none.
        ratio: widening of the perceptron.
    """

    def __init__(self, width: int, heads: int, context_width: int | None = None, ratio: int = 4) -> None:
        super().__init__()
        self.attention = Attention(width, heads, context_width)
        self.mlp = mlp(width, ratio)
        self.table = nn.Parameter(torch.tensor([0.0, 0, 1, 0, 0, 1])[:, None].repeat(1, width))
        nn.init.zeros_(self.attention.out.weight)

    def forward(
        self, x: Tensor, modulation: Tensor, context: Tensor | KeysValues | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """One block.

        Args:
            x: [B, N, width] tokens.
            modulation: [B, 6, width]: shift, scale, gate of attention; shift, scale, gate of the perceptron.
            context: [B, L, context_width] words, or what the attention's `read` gave for them.
            mask: [B, L] bool, True where a word stands.

        Returns: [B, N, width].
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.table).unbind(1)
        attended = self.attention(layer_norm_modulate(x, None, scale1, shift1, EPS), context, mask)
        x = torch.addcmul(x, gate1.unsqueeze(1), attended)
        return torch.addcmul(x, gate2.unsqueeze(1), self.mlp(layer_norm_modulate(x, None, scale2, shift2, EPS)))
