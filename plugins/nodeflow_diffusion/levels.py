"""Noise levels for sampling: lists of (alpha, sigma), most noise first, the picture (1, 0) last. All in float64."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor

from nodeflow_diffusion.respacing import evenly, in_sections, respaced
from nodeflow_diffusion.schedules import (
    alphas_cumprod,
    betas,
    flow_times,
    rectified_flow,
    variance_preserving,
    zero_terminal_snr,
)
from nodeflow_diffusion.sigmas import between_steps, exponential, karras, of_table, polyexponential

Level = tuple[float, float]
"""(alpha, sigma) of x = alpha x_0 + sigma noise."""
Curve = Literal["karras", "exponential", "polyexponential"]
"""Spacings that draw their own line from the noisiest sigma to the cleanest."""
Spacing = Literal[
    "trailing",
    "leading",
    "linspace",
    "linspace_exact",
    "sgm_uniform",
    "lcm",
    "karras",
    "exponential",
    "polyexponential",
]
Kind = Literal["flow", "linear", "scaled_linear", "cosine", "edm"]
End = Literal["picture", "first"]

PICTURE: Level = (1.0, 0.0)
EDM_SIGMAS = (0.002, 80.0)
"""The range of Karras et al. 2022, table 1."""
SAME = 1e-9
"""Levels whose sigma / alpha differ by this share are one: nothing of it is left in float32."""


@dataclass(frozen=True)
class Schedule:
    """Which noise levels a sampler visits.

    spacing, offset, sections: of the steps of a table (`schedule_levels`, `section_levels`), thus of neither flow
    nor edm, whose spacing is a curve. shift: of flow. rho: of the spacings karras and polyexponential. end: where the
    last step leads. zero_snr: whether the table is moved to end at noise alone. table: its number of steps.
    """

    kind: Kind = "flow"
    spacing: Spacing = "trailing"
    shift: float = 1.0
    rho: float = 7.0
    offset: int = 0
    end: End = "picture"
    zero_snr: bool = False
    sections: str = ""
    table: int = 1000

    def __post_init__(self) -> None:
        """Refuse what would go unheard.

        Raises:
            ValueError: the kind has not what is asked of it.
        """
        tabled = self.kind not in ("flow", "edm")
        if self.kind == "flow" and self.spacing in get_args(Curve):
            raise ValueError(
                f"spacing {self.spacing} draws a line between two sigmas, but flow begins with noise alone\n"
                "    take linear, scaled_linear, cosine or edm; shift does for flow what spacings do for these"
            )
        asked = {"offset": self.offset, "end": self.end != "picture", "zero_snr": self.zero_snr}
        asked["table"] = self.table != 1000
        for name, value in (asked | {"sections": self.sections}).items():
            if value and not tabled:
                raise ValueError(f"{name} is for linear, scaled_linear and cosine, but the kind is {self.kind}")
        if self.offset and (self.spacing != "leading" or self.sections):
            raise ValueError("offset moves the steps of spacing leading only")
        if tabled and self.sections:
            in_sections(self.table, self.sections)
        if self.zero_snr and self.spacing in (*get_args(Curve), "linspace_exact"):
            raise ValueError(f"spacing {self.spacing} needs sigmas with a bound\n    take trailing with zero_snr")

    def levels(self, steps: int) -> list[Level]:
        """The steps + 1 levels, most noise first, the picture last, or nearly so; some may be the same (`falling`).

        Raises:
            ValueError: there are no such steps, or they lead nowhere.
        """
        found = self._visited(steps)
        if len(falling(found)) == 1:
            raise ValueError(
                f"steps {steps} of spacing {self.spacing}: the way begins where it ends\n    take end picture"
            )
        return found

    def _visited(self, steps: int) -> list[Level]:
        if self.kind == "flow":
            return flow_levels(steps, self.shift)
        if self.kind == "edm":
            curve: Curve = "karras" if self.spacing not in get_args(Curve) else self.spacing  # type: ignore[assignment]
            return curve_levels(steps, *EDM_SIGMAS, curve, self.rho)
        table = alphas_cumprod(betas(self.kind, self.table))
        if self.zero_snr:
            table = zero_terminal_snr(table)
        if self.sections:
            found = section_levels(table, self.sections)
            if len(found) - 1 != steps:
                count = len(found) - 1
                raise ValueError(f'sections "{self.sections}" are {count} steps, but {steps} are asked for')
        else:
            found = schedule_levels(table, steps, self.spacing, rho=self.rho, offset=self.offset)
        return found if self.end == "picture" else [*found[:-1], visited_levels(table, [0])[0]]


def falling(levels: Sequence[Level]) -> list[Level]:
    """The levels that are less noisy than the one before, by more than is rounded off.

    Steps between others lead nowhere, and samplers that divide by a step's length cannot take them: several steps on
    one level of a table, the end of a steep curve, a way that ends where its last step begins.
    """
    found = list(levels[:1])
    for alpha, sigma in levels[1:]:
        before, noise = found[-1]
        if before * sigma < (1 - SAME) * noise * alpha:
            found.append((alpha, sigma))
    return found


def flow_levels(steps: int, shift: float = 1.0) -> list[Level]:
    """The steps + 1 levels of rectified flow, alpha = 1 - t, sigma = t.

    shift: t becomes shift t / (1 + (shift - 1) t) (Stable Diffusion 3, eq. 23): above 1 more of the steps are spent
    where there is much noise, as larger pictures need.
    """
    t = flow_times(steps)
    return _listed(*rectified_flow(shift * t / (1 + (shift - 1) * t)))


def schedule_levels(
    alphas_cumprod: Tensor, steps: int, spacing: Spacing = "trailing", *, rho: float = 7.0, offset: int = 0
) -> list[Level]:
    """The steps + 1 levels of a variance-preserving table, as a spacing chooses them, then the picture.

    rho: of the spacings karras and polyexponential. offset: of leading. Curves and linspace_exact go by sigma / alpha,
    which has no bound in a table that ends at noise alone.
    """
    match spacing:
        case "linspace_exact":
            return sigma_levels(between_steps(alphas_cumprod, evenly(len(alphas_cumprod), steps)))
        case "karras" | "exponential" | "polyexponential":
            known = of_table(alphas_cumprod)
            return curve_levels(steps, float(known[0]), float(known[-1]), spacing, rho)
    return visited_levels(alphas_cumprod, respaced(len(alphas_cumprod), steps, spacing, offset))


def section_levels(alphas_cumprod: Tensor, sections: str) -> list[Level]:
    """The levels that a text of sections chooses (`respacing.in_sections`), then the picture."""
    return visited_levels(alphas_cumprod, in_sections(len(alphas_cumprod), sections))


def visited_levels(alphas_cumprod: Tensor, visited: Sequence[int]) -> list[Level]:
    """The levels of a variance-preserving table's visited steps, then the picture."""
    return [*_listed(*variance_preserving(alphas_cumprod[list(visited)])), PICTURE]


