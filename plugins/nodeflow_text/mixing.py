"""Texts between texts: linear mixtures of embeddings."""

import torch
from torch import Tensor
from torch.nn import functional as F


def mixed(first: Tensor, second: Tensor, amounts: Tensor) -> Tensor:
    """The sums first + amount (second - first) for each of `amounts` [N]: [1, ...] and [1, ...] -> [N, ...]."""
    return torch.lerp(first, second, amounts.to(first).reshape(-1, *[1] * (first.dim() - 1)))


def lengthened(tokens: Tensor, mask: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The tokens [B, L, D] and mask [B, L] with places added that nobody reads, up to `length`."""
    more = length - mask.shape[1]
    return F.pad(tokens, (0, 0, 0, more)), F.pad(mask, (0, more))
