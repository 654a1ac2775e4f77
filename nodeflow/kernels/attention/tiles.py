"""Tiles and head dimensions of the fused kernels: what is compiled, without triton."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

LARGEST_HEAD = 256
TARGETS = ("sm_80", "sm_90", "gfx942")
"""Kinds of devices with tiles of their own: before Hopper, from Hopper on, AMD."""


class Parts(NamedTuple):
    """A head dimension as two powers of two, the second 0 where one is enough; what exceeds it is padding."""

    first: int
    second: int

    @property
    def width(self) -> int:
        return self.first + self.second


class Tiles(NamedTuple):
    """Rows that a program keeps, rows of the other side in each of its steps, warps, depth of its pipeline.

    It keeps queries and steps through keys, or in the backward of keys and values the other way around. A warp group
    of Hopper multiplies 64 rows, so that fewer would leave its matrix units unused.
    """

    rows: int
    step: int
    warps: int
    stages: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.step} w{self.warps} s{self.stages}"


def parts(head: int) -> Parts:
    """40 -> 32 + 16, 80 -> 64 + 16, 160 -> 128 + 32: padded work 1.2, 1.0, 1.0 times instead of 1.6.

    A part has at least 16 columns, the least a matrix unit takes; where both together reach the next power of two, it
    is one part.
    """
    whole = max(16, 1 << (head - 1).bit_length())
    first = max(16, whole // 2)
    second = max(16, 1 << (head - first - 1).bit_length()) if head > first else 0
    return Parts(whole, 0) if head == whole or first + second >= whole else Parts(first, second)


def forward_tiles(head: int, itemsize: int, target: str = "sm_90") -> tuple[Tiles, ...]:
    """What may be fastest for a head dimension on a device; measured, unless the first has to do.

    In half precision none spills a register up to 160 columns: before Hopper products are held in registers, and gfx942
    has 64 KB of shared memory.
    """
    width = parts(head).width
    if itemsize == 4:  # four warps spill 163 and 393 registers at 64 and 160 columns
        return (Tiles(64, 32, 8, 2),) if width <= 128 else (Tiles(32, 32, 8, 1),)
    if target == "gfx942":
        if width <= 64:
            return Tiles(128, 64, 4, 2), Tiles(64, 64, 4, 2)
        return Tiles(128, 32, 4, 2), Tiles(128, 64, 4, 2) if width <= 128 else Tiles(64, 32, 4, 2)
    if target == "sm_80":
        if width <= 128:
            return Tiles(128, 64, 8, 3), Tiles(64, 64, 4, 3)
        return Tiles(64, 32, 4, 2), Tiles(64, 64, 4, 2)  # triton 3.6 spills ten registers of 128x32
    if width <= 64:
        return Tiles(128, 64, 4, 3), Tiles(128, 128, 8, 3), Tiles(64, 64, 4, 3)
    if width <= 128:
        return Tiles(128, 64, 8, 3), Tiles(128, 128, 8, 2), Tiles(64, 64, 4, 3)
    return Tiles(128, 64, 8, 2), Tiles(64, 64, 4, 2), Tiles(128, 32, 8, 2)


def backward_tiles(head: int, itemsize: int, target: str = "sm_90") -> tuple[Tiles, ...]:
    """The same for backward, which keeps twice as much: at 160 columns steps of 32 spill, of 16 do not."""
    width = parts(head).width
    if itemsize == 4:  # four warps spill 255 registers at 64 columns
        return (Tiles(32, 32 if width <= 128 else 16, 8, 1),)
    if target == "gfx942":
        return (Tiles(64, 64 if width <= 64 else 32 if width <= 128 else 16, 4, 1),)
    if target == "sm_80":
        if width <= 96:
            return (Tiles(64, 32, 4, 2) if width <= 64 else Tiles(64, 32, 8, 1),)
        return (Tiles(64, 32, 8, 1) if width <= 128 else Tiles(16, 32, 4, 1),)  # 32x16 spills nine of triton 3.6
    if width <= 64:
        return Tiles(64, 64, 4, 2), Tiles(128, 64, 8, 2)
    if width <= 96:
        return Tiles(64, 64, 8, 2), Tiles(64, 32, 4, 2)
    if width <= 128:
        return (Tiles(128, 32, 8, 2),)
    return Tiles(128, 16, 8, 1), Tiles(64, 16, 4, 1)


def every(listed: Callable[[int, int, str], tuple[Tiles, ...]]) -> tuple[Tiles, ...]:
    """All tiles of a list, each once."""
    asked = product((16, 64, 96, 128, LARGEST_HEAD), (2, 4), TARGETS)
    return tuple(dict.fromkeys(tiles for one in asked for tiles in listed(*one)))
