"""What ComfyUI calls samplers and schedulers, and what is the same here, or nearest to it. All for SD 1, 2 and XL."""

from functools import cache
from math import ceil, exp, log, sqrt
from typing import Any, Final, NamedTuple


class Same(NamedTuple):
    """A method or a spacing. settings: of the node beside it. differs: why it is only the nearest; "" if it is not."""

    name: str
    settings: dict[str, Any] = {}  # noqa: RUF012 # read only
    differs: str = ""


_LOOKS = "it looks twice a step, between the levels"
SAMPLERS: Final[dict[str, Same]] = {
    "euler": Same("euler"),
    "euler_ancestral": Same("euler_ancestral"),
    "heun": Same("heun"),
    "lms": Same("lms"),
    "ddim": Same("ddim"),
    "ddpm": Same("ddpm"),
    "lcm": Same("lcm"),
    "dpmpp_2m": Same("dpmpp_2m"),
    "dpmpp_2m_sde": Same("dpmpp_2m_sde"),
    "dpmpp_2m_sde_gpu": Same("dpmpp_2m_sde"),
    "uni_pc_bh2": Same("unipc", differs="ComfyUI's takes one level more and leaves out the last but one"),
    "uni_pc": Same(
        "unipc", differs="ComfyUI's is the variant bh1, and leaves out the last level but one of one more; ours is bh2"
    ),
    "ipndm": Same("plms", differs="both look back on up to four steps, but ipndm along sigma"),
    "ipndm_v": Same("plms", differs="both look back on up to four steps, but ipndm_v along sigma with uneven steps"),
    "deis": Same("plms", differs="deis weighs the steps it looks back on otherwise"),
    "heunpp2": Same("heun", differs="heunpp2 looks up to three times a step"),
    "dpm_2": Same("heun", differs=_LOOKS),
    "dpm_2_ancestral": Same("euler_ancestral", differs=_LOOKS),
    "dpmpp_2s_ancestral": Same("euler_ancestral", differs=_LOOKS),
    "dpmpp_sde": Same("dpmpp_2m_sde", differs=f"{_LOOKS}; ours looks back instead"),
    "dpmpp_sde_gpu": Same("dpmpp_2m_sde", differs=f"{_LOOKS}; ours looks back instead"),
    "dpmpp_2m_sde_heun": Same("dpmpp_2m_sde", differs="ours is the midpoint variant"),
    "dpmpp_2m_sde_heun_gpu": Same("dpmpp_2m_sde", differs="ours is the midpoint variant"),
    "dpmpp_3m_sde": Same("dpmpp_2m_sde", differs="ours looks back on one step, not on two"),
    "dpmpp_3m_sde_gpu": Same("dpmpp_2m_sde", differs="ours looks back on one step, not on two"),
    "res_multistep": Same("dpmpp_2m", differs="it weighs the step it looks back on otherwise"),
    "dpm_fast": Same("dpmpp_2m", differs="dpm_fast chooses its own levels"),
    "dpm_adaptive": Same("dpmpp_2m", differs="dpm_adaptive chooses its own number of steps"),
}
FALLBACK: Final = Same("euler", differs="there is none of that name here")

SCHEDULERS: Final[dict[str, Same]] = {
    "normal": Same("linspace_exact"),
    "karras": Same("karras"),
    "exponential": Same("exponential"),
    "sgm_uniform": Same("sgm_uniform"),
    "simple": Same("trailing"),
    "ddim_uniform": Same("leading", {"offset": 1}),
    "beta": Same("linspace_exact", differs="beta takes shorter steps at both ends"),
    "linear_quadratic": Same("trailing", differs="linear_quadratic is made for flow models"),
    "kl_optimal": Same("karras", differs="kl_optimal bends otherwise"),
}
ANY_SCHEDULER: Final = Same("linspace_exact", differs="there is none of that name here")


def sampler(name: str) -> Same:
    """The method for a sampler's name."""
    return SAMPLERS.get(name, FALLBACK)


def scheduler(name: str, steps: int) -> Same:
    """The spacing for a scheduler's name, with what differs at that number of steps."""
    found = SCHEDULERS.get(name, ANY_SCHEDULER)
    if found.differs or 1000 % steps == 0:
        return found
    if name == "ddim_uniform":
        there = len(range(1, 1000, max(1000 // steps, 1)))
        if there != steps:
            return found._replace(differs=f"ComfyUI makes {there} steps of it, as 1000 is no multiple of {steps}")
    return found


@cache
def _log_sigmas() -> tuple[float, ...]:
    """Log of sigma / alpha at each of the 1000 steps of Stable Diffusion's schedule, rising."""
    first, last = sqrt(0.00085), sqrt(0.012)
    product, found = 1.0, []
    for step in range(1000):
        product *= 1 - (first + (last - first) * step / 999) ** 2
        found.append(log((1 - product) / product) / 2)
    return tuple(found)


def share_of_noise(percent: float) -> float:
    """The share sigma / (alpha + sigma) after so much of ComfyUI's way, 0..1: 1 at its beginning, 0 at its end.

    ComfyUI counts percents in steps of the table: 0.4 is step 599.4 of 0..999.
    """
    if percent <= 0:
        return 1.0
    if percent >= 1:
        return 0.0
    at = (1 - percent) * 999
    below = int(at)
    table = _log_sigmas()
    between = table[below] + (at - below) * (table[min(below + 1, 999)] - table[below])
    return round(exp(between) / (1 + exp(between)), 6)


RANGE: Final = (0.029167, 14.614642)
"""The sigma / alpha that the table begins and ends with, to which ComfyUI's own schedulers default."""


class Part(NamedTuple):
    """Of a way of so many steps, the part that is gone, as diffusion.sample takes it."""

    steps: int
    strength: float


def denoised(steps: int, denoise: float) -> Part:
    """ComfyUI goes the last `steps` of `steps / denoise` steps."""
    if denoise > 0.9999:
        return Part(steps, 1.0)
    if denoise <= 0:
        return Part(steps, 0.0)
    whole = min(int(steps / denoise), 1000)
    return last(steps, whole)


def last(steps: int, whole: int) -> Part:
    """The last steps of so many. Rounded up: diffusion.sample cuts a fraction of a step off."""
    return Part(whole, min(ceil(steps / whole * 1e6) / 1e6, 1.0))
