"""Whole Stable Diffusions opened by name: every part, every layout, and what is told where something does not fit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nodeflow_diffusion.checkpoint_nodes import Parts, load_checkpoint, load_unet, size_condition
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.latent_unet_recipes import LatentUNetModel, PublishedDenoiser
from nodeflow_diffusion.nodes import condition, empty, guide
from nodeflow_diffusion.nodes import execution as execution_node
from nodeflow_diffusion.prediction import step_between
from nodeflow_diffusion.recipes import run_as
from nodeflow_diffusion.sampling_nodes import sample, schedule
from nodeflow_diffusion.schedules import alphas_cumprod, betas, variance_preserving
from nodeflow_text.nodes import encode
from safetensors.torch import load_file, save_file

from nodeflow import QUIET, LatentSpace, ModelError, TextEmbedding
from nodeflow.testing import RecordingContext, assert_deterministic, check_plugin

Write = Callable[..., str]
FAMILIES = ("sd1", "sd2", "sdxl", "sdxl_refiner")
SPACES = {"sd1": "sd15", "sd2": "sd15", "sdxl": "sdxl", "sdxl_refiner": "sdxl"}


def opened(name: str, **asked: Any) -> Parts:
    return load_checkpoint(name, **asked)


def made(parts: Parts, prompt: str = "a cab", *, steps: int = 2, side: int = 64) -> torch.Tensor:
    text, nothing = encode(parts.encoder, prompt), encode(parts.encoder, "")
    guided = guide(parts.denoiser, text, nothing, scale=5)
    latent = empty(guided, side, side)
    with torch.no_grad():
        return sample(guided, latent, schedule("scaled_linear", "trailing"), steps=steps, seed=1).samples


def close(expected: torch.Tensor, found: torch.Tensor) -> None:
    """Sums are taken in another order: 1e-5 of the largest was measured, in a guidance of scale 5."""
    assert float((expected - found).abs().max()) < 1e-4 * max(1.0, float(expected.abs().max()))


def test_the_plugin_is_in_order() -> None:
    found = {spec.id for spec in check_plugin("nodeflow_diffusion")}
    assert {"diffusion.load_checkpoint", "diffusion.load_unet", "diffusion.size_condition"} <= found


@pytest.mark.parametrize("family", FAMILIES)
def test_file_and_folder_of_the_same_weights_agree(family: str, file: Write, folder: Write) -> None:
    file(family)
    folder(family, prediction_type="v_prediction" if family == "sd2" else "epsilon", shards=2)
    one = opened("model", prediction="v") if family == "sd2" else opened("model")
    other = opened("folder")
    assert one.denoiser.space == one.autoencoder.space == LatentSpace(SPACES[family], 4, 8)
    assert isinstance(one.denoiser, PublishedDenoiser)
    assert isinstance(other.denoiser, PublishedDenoiser)
    assert one.denoiser.prediction == other.denoiser.prediction == ("v" if family == "sd2" else "eps")
    assert one.denoiser.text_space == other.denoiser.text_space == encode(one.encoder, "a").space
    found = made(one)
    assert (1, 4, 8, 8) == found.shape
    close(found, made(other))


@pytest.mark.parametrize("shards", [1, 3])
def test_half_precision_variants_and_shards_are_read(folder: Write, shards: int) -> None:
    folder(shards=shards, half=True)
    assert made(opened("folder")).isfinite().all()


def test_the_unet_alone_and_in_its_folder(file: Write, folder: Write) -> None:
    file()
    folder()
    weights = load_file("model.safetensors")
    start = "model.diffusion_model."
    save_file(
        {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}, "u.safetensors"
    )
    denoisers = [load_unet(name) for name in ("model", "u", "folder", "folder/unet")]
    text, x = encode(opened("model").encoder, "a"), torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, *others = (QUIET.load(condition(denoiser, text))(x, 0.6, 0.8) for denoiser in denoisers)
    for other in others:
        close(first, other)


def test_a_recipe_has_the_size_that_its_weights_take(file: Write) -> None:
    file()
    denoiser = load_unet("model")
    assert isinstance(denoiser, PublishedDenoiser)
    for precision, width in (("fp32", 4), ("bf16", 2)):
        model = execution_node(denoiser, precision=precision).network  # type: ignore[attr-defined]
        assert isinstance(model, LatentUNetModel)
        module = model.build("cpu")
        assert model.size == width * sum(value.numel() for value in module.parameters())
        assert module.first.weight.is_contiguous(memory_format=torch.channels_last)
        laid = model.lay_out()
        assert {(True, value.dtype) for value in laid.parameters()} == {
            (value.is_meta, value.dtype) for value in laid.parameters()
        }
        assert laid.first.weight.dtype == module.first.weight.dtype


def test_how_it_is_run_changes_no_picture(file: Write) -> None:
    file("sdxl")
    parts = opened("model")
    text, nothing = encode(parts.encoder, "a cab"), encode(parts.encoder, "")
    guided = guide(parts.denoiser, text, nothing, scale=5)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = QUIET.load(guided)(x, 0.6, 0.8)
        for way in (Execution(read_once=False), Execution(batch_guidance=False), Execution(capture=False)):
            close(expected, QUIET.load(run_as(guided, way))(x, 0.6, 0.8))
        half = QUIET.load(run_as(guided, Execution(precision="bf16")))(x, 0.6, 0.8)
    assert 0 < (half - expected).norm() < 0.1 * expected.norm()


def test_texts_of_different_lengths_are_read_as_each_by_itself(file: Write) -> None:
    file()
    parts = opened("model")
    long, nothing = encode(parts.encoder, "a " * 100), encode(parts.encoder, "")
    assert (154, 77) == (long.tokens.shape[1], nothing.tokens.shape[1])
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    guided = guide(parts.denoiser, long, nothing, scale=3)
    with torch.no_grad():
        found = QUIET.load(guided)(x, 0.6, 0.8)
        apart = QUIET.load(run_as(guided, Execution(batch_guidance=False)))(x, 0.6, 0.8)
    close(found, apart)


def test_levels_of_the_table_are_whole_steps_and_others_lie_between() -> None:
    table = alphas_cumprod(betas("scaled_linear"))
    alpha, sigma = variance_preserving(table)
    steps = step_between((sigma / (alpha + sigma)).float(), table.float())
    assert torch.equal(torch.arange(1000.0), steps)
    logs = (sigma / alpha).log()
    middle = ((logs[:-1] + logs[1:]) / 2).exp()
    between = step_between((middle / (1 + middle)).float(), table.float())
    torch.testing.assert_close(between, torch.arange(999.0) + 0.5, rtol=0, atol=0.01)
    assert [0.0, 999.0] == step_between(torch.tensor([1e-6, 1 - 1e-6]), table.float()).tolist()


def test_what_is_predicted_is_taken_from_what_the_files_say(file: Write, folder: Write) -> None:
    file("sd2")
    with pytest.raises(ModelError, match=r"does not say whether it predicts noise \(eps\) or velocity \(v\).*\n.*768"):
        load_unet("model")
    assert ["eps", "v"] == [load_unet("model", prediction=asked).prediction for asked in ("eps", "v")]  # type: ignore[attr-defined, arg-type]
    file("sd2", "told", about={"modelspec.prediction_type": "v"})
    assert "v" == load_unet("told").prediction  # type: ignore[attr-defined]
    file("sd2", "inpaint", channels=9)
    assert "eps" == load_unet("inpaint").prediction  # type: ignore[attr-defined]
    file("sdxl", "tuned", v_pred=torch.zeros(1))
    ctx = RecordingContext()
    load_unet("tuned", "v", ctx=ctx)
    assert [] == ctx.said
    load_unet("tuned", "eps", ctx=ctx)
    assert 'says that it predicts "v", but is sampled as "eps"; pictures of noise or flat colour' in ctx.said[0]
    assert "v" == load_unet("tuned").prediction  # type: ignore[attr-defined]
    folder("sd2", prediction_type="v_prediction")
    assert "v" == load_unet("folder").prediction  # type: ignore[attr-defined]
    folder("sd1", "odd", beta_schedule="linear")
    with pytest.raises(ModelError, match='beta_schedule is "linear", but expected the noise of Stable Diffusion'):
        load_unet("odd")
    folder("sd1", "sample", prediction_type="sample")
    with pytest.raises(ModelError, match='prediction_type is "sample", but expected "epsilon" or "v_pred'):
        load_unet("sample")


@pytest.mark.parametrize(
    "name",
    [
        "model.diffusion_model.out.2.weight",
        "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
        "first_stage_model.encoder.conv_in.weight",
    ],
)
def test_a_tensor_of_other_dimensions_is_named(name: str, file: Write) -> None:
    with pytest.raises(ModelError, match=rf"{name} is \[\], but expected a tensor of more dimensions\n    fetch it"):
        opened(file("sd1", **{name: torch.tensor(1.0)}))


def test_texts_and_latents_of_another_model_are_refused(file: Write) -> None:
    file("sd1", "one")
    file("sdxl", "xl")
    one, xl = opened("one"), opened("xl")
    text = encode(xl.encoder, "a")
    with pytest.raises(ValueError, match=r'encoder "CLIP ViT-L", .* one of "CLIP ViT-L \+ CLIP ViT-bigG"'):
        condition(one.denoiser, text)
    alone = encode(opened("xl").encoder.first, "a")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match='but got one of "CLIP ViT-L"'):
        guide(xl.denoiser, alone, alone)
    text = encode(one.encoder, "a")
    with pytest.raises(ValueError, match=r"expected Latent\[sd15\] but got Latent\[sdxl\]"):
        sample(condition(one.denoiser, text), empty(xl.denoiser, 64, 64))
    unknown = TextEmbedding(text.tokens[..., :32], text.mask, text.pooled)
    x = torch.zeros(1, 4, 8, 8)
    with pytest.raises(ValueError, match="reads words of width 64, but this text has words of width 32"):
        QUIET.load(condition(one.denoiser, unknown))(x, 0.6, 0.8)
    bare = TextEmbedding(encode(xl.encoder, "a").tokens, text.mask)
    with pytest.raises(ValueError, match="reads a pooled text of width 24 or 280, but the text has none"):
        QUIET.load(condition(xl.denoiser, bare))(x, 0.6, 0.8)
    with pytest.raises(ValueError, match="reads a text, but none is bound to it"):
        QUIET.load(one.denoiser)(x, 0.6, 0.8)


@pytest.mark.parametrize(("family", "count"), [("sdxl", 6), ("sdxl_refiner", 5)])
def test_sizes_are_those_of_the_picture_unless_others_are_told(family: str, count: int, file: Write) -> None:
    file(family)
    parts = opened("model")
    text = encode(parts.encoder, "a")
    same = {"width": 64, "height": 96, "target_width": 64, "target_height": 96}
    told = assert_deterministic(size_condition, denoiser=parts.denoiser, embedding=text, **same)
    assert told.pooled is not None
    assert (1, 24 + 256 * count) == told.pooled.shape
    x = torch.randn(1, 4, 12, 8, generator=torch.Generator().manual_seed(0))
    other = size_condition(parts.denoiser, text, 512, 512, 128, 0, score=2.5)
    with torch.no_grad():
        plain, again, changed = (
            QUIET.load(condition(parts.denoiser, embedding))(x, 0.6, 0.8) for embedding in (text, told, other)
        )
    close(plain, again)
    assert not torch.allclose(plain, changed, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="or has sizes already\n    encode"):
        size_condition(parts.denoiser, told)
    with pytest.raises(ValueError, match="tell sizes to both or to none"):
        guide(parts.denoiser, told, text)


def test_sizes_are_for_those_who_read_them(file: Write) -> None:
    file()
    parts = opened("model")
    with pytest.raises(ValueError, match="this denoiser reads no sizes"):
        size_condition(parts.denoiser, encode(parts.encoder, "a"))
