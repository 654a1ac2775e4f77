"""U-Nets and text encoders with LoHa, LoKr and LoRA as PEFT computes them and writes them itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.adapter_nodes import lora
from nodeflow_diffusion.checkpoint_nodes import load_unet
from nodeflow_text import adapter_nodes as text_nodes
from nodeflow_text.published_nodes import load_clip
from safetensors.torch import load_file
from torch import Tensor

from nodeflow import QUIET

pytestmark = pytest.mark.filterwarnings("ignore")  # the reference libraries' own
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.2", "conv1", "conv_shortcut", "time_emb_proj"]
WAYS: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "LoHa": ("LoHaConfig", {"r": 4, "alpha": 6}, {"hada_w1_a"}),
    "LoHa with cores": ("LoHaConfig", {"r": 4, "alpha": 6, "use_effective_conv2d": True}, {"hada_t1", "hada_t2"}),
    "LoKr, the large factor a product": ("LoKrConfig", {"r": 2, "alpha": 3}, {"lokr_w1", "lokr_w2_a"}),
    "LoKr, both factors whole": ("LoKrConfig", {"r": 64, "alpha": 48}, {"lokr_w1", "lokr_w2"}),
    "LoKr, both factors products": ("LoKrConfig", {"r": 1, "alpha": 3, "decompose_both": True}, {"lokr_w1_a"}),
    "LoKr with cores": ("LoKrConfig", {"r": 2, "alpha": 3, "use_effective_conv2d": True}, {"lokr_t2"}),
    "LoKr of ranks of their own": ("LoKrConfig", {"r": 2, "alpha": 3, "rank_pattern": {"to_k": 3}}, {"lokr_w2_b"}),
    "LoRA": ("LoraConfig", {"r": 4, "lora_alpha": 6}, {"lora_A"}),
    "LoRA over the root of the rank": ("LoraConfig", {"r": 4, "lora_alpha": 6, "use_rslora": True}, {"lora_A"}),
    "LoRA of alphas": ("LoraConfig", {"r": 4, "lora_alpha": 6, "alpha_pattern": {"attn1.to_k": 2}}, {"lora_A"}),
    "DoRA": ("LoraConfig", {"r": 4, "lora_alpha": 6, "use_dora": True}, {"lora_magnitude_vector"}),
}
"""What PEFT is asked for, and what its file then must have."""


@pytest.fixture
def peft() -> Any:
    reason = "diffusers and peft are not installed: pip install 'nodeflow-engine[parity]'"
    pytest.importorskip("diffusers", reason=reason)
    return pytest.importorskip("peft", reason=reason)


@torch.no_grad()
def adapted(peft: Any, model: Any, way: str, targets: list[str], folder: str) -> Any:
    """The model with a random adapter, which is in a folder as PEFT saves it."""
    kind, told, marks = WAYS[way]
    found = peft.get_peft_model(model, getattr(peft, kind)(target_modules=targets, **told))
    generator = torch.Generator().manual_seed(0)
    for name, value in found.named_parameters():
        if any(mark in name for mark in ("hada_", "lokr_", "lora_")):
            noise = torch.randn(value.shape, generator=generator)
            if "magnitude" in name:
                value.mul_(1 + 0.2 * noise)
            else:  # so that products of two, and of three, are about as large as the weights
                value.copy_(noise / value.shape[-1] ** 0.25)
    found.save_pretrained(folder)
    assert Path(folder, "adapter_config.json").is_file()
    saved = {piece for name in load_file(Path(folder, "adapter_model.safetensors")) for piece in name.split(".")}
    assert marks <= saved
    return found.eval()


def given() -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(2, 4, 8, 8, generator=draw), torch.tensor([10, 731]), torch.randn(2, 7, 24, generator=draw)


@pytest.mark.parametrize("way", WAYS)
def test_a_unet_with_an_adapter_that_peft_wrote(
    way: str, peft: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

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
    with torch.inference_mode():
        before = model(*given()).sample
    wanted = adapted(peft, model, way, TARGETS, "adapter")
    with torch.inference_mode():
        after = wanted(*given()).sample
        found = QUIET.load(lora(load_unet("model", "eps"), "adapter").network)(*given())  # type: ignore[attr-defined]
    assert float((after - before).abs().max()) > 0.05
    agree(after, found)


@pytest.mark.parametrize("way", ["LoHa", "LoKr, the large factor a product", "LoRA", "DoRA"])
def test_a_text_encoder_with_an_adapter_that_peft_wrote(
    way: str, peft: Any, filled: Any, agree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    monkeypatch.chdir(tmp_path)
    model = filled(
        CLIPTextModel(
            CLIPTextConfig(
                vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2,
                bos_token_id=38, eos_token_id=39, pad_token_id=39, hidden_act="quick_gelu",
            )
        )
    )  # fmt: skip
    model.save_pretrained("clip")
    pieces = [f"{sign}{end}" for end in ("", "</w>") for sign in "abcdefghijklmnopqrs"]
    numbers = {piece: number for number, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    Path("clip/vocab.json").write_text(str(numbers).replace("'", '"'))
    Path("clip/merges.txt").write_text("#version: 0.2\n")
    ids = torch.tensor([[38, 3, 17, 5, 39, 39, 39]])
    with torch.inference_mode():
        before = model(ids).last_hidden_state
    wanted = adapted(peft, model, way, ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"], "adapter")
    with torch.inference_mode():
        after = wanted.base_model.model(ids).last_hidden_state
        found = QUIET.load(text_nodes.lora(load_clip("clip"), "adapter")).encoder.module(ids).tokens
    assert float((after - before).abs().max()) > 0.05
    agree(after, found)
