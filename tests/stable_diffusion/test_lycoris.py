"""LoHa and LoKr, and the adapters that PEFT writes itself, against closed formulas."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nodeflow_diffusion.adapter_nodes import lora
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint
from nodeflow_diffusion.latent_unet_adapters import unet_stems
from nodeflow_nn.adapter_settings import Scale, scale_of
from nodeflow_nn.merging import delta
from nodeflow_text import adapter_nodes as text_nodes
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from nodeflow import QUIET, ModelError, checkpoint_identity, find_checkpoint
from nodeflow.places import listed

Write = Callable[..., str]
LINEAR = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k"  # [32, 32]
CONVOLUTION = "lora_unet_down_blocks_1_resnets_0_conv1"  # [64, 32, 3, 3]
PEFT = "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k"


@pytest.fixture
def denoiser(file: Write) -> Any:
    return load_checkpoint(file()).denoiser


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1000 * len(shape) + sum(shape) + seed))


def change(denoiser: Any, stem: str, parts: dict[str, Tensor], strength: float = 1.0) -> Tensor:
    """What a file does to a module's weight."""
    save_file({f"{stem}.{name}": value.contiguous() for name, value in parts.items()}, "made.safetensors")
    return difference(denoiser, lora(denoiser, "made", strength), stem)


def difference(before: Any, after: Any, stem: str) -> Tensor:
    old, new = (QUIET.load(recipe.network) for recipe in (before, after))
    rows = unet_stems(old)[stem]
    part = slice(rows.start, rows.start + rows.height)
    changes = {
        name: new.state_dict()[name] - value for name, value in old.state_dict().items()
        if not torch.equal(value, new.state_dict()[name])
    }  # fmt: skip
    assert {f"{rows.ours}.weight"} == set(changes)
    return changes[f"{rows.ours}.weight"][part]


def close(expected: Tensor, found: Tensor) -> None:
    """What is added in float32 to weights of about 1 is seen again to 1e-6 or so."""
    torch.testing.assert_close(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)


def test_loha_is_two_products_number_by_number(denoiser: Any, here: Path) -> None:
    a, b, c, d = drawn(32, 4), drawn(4, 32), drawn(32, 4, seed=1), drawn(4, 32, seed=1)
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d, "alpha": torch.tensor(2.0)}
    wanted = torch.stack([torch.stack([(a[o] @ b[:, i]) * (c[o] @ d[:, i]) for i in range(32)]) for o in range(32)])
    close(0.7 * 0.5 * wanted, change(denoiser, LINEAR, parts, 0.7))


def test_the_names_of_lycoris_without_kohya(denoiser: Any, here: Path) -> None:
    parts = {"lokr_w1": drawn(4, 4), "lokr_w2": drawn(8, 8)}
    close(torch.kron(*parts.values()), change(denoiser, LINEAR.replace("lora_unet_", "lycoris_"), parts))


def test_loha_of_a_kernel_in_rows(denoiser: Any, here: Path) -> None:
    parts = {
        "hada_w1_a": drawn(64, 2), "hada_w1_b": drawn(2, 32 * 9), "hada_w2_a": drawn(64, 2, seed=1),
        "hada_w2_b": drawn(2, 32 * 9, seed=1),
    }  # fmt: skip
    wanted = ((parts["hada_w1_a"] @ parts["hada_w1_b"]) * (parts["hada_w2_a"] @ parts["hada_w2_b"])).reshape(
        64, 32, 3, 3
    )
    close(wanted, change(denoiser, CONVOLUTION, parts))  # without alpha: as it is


