"""Learnt words: where a prompt has them, in which files they come, and what is told where they do not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint
from nodeflow_text.adapter_nodes import textual_inversion
from nodeflow_text.nodes import encode, load_encoder
from nodeflow_text.published_nodes import load_clip
from safetensors.torch import save_file
from torch import Tensor

from nodeflow import QUIET, ModelError, TextEncoder
from nodeflow.leaves import models_in

Write = Callable[..., str]


def vectors(count: int, width: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(count))


def ids(encoder: TextEncoder, prompt: str) -> list[int]:
    found: list[int] = QUIET.load(encoder).encoder.rows([prompt]).ids[0, 0].tolist()
    return [number for number in found[1:] if number != 39]


@pytest.fixture
def clip(file: Write) -> Any:
    return load_clip(file())


def test_a_word_of_several_vectors_stands_where_the_prompt_has_it(clip: Any) -> None:
    save_file({"emb_params": vectors(3, 64)}, "toy.safetensors")
    taught = textual_inversion(clip, "toy")
    a, b = ids(clip, "a"), ids(clip, "b")
    assert [*a, 40, 41, 42, *b] == ids(taught, "a toy b")
    assert [*a, 40, 41, 42] == ids(taught, "a TOY")
    assert [40, 41, 42, 40, 41, 42] == ids(taught, "toy,toy".replace(",", " "))
    assert max(ids(taught, "toys atoy")) < 40
    weighted = QUIET.load(taught).encoder.rows(["a (toy:1.5)"])
    assert [1.5] * 3 == weighted.weights[0, 0, 2:5].tolist()
    module = QUIET.load(taught).encoder.module
    assert torch.equal(vectors(3, 64), module.tokens.weight[40:])
    assert torch.equal(encode(clip, "a b").tokens, encode(taught, "a b").tokens)


@pytest.mark.parametrize(("word", "prompt"), [("qi", "qı"), ("q\u00df", "Q\u1e9e"), ("Toy", "tOY")])
def test_letters_count_in_either_case_as_languages_have_them(clip: Any, word: str, prompt: str) -> None:
    save_file({"emb_params": vectors(1, 64)}, "toy.safetensors")
    assert [40] == ids(textual_inversion(clip, "toy", word), prompt)


def test_several_words_of_which_the_longest_counts(clip: Any) -> None:
    save_file({"<x>": vectors(1, 64)}, "one.safetensors")
    save_file({"emb_params": vectors(2, 64)[0]}, "two.safetensors")
    taught = textual_inversion(textual_inversion(clip, "one", "<a>"), "two", "<a>b")
    assert [40, 41] == ids(taught, "<a> <a>b")
    (before,), (after,) = models_in(clip), models_in(taught)
    assert before.size + 2 * 4 * 64 == after.size


def test_xl_reads_both_its_vectors(file: Write) -> None:
    joined: Any = load_checkpoint(file("sdxl")).encoder
    save_file({"clip_l": vectors(2, 64), "clip_g": vectors(2, 128)}, "toy.safetensors")
    taught: Any = textual_inversion(joined, "toy")
    assert [40, 41] == ids(taught.first, "toy")[:2] == ids(taught.second, "toy")[:2]
    assert (1, 77, 192) == encode(taught, "a toy").tokens.shape
    alone = textual_inversion(load_clip("model", number=2), "toy")
    assert torch.equal(vectors(2, 128), QUIET.load(alone).encoder.module.tokens.weight[40:])
    save_file({"emb_params": vectors(1, 64)}, "small.safetensors")
    with pytest.raises(ModelError, match=r"for one text encoder \(emb_params\), but two are joined"):
        textual_inversion(joined, "small")


def test_a_plan_needs_no_weights(clip: Any) -> None:
    save_file({"emb_params": vectors(3, 64)}, "toy.safetensors")
    taught: Any = textual_inversion(clip, "toy")
    assert (43, 64) == taught.lay_out().encoder.module.tokens.weight.shape


def test_what_does_not_fit_is_told(clip: Any, here: Path) -> None:
    save_file({"emb_params": vectors(1, 1024)}, "wide.safetensors")
    told = r"width 1024 \(Stable Diffusion 2\), but the text encoder reads those of width 64"
    with pytest.raises(ModelError, match=told):
        textual_inversion(clip, "wide")
    save_file({"a": vectors(1, 64), "b": vectors(2, 64)}, "odd.safetensors")
    with pytest.raises(ModelError, match="is no textual inversion: its 2 tensors"):
        textual_inversion(clip, "odd")
    save_file({"emb_params": vectors(1, 64)}, "toy.safetensors")
    with pytest.raises(ValueError, match="knows the word 'TOY' already"):
        textual_inversion(textual_inversion(clip, "toy"), "toy", "TOY")
    for word in ("a (b)", " "):
        with pytest.raises(ValueError, match="cannot be written in a prompt"):
            textual_inversion(clip, "toy", word)
    with pytest.raises(ValueError, match="changes text encoders of CLIP"):
        textual_inversion(load_encoder(), "toy")
    save_file({"emb_params": torch.full((1, 64), torch.nan)}, "broken.safetensors")
    with pytest.raises(ModelError, match="emb_params is not finite"):
        QUIET.load(textual_inversion(clip, "broken"))
