"""Two encoders that are joined and read a text each."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nodeflow_text.clip import ClipTextConfig
from nodeflow_text.nodes import encode
from nodeflow_text.published_nodes import encode_pair, join_encoders, load_clip, load_t5

from nodeflow import TextEncoder
from nodeflow.testing import RecordingContext

Write = Callable[..., Path]


@pytest.fixture
def pair(clip: Write) -> tuple[TextEncoder, TextEncoder]:
    clip("one")
    clip("two", ClipTextConfig(40, 77, 32, 2, 2, 48, projection=20, end=39), seed=1)
    return load_clip("one"), load_clip("two", activation="quick_gelu")


def test_each_reads_its_own_text(pair: tuple[TextEncoder, TextEncoder]) -> None:
    found = encode_pair(join_encoders(*pair), "a (cab:1.3)", "a dog")
    first, second = encode(pair[0], "a (cab:1.3)"), encode(pair[1], "a dog")
    assert torch.equal(torch.cat([first.tokens, second.tokens], -1), found.tokens)
    assert found.pooled is not None
    assert second.pooled is not None
    assert torch.equal(second.pooled, found.pooled)
    same = encode_pair(join_encoders(*pair), "a dog", "a dog")
    assert torch.equal(encode(join_encoders(*pair), "a dog").tokens, same.tokens)


@pytest.mark.parametrize("texts", [("a " * 80, "fog"), ("fog", "a BREAK b BREAK c"), ("a " * 80, "b " * 160)])
def test_the_shorter_text_gets_empty_rows(texts: tuple[str, str], pair: tuple[TextEncoder, TextEncoder]) -> None:
    found = encode_pair(join_encoders(*pair), *texts)
    first, second = (encode(one, text).tokens for one, text in zip(pair, texts, strict=True))
    length = max(first.shape[1], second.shape[1])
    assert (1, length, 96) == found.tokens.shape
    for one, own, part in zip(pair, (first, second), found.tokens.split([64, 32], -1), strict=True):
        empty = encode(one, "").tokens.repeat(1, length // 77, 1)
        torch.testing.assert_close(torch.cat([own, empty[:, own.shape[1] :]], 1), part)


def test_one_encoder_reads_one_text(pair: tuple[TextEncoder, TextEncoder]) -> None:
    with pytest.raises(ValueError, match=r"this encoder reads one text\n    encode it by text.encode, or join two"):
        encode_pair(pair[0], "a", "b")


def test_what_an_encoder_does_not_read_of_its_own_text_is_said(t5: Write) -> None:
    t5()
    joined, ctx = join_encoders(load_t5("t5", length=4), load_t5("t5", length=4)), RecordingContext()
    encode_pair(joined, "a", "a b c d e", ctx=ctx)
    assert ["not read: b, c, d, e"] == ctx.said
    encode_pair(joined, "a", "b", ctx=ctx)
    assert 1 == len(ctx.said)
    uneven = join_encoders(load_t5("t5", length=4), load_t5("t5", length=8))
    with pytest.raises(ValueError, match="prompts of one length"):
        encode_pair(uneven, "a", "b")
