"""Noise levels against values worked out by hand, in float64."""

import math
from itertools import pairwise

import pytest
import torch
from nodeflow_diffusion.levels import (
    Schedule,
    flow_levels,
    from_strength,
    schedule_levels,
    section_levels,
    visited_levels,
)
from nodeflow_diffusion.prediction import step_between
from nodeflow_diffusion.respacing import in_sections, respaced
from nodeflow_diffusion.schedules import alphas_cumprod, betas, variance_preserving, zero_terminal_snr
from nodeflow_diffusion.sigmas import between_steps, exponential, karras, of_table, polyexponential


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


def test_spacings_that_other_programs_have() -> None:
    assert [951, 901, 851] == respaced(1000, 20, "leading", offset=1)[:3]
    assert [999, 899, 799, 699, 599, 500, 400, 300, 200, 100] == respaced(1000, 10, "sgm_uniform")
    assert [999, 759, 499, 259] == respaced(1000, 4, "lcm")
    assert respaced(1000, 50, "trailing") == respaced(1000, 50, "lcm")
    with pytest.raises(ValueError, match="51 steps, but spacing lcm has 50\n    ask for 1 to 50"):
        respaced(1000, 51, "lcm")
    with pytest.raises(ValueError, match="1000 steps and an offset of 1 begin at step 1000 of 0 to 999"):
        respaced(1000, 1000, "leading", offset=1)


def test_sections_spread_their_steps_over_their_own_ends() -> None:
    # 90 steps in thirds: 0..29 in four, 30..59 in three, 60..89 in two
    assert [89, 60, 59, 44, 30, 29, 19, 10, 0] == in_sections(90, "4,3,2")
    # of eleven, the first two thirds have four: 0..3, 4..7, 8..10
    assert [8, 7, 4, 3, 2, 0] == in_sections(11, "3, 2,1")
    assert respaced(1000, 250, "linspace") == in_sections(1000, "250")
    assert [875, 750, 625, 500, 375, 250, 125, 0] == in_sections(1000, "ddim8")
    assert respaced(1000, 25, "leading") == in_sections(1000, "ddim25")
    assert [0] == in_sections(1000, "1")
    table = alphas_cumprod(betas("linear"))
    assert visited_levels(table, [500, 0]) == section_levels(table, "ddim2")


@pytest.mark.parametrize("text", ["", "ddim", "ddim0", "4,", "4,,3", "-1", "0", "1.5", "4;3", "x"])
def test_sections_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match='write "10,15,20", "250" or "ddim25"'):
        in_sections(1000, text)


def test_sections_that_cannot_be_had_are_refused() -> None:
    with pytest.raises(ValueError, match="no stride takes 300 of 1000 steps"):
        in_sections(1000, "ddim300")
    with pytest.raises(ValueError, match="section 2 of '10,600' has 500 steps, but 600 are asked for"):
        in_sections(1000, "10,600")
    with pytest.raises(ValueError, match='sections "10,15" are 25 steps, but 20 are asked for'):
        Schedule("linear", sections="10,15").levels(20)


def test_curves_of_sigma() -> None:
    # (80^(1/7) + i / 2 (0.002^(1/7) - 80^(1/7)))^7
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert [80, middle, 0.002] == pytest.approx(karras(3, 0.002, 80).tolist(), rel=1e-12)
    assert [10, 1, 0.1] == pytest.approx(exponential(3, 0.1, 10).tolist(), rel=1e-12)
    # half way, squared, is a quarter of what is left of the logarithm
    assert [10, 10**-0.5, 0.1] == pytest.approx(polyexponential(3, 0.1, 10, 2).tolist(), rel=1e-12)
    for levels in (Schedule("edm").levels(5), Schedule("edm", "exponential").levels(5)):
        assert [80, 0.002] == pytest.approx([levels[i][1] / levels[i][0] for i in (0, -2)], rel=1e-9)
        assert [1.0] * 6 == pytest.approx([math.hypot(*level) for level in levels])


@pytest.mark.parametrize("spacing", ["karras", "exponential", "polyexponential", "linspace_exact"])
def test_curves_of_a_table_begin_and_end_with_it(spacing: str) -> None:
    table = alphas_cumprod(betas("scaled_linear"))
    found = schedule_levels(table, 9, spacing)  # type: ignore[arg-type]
    for level, step in ((found[0], 999), (found[-2], 0)):
        assert level == pytest.approx(visited_levels(table, [step])[0], rel=1e-9)
    assert [level[1] for level in found] == sorted((level[1] for level in found), reverse=True)


def test_places_between_steps() -> None:
    table = alphas_cumprod(betas("scaled_linear"))
    sigmas = of_table(table)
    found = between_steps(table, [10.0, 500.25, 999.0])
    assert found.tolist() == [
        float(sigmas[10]), pytest.approx(float(0.75 * sigmas[500] + 0.25 * sigmas[501])), float(sigmas[999])
    ]  # fmt: skip
    for place in (0, 1, 500, 998, 999):
        assert float(step_between(sigmas[place] / (1 + sigmas[place]), table)) == place


