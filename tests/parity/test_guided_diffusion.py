"""Improved and guided diffusion: networks, whole loops with classes and classifiers, and the hybrid loss, as kept."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.adm_families import Noise, Settings
from nodeflow_diffusion.adm_recipes import AdmModel, adm_denoiser
from nodeflow_diffusion.adm_unet import AdmConfig
from nodeflow_diffusion.beside_recipes import Enlarged
from nodeflow_diffusion.classifier_recipes import AdmNoisyClassifier, ClassifierGuided
from nodeflow_diffusion.label_recipes import Labelled
from nodeflow_diffusion.levels import section_levels
from nodeflow_diffusion.prediction import denoised
from nodeflow_diffusion.samplers import ddim, ddpm
from nodeflow_diffusion.schedules import alphas_cumprod, betas
from nodeflow_diffusion.threshold_recipes import Clipped
from nodeflow_diffusion.variational import hybrid_terms
from safetensors.torch import save_file
from torch import Tensor

from nodeflow import QUIET, Denoiser, Labels

TINY = AdmConfig(base=32, widths=(32, 64), layers=1, attends=(False, True), heads=(2, 4))
SAID = Settings(heads=4, mixed=True, schedule="linear")
Named = Callable[[str], str]


@pytest.fixture
def named(kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Named:
    """Writes the kept weights of a model into a file, as they are called there, and gives its name."""
    monkeypatch.chdir(tmp_path)

    def write(model: str) -> str:
        weights = kept("guided_diffusion").weights(model)
        save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / f"{model}.safetensors")
        return model

    return write


@pytest.mark.parametrize(
    ("title", "mixed", "resize", "classes"),
    [("cond", True, "residual", 5), ("legacy_heads", True, "convolution", 5), ("new_attn", False, "residual", 0)],
)
def test_the_u_net_is_theirs(
    title: str, mixed: bool, resize: Any, classes: int, kept: Any, named: Named, agree: Any
) -> None:
    numbers, name = kept("guided_diffusion"), f"gd_unet.{title}"
    model, found = AdmModel.named(named(f"{name}.m"), settings=SAID._replace(mixed=mixed))
    assert (resize, classes, mixed, True, 6) == (
        found.config.resize, found.config.classes, found.config.mixed, found.config.film, found.config.channels_out
    )  # fmt: skip
    labels = numbers.given(f"{name}.y") if classes else None
    out = model.build("cpu")(numbers.given(f"{name}.x"), numbers.given(f"{name}.t"), labels)
    agree(numbers.expected(f"{name}.out"), out)


def test_the_upsampler_is_theirs(kept: Any, named: Named, agree: Any) -> None:
    numbers = kept("guided_diffusion")
    denoiser = adm_denoiser(named("gd_sr.m"), SAID)
    assert denoiser.enlarges
    x, t = numbers.given("gd_sr.x"), numbers.given("gd_sr.t")
    alpha, sigma = of_steps("linear", t)
    out = numbers.expected("gd_sr.out")
    found = QUIET.load(Enlarged(denoiser, numbers.given("gd_sr.low_res")))(x, alpha, sigma)
    # what they give is the noise; at the later step the picture in it is divided by an alpha of 0.006
    expected = denoised("eps", out[:, :3], x, alpha.reshape(-1, 1, 1, 1), sigma.reshape(-1, 1, 1, 1))
    agree(expected, found.x_0)
    agree((out[:, 3:] + 1) / 2, found.share)


def test_the_classifier_is_theirs(kept: Any, named: Named, agree: Any) -> None:
    numbers = kept("guided_diffusion")
    classifier = AdmNoisyClassifier.named(named("gd_classifier.m"), SAID)
    assert (5, 16) == (classifier.classes, classifier.side)
    alpha, sigma = of_steps("linear", numbers.given("gd_classifier.t"))
    found = QUIET.load(classifier)(numbers.given("gd_classifier.x"), alpha, sigma)
    agree(numbers.expected("gd_classifier.logits"), found)


def of_steps(name: Any, t: Tensor) -> tuple[Tensor, Tensor]:
    """The levels of a schedule's steps."""
    table = alphas_cumprod(betas(name))[t]
    return table.sqrt().float(), (1 - table).sqrt().float()


SAMPLES = {
    "ddpm_cos_10": (Noise("cosine"), "10", ddpm, False),
    "ddpm_lin_4,3,2": (Noise("linear", 90), "4,3,2", ddpm, False),
    "ddim8_lin": (Noise(), "ddim8", ddim, False),
    "ddim8_guided": (Noise(), "ddim8", ddim, True),
    "ddpm10_guided": (Noise(), "10", ddpm, True),
}


@pytest.mark.parametrize("title", SAMPLES)
def test_pictures_are_theirs(title: str, kept: Any, named: Named, agree: Any) -> None:
    numbers = kept("guided_diffusion")
    noise, sections, sampler, guides = SAMPLES[title]
    said = SAID._replace(schedule=noise.schedule, steps=noise.steps)
    x = numbers.given(f"gd_sample.{title}.noise")
    labels = Labels(tuple(numbers.given(f"gd_sample.{title}.y").tolist()))
    denoiser: Denoiser = Clipped(Labelled(adm_denoiser(named("gd_unet.cond.m"), said), labels))
    if guides:
        classifier = AdmNoisyClassifier.named(named("gd_classifier.m"), said)
        denoiser = ClassifierGuided(denoiser, classifier, labels, 2.0)
    generator = torch.Generator().manual_seed(0)
    steps = pairwise(section_levels(alphas_cumprod(betas(noise.schedule, noise.steps)), sections))
    with torch.no_grad():
        found = sampler(QUIET.load(denoiser), x, steps, noise=lambda: torch.randn(x.shape, generator=generator))
    agree(numbers.expected(f"gd_sample.{title}.x"), found, 1e-4)


def test_the_hybrid_loss_is_theirs(kept: Any, named: Named, agree: Any) -> None:
    numbers = kept("guided_diffusion")
    model, _ = AdmModel.named(named("gd_unet.cond.m"), settings=SAID)
    x_0, t, eps, y = (numbers.given(f"gd_loss.{name}") for name in ("x", "t", "noise", "y"))
    table = alphas_cumprod(betas("cosine"))
    alpha, sigma = (values.reshape(-1, 1, 1, 1) for values in of_steps("cosine", t))
    x_t = alpha * x_0 + sigma * eps
    terms = hybrid_terms(model.build("cpu")(x_t, t, y), x_0, eps, x_t, t, table)
    agree(numbers.expected("gd_loss.mse"), terms.simple)
    agree(numbers.expected("gd_loss.vb"), terms.bound)
    agree(numbers.expected("gd_loss.loss"), terms.simple + terms.bound)
