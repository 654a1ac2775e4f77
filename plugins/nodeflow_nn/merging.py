"""Adapters merged into the weights that they change."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from nodeflow_nn.adapter_settings import UNSCALED, Scale, Settings
from nodeflow_nn.adapters import Adapter, Change, Stems, fit, told
from nodeflow_nn.products import Parts, kind_of
from nodeflow_nn.published import Checkpoint, Shape


class File(NamedTuple):
    """An adapter on disk, what its maker said of it, and its strength."""

    checkpoint: Checkpoint
    settings: Settings
    strength: float = 1.0

    def fit(self, stems: Stems, state: Mapping[str, Shape], own: Callable[[str], bool]) -> Adapter:
        """What it does to a model (see `adapters.fit`).

        Raises:
            ValueError: it does not fit.
        """
        found = fit(self.checkpoint.shapes, stems, state, own, self.settings)
        if found.faults:
            raise ValueError(f"{self.checkpoint.path}: {told(found.faults, self.checkpoint.shapes)}")
        return found


@dataclass(frozen=True)
class Merge:
    """Changes of several files as they are merged into a model's weights, in float32 and once.

    found: by tensor of ours, for each change of it its file, and what reads a tensor of that file by name.
    """

    found: dict[str, list[tuple[File, Change, Callable[[str], Tensor]]]] = field(default_factory=dict)

    def add(self, adapter: Adapter, file: File, read: Callable[[str], Tensor]) -> None:
        """Another file's; of strength 0 it changes nothing."""
        for ours, changes in adapter.changes.items() if file.strength else ():
            self.found.setdefault(ours, []).extend((file, change, read) for change in changes)

    def __contains__(self, ours: str) -> bool:
        return ours in self.found

    def __call__(self, ours: str, base: Tensor) -> None:
        """Changes a tensor in place; each change is made of the weights as they were before any.

        Raises:
            ValueError: a change is not finite.
        """
        # one change alone is made before it is added: no second copy of the weights is kept for it
        before = base.clone() if len(self.found[ours]) > 1 else base
        for file, change, read in self.found[ours]:
            rows = slice(change.rows.start, change.rows.start + change.rows.height)
            parts = {part: read(name).to(base) for part, name in change.parts.items()}
            more = delta(before[rows], parts, change.scale)
            if not bool(torch.isfinite(more).all()):
                name = next(iter(change.parts.values()))
                raise ValueError(f"{file.checkpoint.path}: {name}, or what belongs to it, is not finite")
            base[rows].add_(more, alpha=file.strength)


@contextmanager
def merging(
    files: Iterable[File], stems: Stems, state: Mapping[str, Shape], own: Callable[[str], bool]
) -> Iterator[Merge]:
    """Within the block: the changes of all files, which are read as they are needed; arguments as `adapters.fit`.

    Raises:
        ValueError: one does not fit.
    """
    merge = Merge()
    with ExitStack() as stack:
        for file in files:
            merge.add(file.fit(stems, state, own), file, stack.enter_context(file.checkpoint.reading()))
        yield merge


def delta(weight: Tensor, parts: Parts, scale: Scale = UNSCALED) -> Tensor:
    """The change of a weight [out, in, ...] at strength 1, of its shape.

    Args:
        weight: before; only DoRA depends on it.
        parts: see `products.Part`.
        scale: alpha and rank where no part has them. Without any alpha, or any rank, the product is the change.
    """
    for part in ("diff", "diff_b"):
        if part in parts:
            return parts[part].reshape(weight.shape)
    product, own_rank = kind_of(parts).make(parts)
    alpha, rank = float(parts["alpha"]) if "alpha" in parts else scale.alpha, own_rank or scale.rank
    factor = 1.0 if alpha is None or rank is None else alpha / (math.sqrt(rank) if scale.root else rank)
    change: Tensor = factor * product.reshape(weight.shape)
    lengths = parts.get("magnitude", parts.get("scale"))
    if lengths is None:
        return change
    whole: Tensor = weight + change
    by_row = "magnitude" in parts or lengths.shape[0] == len(weight)
    others = [side for side in range(weight.ndim) if side != (0 if by_row else 1)]
    norms = torch.linalg.vector_norm(whole, dim=others, keepdim=True).clamp(min=torch.finfo(weight.dtype).eps)
    moved: Tensor = whole * (lengths.reshape(norms.shape) / norms) - weight
    return moved
