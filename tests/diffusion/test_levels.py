"""Noise levels against values worked out by hand, in float64."""

import math

import pytest
import torch
from nodeflow_diffusion.levels import flow_levels, from_strength, respaced, schedule_levels
from nodeflow_diffusion.schedules import alphas_cumprod, betas


def test_levels_of_rectified_flow() -> None:
    assert [(0, 1), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25), (1, 0)] == flow_levels(4)


def test_a_shift_spends_more_steps_on_noise() -> None:
    # t = 1/2 and shift 3: 3/2 / (1 + 2/2) = 3/4
    assert [(0, 1), (0.25, 0.75), (1, 0)] == flow_levels(2, shift=3)


def test_spacings() -> None:
    # table 2 of Lin et al. 2023, of which these are the steps less one
    assert [999, 899, 799, 699, 599, 499, 399, 299, 199, 99] == respaced(1000, 10, "trailing")
    assert [900, 800, 700, 600, 500, 400, 300, 200, 100, 0] == respaced(1000, 10, "leading")
    assert [999, 888, 777, 666, 555, 444, 333, 222, 111, 0] == respaced(1000, 10, "linspace")


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
def test_all_steps_are_visited_once_when_as_many_are_asked_for(spacing: str) -> None:
    assert list(range(999, -1, -1)) == respaced(1000, 1000, spacing)  # type: ignore[arg-type]
    for steps in (1, 3, 7, 333, 999):
        found = respaced(1000, steps, spacing)  # type: ignore[arg-type]
        assert steps == len(set(found))
        assert found == sorted(found, reverse=True)


def test_more_steps_than_the_table_has_are_refused() -> None:
    with pytest.raises(ValueError, match="1001 steps of a schedule that has 1000\n    ask for 1 to 1000"):
        respaced(1000, 1001, "trailing")


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine"])
def test_levels_of_a_schedule(name: str) -> None:
    table = alphas_cumprod(betas(name))  # type: ignore[arg-type]
    found = schedule_levels(table, 4)
    assert (1.0, 0.0) == found[-1]
    for step, (alpha, sigma) in zip((999, 749, 499, 249), found, strict=False):
        kept = math.prod(1 - float(beta) for beta in betas(name)[: step + 1])  # type: ignore[arg-type]
        assert alpha == pytest.approx(kept**0.5, rel=1e-12)
        assert sigma == pytest.approx((1 - kept) ** 0.5, rel=1e-12)


def test_levels_are_plain_numbers() -> None:
    for level in (*flow_levels(3), *schedule_levels(torch.tensor([0.9, 0.5, 0.1]), 3)):
        assert [float, float] == [type(number) for number in level]


def test_strength_takes_the_last_part_of_the_way() -> None:
    ways = flow_levels(10)
    whole = from_strength(ways, 1)
    assert 10 == len(whole)
    assert (ways[0], ways[1]) == whole[0]
    assert whole[4:] == from_strength(ways, 0.6)
    assert [(ways[9], ways[10])] == from_strength(ways, 0.001)
    assert [] == from_strength(ways, 0)
    assert 9 == len(from_strength(ways, 0.99))
    assert 29 == len(from_strength(flow_levels(100), 0.29))
