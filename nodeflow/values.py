"""What travels on wires: data that is computed, and recipes for models.

Data holds tensors and is cached. A recipe is a frozen description of a model, or of a composition of models; it
holds no weights, so it costs nothing to pass along, compare, or make a copy of with one part changed.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Load = Callable[["Recipe"], Any]
"""Turns a recipe into its loaded, callable form."""


def _expect(value: Any, name: str, ndim: int, letters: str) -> None:
    found = getattr(value, "ndim", None)
    if found != ndim:
        shape = tuple(value.shape) if found is not None else type(value).__name__
        raise ValueError(f"{name} must be a tensor of {ndim} dimensions [{letters}], not {shape}")


@dataclass(frozen=True, eq=False)
class Image:
    """Pictures. `pixels` is float32 [B, C, H, W] in 0..1; C is 1 (grey), 3 (RGB) or 4 (RGBA)."""

    pixels: Tensor

    def __post_init__(self) -> None:
        _expect(self.pixels, "Image.pixels", 4, "B, C, H, W")
        if self.pixels.shape[1] not in (1, 3, 4):
            raise ValueError(f"Image.pixels must have 1, 3 or 4 channels, not {self.pixels.shape[1]}")


@dataclass(frozen=True, eq=False)
class Mask:
    """Where something applies. `coverage` is float32 [B, 1, H, W] in 0..1; 1 is wholly covered."""

    coverage: Tensor

    def __post_init__(self) -> None:
        _expect(self.coverage, "Mask.coverage", 4, "B, 1, H, W")
        if self.coverage.shape[1] != 1:
            raise ValueError(f"Mask.coverage must have 1 channel, not {self.coverage.shape[1]}")


@dataclass(frozen=True)
class LatentSpace:
    """The space that an encoder, a denoiser and a decoder share: latents of one are refused by another.

    `factor` is pixels per latent cell along each side; `channels` is the depth of a cell; `side` is the side in pixels
    of the pictures that its decoder knows, if it knows no others (two spaces do not differ by it).
    """

    name: str
    channels: int
    factor: int
    side: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Latent:
    """Samples [B, C, H, W] of unit variance, and the space they live in."""

    samples: Tensor
    space: LatentSpace

    def __post_init__(self) -> None:
        _expect(self.samples, "Latent.samples", 4, "B, C, H, W")
        if self.samples.shape[1] != self.space.channels:
            found, wanted = self.samples.shape[1], self.space.channels
            raise ValueError(f"Latent.samples has {found} channels, but space {self.space} has {wanted}")


@dataclass(frozen=True, eq=False)
class Codes:
    """Indices int64 [B, H, W] into the codebook of that name."""

    indices: Tensor
    codebook: str


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids int64 [B, L] and mask bool [B, L] (True where a token stands)."""

    ids: Tensor
    mask: Tensor


