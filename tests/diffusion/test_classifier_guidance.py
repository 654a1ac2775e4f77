"""Guidance by a classifier, where both what is drawn and what the classifier says are known exactly.

Pictures of class c are normal around a mean of that class. Then the denoiser of both classes, guided by the exact
classifier at scale 1, is the denoiser of the one class: that is Bayes' rule.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from nodeflow_codebooks.pixel_recipes import PIXELS
from nodeflow_diffusion.classifier_recipes import Classifier, ClassifierGuided, log_gradient
from nodeflow_diffusion.guidance import Learned, Steered, changed, whole
from nodeflow_diffusion.levels import schedule_levels
from nodeflow_diffusion.samplers import ddim, ddpm
from nodeflow_diffusion.schedules import alphas_cumprod, betas
from nodeflow_diffusion.threshold_recipes import Clipped
from torch import Tensor

from nodeflow import QUIET, Composition, Denoiser, Labels, LatentSpace

MEANS = (-0.6, 0.4)
SPREAD = 0.3
LEVEL = (0.6, 0.8)
WAYS = schedule_levels(alphas_cumprod(betas("cosine")), 8)


def likelihoods(x: Tensor, alpha: Any, sigma: Any) -> Tensor:
    """Log p(x | class) but for what both have in common, [B, 2]."""
    alpha, sigma = (torch.as_tensor(level, dtype=x.dtype) for level in (alpha, sigma))
    variance = (alpha * SPREAD) ** 2 + sigma**2
    return torch.stack([-(x - alpha * mean).square().flatten(1).sum(1) / (2 * variance) for mean in MEANS], 1)


def one_class(x: Tensor, alpha: Any, sigma: Any, number: int) -> Tensor:
    """E[x_0 | x, class]."""
    gain = alpha * SPREAD**2 / ((alpha * SPREAD) ** 2 + sigma**2)
    return MEANS[number] + gain * (x - alpha * MEANS[number])


@dataclass(frozen=True)
class Known(Denoiser, Composition):
    """The denoiser of both classes, or of one; with a learned variance or without."""

    number: int | None = None
    share: float | None = None
    space: LatentSpace = PIXELS

    def assemble(self, load: Any) -> Any:
        def denoise(x: Tensor, alpha: Any, sigma: Any, condition: object = None) -> Any:
            if self.number is not None:
                return one_class(x, alpha, sigma, self.number)
            weights = likelihoods(x, alpha, sigma).softmax(1)
            parts = [weights[:, n, None, None, None] * one_class(x, alpha, sigma, n) for n in (0, 1)]
            x_0 = parts[0] + parts[1]
            return x_0 if self.share is None else Learned(x_0, torch.full_like(x, self.share))

        return denoise


@dataclass(frozen=True)
class Exact(Classifier, Composition):
    """The classifier of noisy pictures that Bayes' rule gives."""

    space: LatentSpace = PIXELS
    classes: int = 2
    side: int | None = None

    def assemble(self, load: Any) -> Any:
        return likelihoods


def guided(denoiser: Denoiser, scale: float = 1.0, *numbers: int) -> ClassifierGuided:
    return ClassifierGuided(denoiser, Exact(), Labels(numbers or (1,)), scale)


def start(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(0))


def drawing() -> Any:
    generator = torch.Generator().manual_seed(1)
    return lambda: torch.randn(2, 3, 2, 2, generator=generator)


def at(denoiser: Denoiser, level: tuple[float, float] = LEVEL, x: Tensor | None = None) -> Any:
    with torch.no_grad():
        return QUIET.load(denoiser)(start() if x is None else x, *level)


@pytest.mark.parametrize("level", [(0.999, 0.04), LEVEL, (0.1, 0.995), (0.4, 0.6), (1.0, 3.0)])
def test_the_exact_classifier_makes_the_denoiser_of_its_class(level: tuple[float, float]) -> None:
    found = at(guided(Known(), 1.0, 0, 1), level)
    for row, number in enumerate((0, 1)):
        torch.testing.assert_close(
            one_class(start(), *level, number)[row], whole(found)[row], rtol=1e-4, atol=1e-5
        )  # fmt: skip


