"""Layers: shapes, gradients, what masks hide."""

import pytest
import torch
from nodeflow_diffusion.transformer import DiffusionTransformer, TransformerConfig
from nodeflow_diffusion.unet import UNet, UNetConfig
from nodeflow_nn.attention import Attention
from nodeflow_nn.convolution import Downsample, ResidualBlock, Upsample, from_patches, to_patches
from nodeflow_nn.embeddings import grid_positions, timestep_embedding

TINY_TRANSFORMER = TransformerConfig(channels=4, grid=4, width=32, depth=2, heads=2, context_width=12, pooled_width=6)
TINY_UNET = UNetConfig(channels=4, widths=(16, 24), head_width=8, context_width=12, pooled_width=6)
DENOISERS = {
    "transformer": lambda: DiffusionTransformer(TINY_TRANSFORMER),
    "patched transformer": lambda: DiffusionTransformer(
        TransformerConfig(channels=4, grid=4, patch=2, width=32, depth=2, heads=2, context_width=12, pooled_width=6)
    ),
    "unet": lambda: UNet(TINY_UNET),
}


def stirred(module: torch.nn.Module) -> torch.nn.Module:
    """Give zero-initialised weights values, so that everything matters."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module


def inputs(batch: int = 3) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(1)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False], [True, False, False, False, False]])
    return (
        torch.randn(batch, 4, 4, 4, generator=g),
        torch.rand(batch, generator=g),
        torch.randn(batch, 5, 12, generator=g),
        mask[:batch],
        torch.randn(batch, 6, generator=g),
    )


@pytest.mark.parametrize("cross", [False, True])
def test_masked_words_do_not_matter(cross: bool) -> None:
    layer = stirred(Attention(16, 2, 12, cross=cross))
    x, context = torch.randn(2, 6, 16), torch.randn(2, 4, 12)
    mask = torch.tensor([[True, True, False, False], [True, False, False, False]])
    changed = torch.where(mask[..., None], context, 100.0)
    torch.testing.assert_close(layer(x, changed, mask), layer(x, context, mask))


def test_attention_refuses_heads_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="3 heads"):
        Attention(16, 3)


def test_attention_that_reads_no_context_says_so() -> None:
    with pytest.raises(ValueError, match="without a context_width"):
        Attention(16, 2).read(torch.zeros(1, 3, 12))
    with pytest.raises(ValueError, match="no context"):
        Attention(16, 2, 12, cross=True)(torch.zeros(1, 3, 16))


def test_timestep_embedding_is_the_papers() -> None:
    t, width = 7.0, 6
    found = timestep_embedding(torch.tensor([t]), width)[0].double()
    angles = [t * 10000.0 ** (-i / 3) for i in range(3)]
    expected = torch.tensor(angles, dtype=torch.float64)
    torch.testing.assert_close(found, torch.cat([expected.cos(), expected.sin()]), rtol=1e-5, atol=1e-6)


def test_grid_positions_differ_everywhere() -> None:
    positions = grid_positions(3, 5, 16)
    assert (15, 16) == positions.shape
    assert torch.pdist(positions).min() > 0.1


def test_patches_there_and_back() -> None:
    x = torch.randn(2, 3, 12, 8)
    patches = to_patches(x, 4)
    assert (2, 6, 48) == patches.shape
    assert torch.equal(x, from_patches(patches, 4, 3))


def test_resolutions() -> None:
    x = torch.randn(2, 16, 8, 8)
    assert (2, 24, 8, 8) == ResidualBlock(16, 24, 10)(x, torch.randn(2, 10)).shape
    assert (2, 24, 4, 4) == Downsample(16, 24)(x).shape
    assert (2, 24, 16, 16) == Upsample(16, 24)(x).shape


@pytest.mark.parametrize("name", DENOISERS)
def test_denoiser_keeps_the_shape_and_trains_everything(name: str) -> None:
    model = stirred(DENOISERS[name]())
    prediction = model(*inputs())
    assert (3, 4, 4, 4) == prediction.shape
    prediction.square().mean().backward()
    assert [] == [path for path, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("name", DENOISERS)
def test_denoiser_heeds_time_words_and_summary(name: str) -> None:
    model = stirred(DENOISERS[name]())
    before = model(*inputs())
    for at in (1, 2, 4):
        changed = list(inputs())
        changed[at] = changed[at] + 0.5
        assert (model(*changed) - before).abs().max() > 1e-4


@pytest.mark.parametrize("name", DENOISERS)
def test_batch_members_do_not_meet(name: str) -> None:
    model = stirred(DENOISERS[name]()).eval()
    alone = model(*(part[:1] for part in inputs()))
    torch.testing.assert_close(model(*inputs())[:1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", DENOISERS)
@pytest.mark.parametrize("masked", [True, False])
def test_words_read_before_give_the_same_bits_at_any_time(name: str, masked: bool) -> None:
    model = stirred(DENOISERS[name]())
    x, t, context, mask, pooled = inputs()
    known = mask if masked else None
    with torch.no_grad():
        words = model.read(context, known)
        for time in (t, t / 2):
            assert torch.equal(model(x, time, context, known, pooled), model(x, time, words, None, pooled))


def test_a_context_without_mask_counts_as_whole() -> None:
    model = stirred(DENOISERS["transformer"]())
    x, t, context, _, pooled = inputs()
    whole = torch.ones(context.shape[:2], dtype=torch.bool)
    torch.testing.assert_close(model(x, t, context, None, pooled), model(x, t, context, whole, pooled))
