"""Pieces of words to numbers: byte-pair encoding over bytes, for vocabularies that are not closed."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

BYTES: Final = tuple(sorted(pre_tokenizers.ByteLevel.alphabet()))
"""A printable sign for each of the 256 bytes (GPT-2's)."""
_SPACE: Final = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(" ")[0][0]


@dataclass(frozen=True)
class PieceTokenizer:
    """Splits lower-case text into pieces learnt from captions (byte-pair encoding, Sennrich et al. 2016, over bytes):
    0 fills up, 1 to 256 are the bytes, and each merge has the next number. No text is unknown to it.

    Args:
        merges: the pairs that were joined, in order, each as "first second".
        length: tokens a prompt; longer prompts are cut.
    """

    merges: tuple[str, ...]
    length: int = 16

    @property
    def size(self) -> int:
        """Different numbers."""
        return 1 + len(BYTES) + len(self.merges)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        pairs = [_pair(merge) for merge in self.merges]
        pieces = ["", *BYTES, *(first + second for first, second in pairs)]
        return _prepared(Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, pairs)))

    def split(self, prompt: str) -> list[str]:
        """The prompt's pieces as they were written; a piece that begins a word has a space in front."""
        return [piece.replace(_SPACE, " ") for piece in self._tokenizer.encode(prompt).tokens]

    def unread(self, prompt: str) -> list[str]:
        """What makes no difference: the words beyond the length."""
        return self._tokenizer.decode(self._tokenizer.encode(prompt).ids[self.length :]).split()

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Prompts -> [B, length] int64. The empty prompt is all zeros: the unconditional one."""
        ids = torch.zeros(len(prompts), self.length, dtype=torch.int64)
        for row, found in zip(ids, self._tokenizer.encode_batch(list(prompts)), strict=True):
            kept = found.ids[: self.length]
            row[: len(kept)] = torch.tensor(kept, dtype=torch.int64)
        return ids

    def decode(self, ids: Tensor) -> list[str]:
        """[B, L] -> texts."""
        return [self._tokenizer.decode([i for i in row if i]).strip() for row in ids.tolist()]


def learn_merges(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """Join the commonest neighbours again and again, until there are `size` different numbers or nothing is left.

    Args:
        texts: what the pieces shall suit.
        size: at least 257, the bytes and the filler.

    Returns the merges as PieceTokenizer takes them; the same texts give the same merges.
    """
    learning = _prepared(Tokenizer(models.BPE()))
    trainer = trainers.BpeTrainer(
        vocab_size=max(size - 1, len(BYTES)), initial_alphabet=list(BYTES), show_progress=False, special_tokens=[]
    )
    learning.train_from_iterator(texts, trainer)
    # the bindings tell the merges in the tokenizer's JSON alone, as pairs or, before 0.20, as "first second"
    merges = json.loads(learning.to_str())["model"]["merges"]
    return tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in merges)


def _pair(merge: str) -> tuple[str, str]:
    first, space, second = merge.partition(" ")
    if not (first and space and second):
        raise ValueError(f'expected a merge as "first second", but got {merge!r}')
    return first, second


def _prepared(tokenizer: Tokenizer) -> Tokenizer:
    """Lower case, one space between words and one in front, bytes as signs."""
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