@pytest.mark.parametrize("name", ["linear", "scaled_linear"])
def test_a_stretched_schedule_ends_at_noise_alone(name: str) -> None:
    table = alphas_cumprod(betas(name))  # type: ignore[arg-type]
    found = zero_terminal_snr(table)
    assert float(found[-1]) == 0
    assert float(found[0]) == pytest.approx(float(table[0]), rel=1e-12)
    assert bool((found[1:] < found[:-1]).all())
    assert (0.0, 1.0) == Schedule("linear", zero_snr=True).levels(3)[0]
    assert 999 == int(step_between(torch.tensor(1.0, dtype=torch.float64), found))
    assert float(variance_preserving(found)[1][-1]) == 1


def test_a_way_may_end_at_the_first_level() -> None:
    table = alphas_cumprod(betas("linear"))
    assert visited_levels(table, [0])[0] == Schedule("linear", end="first").levels(4)[-1]
    assert Schedule("linear").levels(4)[:-1] == Schedule("linear", end="first").levels(4)[:-1]


def test_what_a_kind_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="flow begins with noise alone\n    take linear"):
        Schedule("flow", "karras")
    for asked in ({"offset": 1}, {"end": "first"}, {"zero_snr": True}, {"sections": "5"}, {"table": 90}):
        with pytest.raises(ValueError, match=r"is for linear, scaled_linear and cosine, but the kind is (flow|edm)"):
            Schedule("edm", **asked)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="offset moves the steps of spacing leading only"):
        Schedule("linear", offset=1)
    with pytest.raises(ValueError, match="spacing karras needs sigmas with a bound\n    take trailing"):
        Schedule("linear", "karras", zero_snr=True)


def test_schedules_of_old_graphs_are_what_they_were() -> None:
    assert flow_levels(6, 3.0) == Schedule("flow", "leading", 3.0).levels(6)
    assert flow_levels(6) == Schedule().levels(6)
    for spacing in ("trailing", "leading", "linspace"):
        table = alphas_cumprod(betas("cosine"))
        assert schedule_levels(table, 7, spacing) == Schedule("cosine", spacing).levels(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("total", [1000, 4000])
def test_what_improved_diffusion_calls_its_sections_has_a_spacing(total: int) -> None:
    assert in_sections(total, "250") == respaced(total, 250, "linspace")
    assert in_sections(total, "ddim25") == respaced(total, 25, "leading")


def test_a_table_may_have_more_levels() -> None:
    fine = alphas_cumprod(betas("cosine", 4000))
    found = Schedule("cosine", "linspace", table=4000).levels(100)
    assert visited_levels(fine, respaced(4000, 100, "linspace")) == found
    assert found == Schedule("cosine", sections="100", table=4000).levels(100)
    assert 4000 == len(Schedule("cosine", sections="4000", table=4000).levels(4000)) - 1


@pytest.mark.parametrize("total", [100, 4000])
def test_tables_of_all_lengths_end_at_about_the_same_noise(total: int) -> None:
    for name in ("linear", "cosine"):
        ends = [float(alphas_cumprod(betas(name, steps)).sqrt()[-1]) for steps in (1000, total)]  # type: ignore[arg-type]
        assert max(ends) < 0.01


@pytest.mark.parametrize(
    ("schedule", "steps", "found"),
    [
        (Schedule("linear", "sgm_uniform"), 1000, 999),  # two of them are rounded to one level of the table
        (Schedule("edm", "polyexponential", rho=100), 50, 12),  # the end of so steep a curve is flat
        (Schedule("cosine", "karras", end="first"), 10, 9),
        (Schedule("linear", "leading", end="first"), 10, 9),
    ],
)
def test_no_step_leads_from_a_level_to_the_same(schedule: Schedule, steps: int, found: int) -> None:
    levels = schedule.levels(steps)
    pairs = from_strength(levels, 1)
    assert (steps, found) == (len(levels) - 1, len(pairs))
    assert (levels[0], pytest.approx(levels[-1], rel=1e-9)) == (pairs[0][0], pairs[-1][1])
    assert all(before[1] == later[0] for before, later in pairwise(pairs))
    assert all(less[1] * more[0] < more[1] * less[0] for more, less in pairs)


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.5, 0.62, 0.99])
def test_steps_that_lead_nowhere_count_for_the_strength(strength: float) -> None:
    """As where they are taken: the first samplers of latent diffusion end by a step from the first level to itself."""
    levels = Schedule("linear", "leading", end="first").levels(12)
    pairs = from_strength(levels, strength)
    assert levels[min(12 - max(1, int(12 * strength)), 10)] == pairs[0][0]
    assert levels[-1] == pairs[-1][1]
    assert len(pairs) == max(1, int(12 * strength) - 1)


def test_a_way_that_ends_where_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of spacing leading: the way begins where it ends\n    take end picture"):
        Schedule("linear", "leading", end="first").levels(1)
