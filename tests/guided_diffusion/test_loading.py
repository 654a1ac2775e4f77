"""Networks of improved and guided diffusion: known by their shapes, asked about where these do not tell, refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from nodeflow_codebooks.pixel_recipes import PIXELS
from nodeflow_diffusion.adm_families import Noise
from nodeflow_diffusion.adm_nodes import enlarge, guide_by_classifier, label, labels, load_adm, load_classifier
from nodeflow_diffusion.adm_recipes import AdmDenoiser, AdmModel, Steps
from nodeflow_diffusion.adm_unet import AdmConfig
from nodeflow_diffusion.execution import Execution, levels
from nodeflow_diffusion.guidance import Learned
from nodeflow_diffusion.nodes import condition, empty
from nodeflow_diffusion.recipes import run_as
from nodeflow_diffusion.sampling_nodes import sample
from nodeflow_diffusion.schedules import alphas_cumprod, betas

from nodeflow import QUIET, Denoiser, Image, ModelError, TextEmbedding

Write = Callable[..., str]
STRANGE = AdmConfig(base=32, widths=(32, 32, 64), layers=1, attends=(False, True, True), heads=(1, 1, 2))


def drawn(side: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))


def estimate(denoiser: Denoiser, x: torch.Tensor, **more: Any) -> Any:
    with torch.no_grad():
        return QUIET.load(denoiser)(x, 0.8, 0.6, **more)


def test_a_network_of_no_published_sizes_is_asked_about(file: Write) -> None:
    name = file("64", config=STRANGE)
    with pytest.raises(ModelError, match=r"none of those published: it has .*widths \(32, 32, 64\)") as told:
        load_adm(name)
    for asked in ("heads (of each attention), or head_channels", 'order ("legacy" unless', "schedule (the noise"):
        assert asked in str(told.value)
    with pytest.raises(ModelError, match="choose what its training had: schedule") as told:
        load_adm(name, head_channels=32, order="legacy")
    assert "heads (of" not in str(told.value)


def test_what_is_said_counts(file: Write) -> None:
    name = file("64", config=STRANGE)
    found = load_adm(name, head_channels=32, order="legacy", schedule="cosine", steps=4000, times="thousand")
    assert isinstance(found, AdmDenoiser)
    assert Noise("cosine", 4000, rescaled=True) == found.noise
    whole = load_adm(name, heads=1, order="legacy", schedule="cosine", steps=4000, times="thousand")
    x = drawn()
    assert not torch.equal(estimate(found, x).x_0, estimate(whole, x).x_0)  # the deepest level has 2 heads, not 1
    other = load_adm(name, head_channels=32, order="new", schedule="cosine", steps=4000, times="thousand")
    assert not torch.equal(estimate(found, x).x_0, estimate(other, x).x_0)


def test_a_published_network_may_be_told_otherwise(file: Write) -> None:
    name = file("improved")
    assert Noise("cosine", 4000, rescaled=True) == load_adm(name).noise  # type: ignore[attr-defined]
    assert Noise("linear", 4000) == load_adm(name, schedule="linear", times="steps").noise  # type: ignore[attr-defined]


def test_heads_and_their_channels_are_not_said_at_once(file: Write) -> None:
    with pytest.raises(ValueError, match="one of the two counts"):
        load_adm(file("64"), heads=2, head_channels=16)
    with pytest.raises(ModelError, match="3 heads do not divide width 64"):
        load_adm(file("64"), heads=3)


@pytest.mark.parametrize("without", ["middle_block.2.in_layers.2.weight", "output_blocks.1.0.emb_layers"])
def test_a_missing_tensor_is_named(without: str, file: Write) -> None:
    with pytest.raises(ModelError, match=f"missing {without}"):
        load_adm(file("64", without=without))


def test_a_tensor_too_many_is_named(file: Write) -> None:
    name = file("64", **{"token_embedding.weight": torch.zeros(2, 2)})
    with pytest.raises(ModelError, match=r"left over token_embedding\.weight"):
        load_adm(name)


def test_a_network_that_was_cut_is_refused(file: Write) -> None:
    with pytest.raises(ModelError, match="do not make levels of equally many"):
        load_adm(file("256", without="input_blocks.2."))
    with pytest.raises(ModelError, match=r'its last layer is missing, "out\.2\.c_proj\.weight"'):
        load_classifier(file("classifier of 256", without="out.2.c_proj"))


def test_a_tensor_of_other_dimensions_is_named(file: Write) -> None:
    with pytest.raises(ModelError, match=r"time_embed\.0\.weight is \[\], but expected a tensor of more dimensions"):
        load_adm(file("64", **{"time_embed.0.weight": torch.tensor(1.0)}))


def test_each_loader_names_the_other(file: Write) -> None:
    with pytest.raises(ModelError, match=r'"guided-diffusion classifier".*\n.*diffusion\.load_classifier'):
        load_adm(file("classifier of 256"))
    with pytest.raises(ModelError, match=r'"guided-diffusion u-net".*\n.*diffusion\.load_adm'):
        load_classifier(file("64"))


def test_every_step_of_a_schedule_is_found_again() -> None:
    for noise in (Noise(), Noise("cosine"), Noise("cosine", 4000, rescaled=True), Noise("linear", 4000)):
        table = alphas_cumprod(betas(noise.schedule, noise.steps))
        x = torch.zeros(noise.steps, 1, 1, 1)
        alpha, sigma = (7 * level.float() for level in (table.sqrt(), (1 - table).sqrt()))  # of any scale
        steps = Steps(noise)
        _, t, a, s = steps.at(x, alpha, sigma, steps.on(x.device))
        assert torch.equal(torch.arange(noise.steps) * noise.per_step, t)
        torch.testing.assert_close(a.double(), table.sqrt(), rtol=3e-7, atol=0)
        torch.testing.assert_close(s.double(), (1 - table).sqrt(), rtol=3e-7, atol=0)


def test_noise_alone_is_taken_for_the_noisiest_step() -> None:
    steps = Steps(Noise("cosine"))
    x = torch.ones(1, 3, 2, 2)
    z, t, a, _ = steps.at(x, levels(0.0, x), levels(2.0, x), steps.on(x.device))
    assert 999 == float(t)
    assert a > 0
    torch.testing.assert_close(z, x / 2)


def test_a_learned_variance_comes_with_the_estimate(file: Write) -> None:
    found = estimate(load_adm(file("64")), drawn())
    assert isinstance(found, Learned)
    assert found.x_0.shape == found.share.shape == (2, 3, 16, 16)  # type: ignore[union-attr]
    plain = load_adm(
        file("64", "plain", config=replace(STRANGE, channels_out=3)), heads=1, order="new", schedule="linear"
    )
    assert (2, 3, 16, 16) == estimate(plain, drawn()).shape


def test_a_class_is_asked_for_and_judged(file: Write) -> None:
    plain, told = load_adm(file("64")), load_adm(file("64", "told", classes=5))
    with pytest.raises(ValueError, match=r"draws one of 5 classes.*\n.*diffusion\.label"):
        estimate(told, drawn())
    with pytest.raises(ValueError, match="is told no class"):
        label(plain, labels([3]))
    with pytest.raises(ValueError, match=r"knows the classes 0 to 4, but was told \[5\]"):
        label(told, labels([3, 5]))
    with pytest.raises(ValueError, match="3 classes are told, but the latent has 2 pictures"):
        estimate(label(told, labels([1, 2, 3])), drawn())
    both = estimate(label(told, labels([1, 4])), drawn()).x_0
    one = estimate(label(told, labels([4])), drawn()).x_0
    torch.testing.assert_close(both[1], one[1])
    assert (both[0] - one[0]).abs().max() > 1e-3


def test_a_text_is_refused(file: Write) -> None:
    text = TextEmbedding(torch.zeros(1, 2, 8), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="reads nothing, not texts"):
        estimate(condition(load_adm(file("64")), text), drawn())


def test_an_upsampler_sees_the_small_picture(file: Write) -> None:
    upsampler = load_adm(file("upsampler to 256"))
    small = Image(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    with pytest.raises(ValueError, match=r"none is bound to it\n.*diffusion\.enlarge"):
        estimate(upsampler, drawn(32))
    with pytest.raises(ValueError, match="not trained to enlarge"):
        enlarge(load_adm(file("256", "plain")), small)
    first, other = (estimate(enlarge(upsampler, seen), drawn(32)).x_0 for seen in (small, Image(1 - small.pixels)))
    assert (first - other).abs().max() > 1e-3
    grey = enlarge(upsampler, Image(small.pixels[:, :1]))
    assert (2, 3, 32, 32) == estimate(grey, drawn(32)).x_0.shape


def test_sizes_that_cannot_be_halved_are_refused(file: Write) -> None:
    with pytest.raises(ValueError, match="multiples of 2, not of 15 x 15"):
        estimate(load_adm(file("64")), drawn(15))


def test_a_classifier_of_another_size_is_refused(file: Write) -> None:
    classifier = load_classifier(file("classifier of 256", "judge"))
    guided = guide_by_classifier(load_adm(file("64")), classifier, labels([2]))
    with pytest.raises(ValueError, match="knows pictures of 32 x 32, not of 16 x 16"):
        estimate(guided, drawn())
    with pytest.raises(ValueError, match="the classifier knows the classes 0 to 4"):
        guide_by_classifier(load_adm("model"), classifier, labels([7]))


def test_it_runs_in_bf16_as_in_fp32(file: Write) -> None:
    whole = load_adm(file("64"))
    half = run_as(whole, Execution("bf16"))
    x = drawn()
    exact, rough = estimate(whole, x).x_0, estimate(half, x).x_0
    assert torch.float32 == rough.dtype
    assert 0 < (exact - rough).abs().max() < 0.05 * exact.abs().max()
    assert half.network.size * 2 == whole.network.size  # type: ignore[attr-defined]


def test_it_runs_with_its_weights_in_8_bits(file: Write) -> None:
    whole = label(load_adm(file("64", classes=5)), labels([1]))
    held = run_as(whole, Execution(storage="fp8"))
    x = drawn()
    exact, rough = estimate(whole, x).x_0, estimate(held, x).x_0
    assert 0 < (exact - rough).abs().max() < 0.2 * exact.abs().max()
    inner = held.denoiser.network  # type: ignore[attr-defined]
    built = sum(value.nbytes for value in inner.build("cpu").state_dict().values())
    assert built == inner.size < 0.3 * whole.denoiser.network.size  # type: ignore[attr-defined]


def test_laid_out_it_has_the_shapes_of_the_built_one(file: Write) -> None:
    for family, kind in (("64", "u-net"), ("classifier of 256", "classifier")):
        model, _ = AdmModel.named(file(family), kind)  # type: ignore[arg-type]
        built, laid = model.build("cpu"), model.lay_out()
        assert {name: value.shape for name, value in built.state_dict().items()} == {
            name: value.shape for name, value in laid.state_dict().items()
        }
        assert all(value.is_meta for value in laid.parameters())


def test_pictures_are_the_same_alone_and_in_a_batch(file: Write) -> None:
    denoiser = label(load_adm(file("64", classes=5)), labels([2]))
    two = sample(denoiser, empty(denoiser, 16, 16, 2), steps=3, method="ddpm", seed=4).samples
    one = sample(denoiser, empty(denoiser, 16, 16, 1), steps=3, method="ddpm", seed=5).samples
    assert PIXELS == denoiser.space
    torch.testing.assert_close(two[1:], one, rtol=1e-4, atol=1e-4)
