"""The convolutional autoencoder of latent diffusion: KL (Rombach et al. 2022) and VQ (Esser et al. 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nodeflow.kernels import attention, group_norm_act, vq_nearest
from nodeflow_codebooks.autoencoder import reparametrise

EPS = 1e-6


@dataclass(frozen=True)
class LatentAutoencoderConfig:
    """channels: colours. latent_channels: numbers that a cell has, of which decoder and encoder know. widths: channels
    at full, half, quarter ... resolution. layers: residual blocks a level on the way down; one more on the way up.
    attended: by level, whether an attention follows each of its residual blocks. middle: whether one stands in the
    middle. groups: of all group norms. codes, code_width: of the codebook; 0 codes make it a KL autoencoder. gumbel:
    a cell's code is the one that a convolution rates highest (its training was by Gumbel-softmax), not the nearest.
    quant, post_quant: whether a 1x1 convolution stands behind the encoder, and before the decoder.
    """

    channels: int = 3
    latent_channels: int = 4
    widths: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2
    attended: tuple[bool, ...] = (False, False, False, False)
    middle: bool = True
    groups: int = 32
    codes: int = 0
    code_width: int = 4
    gumbel: bool = False
    quant: bool = True
    post_quant: bool = True

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.attended) or not self.widths:
            raise ValueError(f"{len(self.attended)} levels are attended or not, but there are {len(self.widths)}")
        if any(width % self.groups for width in self.widths):
            raise ValueError(f"{self.groups} groups do not divide the widths {self.widths}")

    @property
    def factor(self) -> int:
        """Pixels along a side that a cell stands for."""
        return 1 << (len(self.widths) - 1)

    @property
    def space_channels(self) -> int:
        """Numbers of a cell of the space that others see: what enters `decode`."""
        return self.code_width if self.codes else self.latent_channels


class NormAct(nn.GroupNorm):
    """GroupNorm, and SiLU unless it stands before an attention."""

    def __init__(self, width: int, groups: int, *, silu: bool = True) -> None:
        super().__init__(groups, width, EPS)
        self.silu = silu

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        act = "silu" if self.silu else "none"
        return group_norm_act(x, self.weight, self.bias, self.num_groups, eps=self.eps, act=act)  # type: ignore[arg-type]


class Residual(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution, twice, and a skip."""

    def __init__(self, channels: int, width: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = NormAct(channels, groups), NormAct(width, groups)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(channels, width, 1) if channels != width else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, width, H, W]."""
        y: Tensor = self.conv2(self.norm2(self.conv1(self.norm1(x))))
        y += x if self.skip is None else self.skip(x)  # in place: no backward reads what a convolution gave
        return y


class Attention(nn.Module):
    """Attention of one head over all cells, around a skip; published layers are 1x1 convolutions or linear."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = NormAct(width, groups, silu=False)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        tokens = self.qkv(self.norm(x).permute(0, 2, 3, 1).flatten(1, 2))  # of channels-last these are views
        q, k, v = tokens[:, None].chunk(3, -1)
        y: Tensor = self.out(attention(q, k, v)[:, 0]).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        y += x
        return y


class Down(nn.Conv2d):
    """Half the resolution; of the padding that it needs, all is on the right and at the bottom."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> [B, width, H / 2, W / 2]."""
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Conv2d):
    """Twice the resolution: each cell four times, then a 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> [B, width, 2 H, 2 W]."""
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Residual blocks at one resolution, each with its attention if the level has any, and the way to the next."""

    def __init__(
        self, channels: Sequence[int], width: int, groups: int, attended: bool, resize: nn.Module | None
    ) -> None:
        super().__init__()
        self.residuals = nn.ModuleList(Residual(given, width, groups) for given in channels)
        self.attentions = nn.ModuleList(Attention(width, groups) for _ in channels if attended)
        self.resize = resize

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, width, ...]."""
        for index, residual in enumerate(self.residuals):
            x = residual(x)
            if self.attentions:
                x = self.attentions[index](x)
        return x if self.resize is None else self.resize(x)


class Middle(nn.Module):
    """Two residual blocks, an attention between them unless it was left out."""

    def __init__(self, width: int, groups: int, attended: bool) -> None:
        super().__init__()
        self.residual1 = Residual(width, width, groups)
        self.attention = Attention(width, groups) if attended else None
        self.residual2 = Residual(width, width, groups)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        h = self.residual1(x)
        y: Tensor = self.residual2(h if self.attention is None else self.attention(h))
        return y


