"""The latent U-Net gives diffusers' numbers, from both layouts that are published.

`fixtures/latent_unet.safetensors` keeps outputs of diffusers 0.42.1 (torch 2.13.0, float32, CPU) for weights and inputs
that are drawn from their names, so that no diffusers is needed. `python tests/parity/test_latent_unet.py` makes it.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.latent_unet import LatentUNet, LatentUNetConfig, size_vector
from nodeflow_diffusion.latent_unet_families import FAMILIES, SD2, detect, from_diffusers, measure
from nodeflow_diffusion.latent_unet_names import Layout, sources
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.published import Checkpoint, faults, filled, shapes_of
from safetensors.torch import load_file, save_file
from torch import Tensor

KEPT = Path(__file__).parent / "fixtures" / "latent_unet.safetensors"
TINY = LatentUNetConfig(widths=(32, 64), depths=(1, 0), heads=(4, 4), context_width=24, groups=8)
CASES = {
    "sd1": TINY,
    "sd1_inpaint": replace(TINY, channels_in=9),
    "sd2": replace(TINY, heads=(2, 4)),
    "sdxl": replace(TINY, depths=(0, 2), middle_depth=2, heads=(2, 4), vector_width=68, groups=32),
    "refiner": replace(
        TINY, widths=(32, 64, 64), layers=1, depths=(0, 2, 0), middle_depth=2, heads=(2, 4, 4), vector_width=60
    ),
    "unclip": replace(TINY, heads=(8, 8), vector_width=40),
}
SIDES = {"refiner": (12, 8), "sd2": (9, 7)}
"""Of the latents, where they are not 8 x 8; diffusers takes odd ones as well."""
COUNTS = {"sd1": 859_520_964, "sd2": 865_910_724, "sdxl": 2_567_463_684, "sdxl_refiner": 2_259_526_660}


def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers that depend on a name alone: of weights by 1 / sqrt(fan-in), so that no layer is mute or deafening."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if len(shape) > 1:
        return noise / math.prod(shape[1:]) ** 0.5
    return 0.1 * noise + name.endswith("weight")


def inputs(title: str) -> dict[str, Tensor]:
    config, side = CASES[title], SIDES.get(title, (8, 8))
    given = {
        "x": math.prod(side) ** 0.5 * drawn(f"{title}.x", (2 * config.channels_in, *side)).reshape(2, -1, *side),
        "t": torch.tensor([10, 731]),
        "context": 24**0.5 * drawn(f"{title}.context", (14, 24)).reshape(2, 7, 24),
    }
    count = {"sdxl": 6, "refiner": 5}.get(title)
    if count:
        pooled = 20**0.5 * drawn(f"{title}.pooled", (2, 20))
        given |= {
            "pooled": pooled,
            "sizes": torch.tensor([[64.0, 48, 0, 8, 64, 6][:count], [32.0, 32, 4, 0, 64, 2][:count]]),
        }
    elif config.vector_width:
        given["vector"] = drawn(f"{title}.vector", (2, config.vector_width))
    return given


def published(unet: LatentUNet, layout: Layout, *, unclip: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published tensors of a U-Net, by our own map."""
    shapes: dict[str, tuple[int, ...]] = {}
    state = unet.state_dict(keep_vars=True)
    for ours, names in sources(unet, layout, unclip=unclip).items():
        whole = tuple(state[ours].shape)
        rows = [whole[0] // len(names)] * len(names)
        if ours.startswith("times."):
            rows = list(unet.shift_widths)
        elif ours == "words.weight":
            rows = [width for width, _ in unet.readers for _ in range(2)]
        shapes |= {name: (row, *whole[1:]) for name, row in zip(names, rows, strict=True)}
    return shapes


@cache
def on_meta(config: LatentUNetConfig) -> LatentUNet:
    with WithoutMemory():
        return LatentUNet(config)


def built(
    config: LatentUNetConfig, weights: Mapping[str, Tensor], layout: Layout, folder: Path, *, unclip: bool = False
) -> Any:
    """By way of a file, as users have it."""
    file = folder / f"{layout}.safetensors"
    save_file({name: value.contiguous() for name, value in weights.items()}, file)
    wanted = sources(on_meta(config), layout, unclip=unclip)
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    assert [] == faults(shapes_of(on_meta(config)), wanted, shapes, lambda _: True)
    checkpoint = Checkpoint(file, dict.fromkeys(shapes, file), shapes)
    return filled(lambda: LatentUNet(config), wanted, checkpoint, "cpu")


def called(unet: Any, title: str) -> Tensor:
    given = inputs(title)
    vector = given.get("vector")
    if "sizes" in given:
        vector = size_vector(given["pooled"], given["sizes"], 8)
    with torch.inference_mode():
        context = given["context"]
        found: Tensor = unet(given["x"], given["t"], context, vector)
        assert torch.equal(found, unet(given["x"], given["t"], unet.read(context), vector))
    return found


def renamed(unet: LatentUNet, weights: Mapping[str, Tensor], *, unclip: bool, linear: bool) -> dict[str, Tensor]:
    """The weights of a diffusers folder under the names of a single file."""
    here, there = sources(unet, "diffusers", unclip=unclip), sources(unet, "ldm")
    names = {old: new for ours in here for old, new in zip(here[ours], there[ours], strict=True)}
    found = {names[old]: value for old, value in weights.items()}
    if not linear:
        return {
            name: value[:, :, None, None] if "proj_" in name and value.ndim == 2 and ".ff." not in name else value
            for name, value in found.items()
        }
    return found


@pytest.mark.parametrize("layout", ["diffusers", "ldm"])
@pytest.mark.parametrize("title", CASES)
def test_the_kept_numbers(title: str, layout: Layout, agree: Any, tmp_path: Path) -> None:
    config, unclip = CASES[title], title == "unclip"
    weights = {
        name: drawn(name, shape) for name, shape in published(on_meta(config), "diffusers", unclip=unclip).items()
    }
    if layout == "ldm":
        weights = renamed(on_meta(config), weights, unclip=unclip, linear=title != "sd1")
    unet = built(config, weights, layout, tmp_path, unclip=unclip and layout == "diffusers")
    agree(load_file(KEPT)[title], called(unet, title))


@pytest.fixture
def diffusers() -> Any:
    return pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'nodeflow-engine[parity]'")


def told(config: LatentUNetConfig, *, linear: bool, unclip: bool = False, sizes: int = 0) -> dict[str, Any]:
    """The config.json of a diffusers folder that means ours."""
    kinds = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in config.depths]
    vector = {"projection_class_embeddings_input_dim": config.vector_width} if config.vector_width else {}
    if unclip:
        vector["class_embed_type"] = "projection"
    elif vector:
        vector |= {"addition_embed_type": "text_time", "addition_time_embed_dim": sizes}
    return {
        "in_channels": config.channels_in,
        "out_channels": config.channels_out,
        "block_out_channels": config.widths,
        "layers_per_block": config.layers,
        "down_block_types": kinds,
        "up_block_types": [kind.replace("Down", "Up") for kind in reversed(kinds)],
        "transformer_layers_per_block": [*(depth or 1 for depth in config.depths[:-1]), config.middle_depth],
        "attention_head_dim": config.heads,
        "cross_attention_dim": config.context_width,
        "norm_num_groups": config.groups,
        "use_linear_projection": linear,
        **vector,
    }


