"""Classes that are bound to denoisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodeflow import Denoiser, Labels, Recipe
from nodeflow_diffusion.guidance import Found
from nodeflow_diffusion.recipes import Around, Scalar

Load = Callable[[Recipe], Any]


@dataclass(frozen=True, eq=False)
class Labelled(Around):
    """A denoiser with classes bound to it: one for every picture, or one for all."""

    labels: Labels

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma) -> denoised`."""
        inner = load(self.denoiser)

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: object = None) -> Found:
            del condition  # what is bound stays bound
            found: Found = inner(x, alpha, sigma, spread_labels(self.labels, len(x)))
            return found

        return denoise


def spread_labels(labels: Labels, count: int) -> Labels:
    """The classes of `count` pictures: as many, or one repeated.

    Raises:
        ValueError: there are neither one nor `count`.
    """
    told = len(labels.numbers)
    if told not in (1, count):
        raise ValueError(
            f"{told} classes are told, but the latent has {count} pictures\n"
            f"    ask for {told} pictures (diffusion.empty: count), or tell one class"
        )
    return labels if told == count else Labels(labels.numbers * count)


def classes_of(denoiser: Denoiser) -> int:
    """Of how many classes a denoiser must be told one, whatever stands around it; 0 for none."""
    while isinstance(denoiser, Around):
        denoiser = denoiser.denoiser
    return getattr(denoiser, "classes", 0)


def in_range(labels: Labels, classes: int, whose: str) -> None:
    """Refuse classes that a network does not know.

    Raises:
        ValueError: there are some.
    """
    if wrong := [number for number in labels.numbers if number >= classes]:
        raise ValueError(f"{whose} knows the classes 0 to {classes - 1}, but was told {wrong}\n    choose one of these")
