"""What denoisers minimise. Models: (x [B, C, H, W], t [B], context, mask, pooled) -> prediction [B, C, H, W]."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from nodeflow_diffusion.batches import column
from nodeflow_diffusion.prediction import Prediction, target
from nodeflow_diffusion.variational import hybrid_terms

Denoiser = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor], Tensor]


class Text(Protocol):
    """A text encoder: ids [B, L] -> (tokens [B, L, D], mask [B, L], pooled [B, P])."""

    def __call__(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...


def logit_normal_times(count: int, generator: torch.Generator, mean: float = 0.4, std: float = 1.0) -> Tensor:
    """Flow times sigmoid(mean + std * normal) (Stable Diffusion 3, section 3.1): [count], 0..1."""
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator))


def drop_captions(ids: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Empty a random share of captions (classifier-free guidance, Ho and Salimans 2022): [B, L] -> [B, L]."""
    kept = torch.rand(len(ids), generator=generator) >= share
    return ids * kept[:, None].to(ids.device)


def flow_loss(
    model: Denoiser, x_0: Tensor, context: tuple[Tensor, Tensor | None, Tensor], generator: torch.Generator
) -> Tensor:
    """Rectified flow: mean squared error of the velocity eps - x_0 at logit-normal times; scalar.

    x_0: [B, C, H, W], unit variance. context: tokens, mask, pooled.
    """
    t = logit_normal_times(len(x_0), generator).to(x_0.device)
    eps = torch.randn(x_0.shape, generator=generator).to(x_0.device)
    x_t = torch.lerp(x_0, eps, column(t, x_0))
    return F.mse_loss(model(x_t, t, *context), eps - x_0)


def schedule_loss(
    model: Denoiser,
    x_0: Tensor,
    context: tuple[Tensor, Tensor | None, Tensor],
    generator: torch.Generator,
    *,
    kind: Prediction,
    alphas_cumprod: Tensor,
) -> Tensor:
    """Variance-preserving diffusion: mean squared error of eps, v or x0 at uniform steps (DDPM, eq. 14); scalar.

    The model's time is the step, 0 .. len(alphas_cumprod) - 1, as float32.
    """
    step = torch.randint(len(alphas_cumprod), (len(x_0),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator).to(x_0.device)
    kept = alphas_cumprod[step]
    alpha, sigma = column(kept.sqrt(), x_0), column((1 - kept).sqrt(), x_0)
    prediction = model(alpha * x_0 + sigma * eps, step.float().to(x_0.device), *context)
    return F.mse_loss(prediction, target(kind, x_0, eps, alpha, sigma))


def hybrid_loss(
    model: Denoiser,
    x_0: Tensor,
    context: tuple[Tensor | None, ...],
    generator: torch.Generator,
    *,
    alphas_cumprod: Tensor,
    weight: float = 1e-3,
) -> Tensor:
    """Improved DDPM: mean squared error of the noise, and `weight` times the bound for its variance; scalar.

    L_hybrid = L_simple + weight L_vlb at uniform steps (Nichol and Dhariwal 2021, eq. 16). The model's output is
    [B, 2 C, H, W], see `variational.hybrid_terms`, and its time the step, 0 .. T - 1, as float32.

    x_0: [B, C, H, W] pixels, -1..1. context: what else the model takes. alphas_cumprod: [T] float64.
    """
    total = len(alphas_cumprod)
    step = torch.randint(total, (len(x_0),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator).to(x_0.device)
    kept = alphas_cumprod[step]
    x_t = column(kept.sqrt(), x_0) * x_0 + column((1 - kept).sqrt(), x_0) * eps
    output = model(x_t, step.float().to(x_0.device), *context)  # type: ignore[arg-type]
    terms = hybrid_terms(output, x_0, eps, x_t, step.to(x_0.device), alphas_cumprod)
    return (terms.simple + weight * total * terms.bound).mean()


def captioned_flow_loss(
    model: Denoiser, text: Text, x_0: Tensor, ids: Tensor, generator: torch.Generator, *, drop: float = 0.1
) -> Tensor:
    """`flow_loss` with the text encoder in front, trained along: ids [B, L] int64, of which `drop` are emptied."""
    return flow_loss(model, x_0, tuple(text(drop_captions(ids, drop, generator))), generator)  # type: ignore[arg-type]


def captioned_schedule_loss(
    model: Denoiser,
    text: Text,
    x_0: Tensor,
    ids: Tensor,
    generator: torch.Generator,
    *,
    kind: Prediction,
    alphas_cumprod: Tensor,
    drop: float = 0.1,
) -> Tensor:
    """`schedule_loss` with the text encoder in front, trained along."""
    tokens, mask, pooled = text(drop_captions(ids, drop, generator))
    return schedule_loss(model, x_0, (tokens, mask, pooled), generator, kind=kind, alphas_cumprod=alphas_cumprod)
