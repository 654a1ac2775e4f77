"""Schedules against values worked out by hand, and predictions against each other."""

import math

import pytest
import torch
from nodeflow_diffusion import prediction, schedules
from nodeflow_diffusion.prediction import denoised, from_flow, nearest_step, predicted, target, to_flow
from nodeflow_diffusion.training_losses import (
    captioned_flow_loss,
    drop_captions,
    flow_loss,
    logit_normal_times,
    schedule_loss,
)

KINDS = ("eps", "v", "x0", "flow")


def test_linear_betas() -> None:
    betas = schedules.betas("linear")
    assert torch.float64 == betas.dtype
    assert 1e-4 == betas[0]
    assert 0.02 == betas[-1]
    assert float(betas[500]) == pytest.approx(1e-4 + (0.02 - 1e-4) * 500 / 999, rel=1e-12)


def test_scaled_linear_betas() -> None:
    low, high = math.sqrt(0.00085), math.sqrt(0.012)
    betas = schedules.betas("scaled_linear")
    for step in (0, 123, 999):
        assert float(betas[step]) == pytest.approx((low + (high - low) * step / 999) ** 2, rel=1e-12)


def test_cosine_alphas_cumprod_are_the_papers() -> None:
    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    found = schedules.alphas_cumprod(schedules.betas("cosine"))
    for step in (0, 10, 500, 900, 998):
        assert float(found[step]) == pytest.approx(f((step + 1) / 1000) / f(0), rel=1e-11)
    assert 0.999 == float(schedules.betas("cosine")[-1])


def test_alphas_cumprod_is_a_product() -> None:
    betas = torch.tensor([0.1, 0.2, 0.5])
    expected = torch.tensor([0.9, 0.72, 0.36], dtype=torch.float64)
    torch.testing.assert_close(schedules.alphas_cumprod(betas), expected, rtol=1e-7, atol=0)


def test_ends_of_rectified_flow() -> None:
    times = schedules.flow_times(4)
    assert [1, 0.75, 0.5, 0.25, 0] == times.tolist()
    alpha, sigma = schedules.rectified_flow(times)
    assert [0, 0.25, 0.5, 0.75, 1] == alpha.tolist()
    assert times.tolist() == sigma.tolist()


def point() -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    x_0, eps = torch.randn(2, 4, 3, 5, 5, generator=g, dtype=torch.float64)
    alphas = schedules.alphas_cumprod(schedules.betas("cosine"))[[10, 400, 700, 950]]
    alpha, sigma = schedules.variance_preserving(alphas)
    return x_0, eps, alpha, sigma


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_and_pictures_convert_both_ways(kind: prediction.Prediction) -> None:
    x_0, eps, alpha, sigma = point()
    a, s = alpha[:, None, None, None], sigma[:, None, None, None]
    x_t = a * x_0 + s * eps
    aim = target(kind, x_0, eps, a, s)
    torch.testing.assert_close(denoised(kind, aim, x_t, a, s), x_0, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(predicted(kind, x_0, x_t, a, s), aim, rtol=1e-10, atol=1e-10)


def test_a_flow_model_serves_a_variance_preserving_schedule() -> None:
    x_0, eps, alpha, sigma = point()
    x_t = alpha[:, None, None, None] * x_0 + sigma[:, None, None, None] * eps
    x_flow, t = to_flow(x_t, alpha, sigma)
    column = t[:, None, None, None]
    torch.testing.assert_close(x_flow, (1 - column) * x_0 + column * eps, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(denoised("flow", eps - x_0, x_flow, 1 - column, column), x_0, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(from_flow(x_flow, alpha, sigma), x_t, rtol=1e-12, atol=1e-12)


def test_nearest_step_finds_a_steps_own_time() -> None:
    table = schedules.alphas_cumprod(schedules.betas("scaled_linear"))
    steps = torch.tensor([0, 3, 500, 999])
    _, t = to_flow(torch.zeros(4, 1), *schedules.variance_preserving(table[steps]))
    assert steps.tolist() == nearest_step(t, table).tolist()


def test_velocity_at_the_ends() -> None:
    x_0, eps = torch.tensor([2.0]), torch.tensor([3.0])
    assert 3 == target("v", x_0, eps, 1.0, 0.0)
    assert -2 == target("v", x_0, eps, 0.0, 1.0)


def test_loss_of_a_perfect_predictor_is_zero() -> None:
    x_0 = torch.zeros(8, 2, 4, 4)  # then x_t = t eps, and every prediction can be read off
    context = (torch.zeros(8, 1, 1), None, torch.zeros(8, 1))
    generator = torch.Generator().manual_seed(0)
    flow = flow_loss(lambda x, t, *_: x / t[:, None, None, None], x_0, context, generator)
    assert float(flow) == pytest.approx(0, abs=1e-10)
    table = schedules.alphas_cumprod(schedules.betas("cosine"))

    def model(x: torch.Tensor, step: torch.Tensor, *_: object) -> torch.Tensor:
        return x / (1 - table[step.long()]).sqrt().float()[:, None, None, None]

    exact = schedule_loss(model, x_0, context, generator, kind="eps", alphas_cumprod=table)
    assert float(exact) == pytest.approx(0, abs=1e-10)
    wrong = schedule_loss(model, x_0, context, generator, kind="v", alphas_cumprod=table)
    assert wrong > 0.1


def test_times_lean_towards_noise() -> None:
    times = logit_normal_times(100_000, torch.Generator().manual_seed(0))
    assert 0 < times.min()
    assert times.max() < 1
    assert float(times.median()) == pytest.approx(1 / (1 + math.exp(-0.4)), abs=0.005)


def test_dropped_captions_are_empty() -> None:
    ids = torch.ones(10_000, 4, dtype=torch.int64)
    kept = drop_captions(ids, 0.1, torch.Generator().manual_seed(0))
    assert {0, 4} == set(kept.sum(1).tolist())
    assert float((kept[:, 0] == 0).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_text_encoder_is_trained_along() -> None:
    table = torch.nn.Embedding(5, 3)

    def text(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        tokens = table(ids)
        return tokens, ids > 0, tokens.mean(1)

    def model(x: torch.Tensor, t: torch.Tensor, context: torch.Tensor, *_: object) -> torch.Tensor:
        return x + context.mean((1, 2))[:, None, None, None]

    ids = torch.randint(1, 5, (6, 4), generator=torch.Generator().manual_seed(1))
    captioned_flow_loss(model, text, torch.randn(6, 2, 4, 4), ids, torch.Generator().manual_seed(0)).backward()
    assert table.weight.grad is not None
    assert table.weight.grad.abs().sum() > 0
