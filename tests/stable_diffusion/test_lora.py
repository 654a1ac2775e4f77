"""LoRA and its kin on published U-Nets and text encoders: patches of a recipe, which leave the shared weights alone."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.adapter_nodes import lora
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint
from nodeflow_diffusion.execution import Execution
from nodeflow_diffusion.latent_unet import LatentUNet
from nodeflow_diffusion.latent_unet_adapters import unet_stems
from nodeflow_diffusion.nodes import condition, load
from nodeflow_diffusion.recipes import run_as
from nodeflow_nn.adapters import Rows
from nodeflow_nn.merging import delta
from nodeflow_text import adapter_nodes as text_nodes
from nodeflow_text.clip_adapters import text_stems
from nodeflow_text.nodes import encode, load_encoder
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from nodeflow import QUIET, Denoiser, ModelError
from nodeflow.leaves import models_in
from nodeflow.residency import Residency

Write = Callable[..., str]
ATTENTION = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0"
NAMES = (f"{ATTENTION}_attn1_to_k", f"{ATTENTION}_attn2_to_v", "lora_unet_mid_block_resnets_0_time_emb_proj")


def module(recipe: Any) -> Any:
    return QUIET.load(recipe.network)


def rows(unet: LatentUNet, stem: str) -> tuple[str, slice]:
    found = unet_stems(unet)[stem]
    return f"{found.ours}.weight", slice(found.start, found.start + found.height)


def matrices(unet: LatentUNet, names: tuple[str, ...] = NAMES, *, seed: int = 0, rank: int = 4) -> dict[str, Tensor]:
    """kohya's tensors for some modules, and alpha half the rank."""
    generator, found = torch.Generator().manual_seed(seed), dict[str, Tensor]()
    state = unet.state_dict()
    for stem in names:
        ours, part = rows(unet, stem)
        weight = state[ours][part]
        found[f"{stem}.lora_down.weight"] = (
            torch.randn(rank, *weight.shape[1:], generator=generator) / math.prod(weight.shape[1:]) ** 0.5
        )
        found[f"{stem}.lora_up.weight"] = torch.randn(len(weight), rank, *[1] * (weight.ndim - 2), generator=generator)
        found[f"{stem}.alpha"] = torch.tensor(rank / 2)
    return found


@pytest.fixture
def denoiser(file: Write) -> Any:
    return load_checkpoint(file()).denoiser


def changed(before: LatentUNet, after: LatentUNet) -> set[str]:
    old, new = before.state_dict(), after.state_dict()
    return {name for name in old if not torch.equal(old[name], new[name])}


def test_merging_is_adding_the_low_rank_path(denoiser: Any, here: Path) -> None:
    before = module(denoiser)
    weights = matrices(before)
    save_file(weights, "style.safetensors")
    after = module(lora(denoiser, "style", 0.7))
    assert {rows(before, stem)[0] for stem in NAMES} == changed(before, after)
    for stem in NAMES:
        ours, part = rows(before, stem)
        x = torch.randn(3, before.state_dict()[ours].shape[1], generator=torch.Generator().manual_seed(1))
        path = F.linear(F.linear(x, weights[f"{stem}.lora_down.weight"]), weights[f"{stem}.lora_up.weight"])
        wanted = F.linear(x, before.state_dict()[ours][part]) + 0.7 * 0.5 * path
        torch.testing.assert_close(F.linear(x, after.state_dict()[ours][part]), wanted, rtol=0, atol=1e-5)
    others = [rows(before, stem)[1] for stem in NAMES[:1]]
    ours = rows(before, NAMES[0])[0]
    kept = torch.ones(len(before.state_dict()[ours]), dtype=torch.bool)
    kept[others[0]] = False
    assert torch.equal(before.state_dict()[ours][kept], after.state_dict()[ours][kept])


def test_strength_0_is_the_very_same_recipe(denoiser: Any, here: Path) -> None:
    save_file(matrices(module(denoiser)), "style.safetensors")
    assert lora(denoiser, "style", 0.0) is denoiser


def test_the_shared_weights_stay_and_the_patched_model_is_one_of_its_own(denoiser: Any, here: Path) -> None:
    save_file(matrices(module(denoiser)), "style.safetensors")
    patched = lora(denoiser, "style")
    (base,), (own,) = models_in(denoiser), models_in(patched)
    assert base != own
    assert (base.size, own) == (own.size, models_in(lora(denoiser, "style"))[0])
    residency = Residency()
    shared = residency.load(base, "cpu")
    kept = {name: value.clone() for name, value in shared.state_dict().items()}
    assert residency.load(own, "cpu") is not shared
    assert 2 * base.size == sum(residency.resident("cpu").values())
    assert all(torch.equal(value, kept[name]) for name, value in residency.load(base, "cpu").state_dict().items())


