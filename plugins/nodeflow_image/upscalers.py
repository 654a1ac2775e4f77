"""ESRGAN (Wang et al. 2018): pictures made larger by residual in residual dense blocks; and Real-ESRGAN (2021)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
"""Of the leaky ReLUs, for negative numbers."""
RESIDUAL = 0.2
"""By which what a block adds is multiplied (section 3.1)."""
DENSE = 5
"""Convolutions of a dense block."""
BLOCKS = 3
"""Dense blocks of a residual in residual block."""


@dataclass(frozen=True)
class UpscalerConfig:
    """width: channels of the features. depth: residual in residual blocks. growth: channels that each convolution of a
    dense block adds. doublings: how often the features are doubled in size at the end. fold: pixels along the side of
    the squares whose pixels become channels at the beginning (Real-ESRGAN's models for small factors).
    """

    width: int = 64
    depth: int = 23
    growth: int = 32
    doublings: int = 2
    fold: int = 1

    def __post_init__(self) -> None:
        if 2**self.doublings % self.fold:
            raise ValueError(
                f"squares of {self.fold} pixels are folded, but {2**self.doublings} times their size is no multiple"
            )

    @property
    def scale(self) -> int:
        """How many times as wide, and as high, a picture becomes."""
        return int(2**self.doublings // self.fold)


class DenseBlock(nn.Module):
    """Convolutions, each of which sees all that came before it, around a skip."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        outs = [*[growth] * (DENSE - 1), width]
        self.convs = nn.ModuleList(nn.Conv2d(width + at * growth, out, 3, padding=1) for at, out in enumerate(outs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        seen = [x]
        for conv in self.convs[:-1]:
            seen.append(F.leaky_relu(conv(torch.cat(seen, 1)), SLOPE, inplace=True))
        return torch.add(x, self.convs[-1](torch.cat(seen, 1)), alpha=RESIDUAL)


class ResidualBlock(nn.Module):
    """Dense blocks one behind the other, around a skip."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.ModuleList(DenseBlock(width, growth) for _ in range(BLOCKS))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        y = x
        for block in self.dense:
            y = block(y)
        return torch.add(x, y, alpha=RESIDUAL)


class RRDBNet(nn.Module):
    """Residual in residual dense blocks at the picture's own size, then doublings, then two convolutions."""

    def __init__(self, config: UpscalerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.first = nn.Conv2d(3 * config.fold**2, width, 3, padding=1)
        self.body = nn.ModuleList(ResidualBlock(width, config.growth) for _ in range(config.depth))
        self.trunk = nn.Conv2d(width, width, 3, padding=1)
        self.ups = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(config.doublings))
        self.high = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, cells: Tensor) -> Tensor:
        """What `folded` gave, [B, 3 fold^2, h, w] -> pictures [B, 3, fold scale h, fold scale w], about 0..1."""
        h = self.first(cells)
        y = h
        for block in self.body:
            y = block(y)
        y = h + self.trunk(y)
        for up in self.ups:
            y = F.leaky_relu(up(F.interpolate(y, scale_factor=2.0, mode="nearest")), SLOPE, inplace=True)
        found: Tensor = self.last(F.leaky_relu(self.high(y), SLOPE, inplace=True))
        return found


def folded(pictures: Tensor, fold: int) -> Tensor:
    """Squares of pixels as channels: [B, 3, H, W] -> [B, 3 fold^2, ceil(H / fold), ceil(W / fold)].

    Where a side is no multiple, its last pixels are mirrored, or repeated where there are too few of them.
    """
    if fold == 1:
        return pictures
    high, wide = (-side % fold for side in pictures.shape[-2:])
    mirrored = high < pictures.shape[-2] and wide < pictures.shape[-1]
    return F.pixel_unshuffle(F.pad(pictures, (0, wide, 0, high), "reflect" if mirrored else "replicate"), fold)
