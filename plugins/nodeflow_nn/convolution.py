"""Convolutional layers of U-Nets and decoders: residual block, half and double resolution, patches."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import group_norm_act


class NormAct(nn.GroupNorm):
    """GroupNorm, modulation if there is one, SiLU."""

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """silu(norm(x) * (1 + scale) + shift): [B, C, H, W], twice [B, C] or None -> [B, C, H, W]."""
        return group_norm_act(x, self.weight, self.bias, self.num_groups, eps=self.eps, scale=scale, shift=shift)


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution, twice, and a skip (DDPM); time enters as scale and shift (FiLM, ADM).

    Args:
        channels: channels in.
        out_channels: channels out; None for the same.
        time_width: channels of the time embedding; None for no time.
        groups: groups of the norms; divides both channel counts.
    """

    def __init__(
        self, channels: int, out_channels: int | None = None, time_width: int | None = None, groups: int = 8
    ) -> None:
        super().__init__()
        out_channels = out_channels or channels
        self.norm1, self.norm2 = NormAct(groups, channels), NormAct(groups, out_channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.film = nn.Linear(time_width, 2 * out_channels) if time_width else None
        self.skip = nn.Conv2d(channels, out_channels, 1) if out_channels != channels else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """[B, channels, H, W] and [B, time_width] -> [B, out_channels, H, W]."""
        film = () if self.film is None or time is None else self.film(F.silu(time)).chunk(2, 1)
        h = self.norm2(self.conv1(self.norm1(x)), *film)
        out: Tensor = self.skip(x) + self.conv2(h)
        return out


class Downsample(nn.Module):
    """Half the resolution by a strided 3x3 convolution: [B, C, H, W] -> [B, out, H / 2, W / 2]."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, out, H / 2, W / 2]."""
        h: Tensor = self.conv(x)
        return h


class Upsample(nn.Module):
    """Twice the resolution: 1x1 convolution to four sub-pixels each (a quarter of the work of nearest and 3x3)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, out, 2 H, 2 W]."""
        return F.pixel_shuffle(self.conv(x), 2)


def to_patches(x: Tensor, patch: int) -> Tensor:
    """[B, C, H, W] -> [B, (H / patch) (W / patch), C patch patch], row by row."""
    return F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2)


def from_patches(x: Tensor, patch: int, rows: int) -> Tensor:
    """The inverse of `to_patches`: [B, N, C patch patch] -> [B, C, H, W] with H = rows * patch."""
    return F.pixel_shuffle(torch.unflatten(x.transpose(1, 2), 2, (rows, -1)), patch)
