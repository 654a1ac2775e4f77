"""Prompts as rows of tokens with weights, and what the weights do to an encoder's words."""

from collections.abc import Sequence
from itertools import chain
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from nodeflow_text.prompts import Part, Sections, parse
from nodeflow_text.vocabularies import Vocabulary

Syntax = Literal["weighted", "plain"]
"""weighted: prompts are in the notation of `prompts.parse`. plain: every character is what it is."""
Emphasis = Literal["mean", "empty"]
"""What a weight w makes of a word's vector z.

mean: w z, and the mean over all numbers of the row is brought back to what it was; the custom of
stable-diffusion-webui. empty: e + w (z - e), where e is the vector at that place of an empty prompt; ComfyUI's.
"""
MOST: Final = 256
"""Rows of one prompt, which are 19,200 tokens of CLIP: more are a mistake, and would take minutes."""


class Rows(NamedTuple):
    """ids [B, C, L] int64 and weights [B, C, L] float32 of B prompts in C rows each; real [B, C, L] bool, where a token
    of the prompt or its end stands.
    """

    ids: Tensor
    weights: Tensor
    real: Tensor

    @property
    def weighted(self) -> bool:
        """Whether any weight is not 1."""
        return bool((self.weights != 1).any())


Tokens = list[tuple[int, float]]


def sections_of(prompt: str, syntax: Syntax) -> Sections:
    """A prompt's parts."""
    return parse(prompt) if syntax == "weighted" else ((Part(prompt),) if prompt else (),)


def tokens_of(vocabulary: Vocabulary, sections: Sections) -> list[Tokens]:
    """The tokens of each section; a part's are found without its neighbours."""
    return [[(number, part.weight) for part in section for number in vocabulary.ids(part.text)] for section in sections]


def in_rows(vocabulary: Vocabulary, prompts: Sequence[list[Tokens]], length: int) -> Rows:
    """Prompts in rows of `length` tokens with begin and end; each section begins a row, and long ones take several.

    Prompts with fewer rows than the longest get empty ones.

    Raises:
        ValueError: a prompt has more rows than `MOST`.
    """
    room = length - 2
    cut = [
        [section[at : at + room] for section in sections for at in range(0, max(1, len(section)), room)]
        for sections in prompts
    ]
    most = max((len(rows) for rows in cut), default=1)
    if most > MOST:
        count = sum(len(row) for row in max(cut, key=len))
        raise ValueError(f"a prompt has {count:,} tokens in {most} rows, but expected up to {MOST}\n    shorten it")
    assert vocabulary.begin is not None
    rows = [
        [(vocabulary.begin, 1.0), *tokens, (vocabulary.end, 1.0)]
        for rows in cut
        for tokens in [*rows, *[Tokens()] * (most - len(rows))]
    ]
    return _tensors(rows, vocabulary.pad, (len(prompts), most, length))


def in_one_row(vocabulary: Vocabulary, prompts: Sequence[list[Tokens]], length: int) -> Rows:
    """Prompts in one row each of `length` tokens with an end and no begin; longer ones are cut."""
    rows = [[*list(chain(*sections))[: length - 1], (vocabulary.end, 1.0)] for sections in prompts]
    return _tensors(rows, vocabulary.pad, (len(prompts), 1, length))


def _tensors(rows: list[Tokens], pad: int, shape: tuple[int, int, int]) -> Rows:
    length = shape[-1]
    filled = [[*row, *[(pad, 1.0)] * (length - len(row))] for row in rows]
    ids = torch.tensor([[number for number, _ in row] for row in filled], dtype=torch.int64)
    weights = torch.tensor([[weight for _, weight in row] for row in filled], dtype=torch.float32)
    real = torch.tensor([[at < len(row) for at in range(length)] for row in rows], dtype=torch.bool)
    return Rows(ids.reshape(shape), weights.reshape(shape), real.reshape(shape))


def emphasised(z: Tensor, weights: Tensor, empty: Tensor | None) -> Tensor:
    """Words with their weights.

    Args:
        z: [B, C, L, D] words, C rows for each prompt.
        weights: [B, C, L].
        empty: [L, D], the words of an empty row, for the emphasis "empty"; None for "mean".

    Returns: [B, C, L, D] in z's type.
    """
    wide, w = z.float(), weights.to(z.device).unsqueeze(-1)
    if empty is not None:
        return torch.lerp(empty.float().expand_as(wide), wide, w.expand_as(wide)).to(z.dtype)
    before, after = wide.mean((-2, -1), keepdim=True), (wide * w).mean((-2, -1), keepdim=True)
    # rows without weights stay to the bit; a mean of 0, of weights 0 throughout, cannot be brought back
    factor = torch.where((after == 0) | (w == 1).all(-2, keepdim=True), 1.0, before / after)
    return (wide * w * factor).to(z.dtype)
