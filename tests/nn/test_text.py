"""Words and their encoder."""

import torch
from nodeflow_text.encoder import TextEncoder, TextEncoderConfig
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
