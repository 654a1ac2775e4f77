"""Which steps of a table's 0 .. total - 1 a sampler visits, falling: the conventions in use.

Most of what "almost works" with a published model is one of these taken for another; docs/sampling.md tells who uses
which.
"""

import re
from typing import Literal, get_args

import torch

Rounded = Literal["trailing", "leading", "linspace", "sgm_uniform", "lcm"]
"""Spacings that visit whole steps."""

LCM_STEPS = 50


def respaced(total: int, steps: int, spacing: Rounded, offset: int = 0) -> list[int]:
    """Which `steps` of a table's 0 .. total - 1 to visit, falling (Lin et al. 2023, table 2).

    "trailing" begins at the last, "leading" ends at the first (plus `offset`, which it alone reads), "linspace" does
    both, "sgm_uniform" is a linspace of one step more without its last; "lcm" takes an even choice of the 50 trailing
    steps on which latent consistency models are distilled (Luo et al. 2023).
    """
    if not 1 <= steps <= total:
        raise ValueError(f"{steps} steps of a schedule that has {total}\n    ask for 1 to {total}")
    if spacing == "leading":
        first = (steps - 1) * (total // steps) + offset
        if first >= total:
            raise ValueError(f"{steps} steps and an offset of {offset} begin at step {first} of 0 to {total - 1}")
        return [step * (total // steps) + offset for step in reversed(range(steps))]
    if spacing == "linspace":
        return [round(step) for step in evenly(total, steps)]
    if spacing == "sgm_uniform":
        return [round(step) for step in evenly(total, steps + 1)[:-1]]
    if spacing == "lcm":
        if steps > min(LCM_STEPS, total):
            raise ValueError(f"{steps} steps, but spacing lcm has {LCM_STEPS}\n    ask for 1 to {LCM_STEPS}")
        known = respaced(total, min(LCM_STEPS, total), "trailing")
        return [known[len(known) * step // steps] for step in range(steps)]
    assert spacing in get_args(Rounded), spacing
    return [round(total * left / steps) - 1 for left in range(steps, 0, -1)]


def evenly(total: int, steps: int) -> list[float]:
    """`steps` places from total - 1 to 0, evenly and not rounded."""
    return [float(place) for place in torch.linspace(total - 1, 0, steps, dtype=torch.float64)]


def in_sections(total: int, sections: str) -> list[int]:
    """The steps that a text asks for, falling (Nichol and Dhariwal 2021, section 4; Song et al. 2020, appendix D.3).

    "10,15,20" cuts the table into three equal sections, from the picture up, and spreads so many steps over each, both
    ends included; "250" is one section. "ddim25" takes every so manieth step from 0 on, by the smallest stride that
    gives 25.
    """
    if found := re.fullmatch(r"ddim([1-9]\d{0,5})", sections):
        wanted = int(found[1])
        strides = (stride for stride in range(1, total + 1) if len(range(0, total, stride)) == wanted)
        if (stride := next(strides, None)) is None:
            raise ValueError(f"no stride takes {wanted} of {total} steps\n    ask for a number that divides {total}")
        return list(range(0, total, stride))[::-1]
    if not re.fullmatch(r"[1-9]\d{0,5}( *, *[1-9]\d{0,5})*", sections):
        raise ValueError(f'sections {sections!r} are none\n    write "10,15,20", "250" or "ddim25"')
    counts = [int(count) for count in sections.split(",")]
    kept: list[int] = []
    start = 0
    for i, count in enumerate(counts):
        size = total // len(counts) + (i < total % len(counts))
        if count > size:
            raise ValueError(f"section {i + 1} of {sections!r} has {size} steps, but {count} are asked for")
        apart = (size - 1) / (count - 1) if count > 1 else 1
        kept += [start + round(apart * step) for step in range(count)]
        start += size
    return kept[::-1]