class Encoder(nn.Module):
    """Pictures to what a cell's latents are made of: [B, channels, H, W] -> [B, out, H / factor, W / factor]."""

    def __init__(self, config: LatentAutoencoderConfig, out: int) -> None:
        super().__init__()
        widths, groups = config.widths, config.groups
        self.first = nn.Conv2d(config.channels, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            Level(
                [widths[max(at - 1, 0)], *[width] * (config.layers - 1)],
                width,
                groups,
                config.attended[at],
                Down(width) if at < len(widths) - 1 else None,
            )
            for at, width in enumerate(widths)
        )
        self.middle = Middle(widths[-1], groups, config.middle)
        self.norm = NormAct(widths[-1], groups)
        self.last = nn.Conv2d(widths[-1], out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, out, H / factor, W / factor]."""
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        for level in self.levels:
            x = level(x)
        y: Tensor = self.last(self.norm(self.middle(x)))
        return y


class Decoder(nn.Module):
    """Latents to pictures: [B, latent_channels, h, w] -> [B, channels, factor h, factor w]; the deepest level first."""

    def __init__(self, config: LatentAutoencoderConfig) -> None:
        super().__init__()
        widths, groups = config.widths[::-1], config.groups
        self.first = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.middle = Middle(widths[0], groups, config.middle)
        self.levels = nn.ModuleList(
            Level(
                [widths[max(at - 1, 0)], *[width] * config.layers],
                width,
                groups,
                config.attended[-1 - at],
                Up(width) if at < len(widths) - 1 else None,
            )
            for at, width in enumerate(widths)
        )
        self.norm = NormAct(widths[-1], groups)
        self.last = nn.Conv2d(widths[-1], config.channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, latent_channels, h, w] -> [B, channels, factor h, factor w]."""
        x = self.middle(self.first(x.contiguous(memory_format=torch.channels_last)))
        for level in self.levels:
            x = level(x)
        y: Tensor = self.last(self.norm(x))
        return y


class LatentAutoencoder(nn.Module):
    """Encoder and decoder with what stands between them. Pictures here are in -1..1; latents are not scaled."""

    def __init__(self, config: LatentAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        out, inner = config.latent_channels * (1 if config.codes else 2), config.space_channels
        self.encoder, self.decoder = Encoder(config, out), Decoder(config)
        given = inner if config.codes else 2 * inner
        self.quant = nn.Conv2d(out, given, 1) if config.quant else None
        self.post_quant = nn.Conv2d(inner, config.latent_channels, 1) if config.post_quant else None
        self.codebook = nn.Embedding(config.codes, config.code_width) if config.codes else None
        self.rate = nn.Conv2d(config.code_width, config.codes, 1) if config.gumbel else None

    def moments(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and log-variance of the latents; of a VQ autoencoder what will be quantised, and None.

        pictures: [B, channels, H, W]. Returns [B, space_channels, H / factor, W / factor] each; the log-variance is
        held within -30..20 (LDM).
        """
        h = self.encoder(pictures)
        if self.quant is not None:
            h = self.quant(h)
        if self.codebook is not None:
            return h, None
        mean, log_variance = h.chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def encode(self, pictures: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents: their mean, or drawn with standard normal noise of their shape.

        Raises:
            ValueError: noise for a VQ autoencoder, which draws nothing.
        """
        mean, log_variance = self.moments(pictures)
        if noise is None:
            return mean
        if log_variance is None:
            raise ValueError("a VQ autoencoder has one latent for each picture\n    leave out what it is drawn with")
        return reparametrise(mean, log_variance, noise.to(mean))

    def codes(self, latents: Tensor) -> Tensor:
        """[B, code_width, h, w] -> the nearest codes, or those that are rated highest, int64 [B, h, w]."""
        assert self.codebook is not None
        if self.rate is not None:
            rated: Tensor = self.rate(latents)
            return rated.argmax(1)
        return vq_nearest(latents.movedim(1, -1), self.codebook.weight)

    def decode(self, latents: Tensor) -> Tensor:
        """[B, space_channels, h, w] -> pictures [B, channels, factor h, factor w]; a VQ autoencoder quantises first."""
        if self.codebook is not None:
            return self.decode_codes(self.codes(latents))
        return self.pictures(latents)

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> pictures [B, channels, factor h, factor w]."""
        return self.pictures(self.looked_up(codes))

    def looked_up(self, codes: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> what stands for them in the codebook, [B, code_width, h, w]."""
        assert self.codebook is not None
        found: Tensor = self.codebook(codes).movedim(-1, 1)
        return found

    def pictures(self, latents: Tensor) -> Tensor:
        """Latents as they are [B, space_channels, h, w] -> pictures [B, channels, factor h, factor w]."""
        if self.post_quant is not None:
            latents = self.post_quant(latents)
        y: Tensor = self.decoder(latents)
        return y