def test_the_order_of_adapters_does_not_matter(denoiser: Any, here: Path) -> None:
    unet = module(denoiser)
    save_file(matrices(unet), "one.safetensors")
    doubled = matrices(unet, seed=1)
    doubled |= {
        f"{stem}.dora_scale": torch.full((doubled[f"{stem}.lora_up.weight"].shape[0], 1), 0.9) for stem in NAMES
    }
    save_file(doubled, "two.safetensors")
    first = module(lora(lora(denoiser, "one", 0.7), "two", 0.4)).state_dict()
    second = module(lora(lora(denoiser, "two", 0.4), "one", 0.7)).state_dict()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=1e-6)


def test_locon_with_a_middle_is_three_convolutions(denoiser: Any, here: Path) -> None:
    unet, stem = module(denoiser), "lora_unet_down_blocks_1_resnets_0_conv1"
    ours, _ = rows(unet, stem)
    width, channels = unet.state_dict()[ours].shape[:2]
    draw = torch.Generator().manual_seed(0)
    down, mid = torch.randn(3, channels, 1, 1, generator=draw), torch.randn(3, 3, 3, 3, generator=draw)
    up = torch.randn(width, 3, 1, 1, generator=draw)
    parts = {"lora_down.weight": down, "lora_mid.weight": mid, "lora_up.weight": up, "alpha": torch.tensor(1.5)}
    save_file({f"{stem}.{name}": value for name, value in parts.items()}, "locon.safetensors")
    after = module(lora(denoiser, "locon", 0.3)).state_dict()[ours]
    x = torch.randn(1, channels, 6, 6, generator=draw)
    path = F.conv2d(F.conv2d(F.conv2d(x, down), mid, padding=1), up)
    wanted = F.conv2d(x, unet.state_dict()[ours], padding=1) + 0.3 * 0.5 * path
    torch.testing.assert_close(F.conv2d(x, after, padding=1), wanted, rtol=1e-4, atol=1e-4)


def test_whole_differences_of_weight_and_bias(denoiser: Any, here: Path) -> None:
    before, stem = module(denoiser), "lora_unet_conv_in"
    save_file(
        {f"{stem}.diff": torch.ones(32, 4, 3, 3), f"{stem}.diff_b": torch.full((32,), 2.0)}, "diff.safetensors"
    )  # fmt: skip
    after = module(lora(denoiser, "diff", 0.5))
    torch.testing.assert_close(before.first.weight + 0.5, after.first.weight)
    torch.testing.assert_close(before.first.bias + 1, after.first.bias)


def test_dora_of_the_columns_keeps_their_lengths() -> None:
    draw = torch.Generator().manual_seed(0)
    weight, lengths = torch.randn(6, 5, generator=draw), torch.rand(1, 5, generator=draw) + 1
    parts: Any = {
        "down": torch.randn(2, 5, generator=draw), "up": torch.randn(6, 2, generator=draw), "scale": lengths
    }  # fmt: skip
    torch.testing.assert_close((weight + delta(weight, parts)).norm(dim=0), lengths[0])


def test_half_precision_is_merged_in_float32_and_rounded_once(denoiser: Any, here: Path) -> None:
    save_file(matrices(module(denoiser)), "style.safetensors")
    patched = lora(denoiser, "style", 0.7)
    wide, narrow = module(patched).state_dict(), module(run_as(patched, Execution("bf16"))).state_dict()
    assert all(torch.equal(value.bfloat16(), narrow[name]) for name, value in wide.items())


def test_texts_may_be_bound_before(denoiser: Any, here: Path) -> None:
    save_file(matrices(module(denoiser)), "style.safetensors")
    bound = condition(denoiser, encode(load_checkpoint("model").encoder, "a cab"))
    found: Any = lora(bound, "style")
    assert type(bound) is type(found)
    assert models_in(lora(denoiser, "style")) == models_in(found)


