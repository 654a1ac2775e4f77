"""Published text encoders as they are called: prompts to words."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nodeflow_text.chunks import Emphasis, Rows, Syntax, emphasised, in_one_row, in_rows, sections_of, tokens_of
from nodeflow_text.clip import ClipTextTower
from nodeflow_text.t5 import T5Encoder
from nodeflow_text.vocabularies import Vocabulary


class Words(NamedTuple):
    """tokens [B, N, D] float32; mask [B, N] bool, True where a denoiser shall look; pooled [B, P] float32 or None."""

    tokens: Tensor
    mask: Tensor
    pooled: Tensor | None


class ClipWords:
    """A CLIP text tower that takes prompts.

    A prompt is cut into rows of the tower's length, each with begin and end (75 tokens of a prompt in 77), whose words
    stand one after the other; the pooled vector is the first row's. Denoisers look at all places, as they were trained.

    Args:
        module: the tower.
        vocabulary: its.
        skip: see `ClipTextTower.forward`.
        norm: likewise.
        syntax: how prompts are read.
        emphasis: what weights do.
    """

    def __init__(
        self,
        module: ClipTextTower,
        vocabulary: Vocabulary,
        skip: int = 0,
        norm: bool = True,
        syntax: Syntax = "weighted",
        emphasis: Emphasis = "mean",
    ) -> None:
        self.module, self.vocabulary = module, vocabulary
        self.projected = module.projection is not None
        self.skip, self.norm, self.syntax, self.emphasis = skip, norm, syntax, emphasis

    def rows(self, texts: Sequence[str]) -> Rows:
        """The tokens of prompts."""
        return _rows(self, texts, self.module.config.length, in_rows)

    def words(self, texts: Sequence[str]) -> Words:
        """Prompts in N = C length places each, where C is the number of rows of the longest."""
        rows = self.rows(texts)
        device = self.module.positions.device
        found = self.module(rows.ids.flatten(0, 1).to(device), self.skip, self.norm)
        z = found.tokens.unflatten(0, rows.ids.shape[:2])
        if rows.weighted:
            empty = None
            if self.emphasis == "empty":
                nothing = self.rows([""]).ids.flatten(0, 1).to(device)
                empty = self.module(nothing, self.skip, self.norm).tokens[0]
            z = emphasised(z, rows.weights, empty)
        pooled = found.pooled if found.projected is None else found.projected
        tokens = z.flatten(1, 2).float()
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=device)
        return Words(tokens, mask, pooled.unflatten(0, rows.ids.shape[:2])[:, 0].float())


class T5Words:
    """A T5 encoder that takes prompts: one row each, cut at `length` tokens, the last of which ends it."""

    def __init__(
        self,
        module: T5Encoder,
        vocabulary: Vocabulary,
        length: int,
        syntax: Syntax = "weighted",
        emphasis: Emphasis = "mean",
    ) -> None:
        self.module, self.vocabulary, self.length = module, vocabulary, length
        self.syntax, self.emphasis = syntax, emphasis

    def rows(self, texts: Sequence[str]) -> Rows:
        """The tokens of prompts."""
        return _rows(self, texts, self.length, in_one_row)

    def words(self, texts: Sequence[str]) -> Words:
        """Prompts in N = length places each; there is no pooled vector."""
        rows = self.rows(texts)
        tokens, mask = self._encoded(rows)
        if rows.weighted:
            empty = self._encoded(self.rows([""]))[0][0] if self.emphasis == "empty" else None
            tokens = emphasised(tokens[:, None], rows.weights, empty)[:, 0]
        return Words(tokens.float(), mask, None)

    def unread(self, text: str) -> list[str]:
        """The words of a text beyond the length."""
        ids = [
            number for section in tokens_of(self.vocabulary, sections_of(text, self.syntax)) for number, _ in section
        ]
        return self.vocabulary.spell(ids[self.length - 1 :]).split()

    def _encoded(self, rows: Rows) -> tuple[Tensor, Tensor]:
        device = self.module.tokens.weight.device
        mask = rows.real[:, 0].to(device)
        return self.module(rows.ids[:, 0].to(device), mask), mask


def _rows(encoder: ClipWords | T5Words, texts: Sequence[str], length: int, cut: Callable[..., Rows]) -> Rows:
    prompts = [tokens_of(encoder.vocabulary, sections_of(text, encoder.syntax)) for text in texts]
    return cut(encoder.vocabulary, prompts, length)


class PairedWords:
    """Two encoders of one prompt, or of one each, such as those of SDXL."""

    def __init__(self, first: Callable[[Sequence[str]], Any], second: Callable[[Sequence[str]], Any]) -> None:
        self.first, self.second = first, second

    def words(self, texts: Sequence[str], others: Sequence[str] | None = None) -> Words:
        """The words of both side by side along D; the pooled vector of the second.

        Args:
            texts: what the first reads.
            others: what the second reads, as many; None: the same.
        """
        a, b = self.first(texts), self.second(texts if others is None else others)
        if others is not None and a.tokens.shape[1] != b.tokens.shape[1]:
            every = [*texts, *others]  # in one batch, each gets as many rows as the longest
            a, b = _cut(self.first(every), slice(len(texts))), _cut(self.second(every), slice(len(texts), None))
        if a.tokens.shape[1] != b.tokens.shape[1]:
            raise ValueError(
                f"the two encoders give {a.tokens.shape[1]} and {b.tokens.shape[1]} words for one prompt\n"
                "    join encoders that read prompts of one length by one vocabulary"
            )
        return Words(torch.cat([a.tokens, b.tokens.to(a.tokens)], -1), a.mask & b.mask.to(a.mask.device), b.pooled)

    def unread(self, text: str) -> list[str]:
        """What either does not read."""
        found = [word for part in (self.first, self.second) for word in getattr(part, "unread", lambda _: [])(text)]
        return list(dict.fromkeys(found))


def _cut(found: Any, rows: slice) -> Words:
    """Those texts of a batch."""
    return Words(found.tokens[rows], found.mask[rows], None if found.pooled is None else found.pooled[rows])
