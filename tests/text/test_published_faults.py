"""What is wrong with a published text encoder is told with the place and the cure."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nodeflow_text import vocabulary_recipes
from nodeflow_text.clip import ClipTextConfig
from nodeflow_text.nodes import encode
from nodeflow_text.published_nodes import load_clip, load_t5
from safetensors.torch import load_file, save_file

from nodeflow import QUIET, ModelError

Write = Callable[..., Path]


def test_no_vocabulary(clip: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_recipes, "installed_clip", lambda: None)
    clip(vocabulary=False)
    with pytest.raises(ModelError, match=r"(?s)comes without a vocabulary.*vocab.json with merges.txt.*looked in"):
        load_clip("clip")
    with pytest.raises(ModelError, match='no folder "nowhere" with a vocabulary'):
        load_clip("clip", "nowhere")


def test_a_vocabulary_of_another_model(clip: Write) -> None:
    clip()
    clip("small", ClipTextConfig(20, 77, 64, 1, 2, 96, end=19), vocabulary=False)
    with pytest.raises(ModelError, match=r"numbers 40 pieces, but .* has 20\n"):
        encode(load_clip("small", "clip"), "a")


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "b"}', '{"a": 1}'])
def test_a_damaged_vocabulary(clip: Write, text: str) -> None:
    (clip() / "vocab.json").write_text(text)
    with pytest.raises(ModelError, match="clip"):
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
    with pytest.raises(ModelError, match=r"(?s)holds no text tower of CLIP.*encoder.layers"):
        load_clip("t5")
    with pytest.raises(ModelError, match=r"(?s)holds no encoder of T5.*relative_attention_bias"):
        load_t5("clip")
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


def test_heads_that_do_not_divide(clip: Write) -> None:
    folder = clip()
    (folder / "config.json").write_text(json.dumps({"hidden_act": "gelu", "num_attention_heads": 7}))
    with pytest.raises(ModelError, match="7 heads do not divide width 64"):
        load_clip("clip")
