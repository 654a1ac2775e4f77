"""ControlNets as diffusers computes them, from its folders and from the files of the original code."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.adapter_nodes import control
from nodeflow_diffusion.checkpoint_nodes import load_unet
from nodeflow_diffusion.control_names import control_sources, detect
from nodeflow_diffusion.latent_unet import LatentUNetConfig, size_vector
from nodeflow_diffusion.latent_unet_families import FAMILIES
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.published import faults, shapes_of
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodeflow import QUIET, Image

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own
SHAPE = {"block_out_channels": (32, 64), "layers_per_block": 2, "norm_num_groups": 8, "cross_attention_dim": 24}
KINDS = {
    "sd1": {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "attention_head_dim": 4},
    "sdxl": {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "attention_head_dim": (2, 4),
        "transformer_layers_per_block": (1, 2), "use_linear_projection": True, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 68,
    },
}  # fmt: skip


@pytest.fixture
def diffusers() -> Any:
    return pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'nodeflow-engine[parity]'")


def pair(diffusers: Any, filled: Any, kind: str) -> tuple[Any, Any]:
    """A U-Net in "model" and a ControlNet in "control", both of random weights."""
    told = SHAPE | KINDS[kind]
    up = [name.replace("Down", "Up") for name in reversed(told["down_block_types"])]
    unet = filled(diffusers.UNet2DConditionModel(**told, up_block_types=up))
    unet.save_pretrained("model/unet")
    net = filled(diffusers.ControlNetModel(**told, conditioning_embedding_out_channels=(16, 32, 96, 256)))
    net.save_pretrained("control")
    return unet, net


def given(kind: str) -> dict[str, Any]:
    draw = torch.Generator().manual_seed(0)
    found: dict[str, Any] = {
        "sample": torch.randn(2, 4, 8, 8, generator=draw),
        "timestep": torch.tensor([10, 731]),
        "encoder_hidden_states": torch.randn(2, 7, 24, generator=draw),
    }
    if kind == "sdxl":
        sizes = torch.tensor([[64.0, 48, 0, 8, 64, 6], [32.0, 32, 4, 0, 64, 2]])
        found["added_cond_kwargs"] = {"text_embeds": torch.randn(2, 20, generator=draw), "time_ids": sizes}
    return found


def vector(inputs: dict[str, Any]) -> Tensor | None:
    more = inputs.get("added_cond_kwargs")
    return size_vector(more["text_embeds"], more["time_ids"], 8) if more else None


def picture() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def single(weights: dict[str, Tensor], config: LatentUNetConfig) -> dict[str, Tensor]:
    """The weights of a folder under the names of a file of the original code."""
    found = detect({name: tuple(value.shape) for name, value in weights.items()}, {})
    with WithoutMemory():
        net = found.make(config)
    pairs = zip(
        control_sources(net.config, "diffusers").values(),
        control_sources(net.config, "ldm", "control_model.").values(),
        strict=True,
    )
    names = {old: new for here, there in pairs for old, new in zip(here, there, strict=True)}
    return {names[name]: value for name, value in weights.items()}


@pytest.mark.parametrize("layout", ["diffusers", "ldm"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_controlnet_of_strength_0_8(
    kind: str, layout: str, diffusers: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unet, net = pair(diffusers, filled, kind)
    denoiser: Any = load_unet("model", "eps")
    name = "control"
    if layout == "ldm":
        from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

        weights = load_file("control/diffusion_pytorch_model.safetensors")
        made = single(weights, denoiser.network.outline().config)
        if kind == "sd1":  # diffusers' own way back knows no second of these layers
            back = convert_controlnet_checkpoint(dict(made), json.loads(Path("control/config.json").read_text()))
            assert weights.keys() == back.keys()
            assert all(torch.equal(value, back[name]) for name, value in weights.items())
        save_file(made, "single.safetensors")
        name = "single"
    inputs = given(kind)
    with torch.inference_mode():
        sides, middle = net(**inputs, controlnet_cond=picture(), conditioning_scale=0.8, return_dict=False)
        wanted = unet(**inputs, down_block_additional_residuals=sides, mid_block_additional_residual=middle).sample
        plain = unet(**inputs).sample
        assert float((wanted - plain).abs().max()) > 0.05
        with_control: Any = control(denoiser, Image(picture()), name, 0.8)
        ours, loaded = QUIET.load(denoiser.network), QUIET.load(with_control.controls[0].model)
        words = inputs["encoder_hidden_states"]
        at = inputs["sample"], inputs["timestep"], words, vector(inputs)
        added = loaded.net(*at, loaded.net.see(picture()))
        for expected, found in zip((*sides, middle), added, strict=True):
            agree(expected, 0.8 * found)
        agree(wanted, ours(*at, tuple(0.8 * part for part in added)))
        agree(plain, ours(*at))


@pytest.mark.parametrize("family", [family for family in FAMILIES if "unclip" not in family.name], ids=lambda f: f.name)
def test_every_name_of_the_published_sizes(family: Any, diffusers: Any) -> None:
    config = family.config
    kinds = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in config.depths]
    vectors = {
        "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": config.vector_width,
    }  # fmt: skip
    with torch.device("meta"):
        model = diffusers.ControlNetModel(
            block_out_channels=config.widths, down_block_types=kinds, attention_head_dim=config.heads,
            transformer_layers_per_block=[*(depth or 1 for depth in config.depths[:-1]), config.middle_depth],
            cross_attention_dim=config.context_width, use_linear_projection=family.linear,
            **(vectors if config.vector_width else {}),
        )  # fmt: skip
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = detect(shapes, {})
    assert found.told
    assert config == found.config
    with WithoutMemory():
        net = found.make(config)
    assert [] == faults(shapes_of(net), control_sources(net.config, "diffusers"), shapes, lambda _: True)