def test_kohyas_names_for_both_parts_of_one_file(file: Write, here: Path) -> None:
    parts = load_checkpoint(file("sdxl"))
    unet = module(parts.denoiser)
    stems = ("lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k", "lora_unet_middle_block_1_proj_in")
    stems = tuple(stem for stem in stems if stem in unet_stems(unet)) or ("lora_unet_middle_block_1_proj_in",)
    text = {
        "lora_te1_text_model_encoder_layers_1_self_attn_v_proj": 64,
        "lora_te2_text_model_encoder_layers_0_mlp_fc1": 128,
        "lora_te2_text_projection": 128,
    }
    weights = matrices(unet, stems)
    for at, (stem, width) in enumerate(text.items()):
        out = {0: 64, 1: 96, 2: 24}[at]
        weights[f"{stem}.lora_down.weight"] = torch.randn(2, width) / 8
        weights[f"{stem}.lora_up.weight"] = torch.randn(out, 2)
    save_file(weights, "whole.safetensors")
    assert {rows(unet, stem)[0] for stem in stems} == changed(unet, module(lora(parts.denoiser, "whole")))
    before, after = (
        QUIET.load(encoder).encoder for encoder in (parts.encoder, text_nodes.lora(parts.encoder, "whole"))
    )
    found = [
        {name for name, value in old.state_dict().items() if not torch.equal(value, new.state_dict()[name])}
        for old, new in (
            (before.first.encoder.module, after.first.encoder.module),
            (before.second.encoder.module, after.second.encoder.module),
        )
    ]
    assert [{"layers.1.qkv.weight"}, {"layers.0.up.weight", "projection.weight"}] == found
    tower = before.first.encoder.module
    value = text_stems(tower.config, 1)["lora_te1_text_model_encoder_layers_1_self_attn_v_proj"]
    assert Rows("layers.1.qkv", 128, 64) == value


def test_a_file_without_a_part_for_the_text_changes_nothing_there(file: Write, here: Path) -> None:
    parts = load_checkpoint(file())
    save_file(matrices(module(parts.denoiser)), "style.safetensors")
    assert text_nodes.lora(parts.encoder, "style") is parts.encoder


def faulty(denoiser: Denoiser, weights: dict[str, Tensor]) -> str:
    save_file({name: value.contiguous() for name, value in weights.items()}, "faulty.safetensors")
    with pytest.raises(ModelError) as caught:
        lora(denoiser, "faulty")
    return str(caught.value)


def test_what_does_not_fit_is_told_with_what_it_looks_like(denoiser: Any, here: Path) -> None:
    good = matrices(module(denoiser))
    assert "left over lora_unet_nowhere.lora_down.weight" in faulty(
        denoiser, good | {"lora_unet_nowhere.lora_down.weight": torch.ones(1)}
    )
    without = {name: value for name, value in good.items() if not name.endswith("attn2_to_v.lora_up.weight")}
    assert "attn2_to_v lacks its up" in faulty(denoiser, without)
    wide = {
        f"{ATTENTION}_attn2_to_k.lora_down.weight": torch.ones(4, 2048),
        f"{ATTENTION}_attn2_to_k.lora_up.weight": torch.ones(32, 4),
    }
    told = faulty(denoiser, wide)
    assert "is [32, 4] times [4, 2048], but the model has [32, 64]" in told
    assert "it looks like one for Stable Diffusion XL" in told
    assert "OFT, which is not read" in faulty(denoiser, {"lora_unet_conv_in.oft_blocks": torch.ones(2, 2)})
    assert "lora_up.weight beside a whole difference" in faulty(
        denoiser, good | {f"{NAMES[0]}.diff": torch.ones(32, 32)}
    )
    assert "one for Flux" in faulty(
        denoiser, {"transformer.single_transformer_blocks.0.x.lora_A.weight": torch.ones(2)}
    )
    again = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k.lora_"
    twice = {f"{again}A.weight": torch.ones(4, 32), f"{again}B.weight": torch.ones(32, 4)}
    assert "are one and the same module" in faulty(denoiser, good | twice)


def test_numbers_that_are_not_finite_are_named_when_the_model_is_built(denoiser: Any, here: Path) -> None:
    weights = matrices(module(denoiser))
    weights[f"{NAMES[1]}.lora_up.weight"][3, 1] = math.nan
    save_file(weights, "broken.safetensors")
    with pytest.raises(ModelError, match=rf"broken.*{NAMES[1]}.*is not finite"):
        module(lora(denoiser, "broken"))


def test_other_denoisers_and_encoders_are_refused(denoiser: Any, here: Path) -> None:
    save_file(matrices(module(denoiser)), "style.safetensors")
    with pytest.raises(ValueError, match="changes U-Nets of Stable Diffusion"):
        lora(load(), "style")
    with pytest.raises(ValueError, match="changes text encoders of CLIP"):
        text_nodes.lora(load_encoder(), "style")
    with pytest.raises(
        ModelError, match=r'"sd15 checkpoint", but expected lora\n    open it by diffusion.load_checkpoint'
    ):
        text_nodes.lora(load_checkpoint("model").encoder, "model")
    save_file({"a": torch.ones(1)}, "unknown.safetensors")
    with pytest.raises(ModelError, match=r"none of its tensors \(a, ...\) is an adapter's"):
        text_nodes.lora(load_checkpoint("model").encoder, "unknown")
