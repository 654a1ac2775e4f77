"""U-Nets and text encoders with LoRA, as peft and diffusers compute them, from every way of files to name tensors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.adapter_nodes import lora
from nodeflow_diffusion.checkpoint_nodes import load_unet
from nodeflow_diffusion.latent_unet import LatentUNet
from nodeflow_diffusion.latent_unet_names import sources
from nodeflow_text import adapter_nodes as text_nodes
from nodeflow_text.published_nodes import load_clip
from safetensors.torch import save_file
from torch import Tensor

from nodeflow import QUIET

pytestmark = pytest.mark.filterwarnings("ignore")  # the reference libraries' own
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
ALL = [
    *ATTENTION, "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "conv_shortcut", "time_emb_proj",
    "downsamplers.0.conv", "upsamplers.0.conv", "conv_in", "conv_out", "linear_1", "linear_2",
]  # fmt: skip
Renamed = Callable[[Any, dict[str, Tensor], float], dict[str, Tensor]]


@pytest.fixture
def diffusers() -> Any:
    reason = "diffusers and peft are not installed: pip install 'nodeflow-engine[parity]'"
    pytest.importorskip("peft", reason=reason)
    return pytest.importorskip("diffusers", reason=reason)


@pytest.fixture
def unet(diffusers: Any, filled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """diffusers' model, of which the folder "model" holds what it was before any adapter."""
    monkeypatch.chdir(tmp_path)
    model = filled(
        diffusers.UNet2DConditionModel(
            block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8, cross_attention_dim=24,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=4,
        )
    )  # fmt: skip
    model.save_pretrained("model/unet")
    return model


@torch.no_grad()
def adapted(model: Any, name: str, targets: list[str], *, alpha: float = 6, dora: bool = False) -> dict[str, Tensor]:
    """Puts a random adapter on a model; its tensors as peft calls them."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    model.add_adapter(LoraConfig(r=4, lora_alpha=alpha, target_modules=targets, use_dora=dora), name)
    generator = torch.Generator().manual_seed(len(name))
    for key, value in model.named_parameters():
        if f".{name}." in f"{key}." and "lora_" in key:
            noise = torch.randn(value.shape, generator=generator)
            if "magnitude" in key:
                value.mul_(1 + 0.2 * noise)
            else:
                value.copy_(noise / (value.shape[1:].numel() * (2 if "lora_B" in key else 1)) ** 0.5)
    found = get_peft_model_state_dict(model, adapter_name=name)
    return {key: value.clone().contiguous() for key, value in found.items()}


def given() -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, 4, 8, 8, generator=draw), torch.tensor([10, 731]), torch.randn(2, 7, 24, generator=draw),
    )  # fmt: skip


def expected(model: Any) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(*given()).sample
    return found


def found(recipe: Any) -> Tensor:
    with torch.inference_mode():
        result: Tensor = QUIET.load(recipe.network)(*given())
    return result


def kohya(model: Any, weights: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """As kohya names them; what diffusers writes for others is the same, as far as it goes."""
    from diffusers.utils import convert_state_dict_to_kohya

    made: dict[str, Tensor] = {}
    for name, value in weights.items():
        stem = "lora_unet_" + name.partition(".lora_")[0].replace(".", "_")
        if "magnitude" in name:
            made[f"{stem}.dora_scale"] = value.reshape(-1, 1)
        else:
            made[f"{stem}.lora_{'down' if 'lora_A' in name else 'up'}.weight"] = value
            made[f"{stem}.alpha"] = torch.tensor(float(alpha))
    plain = {
        f"unet.{name}": value for name, value in weights.items() if "magnitude" not in name and name.count(".") > 2
    }
    assert convert_state_dict_to_kohya(plain).keys() <= made.keys()
    return made


def kohya_ldm(model: Any, weights: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """As kohya names the modules of Stable Diffusion XL."""
    ours = QUIET.load(load_unet("model", "eps").network)  # type: ignore[attr-defined]
    assert isinstance(ours, LatentUNet)
    pairs = [
        (old.removesuffix(".weight"), new.removesuffix(".weight"))
        for here, there in zip(sources(ours, "diffusers").values(), sources(ours, "ldm").values(), strict=True)
        for old, new in zip(here, there, strict=True)
    ]
    names = {f"lora_unet_{old.replace('.', '_')}": f"lora_unet_{new.replace('.', '_')}" for old, new in pairs}
    made = kohya(model, weights, alpha)
    return {".".join([names[name.split(".")[0]], *name.split(".")[1:]]): value for name, value in made.items()}


def in_diffusers(model: Any, weights: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Without alpha: the matrices hold it."""
    return {
        f"unet.{name}": value * (alpha / 4 if "lora_B" in name else 1) for name, value in weights.items()
    }  # fmt: skip


