"""The tensors of a latent U-Net, told from its config alone: to judge a checkpoint no module is made."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

from nodeflow_diffusion.latent_unet import LatentUNetConfig, levels

Shape = tuple[int, ...]
MOST = 2000
"""Blocks; Stable Diffusion XL has 90. A config.json from a stranger could ask for any number."""


class Shaped(Protocol):
    """A latent U-Net or its first half: the module, or its outline. whole: whether it has a way up."""

    @property
    def config(self) -> LatentUNetConfig:
        """Of the whole U-Net."""

    @property
    def whole(self) -> bool:
        """A ControlNet is not."""


class Block(NamedTuple):
    """A residual block, a transformer, or a convolution on the way to the next level.

    level, place: where on its side of the U; on the way up level 0 is the deepest. channels: what a residual block is
    given. width: what it gives. depth: transformer blocks of each stage of that level.
    """

    kind: Literal["residual", "transformer", "resize"]
    side: Literal["down", "middle", "up"]
    level: int
    place: int
    channels: int
    width: int
    depth: int

    @property
    def ours(self) -> str:
        """Its name in our module."""
        if self.side == "middle":
            return f"middle.{self.kind}{self.place + 1 if self.kind == 'residual' else ''}"
        if self.kind == "resize":
            return f"{self.side}.{self.level}.resize"
        return f"{self.side}.{self.level}.stages.{self.place}.{self.kind}"


@dataclass(frozen=True)
class Outline:
    """What can be said of a latent U-Net, or of its first half, before it is made.

    Raises:
        ValueError: no such module can be made.
    """

    config: LatentUNetConfig
    whole: bool = True

    def __post_init__(self) -> None:
        config = self.config
        if any(width % config.groups for width in config.widths):
            raise ValueError(f"{config.groups} groups do not divide the widths {config.widths}")
        depths = (*config.depths[:-1], config.depths[-1] + config.middle_depth)  # the middle has the heads of the last
        for width, heads, depth in zip(config.widths, config.heads, depths, strict=True):
            if depth and width % heads:
                raise ValueError(f"{heads} heads do not divide width {width}")
        count = 2 * sum(max(depth, 0) + 1 for depth in config.depths) * (config.layers + 1) + config.middle_depth
        if count > MOST:
            raise ValueError(f"it would have some {count:,} blocks, and at most {MOST:,} are made")

    @classmethod
    def of(cls, unet: Shaped) -> "Outline":
        """That of a module; an outline is its own."""
        return unet if isinstance(unet, cls) else cls(unet.config, unet.whole)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All of them, in the order in which they run."""
        config = self.config
        down, up = levels(config)
        last, width = len(config.widths) - 1, config.widths[-1]
        found = [*_way("down", down, config)]
        found.append(Block("residual", "middle", last, 0, width, width, config.middle_depth))
        found.append(Block("transformer", "middle", last, 0, width, width, config.middle_depth))
        found.append(Block("residual", "middle", last, 1, width, width, config.middle_depth))
        return (*found, *(_way("up", up, config) if self.whole else ()))

    @cached_property
    def shift_widths(self) -> list[int]:
        """Rows of `times` that each residual block reads."""
        return [block.width for block in self.blocks if block.kind == "residual"]

    @cached_property
    def reader_widths(self) -> list[int]:
        """Of each transformer block: rows of `words` that its keys take, and as many its values."""
        return [block.width for block in self.blocks if block.kind == "transformer" for _ in range(block.depth)]

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """By name, of all tensors of the module."""
        config, found = self.config, dict[str, Shape]()
        first, time = config.widths[0], 4 * config.widths[0]

        def layer(name: str, *shape: int, bias: bool = True) -> None:
            found[f"{name}.weight"] = shape
            if bias:
                found[f"{name}.bias"] = shape[:1]

        for name, width in (("time", first), ("vector", config.vector_width)):
            if width:
                layer(f"{name}.0", time, width)
                layer(f"{name}.2", time, time)
        layer("first", first, config.channels_in, 3, 3)
        for block in self.blocks:
            for part, shape, biased in _parts(block):
                layer(block.ours + part, *shape, bias=biased)
        if self.whole:
            layer("norm", first)
            layer("last", config.channels_out, first, 3, 3)
        layer("times", sum(self.shift_widths), time)
        layer("words", 2 * sum(self.reader_widths), config.context_width, bias=False)
        return found


def _way(side: Literal["down", "up"], channels: list[list[int]], config: LatentUNetConfig) -> Iterator[Block]:
    last = len(channels) - 1
    for place, given in enumerate(channels):
        level = place if side == "down" else last - place
        width, depth = config.widths[level], config.depths[level]
        for index, entering in enumerate(given):
            yield Block("residual", side, place, index, entering, width, depth)
            if depth:
                yield Block("transformer", side, place, index, width, width, depth)
        if place < last:
            yield Block("resize", side, place, 0, width, width, depth)


def _parts(block: Block) -> Iterator[tuple[str, Shape, bool]]:
    """Layers of a block: what follows its name, the weight's shape, and whether there is a bias."""
    width, given = block.width, block.channels
    if block.kind == "resize":
        yield "", (width, width, 3, 3), True
    elif block.kind == "residual":
        yield ".norm1", (given,), True
        yield ".norm2", (width,), True
        yield ".conv1", (width, given, 3, 3), True
        yield ".conv2", (width, width, 3, 3), True
        if given != width:
            yield ".skip", (width, given, 1, 1), True
    else:
        yield ".norm", (width,), True
        yield ".proj_in", (width, width), True
        yield ".proj_out", (width, width), True
        for index in range(block.depth):
            for part, shape, biased in _of_transformer(width):
                yield f".blocks.{index}.{part}", shape, biased


def _of_transformer(width: int) -> tuple[tuple[str, Shape, bool], ...]:
    square = (width, width)
    return (
        ("norm1", (width,), True), ("norm2", (width,), True), ("norm3", (width,), True),
        ("qkv", (3 * width, width), False), ("out", square, True),
        ("words_q", square, False), ("words_out", square, True),
        ("mlp_in", (8 * width, width), True), ("mlp_out", (width, 4 * width), True),
    )  # fmt: skip
