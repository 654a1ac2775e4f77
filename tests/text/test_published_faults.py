"""What is wrong with a published text encoder is told with the place and the cure."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nodeflow_text import published_nodes, vocabulary_recipes
from nodeflow_text.clip import ClipTextConfig
from nodeflow_text.nodes import encode, load_encoder
from nodeflow_text.published_nodes import load_clip, load_t5
from safetensors.torch import load_file, save_file

from nodeflow import QUIET, ModelError

Write = Callable[..., Path]


def test_no_vocabulary(clip: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_recipes, "installed_clip", lambda: None)
    clip(vocabulary=False)
    with pytest.raises(ModelError, match=r"(?s)comes without a vocabulary.*vocab.json with merges.txt.*looked in"):
        load_clip("clip")
    with pytest.raises(ModelError, match=r'no folder "nowhere" with vocab\.json and merges\.txt, or with '):
        load_clip("clip", "nowhere")
    Path("half").mkdir()
    Path("half", "vocab.json").write_text("{}")
    with pytest.raises(ModelError, match=r'no folder "half" with .*\n    \S*half lacks merges\.txt$'):
        load_clip("clip", "half")


def test_a_vocabulary_of_another_model(clip: Write) -> None:
    clip()
    clip("small", ClipTextConfig(20, 77, 64, 1, 2, 96, end=19), vocabulary=False)
    with pytest.raises(ModelError, match=r"numbers 40 pieces, but .* has 20\n"):
        encode(load_clip("small", "clip"), "a")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"{", "is no JSON: it ends too early, at line 1, column 2"),
        (b'{"a": 1,\n "b" 2}', 'is no JSON from line 2, column 6 on, where "2}" stands'),
        (b'{"\xff": 1}', "is no JSON: byte 2 is not UTF-8"),
        (b"[" * 100_000, "is no JSON, but brackets within brackets without end"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is no JSON, as it holds a whole number of more than 4,300 digits"),
        (b"[]", r"holds \[\], but expected a JSON object"),
        (b'{"a": "b"}', "expected whole numbers by piece"),
        (b'{"a": 1}', r"its vocabulary has no <\|startoftext\|>"),
    ],
)
def test_a_damaged_vocabulary(clip: Write, text: bytes, told: str) -> None:
    (clip() / "vocab.json").write_bytes(text)
    with pytest.raises(ModelError, match=rf"clip.*{told}.*\n    (fetch it again|name the folder)"):
        encode(load_clip("clip"), "a")


def test_merges_that_are_no_text(clip: Write) -> None:
    (clip() / "merges.txt").write_bytes(b"a b\n\xff c\n")
    with pytest.raises(ModelError, match=r"vocab\.json and merges\.txt: byte 4 is not UTF-8\n    fetch it again"):
        encode(load_clip("clip"), "a")


def test_damaged_merges(clip: Write) -> None:
    (clip() / "merges.txt").write_text("a b\nab\n")
    with pytest.raises(ModelError, match="'ab' is no pair of pieces"):
        encode(load_clip("clip"), "a")


def test_an_absent_shard(clip: Write) -> None:
    (clip(shards=3) / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match="lacks 1 of its 3 shards: model-00002-of-00003"):
        load_clip("clip")


def test_a_truncated_shard(clip: Write) -> None:
    shard = clip(shards=3) / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ModelError, match="00002-of-00003"):
        load_clip("clip")


def test_keys_too_many_and_too_few(clip: Write) -> None:
    file = clip() / "model.safetensors"
    weights = load_file(file)
    lost = weights.pop("text_model.encoder.layers.1.mlp.fc2.bias")
    save_file(weights | {"text_model.adapter": lost, "other": lost.clone()}, file)
    with pytest.raises(ModelError) as told:
        load_clip("clip")
    assert "missing text_model.encoder.layers.1.mlp.fc2.bias" in str(told.value)
    assert "left over other; left over text_model.adapter" in str(told.value)


def test_a_shape_that_does_not_fit(clip: Write) -> None:
    file = clip() / "model.safetensors"
    save_file(load_file(file) | {"text_model.encoder.layers.1.mlp.fc2.bias": torch.ones(63)}, file)
    with pytest.raises(ModelError, match=r"fc2.bias \[63\] make \[63\], not \[64\]"):
        load_clip("clip")


def test_no_such_tower(clip: Write, t5: Write) -> None:
    clip()
    t5()
    with pytest.raises(
        ModelError, match=r'"t5 text encoder", but expected clip or checkpoint\n    open it by text.load_t5'
    ):
        load_clip("t5")
    with pytest.raises(ModelError, match=r'"clip text encoder", but expected t5\n    open it by text.load_clip'):
        load_t5("clip")
    save_file({"a": torch.zeros(1)}, "other.safetensors")
    with pytest.raises(ModelError, match=r"(?s)holds no text tower of CLIP.*encoder.layers"):
        load_clip("other")
    with pytest.raises(ModelError, match=r"(?s)holds no encoder of T5.*relative_attention_bias"):
        load_t5("other")
    with pytest.raises(ModelError, match="holds 1 CLIP text towers, but number 2"):
        load_clip("clip", number=2)


def test_an_activation_that_nobody_knows(clip: Write) -> None:
    folder = clip()
    (folder / "config.json").write_text(json.dumps({"hidden_act": "relu"}))
    with pytest.raises(ModelError, match="its activation is 'relu'"):
        load_clip("clip")
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"(?s)shapes do not tell its activation.*name the activation"):
        load_clip("clip")


def test_pickled_weights(clip: Write) -> None:
    folder = clip()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled"):
        load_clip("clip")


def test_a_prompt_of_a_megabyte(clip: Write, t5: Write) -> None:
    clip()
    t5()
    with pytest.raises(ValueError, match="a prompt has 500,000 tokens in 6667 rows, but expected up to 256"):
        encode(load_clip("clip"), "a " * 500_000)
    assert (1, 77, 32) == QUIET.load(load_t5("t5"))(["a " * 500_000]).tokens.shape


def test_halves_of_characters_are_read_as_the_replacement(clip: Write, t5: Write) -> None:
    clip()
    t5()
    for encoder in (load_clip("clip"), load_t5("t5"), load_encoder()):
        odd, replaced = (encode(encoder, f"a {sign} red circle\ud83d\ude00").tokens for sign in ("\ud800", "\ufffd"))
        assert torch.equal(odd, replaced)


@pytest.mark.parametrize("load", [load_clip, load_t5])
def test_what_a_file_is_counts_before_its_vocabulary(
    load: Callable[..., object], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary_recipes, "installed_clip", lambda: None)
    identity = {load_clip: published_nodes._clip_identity, load_t5: published_nodes._t5_identity}[load]
    asked = {"activation": "auto"} if load is load_clip else {}
    down = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
    save_file({down: torch.zeros(4, 768)}, "style.safetensors")
    save_file({"a": torch.zeros(1)}, "unknown.safetensors")
    for call in (lambda name: load(name), lambda name: identity(name, "", 1, **asked)):
        with pytest.raises(
            ModelError, match=r'style.safetensors is of the kind "sd15 lora".*\n    open it by diffusion.lora'
        ):
            call("style")
        with pytest.raises(ModelError, match=r"unknown.safetensors holds no (text tower of CLIP|encoder of T5)"):
            call("unknown")


def test_numbers_that_are_none_are_named_and_so_are_types_of_none(clip: Write) -> None:
    file = clip() / "model.safetensors"
    weights, name = load_file(file), "text_model.encoder.layers.1.mlp.fc2.bias"
    weights[name][3] = float("nan")
    save_file(weights, file)
    with pytest.raises(ModelError, match=rf"cannot be loaded: {name}: not finite; .*\n    fetch it again$"):
        encode(load_clip("clip"), "a")
    weights[name][3] = 1e38
    save_file(weights, file)
    with pytest.raises(ModelError, match=rf"{name} goes beyond what float16 can hold\n    choose bf16 or fp32"):
        encode(load_clip("clip", precision="fp16"), "a")
    save_file(weights | {name: torch.zeros(64, dtype=torch.int8)}, file)
    with pytest.raises(ModelError, match=rf"1 tensor does not fit: {name} is I8, not floating point"):
        load_clip("clip")


def test_heads_that_do_not_divide(clip: Write) -> None:
    folder = clip()
    (folder / "config.json").write_text(json.dumps({"hidden_act": "gelu", "num_attention_heads": 7}))
    with pytest.raises(ModelError, match="7 heads do not divide width 64"):
        load_clip("clip")
