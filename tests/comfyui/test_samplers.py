"""What ComfyUI's samplers and schedulers are called here, and that they are the same."""

from math import exp, log
from typing import get_args

import pytest
from nodeflow_comfyui.samplers import SAMPLERS, denoised, sampler, scheduler, share_of_noise
from nodeflow_diffusion.levels import Schedule, from_strength
from nodeflow_diffusion.methods import Method
from nodeflow_diffusion.schedules import alphas_cumprod, scaled_linear_betas
from nodeflow_diffusion.sigmas import of_table

TABLE = of_table(alphas_cumprod(scaled_linear_betas())).tolist()


def sigma(step: float) -> float:
    """At a step of the table or between two, along log sigma, as ComfyUI has it."""
    below = int(step)
    return exp(log(TABLE[below]) + (step - below) * (log(TABLE[min(below + 1, 999)]) - log(TABLE[below])))


def theirs(name: str, steps: int) -> list[float]:
    """The sigmas of ComfyUI's schedulers by their definitions, without the last 0."""
    first, last = TABLE[-1], TABLE[0]
    ramp = [number / max(steps - 1, 1) for number in range(steps)]
    match name:
        case "normal":
            return [sigma(999 * (1 - part)) for part in ramp]
        case "sgm_uniform":
            return [sigma(999 * (1 - number / steps)) for number in range(steps)]
        case "simple":
            return [TABLE[999 - int(number * 1000 / steps)] for number in range(steps)]
        case "ddim_uniform":
            return [TABLE[step] for step in range(1, 1000, 1000 // steps)][::-1]
        case "karras":
            return [(first ** (1 / 7) + part * (last ** (1 / 7) - first ** (1 / 7))) ** 7 for part in ramp]
    return [exp(log(first) + part * (log(last) - log(first))) for part in ramp]


def step(found: float) -> float:
    """Where in the table a sigma lies: the inverse of `sigma`."""
    below = max(at for at in range(999) if TABLE[at] <= found * (1 + 1e-9))
    return below + (log(found) - log(TABLE[below])) / (log(TABLE[below + 1]) - log(TABLE[below]))


@pytest.mark.parametrize("steps", [8, 10, 20, 25, 30, 37])
@pytest.mark.parametrize(
    ("name", "within"),
    # normal goes between two levels along sigma, not along its logarithm; sgm_uniform and simple take whole levels
    [("karras", 1e-9), ("exponential", 1e-9), ("ddim_uniform", 1e-9), ("normal", 0.1), ("sgm_uniform", 0.51),
     ("simple", 1 + 1e-9)],
)  # fmt: skip
def test_levels_are_those_of_comfyui_within_a_part_of_a_thousandth(name: str, within: float, steps: int) -> None:
    found = scheduler(name, steps)
    if found.differs:
        pytest.skip("ComfyUI makes more steps of it, which is told")
    schedule = Schedule(kind="scaled_linear", spacing=found.name, **found.settings)
    levels = schedule.levels(steps)
    assert (1.0, 0.0) == levels[-1]
    ours, expected = [sigma / alpha for alpha, sigma in levels[:-1]], theirs(name, steps)
    assert len(expected) == len(ours)
    assert within >= max(abs(step(one) - step(other)) for one, other in zip(ours, expected, strict=True))


def test_a_scheduler_that_makes_more_steps_is_told() -> None:
    assert 31 == len(theirs("ddim_uniform", 30))
    assert "makes 31 steps" in scheduler("ddim_uniform", 30).differs
    assert "" == scheduler("ddim_uniform", 20).differs


def test_every_method_that_is_named_is_there_and_what_is_only_nearest_says_so() -> None:
    methods = {same.name for same in SAMPLERS.values()}
    assert methods <= set(get_args(Method))
    same = {name for name, found in SAMPLERS.items() if not found.differs}
    assert {"euler", "euler_ancestral", "heun", "lms", "ddim", "ddpm", "lcm", "dpmpp_2m", "dpmpp_2m_sde"} <= same
    assert sampler("something new").differs
    assert scheduler("something new", 20).differs
    assert scheduler("beta", 20).differs


@pytest.mark.parametrize("steps", [1, 3, 20, 30, 50])
@pytest.mark.parametrize("denoise", [0.05, 0.3, 1 / 3, 0.55, 0.75, 0.99])
def test_part_of_the_way_is_the_last_steps_of_a_longer_one(steps: int, denoise: float) -> None:
    part = denoised(steps, denoise)
    assert int(steps / denoise) == part.steps
    levels = Schedule(kind="scaled_linear").levels(part.steps)
    assert steps == len(from_strength(levels, part.strength))


def test_all_and_nothing_of_the_way() -> None:
    assert ((20, 1.0), (20, 0.0)) == (denoised(20, 1.0), denoised(20, 0.0))


def test_shares_of_noise_follow_the_table() -> None:
    assert (1.0, 0.0) == (share_of_noise(0.0), share_of_noise(1.0))
    for percent in (0.1, 0.25, 0.5, 0.8, 0.95):
        expected = sigma((1 - percent) * 999)
        assert share_of_noise(percent) == pytest.approx(expected / (1 + expected), abs=1e-6)
