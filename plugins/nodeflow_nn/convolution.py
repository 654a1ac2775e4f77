"""Convolutional layers of U-Nets and decoders: residual block, half and double resolution, patches."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, out_channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.film = nn.Linear(time_width, 2 * out_channels) if time_width else None
        self.skip = nn.Conv2d(channels, out_channels, 1) if out_channels != channels else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """[B, channels, H, W] and [B, time_width] -> [B, out_channels, H, W]."""
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        if self.film is not None and time is not None:
            scale, shift = self.film(F.silu(time))[:, :, None, None].chunk(2, 1)
            h = torch.addcmul(shift, h, 1 + scale)
        out: Tensor = self.skip(x) + self.conv2(F.silu(h))
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
