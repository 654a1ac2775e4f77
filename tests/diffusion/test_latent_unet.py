"""The latent U-Net by itself: what it takes, what it refuses, and that it trains."""

import math

import pytest
import torch
from nodeflow_diffusion.latent_unet import LatentUNet, LatentUNetConfig, size_vector
from torch.nn import functional as F

CONFIG = LatentUNetConfig(
    widths=(16, 32), layers=1, depths=(0, 1), heads=(2, 2), context_width=12, vector_width=20, groups=4
)


@pytest.fixture
def unet() -> LatentUNet:
    torch.manual_seed(0)
    return LatentUNet(CONFIG).eval()


def given(batch: int = 2) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    x, context = torch.randn(batch, 4, 8, 8, generator=draw), torch.randn(batch, 5, 12, generator=draw)
    return [x, torch.tensor([3, 900])[:batch], context, torch.randn(batch, 20, generator=draw)]


@torch.inference_mode()
def test_words_that_were_read_once_give_the_same_numbers(unet: LatentUNet) -> None:
    x, t, context, vector = given()
    reading = unet.read(context)
    assert [(2, 2, 5, 16)] * 4 == [tuple(keys.shape) for keys, _ in reading]
    assert torch.equal(unet(x, t, context, vector), unet(x, t, reading, vector))


@torch.inference_mode()
def test_memory_layout_of_latents_and_weights_is_free(unet: LatentUNet) -> None:
    x, *rest = given()
    expected = unet(x, *rest)
    assert expected.is_contiguous(memory_format=torch.channels_last)
    last = torch.channels_last
    assert torch.equal(expected, unet(x.contiguous(memory_format=last), *rest))
    torch.testing.assert_close(unet.to(memory_format=last)(x, *rest), expected, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_rows_of_a_batch_do_not_see_each_other(unet: LatentUNet) -> None:
    both = unet(*given())
    for row in range(2):
        alone = unet(*(part[row : row + 1] for part in given()))
        torch.testing.assert_close(alone, both[row : row + 1], rtol=0, atol=1e-5)


def test_gradients_are_those_of_finite_differences(unet: LatentUNet) -> None:
    unet.double()
    x, t, context, vector = given(1)
    inputs = [part.double().requires_grad_() for part in (x, context, vector)]
    direction = [torch.randn_like(part) for part in inputs]

    def loss(step: float) -> torch.Tensor:
        moved = [part + step * way for part, way in zip(inputs, direction, strict=True)]
        return F.mse_loss(unet(moved[0], t, moved[1], moved[2]), torch.ones_like(x, dtype=torch.float64))

    slopes = torch.autograd.grad(loss(0), inputs)
    expected = sum((slope * way).sum() for slope, way in zip(slopes, direction, strict=True))
    found = (loss(1e-4) - loss(-1e-4)) / 2e-4
    # times are computed in float32, which both sides share
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_every_weight_is_trained(unet: LatentUNet) -> None:
    unet(*given()).square().mean().backward()
    assert [] == [name for name, value in unet.named_parameters() if value.grad is None or not value.grad.any()]


@torch.inference_mode()
def test_bfloat16_stays_bfloat16_and_near(unet: LatentUNet) -> None:
    expected = unet(*given())
    found = unet.bfloat16()(*(part.bfloat16() if part.is_floating_point() else part for part in given()))
    assert torch.bfloat16 == found.dtype
    assert float((found.float() - expected).norm() / expected.norm()) < 3e-2


def test_what_does_not_fit_is_refused(unet: LatentUNet) -> None:
    x, t, context, vector = given()
    with pytest.raises(ValueError, match="takes a vector of pooled text and sizes, but got none"):
        unet(x, t, context)
    with pytest.raises(ValueError, match=r"the words are \[2, 5, 7\], but expected \[B, L, 12\]"):
        unet(x, t, context[..., :7], vector)
    with pytest.raises(ValueError, match="2 widths, 1 depths and 2 heads"):
        LatentUNetConfig(widths=(8, 8), depths=(1,), heads=(1, 1))
    with pytest.raises(ValueError, match="3 heads do not divide width 32"):
        LatentUNet(LatentUNetConfig(widths=(32,), depths=(1,), heads=(3,)))


def test_the_vector_of_sizes_is_the_pooled_text_and_a_sinusoid_of_each_number() -> None:
    pooled = torch.randn(1, 3)
    found = size_vector(pooled, torch.tensor([[0.0, 1.0]]), 4)
    waves = torch.tensor([[1.0, 1.0, 0.0, 0.0, math.cos(1), math.cos(0.01), math.sin(1), math.sin(0.01)]])
    torch.testing.assert_close(found, torch.cat([pooled, waves], -1))
