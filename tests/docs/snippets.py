"""The snippets of docs/plugins.md: each block between two marks stands there, letter by letter."""

# --- ten lines
from typing import Annotated

from pydantic import Field

from nodeflow import Image, Ui, hook, node


@node(category="colour")
def invert(image: Image, amount: Annotated[float, Field(ge=0, le=1), Ui("slider")] = 1.0) -> Image:
    """Turn a picture into its negative.

    Args:
        image: the picture or batch.
        amount: 0 leaves the picture as it is, 1 inverts it wholly.
    """
    return Image(image.pixels + amount * (1 - 2 * image.pixels))


@hook
def register_nodes():
    return [invert]


# --- end

# --- outputs
from typing import NamedTuple

import torch

from nodeflow import Mask


class Split(NamedTuple):
    bright: Mask
    dark: Mask
    share: float


@node(category="mask")
def split(image: Image, level: Annotated[float, Field(ge=0, le=1)] = 0.5) -> Split:
    """Tell the bright parts of a picture from the dark ones."""
    bright = (image.pixels.mean(1, keepdim=True) > level).float()
    return Split(Mask(bright), Mask(1 - bright), float(bright.mean()))


# --- end

# --- progress
from nodeflow import QUIET, Context, Seed


@node(category="generate")
def grow(
    size: Annotated[int, Field(ge=8, le=1024)] = 64,
    steps: Annotated[int, Field(ge=1, le=1000)] = 20,
    seed: Seed = 0,
    *,
    ctx: Context = QUIET,
) -> Image:
    """Grow a pattern from noise."""
    pattern = ctx.noise(seed, (1, 1, size, size))
    for _ in ctx.steps(range(steps), preview=lambda: Image(pattern.sigmoid())):
        spread = torch.nn.functional.avg_pool2d(pattern, 5, stride=1, padding=2)
        pattern = pattern + 0.5 * (spread - pattern).tanh()
        ctx.say(f"contrast {pattern.std():.2f}")
    return Image(pattern.sigmoid())


# --- end

# --- files
from pathlib import Path

from nodeflow import SavedFile, file_identity


@node(category="file", identity=lambda path: file_identity(path))
def read_text(path: Path, *, ctx: Context = QUIET) -> str:
    """Read a text file."""
    return ctx.read(path).read_text("utf-8")


@node(category="file", effect=True)
def write_text(text: str, name: str = "note.txt", *, ctx: Context = QUIET) -> SavedFile:
    """Write a text file below the output folder."""
    path = ctx.write(name)
    path.write_text(text, "utf-8")
    return SavedFile.at(path)


# --- end


# --- lazy
@node(category="logic", needs=lambda night: {"dark" if night else "light"})
def by_time(night: bool, light: Image | None = None, dark: Image | None = None) -> Image:
    """Take one of two pictures; the other one is never computed."""
    chosen = dark if night else light
    if chosen is None:
        raise ValueError('wire a picture into "dark"' if night else 'wire a picture into "light"')
    return chosen


# --- end

# --- recipe
from dataclasses import dataclass

from safetensors import safe_open
from safetensors.torch import load_file

from nodeflow import Composition, Model, ModelError, Recipe


@dataclass(frozen=True)
class ColourNet(Model):
    """A colour matrix in a file: the smallest model there is."""

    path: str
    digest: str

    @property
    def size(self) -> int:
        with safe_open(self.path, "pt") as file:
            return sum(4 * torch.Size(file.get_slice(name).get_shape()).numel() for name in file.keys())  # noqa: SIM118

    def build(self, device):
        weights = load_file(self.path, device=str(device))
        if set(weights) != {"matrix"}:
            raise ModelError(f"{self.path}: expected one tensor, matrix, found {', '.join(sorted(weights))}")
        return weights["matrix"]


class Painter(Recipe):
    """Loads to `(pixels [B, 3, H, W]) -> pixels`."""


@dataclass(frozen=True)
class Recoloured(Painter, Composition):
    """Multiplies colours by a model's matrix, so strongly."""

    model: ColourNet
    strength: float

    def assemble(self, load):
        matrix = load(self.model)
        return lambda pixels: torch.lerp(pixels, torch.einsum("oc,bchw->bohw", matrix, pixels), self.strength)


@node(category="colour", identity=lambda path: file_identity(path))
def load_painter(path: Path, strength: float = 1.0, *, ctx: Context = QUIET) -> Painter:
    """Describe a painter. No weights are read yet."""
    path = ctx.read(path)
    return Recoloured(ColourNet(str(path), file_identity(path)), strength)


@node(category="colour")
def paint(painter: Painter, image: Image, *, ctx: Context = QUIET) -> Image:
    """Paint a picture over."""
    return Image(ctx.load(painter)(image.pixels).clamp(0, 1))


# --- end


# --- renamed
@node(category="colour", version=2, formerly=("brush.negative",), renamed={"strength": "amount"})
def negative(image: Image, amount: float = 1.0) -> Image:
    """Turn a picture into its negative, in linear light."""
    return Image((1 - image.pixels**2.2).clamp(0, 1) ** (1 / 2.2) * amount + image.pixels * (1 - amount))


# --- end
