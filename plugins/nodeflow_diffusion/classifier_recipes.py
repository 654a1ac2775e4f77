"""Classifiers of noisy pictures, and denoisers guided by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from nodeflow_codebooks.pixel_recipes import PIXELS
from torch import Tensor
from torch.nn import functional as F

from nodeflow import QUIET, Composition, Context, Labels, LatentSpace, Recipe
from nodeflow_diffusion.adm_families import PICTURE, Noise, Settings
from nodeflow_diffusion.adm_recipes import NOBODY, AdmModel, Steps
from nodeflow_diffusion.batches import column
from nodeflow_diffusion.execution import levels
from nodeflow_diffusion.guidance import Steered, steered
from nodeflow_diffusion.label_recipes import spread_labels
from nodeflow_diffusion.recipes import Around, Scalar

Load = Callable[[Recipe], Any]


class Classifier(Recipe):
    """Loads to `(x, alpha, sigma) -> logits [B, classes]` of noisy pictures x = alpha x_0 + sigma eps, [B, C, H, W].

    Differentiable in x. space: of x. classes: how many it tells apart. side: of the pictures in pixels that it knows,
    if it knows no others.
    """

    space: LatentSpace
    classes: int
    side: int | None


@dataclass(frozen=True)
class AdmNoisyClassifier(Classifier, Composition):
    """A classifier of guided diffusion. noise: it was trained with."""

    network: AdmModel
    classes: int
    side: int | None
    noise: Noise
    space: LatentSpace = PIXELS

    @classmethod
    def named(cls, name: str, settings: Settings = NOBODY, ctx: Context = QUIET) -> AdmNoisyClassifier:
        """The classifier in the checkpoint of that name; failures as `AdmModel.named`."""
        model, found = AdmModel.named(name, "classifier", settings, ctx)
        return cls(model, found.config.channels_out, found.side, found.noise)

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma) -> logits`."""
        network, steps = load(self.network), Steps(self.noise)

        def classify(x: Tensor, alpha: Scalar, sigma: Scalar) -> Tensor:
            if x.shape[1:] != (PICTURE, self.side, self.side):
                raise ValueError(
                    f'the classifier "{self.network.name}" knows pictures of {self.side} x {self.side}, '
                    f"not of {x.shape[-1]} x {x.shape[-2]}\n    ask for that size, or load the classifier of this one"
                )
            z, t, _, _ = steps.at(x.float(), levels(alpha, x), levels(sigma, x), steps.on(x.device))
            logits: Tensor = network(z, t).float()
            return logits

        return classify


@dataclass(frozen=True, eq=False)
class ClassifierGuided(Around):
    """Guidance by the gradient of log p(y | x_t) (Dhariwal and Nichol 2021, section 4), times a scale.

    Once around another it adds its gradient to the other's.
    """

    classifier: Classifier
    labels: Labels
    scale: float = 1.0

    def assemble(self, load: Load) -> Any:
        """`(x, alpha, sigma, condition) -> denoised`."""
        inner, classify, channels = load(self.denoiser), load(self.classifier), self.space.channels

        def denoise(x: Tensor, alpha: Scalar, sigma: Scalar, condition: object = None) -> Steered:
            found = inner(x, alpha, sigma, condition)
            labels = torch.tensor(spread_labels(self.labels, len(x)).numbers, device=x.device)
            gradient = self.scale * log_gradient(classify, x[:, :channels], alpha, sigma, labels)
            a, s = levels(alpha, x), levels(sigma, x)
            # in noise alone no picture is left that could be of a class
            factor = torch.where(a > 0, s * s / a, 0.0)
            return steered(found, gradient.to(x), column(factor, x))

        return denoise


def log_gradient(classify: Callable[..., Tensor], x: Tensor, alpha: Scalar, sigma: Scalar, labels: Tensor) -> Tensor:
    """The gradient by x of each picture's log p(label | x); as x, float32. labels: [B] int64."""
    with torch.inference_mode(False), torch.enable_grad():
        # copies, as tensors that were made in inference mode have no part in a gradient
        level = (part.clone() if isinstance(part, Tensor) else part for part in (alpha, sigma))
        given = x.detach().float().clone().requires_grad_()
        chosen = F.log_softmax(classify(given, *level), -1).gather(1, labels.clone()[:, None]).sum()
        (found,) = torch.autograd.grad(chosen, given)
    return found
