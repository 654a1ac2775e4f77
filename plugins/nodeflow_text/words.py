"""Words to numbers: a tokenizer for small closed vocabularies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PAD, UNKNOWN = 0, 1
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


@dataclass(frozen=True)
class WordTokenizer:
    """Numbers the words of a vocabulary: 0 fills up, 1 is any unknown word, the vocabulary starts at 2.

    Args:
        words: the vocabulary, lower case, in the order of its numbers.
        length: tokens a prompt; longer prompts are cut.
    """

    words: tuple[str, ...]
    length: int = 16

    @property
    def size(self) -> int:
        """Different numbers."""
        return len(self.words) + 2

    def split(self, prompt: str) -> list[str]:
        """The prompt's words in lower case, punctuation left out."""
        return _WORD.findall(prompt.lower())

    def unknown(self, prompt: str) -> list[str]:
        """The prompt's words that the vocabulary lacks."""
        return [word for word in self.split(prompt) if word not in self.words]

    def unread(self, prompt: str) -> list[str]:
        """What makes no difference: unknown words, and those beyond the length."""
        return [*self.unknown(prompt), *self.split(prompt)[self.length :]]

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Prompts -> [B, length] int64. The empty prompt is all zeros: the unconditional one."""
        number = {word: i for i, word in enumerate(self.words, start=2)}
        ids = torch.zeros(len(prompts), self.length, dtype=torch.int64)
        for row, prompt in zip(ids, prompts, strict=True):
            found = [number.get(word, UNKNOWN) for word in self.split(prompt)][: self.length]
            row[: len(found)] = torch.tensor(found, dtype=torch.int64)
        return ids

    def decode(self, ids: Tensor) -> list[str]:
        """[B, L] -> words joined by spaces; unknown ones as "?"."""
        names = ("", "?", *self.words)
        return [" ".join(names[i] for i in row if i != PAD) for row in ids.tolist()]