def curve_levels(steps: int, smallest: float, largest: float, curve: Curve, rho: float = 7.0) -> list[Level]:
    """The steps + 1 levels of a line from the largest sigma / alpha to the smallest, the picture last."""
    if curve == "karras":
        return sigma_levels(karras(steps, smallest, largest, rho))
    if curve == "exponential":
        return sigma_levels(exponential(steps, smallest, largest))
    return sigma_levels(polyexponential(steps, smallest, largest, rho))


def sigma_levels(sigmas: Tensor) -> list[Level]:
    """Levels of unit variance with these sigma / alpha, then the picture."""
    alpha = (1 + sigmas.double().square()).rsqrt()
    return [*_listed(alpha, sigmas.double() * alpha), PICTURE]


def from_strength(levels: Sequence[Level], strength: float) -> list[tuple[Level, Level]]:
    """The last part of the way as (from, to) pairs: all of it for strength 1 only, none for 0, else at least one.

    Steps between levels that are the same are counted, as other programs do, and left out (`falling`).
    """
    steps, way = len(levels) - 1, falling(levels)
    if strength <= 0:
        return []
    # a hair is added, for 0.29 of 100 steps is 28.999999999999996 in floating point
    skipped = steps - max(1, int(strength * steps + 1e-9))
    first = len(falling(levels[: skipped + 1])) - 1
    return list(pairwise(way[min(first, len(way) - 2) :]))


def _listed(alpha: Tensor, sigma: Tensor) -> list[Level]:
    return list(zip(alpha.tolist(), sigma.tolist(), strict=True))
