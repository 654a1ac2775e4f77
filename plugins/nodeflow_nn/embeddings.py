"""Embeddings of times and places by sines and cosines."""

import math

import torch
from torch import Tensor, nn


def timestep_embedding(t: Tensor, width: int, *, max_period: float = 10000.0) -> Tensor:
    """Sinusoidal embedding of a time (Vaswani et al. 2017, section 3.5; DDPM, appendix B).

    Args:
        t: [B] times, about 0..1000.
        width: channels of the embedding; even.
        max_period: longest period.

    Returns: [B, width] float32: cosines, then sines.
    """
    half = width // 2
    frequencies = torch.exp(-math.log(max_period) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], -1)


def grid_positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed 2-D sine positions: half the channels for the row, half for the column (DiT, MAE).

    Returns: [rows * columns, width] float32, row by row.
    """
    if width % 4:
        raise ValueError(f"2-D positions need a width divisible by 4, not {width}")
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.cat([timestep_embedding(part.flatten(), width // 2) for part in (y, x)], -1)


class TimeEmbedding(nn.Module):
    """Sinusoid, then a two-layer perceptron with SiLU (DDPM).

    Args:
        width: channels out.
        frequencies: channels of the sinusoid.
        scale: what t is multiplied with first, so that a time in 0..1 spreads over the sinusoid's periods.
    """

    def __init__(self, width: int, *, frequencies: int = 128, scale: float = 1000.0) -> None:
        super().__init__()
        self.frequencies, self.scale = frequencies, scale
        self.mlp = nn.Sequential(nn.Linear(frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        """[B] -> [B, width]."""
        sinusoid = timestep_embedding(t * self.scale, self.frequencies)
        embedding: Tensor = self.mlp(sinusoid.to(next(self.mlp.parameters()).dtype))
        return embedding
