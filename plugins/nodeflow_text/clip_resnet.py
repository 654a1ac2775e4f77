"""CLIP's other vision tower: a ResNet whose strides are average pools, ended by an attention (Radford et al. 2021)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import attention
from nodeflow_text.clip import ClipVision


@dataclass(frozen=True)
class ClipResNetConfig:
    """side: of the square pictures in pixels. width: channels behind the stem; 32 times as many leave the last layer.
    layers: bottlenecks of each of the four. heads: of the attention that pools. projection: channels of the space that
    texts share.
    """

    side: int = 224
    width: int = 64
    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    heads: int = 32
    projection: int = 1024


class Norm(nn.Module):
    """Batch normalisation with the statistics of its training, which are weights here."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for name in ("weight", "bias", "mean", "variance"):
            self.register_parameter(name, nn.Parameter(torch.ones(width)))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias)  # type: ignore[arg-type]


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 around a skip; before the last one, and before the skip's, an average pool strides."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1, self.norm1 = nn.Conv2d(channels, width, 1, bias=False), Norm(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), Norm(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), Norm(4 * width)
        skips = stride > 1 or channels != 4 * width
        self.skip = nn.Conv2d(channels, 4 * width, 1, bias=False) if skips else None
        self.skip_norm = Norm(4 * width) if skips else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, 4 width, H / stride, W / stride]."""
        h = F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))
        if self.stride > 1:
            h, x = F.avg_pool2d(h, self.stride), F.avg_pool2d(x, self.stride)
        h = self.norm3(self.conv3(h))
        if self.skip is not None and self.skip_norm is not None:
            x = self.skip_norm(self.skip(x))
        return F.relu(h + x)


class AttentionPool(nn.Module):
    """The mean of all cells asks them and itself what to look at."""

    def __init__(self, cells: int, width: int, heads: int, projection: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide width {width}")
        self.heads = heads
        self.positions = nn.Parameter(torch.randn(1 + cells, width))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, projection)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, width, H, W] -> the cells behind their mean [B, 1 + H W, width], and the vector [B, projection]."""
        cells = x.flatten(2).transpose(1, 2)
        cells = torch.cat([cells.mean(1, keepdim=True), cells], 1) + self.positions
        q, k, v = self.qkv(cells).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return cells, self.out(attention(q[:, :, :1], k, v).transpose(1, 2).flatten(1))


class ClipResNetTower(nn.Module):
    """A stem of three convolutions, four layers of bottlenecks, and the attention that pools."""

    def __init__(self, config: ClipResNetConfig) -> None:
        super().__init__()
        if config.side % 32:
            raise ValueError(f"32 does not divide a side of {config.side}")
        self.config = config
        width, half = config.width, config.width // 2
        self.conv1, self.norm1 = nn.Conv2d(3, half, 3, 2, 1, bias=False), Norm(half)
        self.conv2, self.norm2 = nn.Conv2d(half, half, 3, padding=1, bias=False), Norm(half)
        self.conv3, self.norm3 = nn.Conv2d(half, width, 3, padding=1, bias=False), Norm(width)
        channels, layers = width, list[nn.Module]()
        for level, count in enumerate(config.layers):
            wide = width << level
            blocks = [Bottleneck(channels, wide, 2 if level else 1)]
            blocks += [Bottleneck(4 * wide, wide, 1) for _ in range(count - 1)]
            layers.append(nn.Sequential(*blocks))
            channels = 4 * wide
        self.layers = nn.ModuleList(layers)
        self.pool = AttentionPool((config.side // 32) ** 2, channels, config.heads, config.projection)

    def forward(self, x: Tensor) -> ClipVision:
        """Pictures [B, 3, side, side], normalised as the model was trained -> tokens and vectors.

        The tokens [B, 1 + cells, 32 width] are the cells behind their mean, with positions; pooled and projected vector
        are one: the pool projects.
        """
        side = self.config.side
        if x.ndim != 4 or x.shape[1:] != (3, side, side):
            raise ValueError(f"pictures are {list(x.shape)}, but expected [B, 3, {side}, {side}]")
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2), (self.conv3, self.norm3)):
            x = F.relu(norm(conv(x)))
        x = F.avg_pool2d(x, 2)
        for layer in self.layers:
            x = layer(x)
        tokens, vector = self.pool(x)
        return ClipVision(tokens, vector, vector)