def through(core: Tensor, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Tucker's form as three convolutions: in by b, the core, out by a."""
    inner = F.conv2d(F.conv2d(x, b[:, :, None, None]), core, padding=1)
    return F.conv2d(inner, a.T[:, :, None, None])


def test_loha_with_cores_is_made_of_kernels_of_three_convolutions(denoiser: Any, here: Path) -> None:
    first, second = ((drawn(3, 3, 3, 3, seed=s), drawn(3, 64, seed=s), drawn(3, 32, seed=s)) for s in (1, 2))
    parts = {
        f"hada_{name}{number}{end}": value
        for number, three in ((1, first), (2, second))
        for (name, end), value in zip((("t", ""), ("w", "_a"), ("w", "_b")), three, strict=True)
    }
    found = change(denoiser, CONVOLUTION, parts | {"alpha": torch.tensor(1.5)})
    impulse = torch.zeros(32, 32, 3, 3)  # picture i is a one in the middle of channel i
    impulse[range(32), range(32), 1, 1] = 1
    kernels = [through(*three, impulse).transpose(0, 1).flip(-2, -1) for three in (first, second)]
    torch.testing.assert_close(found, 0.5 * kernels[0] * kernels[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("small", "large", "scale"),
    [
        (("lokr_w1",), ("lokr_w2",), 1.0),  # whole factors have no rank, and alpha then does not count
        (("lokr_w1",), ("lokr_w2_a", "lokr_w2_b"), 2.0 / 3),
        (("lokr_w1_a", "lokr_w1_b"), ("lokr_w2",), 2.0 / 5),
        (("lokr_w1_a", "lokr_w1_b"), ("lokr_w2_a", "lokr_w2_b"), 2.0 / 3),
    ],
)
def test_lokr_is_a_kronecker_product(
    small: tuple[str, ...], large: tuple[str, ...], scale: float, denoiser: Any, here: Path
) -> None:
    known = {
        "lokr_w1": drawn(4, 4), "lokr_w1_a": drawn(4, 5), "lokr_w1_b": drawn(5, 4),
        "lokr_w2": drawn(8, 8), "lokr_w2_a": drawn(8, 3), "lokr_w2_b": drawn(3, 8),
    }  # fmt: skip
    parts = {name: known[name] for name in (*small, *large)} | {"alpha": torch.tensor(2.0)}
    first, second = (
        np.linalg.multi_dot([np.eye(len(known[names[0]])), *(known[name].numpy() for name in names)])
        for names in (small, large)
    )
    close(scale * torch.from_numpy(np.kron(first, second)).float(), change(denoiser, LINEAR, parts))


def test_lokr_of_kernels_whole_in_rows_and_with_a_core(denoiser: Any, here: Path) -> None:
    small, kernel = drawn(8, 4), drawn(8, 8, 3, 3)
    wanted = torch.einsum("ab,cdhw->acbdhw", small, kernel).reshape(64, 32, 3, 3)
    close(wanted, change(denoiser, CONVOLUTION, {"lokr_w1": small, "lokr_w2": kernel, "alpha": torch.tensor(7.0)}))
    a, b = drawn(8, 2), drawn(2, 8 * 9)
    wanted = torch.einsum("ab,cdhw->acbdhw", small, (a @ b).reshape(8, 8, 3, 3)).reshape(64, 32, 3, 3)
    close(wanted, change(denoiser, CONVOLUTION, {"lokr_w1": small, "lokr_w2_a": a, "lokr_w2_b": b}))
    core, a, b = drawn(2, 2, 3, 3), drawn(2, 8, seed=3), drawn(2, 8, seed=4)
    kernel = torch.einsum("rshw,rc,sd->cdhw", core, a, b)
    wanted = torch.einsum("ab,cdhw->acbdhw", small, kernel).reshape(64, 32, 3, 3)
    parts = {"lokr_w1": small, "lokr_w2_a": a, "lokr_w2_b": b, "lokr_t2": core, "alpha": torch.tensor(1.0)}
    close(0.5 * wanted, change(denoiser, CONVOLUTION, parts))


def test_dora_of_a_kronecker_product_has_its_lengths() -> None:
    weight, lengths = drawn(6, 6), drawn(6, 1).abs() + 1
    parts: Any = {"lokr_w1": drawn(2, 3), "lokr_w2": drawn(3, 2), "scale": lengths}
    torch.testing.assert_close((weight + delta(weight, parts)).norm(dim=1, keepdim=True), lengths)


def faulty(denoiser: Any, stem: str, parts: dict[str, Tensor]) -> str:
    with pytest.raises(ModelError) as caught:
        change(denoiser, stem, parts)
    return str(caught.value)


def test_what_does_not_fit_is_told(denoiser: Any, here: Path) -> None:
    whole = {"lokr_w1": drawn(4, 4), "lokr_w2": drawn(8, 8)}
    assert "lacks its lokr_w2 or lokr_w2_a with lokr_w2_b" in faulty(denoiser, LINEAR, {"lokr_w1": drawn(4, 4)})
    assert "lacks its hada_w1_b and hada_w2_a and hada_w2_b" in faulty(denoiser, LINEAR, {"hada_w1_a": drawn(2, 2)})
    wide = {"lokr_w1": drawn(4, 9), "lokr_w2": drawn(8, 4)}
    assert "is [32, 36], but the model has [32, 32]" in faulty(denoiser, LINEAR, wide)
    twice = whole | {"lokr_w1_a": drawn(4, 2)}
    assert "lokr_w1 and lokr_w1_a, of which one or the other is expected" in faulty(denoiser, LINEAR, twice)
    assert "lora_up.weight beside" in faulty(denoiser, LINEAR, whole | {"lora_up.weight": drawn(4, 2)})
    odd = {"hada_w1_a": drawn(32, 4), "hada_w1_b": drawn(3, 32), "hada_w2_a": drawn(32, 4), "hada_w2_b": drawn(4, 32)}
    assert "is [32, 4] times [3, 32], but the model has [32, 32]" in faulty(denoiser, LINEAR, odd)
    one_core = odd | {"hada_w1_b": drawn(4, 32), "hada_t1": drawn(32, 4, 3, 3)}
    assert "number by number, but the model has" in faulty(denoiser, LINEAR, one_core)
    number = {"lokr_w1": torch.tensor(2.0), "lokr_w2": drawn(8, 8)}
    assert "is [] in Kronecker's product with [8, 8], but the model has" in faulty(denoiser, LINEAR, number)
    alphas = whole | {"alpha": torch.ones(2)}
    assert ".alpha is [2], but expected one number" in faulty(denoiser, LINEAR, alphas)


def adapter(folder: str, parts: dict[str, Tensor], **told: Any) -> None:
    """A folder as PEFT writes it."""
    Path(folder).mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in parts.items()}, f"{folder}/adapter_model.safetensors")
    settings = ({"lora_alpha": 6} if "alpha" not in told else {}) | {"peft_type": "LORA", "r": 2} | told
    Path(folder, "adapter_config.json").write_text(json.dumps(settings))


