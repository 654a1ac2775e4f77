"""Models that see more than latents, and checkpoints that are not what they should be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_codebooks.nodes import encode as encode_picture
from nodeflow_codebooks.vae_nodes import load_vae
from nodeflow_diffusion.checkpoint_nodes import edit, inpaint_condition, load_checkpoint, load_unet
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.nodes import condition, empty, guide
from nodeflow_diffusion.recipes import run_as
from nodeflow_diffusion.sampling_nodes import sample, schedule
from nodeflow_text.nodes import encode
from nodeflow_text.published_nodes import load_clip
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodeflow import QUIET, Image, Mask, ModelError
from nodeflow.testing import RecordingContext

Write = Callable[..., str]


def close(expected: Tensor, found: Tensor) -> None:
    assert float((expected - found).abs().max()) < 1e-4 * max(1.0, float(expected.abs().max()))


def picture(side: int = 64, count: int = 1) -> Image:
    return Image(torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)))


def mask(side: int = 64) -> Mask:
    coverage = torch.zeros(1, 1, side, side)
    coverage[..., side // 2 :] = 1
    return Mask(coverage)


def x_of(count: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_an_inpainting_model_sees_mask_and_masked_picture(family: str, file: Write) -> None:
    file(family, channels=9)
    parts = load_checkpoint("model")
    text, nothing = encode(parts.encoder, "a cab"), encode(parts.encoder, "")
    seen = inpaint_condition(parts.denoiser, parts.autoencoder, picture(), mask())
    within = guide(seen, text, nothing, scale=4)
    around = inpaint_condition(
        guide(parts.denoiser, text, nothing, scale=4), parts.autoencoder, picture(), mask()
    )  # fmt: skip
    with torch.no_grad():
        expected = QUIET.load(within)(x_of(2), 0.6, 0.8)
        close(expected, QUIET.load(around)(x_of(2), 0.6, 0.8))
        hidden = picture().pixels.clone()
        hidden[..., 32:] = 0.1  # below the mask, where it does not look
        same = inpaint_condition(parts.denoiser, parts.autoencoder, Image(hidden), mask())
        close(expected, QUIET.load(guide(same, text, nothing, scale=4))(x_of(2), 0.6, 0.8))
        latent = sample(within, empty(within, 64, 64, 2), schedule("scaled_linear"), steps=2)
    assert (2, 4, 8, 8) == latent.samples.shape


def test_what_an_inpainting_model_is_shown_by_mistake(file: Write) -> None:
    file(channels=9)
    file(called="plain")
    parts, plain = load_checkpoint("model"), load_unet("plain")
    text = encode(parts.encoder, "")
    with pytest.raises(ValueError, match=r"sees beside the latents a mask and a masked picture\n.*inpaint_condition"):
        QUIET.load(condition(parts.denoiser, text))(x_of(), 0.6, 0.8)
    with pytest.raises(ValueError, match=r"was not trained to inpaint.*\n    diffusion.inpaint paints with any"):
        inpaint_condition(plain, parts.autoencoder, picture(), mask())
    with pytest.raises(ValueError, match="make a mask of the picture's size"):
        inpaint_condition(parts.denoiser, parts.autoencoder, picture(), mask(32))
    alpha = Image(torch.zeros(1, 4, 64, 64))
    with pytest.raises(ValueError, match=r"alpha channel\n    flatten it first"):
        inpaint_condition(parts.denoiser, parts.autoencoder, alpha, mask())
    seen = condition(inpaint_condition(parts.denoiser, parts.autoencoder, picture(), mask()), text)
    with pytest.raises(ValueError, match="sample into a latent of the picture's size"):
        QUIET.load(seen)(torch.zeros(1, 4, 4, 4), 0.6, 0.8)


def test_an_editing_model_follows_text_and_picture(file: Write) -> None:
    file(channels=8)
    parts = load_checkpoint("model")
    latent = encode_picture(parts.autoencoder, picture())
    text, nothing = encode(parts.encoder, "a " * 80), encode(parts.encoder, "")
    x, given = x_of(2), (0.6, 0.8)
    edited = edit(parts.denoiser, latent, text, nothing, text_scale=5, picture_scale=1.5)
    with torch.no_grad():
        found = QUIET.load(edited)(x, *given)
        close(found, QUIET.load(run_as(edited, Execution(batch_guidance=False)))(x, *given))
        inner = QUIET.load(parts.denoiser)
        shown = torch.cat([x, latent.samples.expand(2, -1, -1, -1) / 0.18215], 1)
        hidden = torch.cat([x, torch.zeros_like(x)], 1)
        full, half, none = (
            inner(seen, *given, condition)
            for seen, condition in ((shown, twice(text)), (shown, twice(nothing)), (hidden, twice(nothing)))
        )
    close(none + 1.5 * (half - none) + 5 * (full - half), found)
    with pytest.raises(ValueError, match=r"was not trained to inpaint"):
        inpaint_condition(parts.denoiser, parts.autoencoder, picture(), mask())


def twice(text: Any) -> Any:
    from nodeflow_diffusion.text_recipes import spread

    return spread(text, 2)


def test_tensors_that_are_missing_left_over_or_odd_are_listed(file: Write) -> None:
    start = "model.diffusion_model."
    file(**{f"{start}odd.weight": torch.zeros(1), f"{start}out.2.bias": torch.zeros(7)}, without="time_embed.0.bias")
    with pytest.raises(ModelError) as caught:
        load_unet("model")
    for fault in (
        "3 tensors do not fit", f"missing {start}time_embed.0.bias", f"left over {start}odd.weight", "not [4]",
    ):  # fmt: skip
        assert fault in str(caught.value)


def test_a_first_stage_that_is_missing_is_named(file: Write) -> None:
    missing = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
    file(without=missing)
    with pytest.raises(ModelError, match=f"first stage of this U-Net is incomplete: {missing} is missing"):
        load_unet("model")


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("first_stage_model.", "there is no latent autoencoder"),
        ("cond_stage_model.", "holds no text tower of CLIP"),
        ("model.diffusion_model.", 'is of the kind "vae", but expected checkpoint'),
    ],
)
def test_a_part_that_is_missing_is_named(without: str, told: str, file: Write) -> None:
    file(without=without)
    with pytest.raises(ModelError, match=told):
        load_checkpoint("model")
    if "diffusion" not in without:
        with pytest.raises(ModelError, match=r"load its parts one by one: diffusion\.load_unet"):
            load_checkpoint("model")
        load_unet("model")


def test_each_part_alone_from_the_same_file(file: Write) -> None:
    file()
    parts = load_checkpoint("model")
    assert (parts.denoiser, parts.autoencoder) == (load_unet("model"), load_vae("model"))
    assert parts.encoder == load_clip("model")


def test_tensors_of_no_part_are_mentioned_and_not_used(file: Write) -> None:
    file(**{"embedding_manager.x": torch.zeros(1), "model_ema.decay": torch.zeros(1)})
    ctx = RecordingContext()
    load_checkpoint("model", ctx=ctx)
    assert ["not used: embedding_manager.x"] == ctx.said


def test_a_text_encoder_of_another_model_in_the_same_file(file: Write) -> None:
    file("sd1", "one")
    file("sd2", "two")
    texts = {key: value for key, value in load_file("two.safetensors").items() if key.startswith("cond_stage_model.")}
    rest = {
        key: value for key, value in load_file("one.safetensors").items() if not key.startswith("cond_stage_model.")
    }
    save_file(rest | texts, "mixed.safetensors")
    with pytest.raises(ModelError, match=r'its text encoder is "CLIP ViT-H", but its U-Net reads .* "CLIP ViT-L"'):
        load_checkpoint("mixed")


def test_a_folder_that_lacks_parts_or_shards(folder: Write) -> None:
    folder(shards=3)
    next(Path("folder/unet").glob("*-00002-of-00003.safetensors")).unlink()
    with pytest.raises(ModelError, match=r"lacks 1 of its 3 shards: diffusion_pytorch_model-00002"):
        load_checkpoint("folder")
    folder(called="alone")
    for part in ("text_encoder", "tokenizer"):
        for item in Path("alone", part).iterdir():
            item.unlink()
        Path("alone", part).rmdir()
    with pytest.raises(ModelError, match=r"has no text encoder \(text_encoder\) beside the U-Net"):
        load_checkpoint("alone")


def test_an_autoencoder_of_another_model_in_the_folder(folder: Write) -> None:
    folder()
    Path("folder/vae/config.json").write_text('{"_class_name": "AutoencoderKL", "scaling_factor": 0.13025}')
    with pytest.raises(ModelError, match=r"its autoencoder makes latents of sdxl, but its U-Net denoises .* sd15"):
        load_checkpoint("folder")


def test_what_is_no_stable_diffusion_is_told_with_what_it_looks_like(here: Path) -> None:
    save_file({"blocks.0.weight": torch.zeros(2, 2)}, here / "other.safetensors")
    with pytest.raises(ModelError, match=r"no latent U-Net among its 1 tensors \(blocks.0.weight, ...\)\n    expected"):
        load_checkpoint("other")


def test_a_config_of_another_network_is_refused(folder: Write) -> None:
    folder()
    config = Path("folder/unet/config.json")
    config.write_text(
        config.read_text().replace('"in_channels": 4', '"in_channels": 4, "class_embed_type": "timestep"')
    )
    with pytest.raises(
        ModelError, match="this is no U-Net of Stable Diffusion 1, 2 or XL: class_embed_type is 'timestep'"
    ):
        load_unet("folder")
    config.write_text('{"block_out_channels": [32, 64]}')
    with pytest.raises(ModelError, match=r'its config\.json lacks or garbles "down_block_types"\n    fetch it again'):
        load_unet("folder")
    config.write_text('{"block_out_channels": 32, "down_block_types": 2}')
    with pytest.raises(ModelError, match=r"its config\.json says things that no U-Net's does\n    fetch it again"):
        load_unet("folder")
    config.write_text("null")
    with pytest.raises(ModelError, match=r"config\.json is no JSON object\n    fetch it again"):
        load_unet("folder")