def test_a_picture_that_is_made_is_that_of_its_class() -> None:
    with torch.no_grad():
        wanted = ddim(QUIET.load(Known(1)), start(), pairwise(WAYS), noise=drawing())
        found = ddim(QUIET.load(guided(Known())), start(), pairwise(WAYS), noise=drawing())
        other = ddim(QUIET.load(Known()), start(), pairwise(WAYS), noise=drawing())
    torch.testing.assert_close(wanted, found, rtol=1e-3, atol=1e-4)
    assert (wanted - other).abs().max() > 0.1


@pytest.mark.parametrize("share", [None, 0.0, 0.3])
def test_ancestral_steps_move_their_mean_by_the_variance_times_the_gradient(share: float | None) -> None:
    (alpha_t, sigma_t), (alpha_s, sigma_s) = step = WAYS[3], WAYS[4]
    largest = sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2
    smallest = largest * sigma_s**2 / sigma_t**2
    variance = smallest if share is None else smallest * (largest / smallest) ** share
    labels = torch.tensor([1, 1])
    with torch.no_grad():
        moved, plain = (
            ddpm(QUIET.load(denoiser), start(), [step], noise=drawing())
            for denoiser in (guided(Known(share=share), 2.0), Known(share=share))
        )
    gradient = log_gradient(likelihoods, start(), alpha_t, sigma_t, labels)
    torch.testing.assert_close(plain + 2 * variance * gradient, moved, rtol=1e-4, atol=1e-5)
    assert (moved - plain).abs().max() > 0.01


def test_guidance_stacks() -> None:
    twice, once = guided(guided(Known(), 0.5), 1.5), guided(Known(), 2.0)
    torch.testing.assert_close(whole(at(once)), whole(at(twice)))
    with torch.no_grad():
        first, second = (
            ddpm(QUIET.load(denoiser), start(), pairwise(WAYS), noise=drawing()) for denoiser in (once, twice)
        )
    torch.testing.assert_close(first, second)


def test_no_scale_is_no_guidance() -> None:
    torch.testing.assert_close(at(Known()), whole(at(guided(Known(), 0.0))), rtol=0, atol=0)


def test_it_does_not_depend_on_how_the_level_is_scaled() -> None:
    alpha, sigma = LEVEL
    expected, found = at(guided(Known())), at(guided(Known()), (7 * alpha, 7 * sigma), 7 * start())
    torch.testing.assert_close(whole(expected), whole(found), rtol=1e-4, atol=1e-5)


def test_noise_alone_is_of_no_class() -> None:
    torch.testing.assert_close(at(Known(), (0.0, 1.0)), whole(at(guided(Known(), 9.0), (0.0, 1.0))))


def test_a_clamp_behind_it_holds_what_it_moved() -> None:
    found = at(Clipped(guided(Known(share=0.2), 30.0), 0.5))
    assert isinstance(found, Learned)
    assert 0.5 == float(whole(found).abs().max())
    assert torch.equal(found.share, torch.full_like(found.share, 0.2))


def test_a_clamp_before_it_holds_what_it_moves_on_from() -> None:
    found = at(guided(Clipped(Known(share=0.2), 0.1), 30.0))
    assert isinstance(found, Steered)
    assert float(whole(found.found).abs().max()) == pytest.approx(0.1)
    assert float(whole(found).abs().max()) > 0.1
    assert isinstance(changed(found, torch.sin), Learned)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_finds_its_gradient_where_none_is_recorded(mode: Any) -> None:
    with mode():
        found = QUIET.load(guided(Known()))(start(), *LEVEL)
    assert not whole(found).requires_grad
    assert found.gradient.abs().max() > 0.1


def test_one_class_for_all_or_one_each() -> None:
    each, first = at(guided(Known(), 1.0, 0, 1)), at(guided(Known(), 1.0, 0))
    torch.testing.assert_close(whole(each)[0], whole(first)[0])
    with pytest.raises(ValueError, match="3 classes are told, but the latent has 2 pictures"):
        at(guided(Known(), 1.0, 0, 1, 0))
