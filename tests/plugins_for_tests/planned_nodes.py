"""Nodes and a model for the tests of planning: layers whose cost is known by heart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nodeflow import QUIET, Context, Image, Model, SavedFile, node

READ: list[str] = []
"""The models whose weights were read."""


@dataclass(frozen=True)
class Layers(Model):
    """A linear layer without a bias, width -> width."""

    name: str
    width: int = 8

    @property
    def size(self) -> int:
        return 4 * self.width * self.width

    def build(self, device: Any) -> nn.Module:
        READ.append(self.name)
        return nn.Linear(self.width, self.width, bias=False).to(device).requires_grad_(False)

    def lay_out(self) -> nn.Module:
        return nn.Linear(self.width, self.width, bias=False, device="meta").eval().requires_grad_(False)


@dataclass(frozen=True)
class Opaque(Layers):
    """One that cannot be laid out."""

    def lay_out(self) -> nn.Module:
        raise NotImplementedError


@node(category="planned")
def model(name: str = "a", width: int = 8, opaque: bool = False) -> Layers:
    """Choose a model."""
    return (Opaque if opaque else Layers)(name, width)


@node(category="planned")
def picture(width: int = 8, height: int = 8, known: bool = True) -> Image:
    """A picture; a large one of shapes alone."""
    side = 1 if known else 1024
    pixels = torch.zeros(1, 3, height * side, width * side)
    return Image(pixels if known else torch.nn.functional.avg_pool2d(pixels + 1, side))


@node(category="planned")
def apply(model: Layers, image: Image, times: int = 1, *, ctx: Context = QUIET) -> Image:
    """Apply a layer to the rows of a picture, several times."""
    layer, pixels = ctx.load(model), image.pixels
    for _ in ctx.steps(range(times)):
        pixels = layer(pixels)
    return Image(pixels)


@node(category="planned")
def twice(first: Layers, second: Layers, image: Image, *, ctx: Context = QUIET) -> Image:
    """Apply two layers."""
    return Image(ctx.load(second)(ctx.load(first)(image.pixels)))


@node(category="planned")
def chain(image: Image) -> Image:
    """Three steps, of which at most three results are alive: the input, one and its successor."""
    a = image.pixels + 1
    b = a * 2
    del a
    return Image(b - 1)


@node(category="planned")
def add(first: Image, second: Image) -> Image:
    """Add pictures of one size."""
    return Image(first.pixels + second.pixels)


@node(category="planned")
def strict(first: Image, second: Image) -> Image:
    """Compare sizes by hand."""
    if first.pixels.shape[-2:] != second.pixels.shape[-2:]:
        raise ValueError("they differ in size\n    resize one of them")
    return first


@node(category="planned")
def brightest(image: Image) -> float:
    """Read a pixel."""
    return float(image.pixels.max())


@node(category="planned")
def through_numpy(image: Image) -> Image:
    """Leave torch, and hide what goes wrong."""
    try:
        return Image(torch.from_numpy(image.pixels.numpy()))
    except Exception:
        return image


@node(category="planned")
def painted(image: Image) -> Image:
    """Write a picture into a known one, and read it again as a list."""
    sheet = torch.zeros(1, 3, 8, 8)
    sheet[:] = image.pixels
    return Image(torch.tensor(sheet.tolist()))


def _chosen(level: float) -> list[str]:
    return ["first"] if level > 0 else ["second"]


@node(category="planned", needs=_chosen)
def choose(level: float = 1.0, first: Image | None = None, second: Image | None = None) -> Image:
    """Pass one on."""
    found = first if level > 0 else second
    assert found is not None
    return found


@node(category="planned", effect=True)
def keep(image: Image, name: str = "x", *, ctx: Context = QUIET) -> SavedFile:
    """Write a file."""
    path = ctx.write(name)
    path.write_text(str(image.pixels.sum()))
    return SavedFile.at(path)


@node(category="planned")
def read_file(path: Path, *, ctx: Context = QUIET) -> str:
    """Read a file."""
    return ctx.read(path).read_text()


@node(category="planned")
def number(x: int = 1) -> int:
    """A number."""
    return x


@node(category="planned")
def in_place(image: Image) -> Image:
    """Change what belongs to somebody else."""
    image.pixels.add_(1)
    return image