def in_old_diffusers(model: Any, weights: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """As diffusers saved the adapters of attention before it used peft, which it reads still."""
    from diffusers.utils import convert_unet_state_dict_to_peft

    made = {
        name.replace(".to_out.0.", ".to_out.").replace(".lora_A", "_lora.down").replace(".lora_B", "_lora.up")
        .replace(".attn1.", ".attn1.processor.").replace(".attn2.", ".attn2.processor."): value
        for name, value in in_diffusers(model, weights, alpha).items()
    }  # fmt: skip
    back = convert_unet_state_dict_to_peft({name.replace(".processor", ""): value for name, value in made.items()})
    assert {f"unet.{name}" for name in weights} == set(back)
    return made


NAMINGS: dict[str, tuple[Renamed, list[str]]] = {
    "kohya": (kohya, ALL),
    "kohya of XL": (kohya_ldm, ALL),
    "diffusers": (in_diffusers, ALL),
    "old diffusers": (in_old_diffusers, ATTENTION),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_a_lora_of_strength_0_7_in_every_naming(naming: str, unet: Any, agree: Any) -> None:
    rename, targets = NAMINGS[naming]
    before = expected(unet)
    weights = adapted(unet, "one", targets)
    save_file(rename(unet, weights, 6), "one.safetensors")
    unet.set_adapters(["one"], weights=[0.7])
    after = expected(unet)
    assert float((after - before).abs().max()) > 0.05
    agree(before, found(load_unet("model", "eps")))
    agree(after, found(lora(load_unet("model", "eps"), "one", 0.7)))


def test_what_diffusers_saves_with_its_settings(unet: Any, diffusers: Any, agree: Any) -> None:
    adapted(unet, "default", ALL)
    unet.save_lora_adapter("saved", adapter_name="default")
    assert Path("saved/pytorch_lora_weights.safetensors").is_file()
    agree(expected(unet), found(lora(load_unet("model", "eps"), "saved/pytorch_lora_weights.safetensors")))
    settings = unet.peft_config["default"].to_dict()
    weights = adapted(unet, "second", ALL, alpha=2)
    unet.set_adapters(["second"])
    diffusers.StableDiffusionPipeline.save_lora_weights(
        "whole", unet_lora_layers=weights, unet_lora_adapter_metadata=settings | {"lora_alpha": 2}
    )
    agree(expected(unet), found(lora(load_unet("model", "eps"), "whole/pytorch_lora_weights.safetensors")))


def test_two_loras_of_their_own_strengths(unet: Any, agree: Any) -> None:
    first, second = adapted(unet, "one", ALL), adapted(unet, "another", ATTENTION, alpha=2)
    save_file(kohya(unet, first, 6), "one.safetensors")
    save_file(in_diffusers(unet, second, 2), "another.safetensors")
    unet.set_adapters(["one", "another"], weights=[0.7, -0.4])
    agree(expected(unet), found(lora(lora(load_unet("model", "eps"), "one", 0.7), "another", -0.4)))


@pytest.mark.parametrize("rename", [kohya, in_diffusers])
def test_dora(rename: Renamed, unet: Any, agree: Any) -> None:
    weights = adapted(unet, "one", ALL, dora=True)
    assert any("magnitude" in name for name in weights)
    save_file(rename(unet, weights, 6), "one.safetensors")
    agree(expected(unet), found(lora(load_unet("model", "eps"), "one")))


def clip(filled: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return filled(
        CLIPTextModel(
            CLIPTextConfig(
                vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2,
                bos_token_id=38, eos_token_id=39, pad_token_id=39, hidden_act="quick_gelu",
            )
        )
    )  # fmt: skip


@pytest.mark.parametrize("naming", ["lora_te_", "lora_te1_", "text_encoder."])
def test_the_text_encoders_part(
    naming: str, diffusers: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = clip(filled)
    model.save_pretrained("clip")
    write_vocabulary(Path("clip"))
    weights = adapted(model, "one", ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"])
    whole = {name if name.startswith("text_model.") else f"text_model.{name}": value for name, value in weights.items()}
    if naming == "text_encoder.":
        made = {f"{naming}{name}": value * (1.5 if "lora_B" in name else 1) for name, value in whole.items()}
    else:
        endings = {".lora_A.weight": ".lora_down.weight", ".lora_B.weight": ".lora_up.weight"}
        made = {}
        for name, value in whole.items():
            stem, ending = next((name.removesuffix(old), new) for old, new in endings.items() if name.endswith(old))
            made[f"{naming}{stem.replace('.', '_')}{ending}"] = value
            made[f"{naming}{stem.replace('.', '_')}.alpha"] = torch.tensor(6.0)
    save_file(made, "one.safetensors")
    model.set_adapter("one")
    for module in model.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("one", 0.7)
    ids = torch.tensor([[38, 3, 17, 5, 39, 39, 39]])
    with torch.inference_mode():
        wanted = model(ids).last_hidden_state
        tower = QUIET.load(text_nodes.lora(load_clip("clip"), "one", 0.7)).encoder.module
        agree(wanted, tower(ids).tokens)
        plain = QUIET.load(load_clip("clip")).encoder.module(ids).tokens
    assert float((plain - wanted).abs().max()) > 0.05


def write_vocabulary(folder: Path) -> None:
    pieces = [f"{sign}{end}" for end in ("", "</w>") for sign in "abcdefghijklmnopqrs"]
    numbers = {piece: number for number, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(str(numbers).replace("'", '"'))
    (folder / "merges.txt").write_text("#version: 0.2\n")
