"""Guidance: its ends, its spread, and arcs between noises."""

import math

import pytest
import torch
from nodeflow_diffusion.guidance import guided, rescaled, slerp


def drawn(seed: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 4, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_scale_one_is_the_condition_and_zero_is_without_it() -> None:
    assert torch.equal(drawn(0), guided(drawn(0), drawn(1), 1))
    assert torch.equal(drawn(1), guided(drawn(0), drawn(1), 0))
    torch.testing.assert_close(guided(drawn(0), drawn(1), 3), 3 * drawn(0) - 2 * drawn(1), rtol=1e-5, atol=1e-6)


def test_rescaling_brings_back_the_spread_of_each_picture() -> None:
    found = rescaled(3 * drawn(0), drawn(1), 1.0)
    torch.testing.assert_close(found.std((1, 2, 3)), drawn(1).std((1, 2, 3)), rtol=1e-5, atol=0)
    torch.testing.assert_close(rescaled(3 * drawn(0), drawn(1), 0.0), 3 * drawn(0), rtol=1e-6, atol=0)


def test_an_arc_ends_where_it_should_and_keeps_its_length() -> None:
    first, second = drawn(0, 1), drawn(1, 1)
    arc = slerp(first, second, torch.tensor([0, 0.5, 1]))
    torch.testing.assert_close(arc[[0]], first, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(arc[[2]], second, rtol=1e-6, atol=1e-6)
    # half way between two unit vectors at 90 degrees lies (1, 1) / sqrt(2)
    flat = slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([0.5]))
    assert [[pytest.approx(math.sqrt(0.5))] * 2] == flat.tolist()
    assert torch.equal(first.expand(2, -1, -1, -1), slerp(first, first, torch.tensor([0.2, 0.7])))


def test_between_nothing_and_noise_lies_a_line() -> None:
    nothing, noise = torch.zeros(1, 4, 3, 3), drawn(1, 1)
    assert torch.equal(nothing.expand(3, -1, -1, -1), slerp(nothing, nothing, torch.linspace(0, 1, 3)))
    torch.testing.assert_close(slerp(nothing, noise, torch.tensor([0.5])), noise / 2, rtol=1e-6, atol=0)