def reference(title: str) -> Any:
    """diffusers' model of a case, with weights drawn from their names."""
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(**told(CASES[title], linear=title not in ("sd1", "sd1_inpaint", "unclip"),
                                        unclip=title == "unclip", sizes=8))  # fmt: skip
    model.load_state_dict({name: drawn(name, tuple(value.shape)) for name, value in model.state_dict().items()})
    return model.eval()


def asked(model: Any, title: str) -> Tensor:
    given = inputs(title)
    more = {"text_embeds": given["pooled"], "time_ids": given["sizes"]} if "sizes" in given else None
    with torch.inference_mode():
        found: Tensor = model(
            given["x"], given["t"], given["context"], class_labels=given.get("vector"), added_cond_kwargs=more
        ).sample
    return found


@pytest.mark.filterwarnings("ignore")  # diffusers' own
@pytest.mark.parametrize("title", CASES)
def test_a_folder_that_diffusers_writes_and_the_single_file_it_reads(
    title: str, diffusers: Any, agree: Any, tmp_path: Path
) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    model, unclip = reference(title), title == "unclip"
    model.save_pretrained(tmp_path / "unet")
    values = json.loads((tmp_path / "unet" / "config.json").read_text("utf-8"))
    config = from_diffusers(values)
    assert CASES[title] == config
    weights = load_file(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    unet = built(config, weights, "diffusers", tmp_path, unclip=unclip)
    expected = asked(model, title)
    agree(expected, called(unet, title))
    single = renamed(unet, weights, unclip=unclip, linear=True)
    back = convert_ldm_unet_checkpoint(
        {f"model.diffusion_model.{name}": value for name, value in single.items()}, values
    )
    assert weights.keys() == back.keys()
    assert all(torch.equal(value, back[name]) for name, value in weights.items())
    agree(expected, called(built(config, single, "ldm", tmp_path), title))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_name_of_the_published_models(family: Any, diffusers: Any) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    values = told(family.config, linear=family.linear, unclip="unclip" in family.name, sizes=256)
    with torch.device("meta"):
        model = diffusers.UNet2DConditionModel(**values)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = detect(shapes)
    assert (family.name, "text", family.config) == (found.family.name, found.task, found.config)
    unet = on_meta(found.config)
    assert [] == faults(shapes_of(unet), sources(unet, "diffusers", unclip=found.unclip), shapes, lambda _: True)
    assert sum(value.numel() for value in model.parameters()) == sum(value.numel() for value in unet.parameters())
    single = renamed(unet, model.state_dict(), unclip=found.unclip, linear=True)
    assert (
        shapes.keys()
        == convert_ldm_unet_checkpoint(
            {f"model.diffusion_model.{name}": value for name, value in single.items()}, dict(model.config)
        ).keys()
    )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_published_model_is_known_by_its_tensors(family: Any) -> None:
    unet, unclip = on_meta(family.config), "unclip" in family.name
    assert COUNTS.get(family.name) in (None, sum(value.numel() for value in unet.parameters()))
    ways: list[tuple[Layout, str, str]] = [
        ("ldm", "model.diffusion_model.", "input_blocks.0.0.weight"), ("ldm", "", "input_blocks.0.0.weight"),
        ("diffusers", "", "conv_in.weight"),
    ]  # fmt: skip
    for layout, prefix, first in ways:
        shapes = published(unet, layout, unclip=unclip)
        if not family.linear:
            shapes = {name: (*shape, 1, 1) if "proj_in.w" in name else shape for name, shape in shapes.items()}
        for channels, task in ((4, "text"), (5, "depth"), (8, "edit"), (9, "inpaint")):
            shapes[first] = (family.config.widths[0], channels, 3, 3)
            found = detect({prefix + name: shape for name, shape in shapes.items()} | {"first_stage_model.a": (1,)})
            assert (family.name, task, layout, prefix) == (found.family.name, found.task, found.layout, found.prefix)
            assert replace(family.config, channels_in=channels) == found.config


def test_what_is_not_known_is_told_with_what_was_found() -> None:
    with pytest.raises(ValueError, match=r"none of sd1, .* context_width 24.*linear projections\n.*number of heads"):
        detect(published(on_meta(CASES["sd1"]), "ldm"))
    with pytest.raises(ValueError, match="no latent U-Net among its 1 tensors"):
        detect({"blocks.0.weight": (3, 3)})
    shapes = published(on_meta(FAMILIES[0].config), "diffusers")
    pruned = {name: shape for name, shape in shapes.items() if not name.startswith("down_blocks.1.resnets.1")}
    with pytest.raises(ValueError, match="differ within a level"):
        measure(pruned)
    with pytest.raises(ValueError, match=r"none of sd1, .* channels_in 7"):
        detect(published(on_meta(replace(SD2, channels_in=7)), "ldm"))


def test_a_config_that_asks_for_another_network_is_refused() -> None:
    values = told(TINY, linear=False)
    for name, value in (("resnet_time_scale_shift", "scale_shift"), ("num_class_embeds", 1000), ("freq_shift", 1)):
        with pytest.raises(ValueError, match=f"{name} is {value!r}"):
            from_diffusers(values | {name: value})
    with pytest.raises(ValueError, match="down_block_types is"):
        from_diffusers(values | {"down_block_types": ["CrossAttnDownBlock2D", "AttnDownBlock2D"]})


if __name__ == "__main__":
    save_file({title: asked(reference(title), title).contiguous() for title in CASES}, KEPT)
