"""What published ESRGANs call their tensors, and which one a checkpoint holds: tables."""

from collections.abc import Mapping
from itertools import count, takewhile
from typing import Final, Literal, NamedTuple

from nodeflow_nn.published import Shape

from nodeflow_image.upscalers import BLOCKS, DENSE, UpscalerConfig

Layout = Literal["numbered", "named", "basicsr"]
"""numbered: of the first release, whose layers are counted. named: of the second. basicsr: of Real-ESRGAN's library."""
PREFIXES: Final = ("", "params_ema.", "params.", "module.")
"""What may stand before the names."""
FOLDS: Final = {3: 1, 12: 2, 48: 4}
"""By channels that the first convolution takes: side of the squares whose pixels they are."""
LAST: Final = 20
"""A number of a layer that none has; that of 16 times has 16 as its last."""
OTHERS: Final = (
    ("body.1.weight", "a compact one (SRVGGNet), which is not read"),
    ("layers.0.residual_group.blocks.0.norm1.weight", "a SwinIR, which is not read"),
    ("model.1.sub.0.RDB1.conv1x1.weight", "an ESRGAN+, which is not read"),
)
"""Tensors of what is something else."""


class Names(NamedTuple):
    """Of a layout. block: a convolution of block N, dense block D and place C, both from 1."""

    first: str
    block: str
    trunk: str
    ups: str
    high: str
    last: str


NAMES: Final[dict[Layout, Names]] = {
    # what stands in braces is told by how many blocks and doublings there are
    "numbered": Names(
        "model.0", "model.1.sub.{N}.RDB{D}.conv{C}.0", "model.1.sub.{depth}", "model.{up}", "model.{high}",
        "model.{last}",
    ),
    "named": Names(
        "conv_first", "RRDB_trunk.{N}.RDB{D}.conv{C}", "trunk_conv", "upconv{place}", "HRconv", "conv_last"
    ),
    "basicsr": Names("conv_first", "body.{N}.rdb{D}.conv{C}", "conv_body", "conv_up{place}", "conv_hr", "conv_last"),
}  # fmt: skip


class Found(NamedTuple):
    """What a checkpoint holds. prefix: of its names."""

    config: UpscalerConfig
    layout: Layout
    prefix: str


def detect(shapes: Mapping[str, Shape]) -> Found:
    """Which ESRGAN it is, from names and shapes.

    Raises:
        ValueError: there is none among these, or one that ours is not; with what was found.
    """
    for prefix in PREFIXES:
        for layout, names in NAMES.items():
            marks = (names.first, names.block.format(N=0, D=1, C=1))
            first, dense = (shapes.get(f"{prefix}{mark}.weight", ()) for mark in marks)
            if len(first) == len(dense) == 4:
                return Found(_config(shapes, prefix, layout, first, dense[0]), layout, prefix)
    other = next((what for name, what in OTHERS if any(key.endswith(name) for key in shapes)), "")
    some = other or f"its {len(shapes)} tensors are {', '.join(sorted(shapes)[:4])}, ..."
    raise ValueError(
        f'this is no ESRGAN: {some}\n    expected names as "model.1.sub.0.RDB1.conv1.0.weight" or '
        '"body.0.rdb1.conv1.weight": name another file'
    )


def _config(shapes: Mapping[str, Shape], prefix: str, layout: Layout, first: Shape, growth: int) -> UpscalerConfig:
    names = NAMES[layout]
    block = f"{prefix}{names.block}.weight"
    depth = sum(1 for _ in takewhile(lambda at: block.format(N=at, D=1, C=1) in shapes, count()))
    up = f"{prefix}{names.ups}.weight"
    if layout == "numbered":  # each doubling takes three numbers: itself, its convolution, its ReLU
        last = max(at for at in range(LAST) if up.format(up=at) in shapes)
        doublings = max(0, (last - 4) // 3)
    else:
        doublings = sum(1 for _ in takewhile(lambda at: up.format(place=at + 1) in shapes, count()))
    if first[1] not in FOLDS:
        raise ValueError(
            f"it is for pictures of another kind: its first convolution takes {first[1]} channels, but expected "
            f"{', '.join(map(str, FOLDS))}\n    name an upscaler for pictures in colour"
        )
    return UpscalerConfig(first[0], depth, growth, doublings, FOLDS[first[1]])


def shapes_of(config: UpscalerConfig) -> dict[str, Shape]:
    """Of the tensors of an `RRDBNet`, by name, without the module."""
    width, growth = config.width, config.growth
    layers: dict[str, Shape] = {"first": (width, 3 * config.fold**2, 3, 3)}
    for at in range(config.depth):
        for dense in range(BLOCKS):
            for place in range(DENSE):
                out = width if place == DENSE - 1 else growth
                layers[f"body.{at}.dense.{dense}.convs.{place}"] = (out, width + place * growth, 3, 3)
    for name in ("trunk", *(f"ups.{at}" for at in range(config.doublings)), "high"):
        layers[name] = (width, width, 3, 3)
    layers["last"] = (3, width, 3, 3)
    found: dict[str, Shape] = {}
    for name, shape in layers.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found


def sources(found: Found) -> dict[str, tuple[str, ...]]:
    """For each tensor of ours that of the checkpoint."""
    config, names = found.config, NAMES[found.layout]
    after = 2 + 3 * config.doublings
    layers = {"first": names.first, "trunk": names.trunk.format(depth=config.depth)}
    for at in range(config.depth):
        for dense in range(BLOCKS):
            for place in range(DENSE):
                ours = f"body.{at}.dense.{dense}.convs.{place}"
                layers[ours] = names.block.format(N=at, D=dense + 1, C=place + 1)
    for at in range(config.doublings):
        layers[f"ups.{at}"] = names.ups.format(up=3 + 3 * at, place=at + 1)
    layers |= {"high": names.high.format(high=after), "last": names.last.format(last=after + 2)}
    return {
        f"{ours}.{leaf}": (f"{found.prefix}{theirs}.{leaf}",)
        for ours, theirs in layers.items()
        for leaf in ("weight", "bias")
    }
