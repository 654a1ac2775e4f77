"""ControlNet (Zhang et al. 2023): a copy of a latent U-Net's first half that sees a picture, and adds to its skips."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow_diffusion.latent_unet import Encoder, LatentUNetConfig, Reading, Residuals

HINT_WIDTHS = (16, 32, 96, 256)
"""Channels of what reads the picture, at its full, half, quarter and eighth size."""


class ControlNet(Encoder):
    """The encoder and the middle of a U-Net, each of whose outputs goes through a 1x1 convolution.

    Those begin as zero, so that training begins with the U-Net as it was.

    Args:
        config: of the U-Net.
        hint_channels: of the pictures.
        hint_widths: of what reads them; each after the first halves their size.
    """

    def __init__(
        self, config: LatentUNetConfig, hint_channels: int = 3, hint_widths: tuple[int, ...] = HINT_WIDTHS
    ) -> None:
        super().__init__(config)
        shapes = hint_shapes(config, hint_channels, hint_widths)
        self.hint = nn.ModuleList(
            nn.Conv2d(given, width, kernel, stride=2 if at and at % 2 == 0 else 1, padding=1)
            for at, (width, given, kernel, _) in enumerate(shapes)
        )
        self.zeros = nn.ModuleList(nn.Conv2d(width, width, 1) for width in skip_widths(config))
        self.zero_middle = nn.Conv2d(config.widths[-1], config.widths[-1], 1)
        for layer in (self.hint[-1], *self.zeros, self.zero_middle):
            for value in layer.parameters():
                nn.init.zeros_(value)
        self.tell()

    def see(self, picture: Tensor) -> Tensor:
        """[B, hint_channels, H, W], 0..1 -> [B, widths[0], H / 8, W / 8]: what `forward` takes, once for all steps."""
        h = picture
        for layer in self.hint[:-1]:
            h = F.silu(layer(h))
        seen: Tensor = self.hint[-1](h)
        return seen

    def forward(
        self, x: Tensor, t: Tensor, context: Tensor | Reading, vector: Tensor | None, seen: Tensor
    ) -> Residuals:
        """What to add to the U-Net's skips and middle; arguments as `LatentUNet.forward`, and what `see` gave."""
        shifts, words = self.told(t, context, vector)
        skips, h = self.encoded(x, shifts, words, seen)
        sides = [layer(skip) for layer, skip in zip(self.zeros, skips, strict=True)]
        return (*sides, self.zero_middle(h))


def hint_shapes(
    config: LatentUNetConfig, channels: int = 3, widths: tuple[int, ...] = HINT_WIDTHS
) -> list[tuple[int, int, int, int]]:
    """Weights of the convolutions that read the picture; the third, the fifth ... of them halve it."""
    found = [(widths[0], channels, 3, 3)]
    for width, wider in pairwise(widths):
        found += [(width, width, 3, 3), (wider, width, 3, 3)]
    return [*found, (config.widths[0], widths[-1], 3, 3)]


def skip_widths(config: LatentUNetConfig) -> list[int]:
    """Channels of the skips, in the order in which the encoder makes them."""
    found, last = [config.widths[0]], len(config.widths) - 1
    for level, width in enumerate(config.widths):
        found += [width] * (config.layers + (level < last))
    return found
