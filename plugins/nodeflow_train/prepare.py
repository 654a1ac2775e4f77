"""Latents and captions computed once: a safetensors file of fp16 latents and token numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from nodeflow_nn.weights import write_tensors
from safetensors import safe_open
from torch import Tensor

Pictures = Callable[[int], Tensor]
"""index -> the pictures [B, C, H, W], 0..1, of batch `index`."""
Numbers = Callable[[int], Tensor]
"""index -> the token numbers [B, L] or [B, V, L] (V phrasings a picture) of batch `index`."""
Regions = Callable[[int], Tensor]
"""index -> what holds where [B, K, h, w], 0..1, of batch `index`."""


@dataclass(frozen=True)
class Prepared:
    """latents: [N, C, H, W] fp16. ids: [N, V, L] uint8 or int16: V phrasings of each caption, the full one first.
    regions: [N, K, h, w] uint8, 255 for the whole cell.
    """

    latents: Tensor
    ids: Tensor
    regions: Tensor | None = None

    def batch(self, step: int, size: int, seed: int = 0, full: float = 0.0) -> dict[str, Tensor]:
        """The batch of a step: pictures in a new order each time round, one phrasing each, decided by seed and step.

        Args:
            step: from 0.
            size: how many.
            seed: of the order and the phrasings.
            full: share that comes with the full caption; the others come with any phrasing, with even odds.

        Returns "latents" [size, C, H, W] float32, "ids" [size, L] int64, and "regions" [size, K, h, w] float32, 0..1,
        if there are any.
        """
        count = len(self.latents)
        places = range(step * size, (step + 1) * size)
        rows = torch.stack([_order(count, seed, place // count)[place % count] for place in places])
        draw = torch.Generator().manual_seed(seed * 1_000_003 + step)
        phrasing = torch.randint(self.ids.shape[1], (size,), generator=draw)
        phrasing *= torch.rand(size, generator=draw) >= full
        found = {"latents": self.latents[rows].float(), "ids": self.ids[rows, phrasing].long()}
        return found if self.regions is None else found | {"regions": self.regions[rows].float() / 255}


@lru_cache(maxsize=2)
def _order(count: int, seed: int, turn: int) -> Tensor:
    """A shuffled order of 0 .. count - 1 for one time round."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 7919 + turn))


@torch.no_grad()
def prepare(
    path: Path,
    encode: Callable[[Tensor], Tensor],
    pictures: Pictures,
    numbers: Numbers,
    batches: int,
    regions: Regions | None = None,
) -> Iterator[int]:
    """Encode `batches` batches of pictures and write them with their captions, whole or not at all.

    Args:
        path: safetensors file to write.
        encode: pictures [B, C, H, W] -> latents.
        pictures, numbers: what batch `index` holds.
        batches: how many.
        regions: what holds where in the pictures of batch `index`.

    Yields the number of batches done.
    """
    latents, ids, maps = [], [], []
    for index in range(batches):
        latents.append(encode(pictures(index)).half().contiguous())
        found = numbers(index)
        ids.append((found if found.dim() == 3 else found[:, None]).to(torch.int16))
        if regions is not None:
            maps.append((regions(index) * 255).round().to(torch.uint8))
        yield index + 1
    held = {"latents": torch.cat(latents), "ids": torch.cat(ids)}
    write_tensors(path, held | ({"regions": torch.cat(maps)} if maps else {}))


def load_prepared(*paths: Path) -> Prepared:
    """Read what `prepare` wrote, several files one after the other."""
    latents, ids, maps = [], [], []
    for path in paths:
        with safe_open(path, framework="pt") as file:
            latents.append(file.get_tensor("latents"))
            ids.append(file.get_tensor("ids"))
            if "regions" in file.keys():  # noqa: SIM118 (safe_open is no mapping)
                maps.append(file.get_tensor("regions"))
    return Prepared(torch.cat(latents), torch.cat(ids), torch.cat(maps) if len(maps) == len(paths) else None)
