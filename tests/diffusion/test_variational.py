"""The variational bound of a learned variance, and the hybrid loss."""

import pytest
import torch
from nodeflow_diffusion.guidance import Learned
from nodeflow_diffusion.schedules import alphas_cumprod, betas
from nodeflow_diffusion.training_losses import hybrid_loss
from nodeflow_diffusion.variational import bound, divergence, hybrid_terms, log_likelihood
from torch import Tensor

TABLE = alphas_cumprod(betas("cosine"))


def noised(step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, noise, and both mixed."""
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.rand(len(step), 3, 4, 4, generator=generator) * 2 - 1
    eps = torch.randn(x_0.shape, generator=generator)
    alpha, sigma = (level[step].float().reshape(-1, 1, 1, 1) for level in (TABLE.sqrt(), (1 - TABLE).sqrt()))
    return x_0, eps, alpha * x_0 + sigma * eps


def test_who_knows_the_picture_pays_nothing_but_for_the_first_step() -> None:
    x_0, _, x_t = noised(torch.tensor([0, 1, 400, 990]))
    found = bound(Learned(x_0, torch.zeros_like(x_0)), x_0, x_t, torch.tensor([0, 1, 400, 990]), TABLE)
    assert found[0] > 0.01
    torch.testing.assert_close(found[1:], torch.zeros(3), atol=1e-6, rtol=0)


def test_a_wrong_picture_and_a_wrong_variance_cost() -> None:
    step = torch.tensor([5, 300])
    x_0, _, x_t = noised(step)
    for wrong in (Learned(x_0 + 0.1, torch.zeros_like(x_0)), Learned(x_0, torch.ones_like(x_0))):
        assert bound(wrong, x_0, x_t, step, TABLE).min() > 1e-6


def test_the_divergence_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance, other_mean, other_log_variance = torch.randn(4, 50, generator=generator).double()
    one, other = (
        torch.distributions.Normal(centre, (spread / 2).exp())
        for centre, spread in ((mean, log_variance), (other_mean, other_log_variance))
    )
    torch.testing.assert_close(
        torch.distributions.kl_divergence(one, other),
        divergence(mean, log_variance, other_mean, other_log_variance),
    )


@pytest.mark.parametrize("spread", [0.005, 0.1, 2.0])
def test_all_values_of_a_pixel_together_are_certain(spread: float) -> None:
    values = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    for mean in (-1.2, -0.3, 0.99):
        found = log_likelihood(values, torch.full_like(values, mean), torch.full_like(values, spread).log())
        assert abs(float(found.exp().sum()) - 1) < 1e-6


def test_the_bound_teaches_the_variance_alone() -> None:
    step = torch.tensor([0, 500])
    x_0, eps, x_t = noised(step)
    output = torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    terms = hybrid_terms(output, x_0, eps, x_t, step, TABLE)
    (gradient,) = torch.autograd.grad(terms.bound.sum(), output, retain_graph=True)
    assert not gradient[:, :3].any()
    assert gradient[:, 3:].abs().min() > 0
    (gradient,) = torch.autograd.grad(terms.simple.sum(), output)
    assert gradient[:, :3].abs().min() > 0
    assert not gradient[:, 3:].any()


def test_the_loss_is_the_noise_s_error_and_a_thousandth_of_the_bound_over_all_steps() -> None:
    x_0 = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(5)) * 2 - 1
    answer = torch.randn(3, 6, 4, 4, generator=torch.Generator().manual_seed(6))
    seen: list[tuple[Tensor, Tensor]] = []

    def model(x: Tensor, t: Tensor, extra: str) -> Tensor:
        assert "told" == extra
        seen.append((x, t))
        return answer

    for weight, total in ((1e-3, 1000), (0.5, 400)):
        table = alphas_cumprod(betas("cosine", total))
        generator = torch.Generator().manual_seed(0)
        found = hybrid_loss(model, x_0, ("told",), generator, alphas_cumprod=table, weight=weight)  # type: ignore[arg-type]
        x_t, t = seen[-1]
        again = torch.Generator().manual_seed(0)
        assert torch.equal(torch.randint(total, (3,), generator=again).float(), t)
        eps = torch.randn(x_0.shape, generator=again)
        terms = hybrid_terms(answer, x_0, eps, x_t, t.long(), table)
        torch.testing.assert_close((terms.simple + weight * total * terms.bound).mean(), found)
