"""Tiles cover a side evenly, sum to one at every place, and leave alone what does not look beyond a place."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nodeflow_codebooks.tiles import Tiling, blended, starts, weights
from torch.nn import functional as F


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 64), st.data())
def test_tiles_cover_and_sum_to_one(length: int, side: int, data: st.DataObject) -> None:
    tiling = Tiling(side, data.draw(st.integers(0, side - 1)))
    begins = starts(length, tiling)
    assert 0 == begins[0]
    assert max(length - side, 0) == begins[-1]
    assert all(0 < later - sooner <= side - tiling.overlap for sooner, later in pairwise(begins))
    total = torch.zeros(length)
    for begin, weight in zip(begins, weights(length, begins, side), strict=True):
        assert float(weight.min()) > 0
        total[begin : begin + side] += weight
    torch.testing.assert_close(total, torch.ones(length), rtol=0, atol=1e-5)  # of up to 64 tiles


@pytest.mark.parametrize("size", [(16, 16), (16, 41), (50, 33)])
def test_what_looks_at_one_cell_is_the_same_in_tiles(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    seen: list[torch.Size] = []

    def larger(tile: torch.Tensor) -> torch.Tensor:
        seen.append(tile.shape)
        return F.interpolate(tile, scale_factor=4)

    y = blended(larger, x, Tiling(16, 4), 4, 3)
    torch.testing.assert_close(F.interpolate(x, scale_factor=4), y, rtol=0, atol=1e-6)
    assert {(1, 3, 16, 16)} == {tuple(shape) for shape in seen}
    pixels = F.interpolate(x, scale_factor=4)
    z = blended(lambda tile: F.avg_pool2d(tile, 4), pixels, Tiling(64, 16), 1 / 4, 3)
    torch.testing.assert_close(x, z, rtol=0, atol=1e-6)


def test_tiles_that_share_all_are_refused() -> None:
    with pytest.raises(ValueError, match="tiles of 8 cannot share 8"):
        Tiling(8, 8)