@dataclass(frozen=True, eq=False)
class TextEmbedding:
    """Text as a denoiser reads it: `tokens` [B, L, D], `mask` bool [B, L], `pooled` [B, P] or None.

    `space` names what its encoder shares with the denoisers trained with it: texts of another are refused. "" where
    nobody knows.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor | None = None
    space: str = ""

    def __post_init__(self) -> None:
        _expect(self.tokens, "TextEmbedding.tokens", 3, "B, L, D")
        _expect(self.mask, "TextEmbedding.mask", 2, "B, L")


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """Pictures as vectors [B, D].

    `space` stands for the model whose one tower encodes pictures and whose other encodes texts: vectors of one space
    can be compared. "" where it is not known.
    """

    vectors: Tensor
    space: str = ""


@dataclass(frozen=True)
class Labels:
    """Classes that pictures are of, by the numbers that the models trained on them have for them: one for each picture
    of a batch, or one for all.
    """

    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.numbers or min(self.numbers) < 0:
            raise ValueError(f"Labels.numbers must be some numbers from 0 on, not {list(self.numbers)}")


@dataclass(frozen=True, eq=False)
class Video:
    """Frames float32 [B, T, C, H, W] in 0..1, and frames a second."""

    frames: Tensor
    rate: float


@dataclass(frozen=True)
class Table:
    """Figures: a title, column names, and rows of the same length as `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f'table "{self.title}" has {len(self.columns)} columns but a row of {len(row)}')


@dataclass(frozen=True)
class SavedFile:
    """A file that a node wrote: where, and its size and time then, so that a lost or changed one is written again."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> SavedFile:
        """The file at `path` as it is now."""
        stat = os.stat(path)
        return cls(os.fspath(path), stat.st_size, stat.st_mtime_ns)

    def stands(self) -> bool:
        """Whether the file is still there, unchanged; a cached result that does not stand is computed again."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)


class Recipe:
    """A frozen description of something that `Context.load` makes callable. Subclasses are frozen dataclasses."""


class Composition(Recipe, ABC):
    """A recipe made of others: guidance around a denoiser, a text bound to it, an adapter on it."""

    @abstractmethod
    def assemble(self, load: Load) -> Any:
        """The callable form, its children made by `load`. Holds no weights of its own."""


class Model(Recipe, ABC):
    """A leaf: weights in a file. Only these live in residency."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes that the model takes on a device, known from the file's header."""

    @abstractmethod
    def build(self, device: torch.device | str) -> Any:
        """Reads the weights onto `device` and returns the module, in evaluation mode.

        Raises:
            ModelError: the file is absent, damaged, or of another architecture.
        """

    def judge(self, device: torch.device | str) -> None:
        """Refuses a device that cannot run the model as it is asked for; by itself, none.

        A run asks it as soon as a node makes a recipe with this model, so that no other node computes in vain.

        Raises:
            ValueError: what the device lacks. `port` may name the input of the node which asks for it.
        """
        del device

    def lay_out(self) -> Any:
        """What `build` returns, its tensors on the meta device: shapes from the header, and no weight read.

        `nodeflow plan` rehearses a run with it; a model that cannot do so is not known before it runs.

        Raises:
            NotImplementedError: this model cannot be laid out.
            ModelError: as `build`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no lay_out")


class TextEncoder(Recipe):
    """Loads to `(texts: Sequence[str]) -> TextEmbedding`."""


class ImageEncoder(Recipe):
    """Loads to `(pixels) -> ImageEmbedding`; pixels are [B, 3, H, W] in 0..1, of any size."""


class Autoencoder(Recipe):
    """Loads to an object with `encode(pixels) -> samples` and `decode(samples) -> pixels`.

    Pixels are [B, 3, H, W] in 0..1, samples [B, C, H / factor, W / factor] of unit variance in `space`. A variational
    one takes `encode(pixels, noise)` as well: noise of the samples' shape, with which they are drawn. One with a
    codebook has `codes`, how many entries that has, and loads to an object with `codes(pixels) -> indices` and
    `decode_codes(indices) -> pixels` as well, indices int64 [B, H / factor, W / factor].
    """

    space: LatentSpace


class Upscaler(Recipe):
    """Makes pictures `scale` times as wide and as high.

    Loads to `(pixels, side, overlap, looped) -> pixels`: from [B, 3, H, W] in 0..1 to the same, larger. What goes
    through at once are tiles of `side` that share `overlap` pixels; `looped(range(count))` yields before each of them.
    """

    scale: int


class Denoiser(Recipe):
    """Loads to `(x, alpha, sigma, condition=None) -> denoised`, the one convention of every sampler.

    x = alpha * x0 + sigma * noise, [B, C, H, W]; alpha and sigma are floats or [B] tensors, so that variance
    preserving, variance exploding and flow schedules are all one call; the result estimates x0. What the network
    itself predicts (noise, v, x0, velocity) is converted inside. `condition` is a TextEmbedding or Labels of batch
    B, as the network reads them, or None for what is bound already.
    """

    space: LatentSpace


class Dataset(Composition):
    """Examples to learn from. Loads to an object with `count: int`, how many differ, and `batch(step, size)`.

    `batch` gives the examples of that training step as a dict of tensors and lists, size items each: "pictures"
    [B, C, H, W] in 0..1, "captions" list[str], "latents" [B, C, H, W], "ids" int64 [B, L], as far as it has them; the
    same whenever it is asked. Captions may further come in several phrasings an example, "phrasings" list[list[str]],
    the full one first; "regions" [B, K, h, w], 0..1, may tell for how much of a cell each of the K `answers` holds.
    """

    @property
    @abstractmethod
    def words(self) -> tuple[str, ...]:
        """Every word that a caption can hold, in a fixed order."""

    @property
    def answers(self) -> Mapping[str, tuple[str, ...]]:
        """What "regions" say of a place: by question, the answers that exclude each other. Empty without regions."""
        return {}

    @property
    @abstractmethod
    def notes(self) -> Mapping[str, Any]:
        """What the weights that learn from it will say of it: plain values."""


class Trainable(Composition):
    """A model to be trained. Loads to its module, anew each time, so that it belongs to whoever loaded it.

    First weights are drawn from torch's global generator, which the loader seeds; weights that shall stay as they are
    do not require gradients. `architecture` and `config`, a frozen dataclass, are what the weights file says of it.
    """

    architecture: str
    config: Any

    @property
    def notes(self) -> Mapping[str, Any]:
        """What its weights file will say of where it began: plain values."""
        return {}


class Objective(Composition):
    """What a training run minimises.

    Loads to an object with `modules`, the loaded parts by name (and what else learns, but is only needed in training);
    `loss(batch, generator) -> scalar`, which draws from the generator and from nothing else; and `finish(data, seen)`,
    called once with the trained weights in place, where `data` is the loaded data set, of which so many examples have
    been seen.
    """

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, Trainable]:
        """The models that it trains, by name, the principal one first."""

    @property
    @abstractmethod
    def notes(self) -> Mapping[str, Any]:
        """What the weights files will say of it: plain values."""
