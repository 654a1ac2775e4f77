"""Multi-head attention to tokens, to words, or to both; what it reads of words can be computed once for many runs."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import attention, rms_norm


class KeysValues(NamedTuple):
    """What one attention reads of a context: keys, normalised, and values, each [B, heads, L, d]."""

    keys: Tensor
    values: Tensor


class Words(NamedTuple):
    """What a network reads of a context: of each of its attentions to it in the order in which they are run.

    layers: their keys and values. mask: [B, L] bool, True where a word stands; None for all.
    """

    layers: tuple[KeysValues, ...]
    mask: Tensor | None


class HeadNorm(nn.Module):
    """Root-mean-square norm over each head's dimension with a learned gain (qk-norm, Dehghani et al. 2023)."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] -> [..., d], unit mean square before the gain."""
        return rms_norm(x, self.weight, 1e-6)


class Attention(nn.Module):
    """Multi-head attention with qk-norm.

    With `context_width`, the context's keys and values stand in front of the tokens' own (joint attention in which the
    context is read and not rewritten: a fifth less work than carrying 16 words through every block). With
    `cross=True` only the context is attended to.

    Args:
        width: channels of the tokens.
        heads: number of heads; divides width.
        context_width: channels of the context, or None for self-attention alone.
        cross: attend to the context only.
    """

    def __init__(self, width: int, heads: int, context_width: int | None = None, *, cross: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide width {width}")
        if cross and context_width is None:
            raise ValueError("cross-attention needs a context_width")
        self.heads, self.cross = heads, cross
        self.qkv = nn.Linear(width, width if cross else 3 * width, bias=False)
        self.context_kv = nn.Linear(context_width, 2 * width, bias=False) if context_width else None
        self.norm_q, self.norm_k = HeadNorm(width // heads), HeadNorm(width // heads)
        self.out = nn.Linear(width, width, bias=False)

    def read(self, context: Tensor) -> KeysValues:
        """What it reads of a context [B, L, context_width]; `forward` takes it in the context's place, to the same bit.

        Raises:
            ValueError: it reads no context.
        """
        if self.context_kv is None:
            raise ValueError("this attention reads no context: it was made without a context_width")
        k, v = self._parts(self.context_kv(context), 2)
        return KeysValues(self.norm_k(k).transpose(1, 2), v.transpose(1, 2))

    def forward(self, x: Tensor, context: Tensor | KeysValues | None = None, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: [B, N, width].
            context: [B, L, context_width], or what `read` gave for it.
            mask: True where a key exists: [B, L] bool of the context, or without a context [B, N] of the tokens.

        Returns: [B, N, width].
        """
        q, *own = self._parts(self.qkv(x), 1 if self.cross else 3)
        theirs = self.read(context) if isinstance(context, Tensor) else context
        if self.cross:
            if theirs is None:
                raise ValueError("cross-attention was given no context")
            k, v = theirs
        else:
            k, v = self.norm_k(own[0]).transpose(1, 2), own[1].transpose(1, 2)
            if theirs is not None:
                k, v = torch.cat([theirs.keys, k], 2), torch.cat([theirs.values, v], 2)
                mask = None if mask is None else F.pad(mask, (0, x.shape[1]), value=True)
        attended = attention(self.norm_q(q).transpose(1, 2), k, v, mask=mask)
        y: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return y

    def _parts(self, x: Tensor, count: int) -> tuple[Tensor, ...]:
        """[B, N, count * width] -> count times [B, N, heads, d], all views."""
        return torch.unflatten(x, -1, (count, self.heads, -1)).unbind(2)
