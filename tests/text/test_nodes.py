"""Texts loaded, encoded and mixed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_nn.weights import save_weights
from nodeflow_shapes.nodes import dataset
from nodeflow_text import encoder as maths
from nodeflow_text.nodes import encode, encode_many, interpolate, load_encoder, mix
from nodeflow_text.training_nodes import new_encoder

from nodeflow import Context, Engine, ModelError, TextEmbedding, TextEncoder, open_catalog
from nodeflow.document import parse
from nodeflow.events import Reused
from nodeflow.graph import build
from nodeflow.testing import RecordingContext, assert_deterministic, check_plugin

CONFIG = maths.TextEncoderConfig(("a", "red", "circle", "blue"), length=5, width=8, heads=2, depth=1, pooled_width=6)


GRAPH: dict[str, Any] = {
    "nodeflow": 1,
    "outputs": {"text": "text"},
    "nodes": {
        "encoder": {"type": "text.load_encoder", "version": 1, "inputs": {"model": "words"}},
        "text": {
            "type": "text.encode_many",
            "version": 1,
            "inputs": {"encoder": {"$from": "encoder"}, "prompts": ["a red circle", "blue"]},
        },
    },
}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_weights(tmp_path / "words.safetensors", maths.TextEncoder(CONFIG), "text_encoder", CONFIG, {})
    return tmp_path / "words.safetensors"


@pytest.fixture
def encoder(weights: Path) -> TextEncoder:
    return load_encoder("words")


def same(first: TextEmbedding, second: TextEmbedding) -> None:
    assert torch.equal(first.mask, second.mask)
    assert first.pooled is not None
    assert second.pooled is not None
    # matrix products of other shapes add up in another order
    torch.testing.assert_close(first.pooled, second.pooled, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(first.tokens, second.tokens, rtol=1e-5, atol=1e-6)


def test_the_plugin_is_in_order() -> None:
    assert {"text.load_encoder", "text.encode"} <= {spec.id for spec in check_plugin("nodeflow_text")}


def test_a_text_becomes_tokens_and_a_mask(encoder: TextEncoder) -> None:
    found = assert_deterministic(encode, encoder=encoder, prompt="a red circle")
    assert (1, 5, 8) == found.tokens.shape
    assert (1, 6) == found.pooled.shape
    assert [[True, True, True, False, False]] == found.mask.tolist()
    assert not found.tokens.requires_grad


def test_many_texts_are_each_as_alone(encoder: TextEncoder) -> None:
    found = encode_many(encoder, ["a red circle", "", "blue"])
    for i, prompt in enumerate(("a red circle", "", "blue")):
        assert found.pooled is not None
        same(encode(encoder, prompt), TextEmbedding(found.tokens[[i]], found.mask[[i]], found.pooled[[i]]))


def test_words_that_are_not_read_are_told(encoder: TextEncoder, tmp_path: Path) -> None:
    context = RecordingContext(tmp_path)
    encode(encoder, "a red circle", ctx=context)
    assert [] == context.said
    encode(encoder, "a big red circle, a red circle", ctx=context)
    assert ["not read: big, red, circle"] == context.said


def test_mixtures_end_at_their_texts(encoder: TextEncoder) -> None:
    first, second = encode(encoder, "a red circle"), encode(encoder, "blue")
    same(first, mix(first, second, 0))
    same(second, mix(first, second, 1))
    half = mix(first, second)
    torch.testing.assert_close(half.tokens, (first.tokens + second.tokens) / 2, rtol=1e-5, atol=1e-6)
    row = interpolate(first, second, 3)
    for i, expected in enumerate((first, half, second)):
        assert row.pooled is not None
        same(expected, TextEmbedding(row.tokens[[i]], row.mask[[i]], row.pooled[[i]]))


def test_texts_of_other_lengths_mix(encoder: TextEncoder) -> None:
    first = encode(encoder, "a red circle")
    short = TextEmbedding(first.tokens[:, :3], first.mask[:, :3], first.pooled)
    assert (1, 5, 8) == mix(short, first).tokens.shape == mix(first, short).tokens.shape


def test_what_does_not_mix_is_refused(encoder: TextEncoder) -> None:
    one, two = encode(encoder, "red"), encode_many(encoder, ["red", "blue"])
    with pytest.raises(ValueError, match="expected one text each, but got 1 and 2\n    encode them one by one"):
        mix(one, two)
    with pytest.raises(ValueError, match="come from different encoders\n    encode both"):
        mix(one, replace(one, tokens=torch.zeros(1, 5, 4)))


def test_new_weights_of_the_same_name_are_not_taken_for_the_old(weights: Path) -> None:
    document = parse(json.dumps(GRAPH))
    engine, kept = Engine(), []
    for seed in (1, None, 2):
        if seed is not None:
            torch.manual_seed(seed)
            save_weights(weights, maths.TextEncoder(CONFIG), "text_encoder", CONFIG, {})
        events = list(engine.run(build(document, open_catalog())))
        kept.append((events[-1].outputs["text"].pooled, sum(isinstance(event, Reused) for event in events)))
    assert torch.equal(kept[0][0], kept[1][0])
    assert not torch.equal(kept[1][0], kept[2][0])
    assert (0, 0) == (kept[0][1], kept[2][1])
    assert kept[1][1] > 0


def test_a_file_that_changed_under_the_run_is_told(encoder: TextEncoder, weights: Path) -> None:
    save_weights(weights, maths.TextEncoder(CONFIG), "text_encoder", CONFIG, {"seed": 2})
    with pytest.raises(ModelError, match="has changed since the graph looked at it\n    run the graph again"):
        encode(encoder, "red")


def test_an_absent_file_is_told(weights: Path) -> None:
    with pytest.raises(ModelError, match='no model "nowhere"; looked in'):
        load_encoder("nowhere")


def test_only_folders_that_may_be_read_are_read(weights: Path) -> None:
    class Strict(Context):
        def read(self, path: str | Path) -> Path:
            raise PermissionError(path)

    with pytest.raises(PermissionError):
        load_encoder(str(weights), ctx=Strict())


def test_a_new_encoder_learns_pieces_from_the_captions(tmp_path: Path) -> None:
    data = dataset(40)
    whole, pieces = new_encoder(data), new_encoder(data, pieces=300, ctx=RecordingContext(tmp_path))
    assert whole.config.merges is None
    assert 300 - 257 == len(pieces.config.merges)
    assert [] == pieces.config.tokenizer().unread("a crimson ring")


def test_a_text_says_which_encoder_it_is_of_and_two_are_not_mixed(tmp_path: Path, encoder: TextEncoder) -> None:
    torch.manual_seed(0)
    about = {"trained_together": "other 1"}
    save_weights(tmp_path / "other.safetensors", maths.TextEncoder(CONFIG), "text_encoder", CONFIG, about)
    unknown, other = encode(encoder, "red"), encode(load_encoder("other"), "blue")
    assert ("", "other 1") == (unknown.space, other.space)
    assert "other 1" == mix(unknown, other).space == interpolate(other, unknown).space
    with pytest.raises(ValueError, match=r"come from different encoders \(words 1 and other 1\)\n    encode both"):
        mix(replace(unknown, space="words 1"), other)