def matrices(stem: str, out: int = 32, width: int = 32) -> dict[str, Tensor]:
    return {f"{stem}.lora_A.weight": drawn(2, width), f"{stem}.lora_B.weight": drawn(out, 2)}


@pytest.mark.parametrize(
    ("told", "scale"),
    [
        ({}, 3.0),
        ({"use_rslora": True}, 6 / 2**0.5),
        ({"alpha_pattern": {"to_k": 1, "attn1.to_k": 5}}, 0.5),  # the first that fits counts
        ({"alpha_pattern": {"^to_k": 1}}, 3.0),
        ({"init_lora_weights": "gaussian"}, 3.0),
    ],
)
def test_the_folder_that_peft_writes(told: dict[str, Any], scale: float, denoiser: Any, here: Path) -> None:
    parts = matrices(PEFT)
    adapter("mine/peft", parts, **told)
    wanted = scale * parts[f"{PEFT}.lora_B.weight"] @ parts[f"{PEFT}.lora_A.weight"]
    assert ("mine/peft", here / "mine" / "peft") in list(listed())
    for name in ("mine/peft", "mine/peft/adapter_model", "mine/peft/adapter_model.safetensors"):
        close(wanted, difference(denoiser, lora(denoiser, name), PEFT))


def test_pefts_lokr_of_whole_factors_has_the_rank_of_its_settings(denoiser: Any, here: Path) -> None:
    small, large = drawn(4, 4), drawn(8, 8)
    parts = {f"{PEFT}.lokr_w1": small, f"{PEFT}.lokr_w2": large}
    adapter("lokr", parts, peft_type="LOKR", alpha=2, r=8, rank_pattern={"to_k": 16})
    close(torch.kron(small, large) / 8, difference(denoiser, lora(denoiser, "lokr"), PEFT))


def test_another_setting_is_another_content(denoiser: Any, here: Path) -> None:
    adapter("peft", matrices(PEFT))
    before = checkpoint_identity(find_checkpoint("peft"))
    settings = Path("peft/adapter_config.json")
    settings.write_text(settings.read_text().replace("6", "7"))
    assert before != checkpoint_identity(find_checkpoint("peft"))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"peft_type": "IA3"}, "of the kind 'IA3', but expected LORA, LOHA, LOKR"),
        ({"init_lora_weights": "pissa_niter_4"}, "trained on weights that PEFT had changed"),
        ({"lora_alpha": "six"}, "lora_alpha is 'six', but expected a number"),
        ({"r": 0}, "r is 0, but expected a number"),
        (
            {"alpha_pattern": {"to_[kq]": 3}},
            "alpha_pattern has 'to_[kq]': 3, but expected a module's name and a number",
        ),
    ],
)
def test_settings_that_are_not_understood_are_told(told: dict[str, Any], words: str, denoiser: Any, here: Path) -> None:
    adapter("peft", matrices(PEFT), **told)
    with pytest.raises(ModelError) as caught:
        lora(denoiser, "peft")
    assert words in str(caught.value)


def test_pefts_weights_without_its_settings(denoiser: Any, here: Path) -> None:
    save_file(matrices(PEFT), "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"adapter_config.json, which has its scale, is not beside it"):
        lora(denoiser, "adapter_model")


def test_pefts_own_for_one_of_two_text_encoders(file: Write, here: Path) -> None:
    encoder = load_checkpoint(file("sdxl")).encoder
    stem = "base_model.model.text_model.encoder.layers.0.self_attn.q_proj"
    adapter("second", matrices(stem, 128, 128))
    found: Any = text_nodes.lora(encoder, "second")
    assert (encoder.first, True) == (found.first, encoder.second != found.second)  # type: ignore[attr-defined]
    adapter("neither", matrices(stem, 96, 96))
    with pytest.raises(ModelError, match="but the model has"):
        text_nodes.lora(encoder, "neither")
    adapter("unet", matrices(PEFT))
    assert text_nodes.lora(encoder, "unet") is encoder
    assert lora(load_checkpoint("model").denoiser, "second") == load_checkpoint("model").denoiser


def test_settings_in_a_header_are_those_of_a_part() -> None:
    told = {"unet.lora_alpha": 4, "unet.r": 2, "unet.alpha_pattern": {"to_k": 8}, "text_encoder.lora_alpha": 1}
    assert Scale(8.0, 2.0, False) == scale_of(told, "unet.down.to_k")
    assert Scale(4.0, 2.0, False) == scale_of(told, "unet.down.to_q")
    assert Scale(1.0, None, False) == scale_of(told, "text_encoder.layers.0")
