"""Words and their encoder."""

import unicodedata
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from nodeflow_nn.weights import load_weights, save_weights
from nodeflow_text.encoder import TextEncoder, TextEncoderConfig
from nodeflow_text.pieces import PieceTokenizer, learn_merges
from nodeflow_text.recipes import BUILDERS
from nodeflow_text.words import WordTokenizer

WORDS = ("a", "blue", "circle", "on", "red", "square")
TOKENIZER = WordTokenizer(WORDS, 6)


def test_known_prompts_come_back() -> None:
    prompts = ["a red circle", "blue square on a red", ""]
    assert prompts == TOKENIZER.decode(TOKENIZER.encode(prompts))


def test_case_and_punctuation_do_not_matter() -> None:
    assert torch.equal(TOKENIZER.encode(["A Red, circle!"]), TOKENIZER.encode(["a red circle"]))


def test_unknown_words_are_marked_and_named() -> None:
    assert [2, 1, 4, 0, 0, 0] == TOKENIZER.encode(["a crimson circle"])[0].tolist()
    assert ["crimson"] == TOKENIZER.unknown("a crimson circle")
    assert ["a ? circle"] == TOKENIZER.decode(TOKENIZER.encode(["a crimson circle"]))


def test_long_prompts_are_cut() -> None:
    assert (1, 6) == TOKENIZER.encode(["a " * 9]).shape
    assert "a a a a a a" == TOKENIZER.decode(TOKENIZER.encode(["a " * 9]))[0]


def encoder() -> TextEncoder:
    torch.manual_seed(0)
    model = TextEncoder(TextEncoderConfig(WORDS, length=6, width=16, heads=2, depth=2, pooled_width=5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def test_context_shapes_and_mask() -> None:
    tokens, mask, pooled = encoder().encode(["a red circle", ""])
    assert ((2, 6, 16), (2, 6), (2, 5)) == (tokens.shape, mask.shape, pooled.shape)
    assert [[True] * 3 + [False] * 3, [True] + [False] * 5] == mask.tolist()


def test_order_counts_and_companions_do_not() -> None:
    model = encoder()
    alone = model.encode(["red circle"])
    beside = model.encode(["red circle", "a blue square on a red"])
    torch.testing.assert_close(alone.tokens[0], beside.tokens[0])
    assert (model.encode(["circle red"]).pooled - alone.pooled).abs().max() > 1e-3


CAPTIONS = ["a red circle on a blue square", "a blue circle", "a red square on a red background"]


def test_pieces_grow_into_the_words_they_are_learnt_from() -> None:
    merges = learn_merges(CAPTIONS, 330)
    assert merges == learn_merges(CAPTIONS, 330)
    assert [" a", " red", " circle"] == PieceTokenizer(merges).split("A  red\n circle")
    assert () == learn_merges(CAPTIONS, 257)


@given(st.text("aclrZÉßé 猫🙂\n\t.,17", max_size=30), st.integers(257, 330))
def test_every_text_is_read_in_pieces(text: str, size: int) -> None:
    tokenizer = PieceTokenizer(learn_merges(CAPTIONS, size), 512)
    ids = tokenizer.encode([text])
    assert ids.max() < tokenizer.size
    assert [] == tokenizer.unread(text)
    assert [" ".join(unicodedata.normalize("NFC", text).lower().split())] == tokenizer.decode(ids)


def test_pieces_beyond_the_length_are_told() -> None:
    tokenizer = PieceTokenizer(learn_merges(CAPTIONS, 330), 3)
    assert (2, 3) == tokenizer.encode(["a red circle on a blue square", ""]).shape
    assert ["on", "a", "blue", "square"] == tokenizer.unread("a red circle on a blue square")
    assert 0 == tokenizer.encode([""]).sum()


def test_an_encoder_reads_pieces(tmp_path: Path) -> None:
    config = TextEncoderConfig((), length=6, width=16, heads=2, depth=1, merges=learn_merges(CAPTIONS, 300))
    model = TextEncoder(config).eval()
    save_weights(tmp_path / "pieces.safetensors", model, "text_encoder", config, {}, dtype=torch.float32)
    again = load_weights(tmp_path / "pieces.safetensors", BUILDERS)
    assert torch.equal(model.encode(["a red ring"]).tokens, again.encode(["a red ring"]).tokens)
