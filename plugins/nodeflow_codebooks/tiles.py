"""Large pictures in tiles: each through a network by itself, blended where they overlap, in the memory of one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """A side longer than `side` is cut into tiles of `side`, of which neighbours share `overlap` at least."""

    side: int
    overlap: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.side:
            raise ValueError(f"tiles of {self.side} cannot share {self.overlap}\n    choose an overlap that is smaller")


def starts(length: int, tiling: Tiling) -> list[int]:
    """Where tiles begin along a side, evenly spread; the last ends where the side does."""
    rest = length - tiling.side
    if rest <= 0:
        return [0]
    steps = math.ceil(rest / (tiling.side - tiling.overlap))
    return [round(step * rest / steps) for step in range(steps + 1)]


def weights(length: int, begins: list[int], side: int) -> list[Tensor]:
    """How much each tile counts at each of its places, [side] each: at every place of `length` they sum to one.

    A tile counts less towards an edge that another one overlaps, where what its network saw ended.
    """
    given: list[Tensor] = []
    total = torch.zeros(length)
    for at, begin in enumerate(begins):
        weight = torch.ones(min(side, length))
        if at:
            shared = begins[at - 1] + side - begin
            weight[:shared] *= torch.arange(1, shared + 1) / (shared + 1)
        if at < len(begins) - 1:
            shared = begin + side - begins[at + 1]
            weight[len(weight) - shared :] *= torch.arange(shared, 0, -1) / (shared + 1)
        given.append(weight)
        total[begin : begin + len(weight)] += weight
    return [weight / total[begin : begin + len(weight)] for weight, begin in zip(given, begins, strict=True)]


def blended(network: Callable[[Tensor], Tensor], x: Tensor, tiling: Tiling, scale: float, channels: int) -> Tensor:
    """What a network makes of x, tile by tile.

    Args:
        network: [1, C, h, w] -> [1, channels, scale h, scale w].
        x: [B, C, H, W]; may lie on another device than the network, which then fetches its tiles.
        tiling: of H and W.
        scale: a power of two, or one over it; then tiles should begin at multiples of that.
        channels: of the result.

    Returns: [B, channels, scale H, scale W] float32, on the device of x.
    """
    height, width = (int(side * scale) for side in x.shape[-2:])
    y = torch.zeros(len(x), channels, height, width, device=x.device)
    coarse = tiling if scale >= 1 else Tiling(int(tiling.side * scale), int(tiling.overlap * scale))
    cells = [side if scale >= 1 else int(side * scale) for side in x.shape[-2:]]  # of the coarser of x and y
    into, out_of = (1, int(scale)) if scale >= 1 else (int(1 / scale), 1)
    rows, columns = (starts(side, coarse) for side in cells)
    down, across = (
        [
            part.to(x.device)
            for part in weights(side * out_of, [begin * out_of for begin in begins], coarse.side * out_of)
        ]
        for side, begins in zip(cells, (rows, columns), strict=True)
    )
    for at, (top, high), (left, wide) in product(
        range(len(x)), zip(rows, down, strict=True), zip(columns, across, strict=True)
    ):
        size = len(high) // out_of * into, len(wide) // out_of * into
        tile = network(x[at : at + 1, :, top * into :, left * into :][..., : size[0], : size[1]])
        here = y[at : at + 1, :, top * out_of :, left * out_of :][..., : len(high), : len(wide)]
        here.addcmul_(tile.to(here), high[:, None] * wide)
    return y
