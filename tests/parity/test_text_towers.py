"""CLIP and T5 give the numbers of the reference implementations, from every layout that is published."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_text.published_nodes import load_clip, load_t5
from nodeflow_text.vision_recipes import ClipVisionModel
from safetensors.torch import save_file
from torch import Tensor

from nodeflow import QUIET, TextEncoder

TEXT = {"num_attention_heads": 4, "eos_token_id": 98, "projection_dim": 24}
VISION = {"num_attention_heads": 4, "projection_dim": 24}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_vocabularies(Path("vocabulary"))


def write_vocabularies(folder: Path) -> None:
    """The smallest there can be: CLIP's with two letters, T5's with three pieces."""
    folder.mkdir()
    numbers = {"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "<|startoftext|>": 4, "<|endoftext|>": 5}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    pieces = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -1.0], ["a", -1.0]]
    model = {"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False}
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))


def write(folder: str, weights: dict[str, Tensor], **config: Any) -> None:
    Path(folder).mkdir()
    save_file({name: value.clone() for name, value in weights.items()}, f"{folder}/model.safetensors")
    (Path(folder) / "config.json").write_text(json.dumps(config))


def tower(recipe: TextEncoder) -> Any:
    return QUIET.load(recipe).encoder.module


@pytest.mark.parametrize("prefix", ["", "text_model."])
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_the_kept_numbers_of_the_text_tower(kept: Any, agree: Any, prefix: str, activation: str) -> None:
    numbers, title = kept("clip_hf"), f"clip_text.{activation}"
    weights = {prefix + name: value for name, value in numbers.weights(f"{title}.m").items()}
    write("clip", weights, hidden_act=activation, **TEXT)
    module, ids = tower(load_clip("clip", "vocabulary")), numbers.given(f"{title}.ids")
    found = module(ids)
    agree(numbers.expected(f"{title}.last"), found.tokens)
    agree(numbers.expected(f"{title}.pooled"), found.pooled)
    agree(numbers.expected(f"{title}.penultimate"), module(ids, skip=1, norm=False).tokens)
    assert found.projected is None


def test_the_kept_numbers_of_the_projections_and_of_the_vision_tower(kept: Any, agree: Any) -> None:
    numbers = kept("clip_hf")
    write("text", numbers.weights("clip_text_proj.m"), hidden_act="gelu", **TEXT)
    projected = tower(load_clip("text", "vocabulary"))(numbers.given("clip_text_proj.ids")).projected
    agree(numbers.expected("clip_text_proj.text_embeds"), projected)
    write("vision", numbers.weights("clip_vision.m"), hidden_act="quick_gelu", **VISION)
    found = QUIET.load(ClipVisionModel.named("vision")).module(numbers.given("clip_vision.img"))
    agree(numbers.expected("clip_vision.last"), found.tokens)
    agree(numbers.expected("clip_vision.image_embeds"), found.projected)


def test_the_kept_numbers_of_both_towers_in_one_file(kept: Any, agree: Any) -> None:
    numbers = kept("clip_hf")
    weights = numbers.weights("clip_full.m")
    config = {
        "text_config": TEXT | {"hidden_act": "quick_gelu"},
        "vision_config": VISION | {"hidden_act": "quick_gelu"},
    }
    write("clip", weights, **config)
    text = tower(load_clip("clip", "vocabulary"))(numbers.given("clip_full.ids")).projected
    image = QUIET.load(ClipVisionModel.named("clip")).module(numbers.given("clip_full.img")).projected
    text, image = (x / x.norm(dim=-1, keepdim=True) for x in (text, image))
    agree(numbers.expected("clip_full.text_embeds"), text)
    agree(numbers.expected("clip_full.logits_per_image"), weights["logit_scale"].exp() * image @ text.T)


@pytest.mark.parametrize("prefix", ["", "cond_stage_model.model.", "conditioner.embedders.1.model."])
def test_the_kept_numbers_of_openais_names(kept: Any, agree: Any, prefix: str) -> None:
    numbers = kept("openai_clip")
    weights = {prefix + name: value for name, value in numbers.weights("openai_clip.vit.m").items()}
    save_file(weights if not prefix else {n: v for n, v in weights.items() if ".visual." not in n}, "clip.safetensors")
    module = tower(load_clip("clip", "vocabulary", skip=0, activation="quick_gelu"))
    agree(numbers.expected("openai_clip.vit.txt"), module(numbers.given("openai_clip.vit.ids")).projected)
    if not prefix:
        vision = QUIET.load(ClipVisionModel.named("clip", "quick_gelu")).module
        agree(numbers.expected("openai_clip.vit.img"), vision(numbers.given("openai_clip.vit.im")).projected)


@pytest.mark.parametrize("kind", ["vit", "rn"])
def test_the_kept_numbers_of_texts_compared_with_pictures(kept: Any, agree: Any, kind: str) -> None:
    numbers, title = kept("openai_clip"), f"openai_clip.{kind}"
    weights = numbers.weights(f"{title}.m")
    counters = {f"visual.{name}.num_batches_tracked": torch.tensor(7) for name in ("bn1", "layer1.0.downsample.1")}
    archive = {name: torch.tensor(32) for name in ("input_resolution", "context_length", "vocab_size")}
    save_file(weights | (counters if kind == "rn" else {}) | archive, "clip.safetensors")
    vision = QUIET.load(ClipVisionModel.named("clip", "quick_gelu"))
    words = QUIET.load(load_clip("clip", "vocabulary", activation="quick_gelu"))
    image = vision.module(numbers.given(f"{title}.im")).projected
    agree(numbers.expected(f"{title}.img"), image)
    text = words.encoder.module(numbers.given(f"{title}.ids")).projected
    text, image = (x / x.norm(dim=-1, keepdim=True) for x in (text, image))
    agree(numbers.expected(f"{title}.lpi"), words.scale * image @ text.T)
    agree(numbers.expected(f"{title}.lpt"), words.scale * text @ image.T)


@pytest.mark.parametrize("version", ["v1_0", "v1_1"])
def test_the_kept_numbers_of_t5(kept: Any, agree: Any, version: str) -> None:
    numbers, title = kept("t5_hf"), f"t5.{version}"
    kind = "relu" if version == "v1_0" else "gated-gelu"
    write("t5", numbers.weights(f"{title}.m"), feed_forward_proj=kind, relative_attention_max_distance=128)
    module = tower(load_t5("t5", "vocabulary"))
    agree(
        numbers.expected(f"{title}.last"), module(numbers.given(f"{title}.ids"), numbers.given(f"{title}.mask").bool())
    )
