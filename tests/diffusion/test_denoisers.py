"""Denoisers as recipes: one convention whatever a network predicts, and what is put around it."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from nodeflow_diffusion import recipes
from nodeflow_diffusion.nodes import condition, empty, guide, inpaint, load
from nodeflow_diffusion.recipes import LatentDenoiser
from nodeflow_diffusion.schedules import alphas_cumprod, betas

from nodeflow import QUIET, Denoiser, Latent, LatentSpace, Mask, TextEmbedding
from nodeflow.leaves import models_in
from nodeflow.storage import fetch, store

Text = Callable[..., TextEmbedding]


def x(count: int = 2, seed: int = 5) -> torch.Tensor:
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def one(texts: TextEmbedding, i: int) -> TextEmbedding:
    assert texts.pooled is not None
    return TextEmbedding(texts.tokens[[i]], texts.mask[[i]], texts.pooled[[i]])


def close(first: torch.Tensor, second: torch.Tensor) -> None:
    # float32 sums in another order: a part in a million each, over some twenty layers
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_a_flow_is_read_at_its_own_time_on_every_schedule(denoiser: Denoiser, text: Text) -> None:
    denoise = QUIET.load(denoiser)
    flow = denoise(x(), 0.3, 0.7, text(2))
    close(flow, denoise(x() * 5, 1.5, 3.5, text(2)))
    norm = math.hypot(0.3, 0.7)
    close(flow, denoise(x() / norm, 0.3 / norm, 0.7 / norm, text(2)))


@pytest.mark.parametrize("kind", ["flow", "eps", "v", "x0"])
@pytest.mark.parametrize("level", [(0.0, 1.0), (1.0, 0.0), (0.0, 14.6), (0.5, 0.5)])
def test_ends_of_the_way_are_finite(saved: Any, text: Text, kind: str, level: tuple[float, float]) -> None:
    made = load(saved(prediction=kind, schedule="cosine"))
    assert torch.isfinite(QUIET.load(made)(x(), *level, text(2))).all()


@pytest.mark.parametrize("kind", ["eps", "v", "x0"])
def test_predictions_mean_what_their_papers_say(saved: Any, text: Text, kind: str) -> None:
    made = load(saved(prediction=kind, schedule="linear"))
    assert isinstance(made, LatentDenoiser)
    kept = float(alphas_cumprod(betas("linear"))[321])
    alpha, sigma = kept**0.5, (1 - kept) ** 0.5
    said = text(2)
    network = QUIET.load(made.network)
    raw = network(x(), torch.full((2,), 321.0), said.tokens, said.mask, said.pooled)
    expected = {"x0": raw, "eps": (x() - sigma * raw) / alpha, "v": alpha * x() - sigma * raw}[kind]
    close(expected, QUIET.load(made)(x(), alpha, sigma, said))


def test_levels_may_differ_within_a_batch(denoiser: Denoiser, text: Text) -> None:
    denoise = QUIET.load(denoiser)
    both = denoise(x(), torch.tensor([0.2, 0.9]), torch.tensor([0.8, 0.1]), text(2))
    close(both[:1], denoise(x()[:1], 0.2, 0.8, one(text(2), 0)))
    close(both[1:], denoise(x()[1:], 0.9, 0.1, one(text(2), 1)))


def test_a_unet_is_a_denoiser_too(saved: Any, text: Text) -> None:
    made = load(saved("small", "unet"))
    assert (2, 3, 4, 4) == QUIET.load(condition(made, text()))(x(), 0.5, 0.5).shape


def test_guidance_ends_are_the_two_texts(denoiser: Denoiser, text: Text) -> None:
    wanted, other = text(seed=1), text(length=3, seed=2)
    with_it, without = (QUIET.load(condition(denoiser, part))(x(), 0.4, 0.6) for part in (wanted, other))
    for scale, expected in ((1.0, with_it), (0.0, without), (3.0, without + 3 * (with_it - without))):
        close(expected, QUIET.load(guide(denoiser, wanted, other, scale))(x(), 0.4, 0.6))


def test_a_scale_that_changes_on_the_way_is_at_each_level_that_of_one_scale(denoiser: Denoiser, text: Text) -> None:
    wanted, other = text(seed=1), text(seed=2)
    denoise = QUIET.load(guide(denoiser, wanted, other, scales=[8.0, 2.0, 1.0]))
    for level, scale in ((1.0, 8.0), (0.75, 5.0), (0.5, 2.0), (0.25, 1.5), (0.0, 1.0)):
        alone = QUIET.load(guide(denoiser, wanted, other, scale))
        assert torch.equal(alone(x(), 1 - level, level), denoise(x(), 1 - level, level)), level
    one = QUIET.load(guide(denoiser, wanted, other, scales=[3.0]))
    assert torch.equal(QUIET.load(guide(denoiser, wanted, other, 3.0))(x(), 0.5, 0.5), one(x(), 0.5, 0.5))


def test_guidance_acts_between_its_noise_levels_only(denoiser: Denoiser, text: Text) -> None:
    wanted, other = text(seed=1), text(seed=2)
    denoise = QUIET.load(guide(denoiser, wanted, other, 5.0, start=0.8, stop=0.2))
    alone, whole = (QUIET.load(made) for made in (condition(denoiser, wanted), guide(denoiser, wanted, other, 5.0)))
    for level in ((0.1, 0.9), (0.9, 0.1)):
        assert torch.equal(alone(x(), *level), denoise(x(), *level))
    assert torch.equal(whole(x(), 0.5, 0.5), denoise(x(), 0.5, 0.5))


def test_texts_of_a_batch_are_each_pictures_own(denoiser: Denoiser, text: Text) -> None:
    texts = text(2)
    both = QUIET.load(guide(denoiser, texts, text(seed=2), 2.0))(x(), 0.4, 0.6)
    for i in range(2):
        close(both[[i]], QUIET.load(guide(denoiser, one(texts, i), text(seed=2), 2.0))(x()[[i]], 0.4, 0.6))


def test_the_known_region_is_estimated_as_it_is(denoiser: Denoiser, text: Text) -> None:
    bound = condition(denoiser, text())
    latent = Latent(x(1, 9), denoiser.space)
    coverage = torch.zeros(1, 1, 16, 16)
    coverage[..., 5:7] = 1.0  # of the cells 4..7 only
    found = QUIET.load(inpaint(bound, latent, Mask(coverage)))(x(), 0.4, 0.6)
    free = QUIET.load(bound)(x(), 0.4, 0.6)
    close(found[..., 1], free[..., 1])
    known = [0, 2, 3]
    assert torch.equal(latent.samples.expand(2, -1, -1, -1)[..., known], found[..., known])


def test_a_batch_is_painted_into_alike_on_both_sides_of_the_guidance(denoiser: Denoiser, text: Text) -> None:
    latent, coverage = Latent(x(2, 9), denoiser.space), torch.zeros(2, 1, 16, 16)
    coverage[0, ..., :8], coverage[1, :, 8:] = 1.0, 1.0
    within = guide(inpaint(denoiser, latent, Mask(coverage)), text(), text(seed=1), 3.0)
    around = inpaint(guide(denoiser, text(), text(seed=1), 3.0), latent, Mask(coverage))
    close(QUIET.load(around)(x(), 0.4, 0.6), QUIET.load(within)(x(), 0.4, 0.6))
    with pytest.raises(ValueError, match=r"the picture to paint into is \[2, 3, 4, 4\], but the latent \[3, 3, 4, 4\]"):
        QUIET.load(within)(x(3), 0.4, 0.6)


def test_recipes_can_be_kept_and_name_their_models(denoiser: Denoiser, text: Text, tmp_path: Any) -> None:
    latent = Latent(x(1), denoiser.space)
    recipe = inpaint(guide(denoiser, text(), text(), 3.0), latent, Mask(torch.ones(1, 1, 16, 16)))
    store(tmp_path / "kept", [recipe, denoiser], lambda module: module.startswith("nodeflow"))
    again, plain = fetch(tmp_path / "kept", lambda module: module.startswith("nodeflow"))
    assert denoiser == plain
    assert models_in(recipe) == models_in(again) == (denoiser.network,)
    assert torch.equal(QUIET.load(recipe)(x(), 0.4, 0.6), QUIET.load(again)(x(), 0.4, 0.6))
    assert models_in(recipe)[0].size == sum(4 * w.numel() for w in QUIET.load(models_in(recipe)[0]).parameters())


def test_what_does_not_go_together_is_refused_by_a_sentence(denoiser: Denoiser, text: Text) -> None:
    other = Latent(x(1), LatentSpace("sd15", 3, 8))
    with pytest.raises(ValueError, match=r"expected Latent\[tiny\] but got Latent\[sd15\]\n    encode the picture"):
        inpaint(denoiser, other, Mask(torch.ones(1, 1, 32, 32)))
    with pytest.raises(ValueError, match="the mask is of 8 x 8 pixels, but the picture of 16 x 16"):
        inpaint(denoiser, replace(other, space=denoiser.space), Mask(torch.ones(1, 1, 8, 8)))
    with pytest.raises(ValueError, match="2 texts are bound to the denoiser, but the latent has 3 pictures"):
        QUIET.load(condition(denoiser, text(2)))(x(3), 0.5, 0.5)
    with pytest.raises(ValueError, match="reads a text, but none is bound to it\n    put diffusion"):
        QUIET.load(denoiser)(x(), 0.5, 0.5)
    with pytest.raises(ValueError, match="makes pictures of 16 x 16, but the latent is of 32 x 16"):
        QUIET.load(condition(denoiser, text()))(torch.zeros(1, 3, 4, 8), 0.5, 0.5)
    with pytest.raises(ValueError, match="a picture of 18 x 16 cannot be cut into cells of 4 pixels"):
        empty(denoiser, 18, 16)
    with pytest.raises(
        ValueError, match="tiny makes pictures of 16 x 16, not of 32 x 16\n    ask for 16 x 16 and resize"
    ):
        empty(replace(denoiser, space=replace(denoiser.space, side=16)), 32, 16)
    with pytest.raises(ValueError, match=r"beside the words .* of different widths: 6 and none\n    encode both"):
        guide(replace(denoiser, text_widths=None), text(), replace(text(), pooled=None))
    with pytest.raises(ValueError, match=r"stops at noise 0\.9 before it starts at 0\.5"):
        guide(denoiser, text(), text(), start=0.5, stop=0.9)


def test_a_text_of_an_encoder_that_another_denoiser_was_trained_with_is_refused(
    saved: Callable[..., str], text: Text
) -> None:
    own, other, unknown = (replace(text(), space=name) for name in ("words", "text", ""))
    for denoiser in (
        load(saved("one", text="words.safetensors")),
        load(saved("two", trained_together="words", text="x")),
    ):
        refused = r'expected a text of the encoder "words", with which .* got one of "text"\n    encode it by "words"'
        with pytest.raises(ValueError, match=f"^embedding: {refused}"):
            condition(denoiser, other)
        with pytest.raises(ValueError, match=f"^positive: {refused}"):
            guide(denoiser, other, own)
        with pytest.raises(ValueError, match=f"^negative: {refused}"):
            guide(condition(denoiser, own), own, other)
        with pytest.raises(ValueError, match=refused):
            QUIET.load(denoiser)(x(1), 0.5, 0.5, other)
        for said in (own, unknown):
            assert torch.isfinite(QUIET.load(guide(denoiser, said, unknown))(x(), 0.5, 0.5)).all()
    assert torch.isfinite(QUIET.load(condition(load(saved()), other))(x(), 0.5, 0.5)).all()
    with pytest.raises(ValueError, match=r"come from different encoders \(words and text\)"):
        guide(load(saved()), own, other)


def test_a_text_of_another_width_is_refused_where_it_is_bound(
    saved: Callable[..., str], text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a weight is read: the widths are in the header."""
    plain, narrow = load(saved()), replace(text(), tokens=torch.zeros(1, 5, 4))
    around = guide(plain, text(), text())
    without = replace(text(), pooled=None)
    wanted = "the denoiser reads words of width 8 and a pooled text of width 6, but this text has words of width"
    with monkeypatch.context() as patched:
        patched.setattr(recipes, "build", lambda *_, **__: pytest.fail("weights were read"))
        for denoiser in (plain, around):
            for wrong, found in (
                (narrow, "4 and a pooled text of width 6"),
                (without, "8 and no pooled text\n    encode"),
            ):
                with pytest.raises(ValueError, match=f"^embedding: {wanted} {found}"):
                    condition(denoiser, wrong)
                with pytest.raises(ValueError, match=f"^positive: {wanted} {found}"):
                    guide(denoiser, wrong, text())
                with pytest.raises(ValueError, match=f"^negative: {wanted} {found}"):
                    guide(denoiser, text(), wrong)
    with pytest.raises(ValueError, match=f"^embedding: {wanted} 4"):  # handed over by whoever samples
        QUIET.load(replace(plain, text_widths=None))(x(), 0.5, 0.5, narrow)
    wordy = replace(plain, text_widths=(8, None))
    assert without is condition(wordy, without).embedding  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"^embedding: the denoiser reads words of width 8, but .* width 4"):
        condition(wordy, narrow)


def test_a_u_net_says_which_sizes_it_can_halve(saved: Callable[..., str], text: Text) -> None:
    denoiser = condition(load(saved(architecture="unet")), text())
    assert (1, 3, 6, 2) == QUIET.load(denoiser)(torch.zeros(1, 3, 6, 2), 0.5, 0.5).shape
    with pytest.raises(ValueError, match="sides are multiples of 8, but the latent is of 20 x 16\n    ask for such"):
        QUIET.load(denoiser)(torch.zeros(1, 3, 4, 5), 0.5, 0.5)


def test_spaces_do_not_differ_by_the_side_that_is_known_of_them(denoiser: Denoiser) -> None:
    assert denoiser.space == replace(denoiser.space, side=16)
