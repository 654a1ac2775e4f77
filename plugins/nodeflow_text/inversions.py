"""Textual inversion (Gal et al. 2022): words whose vectors were learnt, beside those of a vocabulary."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import torch
from nodeflow_nn.published import Shape
from torch import Tensor, nn

from nodeflow_text.clip import ClipTextTower
from nodeflow_text.vocabularies import Vocabulary

NAMES: Final = {
    "emb_params": 1,  # stable-diffusion-webui
    "clip_l": 1,
    "clip_g": 2,
    "text_encoders_0": 1,  # diffusers
    "text_encoders_1": 2,
}
"""By what a file calls its vectors [n, width]: for which text encoder they are. A file with one tensor of any other
name, as diffusers writes it, calls it after the word and is for the first.
"""
WIDTHS: Final = {768: "Stable Diffusion 1, or SDXL's first", 1024: "Stable Diffusion 2", 1280: "SDXL's second"}
"""By width of the vectors, whose text encoder they are for."""
UNWRITABLE: Final = frozenset("()[]\\")
"""Characters that mean something else in prompts."""


def vectors_of(shapes: Mapping[str, Shape]) -> dict[int, str]:
    """By number of the text encoder: the name of its vectors.

    Raises:
        ValueError: the tensors are not those of a textual inversion.
    """
    found: dict[int, str] = {}
    for name, shape in shapes.items():
        number = NAMES.get(name, 1 if len(shapes) == 1 else None)
        if number is None or number in found or len(shape) not in (1, 2) or 0 in shape:
            some = ", ".join(f"{key} {list(value)}" for key, value in sorted(shapes.items())[:4])
            raise ValueError(
                f"this is no textual inversion: its {len(shapes)} tensors are {some}\n"
                f"    expected vectors [n, width] that are called {', '.join(NAMES)} or, if alone, anything"
            )
        found[number] = name
    return found


def misfit(name: str, shape: Shape, width: int) -> str:
    """Why vectors are not for an encoder of that width; "" if they are."""
    if shape[-1] == width:
        return ""
    known = f" ({WIDTHS[shape[-1]]})" if shape[-1] in WIDTHS else ""
    return f"{name} has vectors of width {shape[-1]}{known}, but the text encoder reads those of width {width}"


def learnt(
    module: ClipTextTower, vocabulary: Vocabulary, words: Mapping[str, Tensor]
) -> tuple[ClipTextTower, Vocabulary]:
    """A tower and a vocabulary with more words, each of one vector or of several [n, width]; the tower is changed."""
    table = module.tokens.weight
    count, numbers = len(table), dict[str, list[int]]()
    for word, vectors in words.items():
        numbers[word] = list(range(count, count + len(vectors)))
        count += len(vectors)
    rows = [vectors.to(table) for vectors in words.values()]
    module.tokens.weight = nn.Parameter(torch.cat([table.detach(), *rows]), requires_grad=False)
    module.tokens.num_embeddings = count
    return module, with_words(vocabulary, numbers)


def with_words(vocabulary: Vocabulary, numbers: Mapping[str, list[int]]) -> Vocabulary:
    """A vocabulary that knows more words, in any case, where they stand by themselves; the longest counts."""
    words, ways = sorted(numbers, key=len, reverse=True), []
    for word in words:
        before = r"(?<!\w)" if re.match(r"\w", word) else ""
        after = r"(?!\w)" if re.search(r"\w\Z", word) else ""
        ways.append(f"({before}{re.escape(word)}{after})")
    pattern = re.compile("|".join(ways), re.IGNORECASE)

    def plain(piece: str) -> list[int]:
        return vocabulary.ids(piece) if piece.strip() else []

    def ids(text: str) -> list[int]:
        found, end = list[int](), 0
        for match in pattern.finditer(text):
            assert match.lastindex is not None  # each way is a group
            found += plain(text[end : match.start()]) + numbers[words[match.lastindex - 1]]
            end = match.end()
        return found + plain(text[end:])

    def spell(given: list[int]) -> str:
        return vocabulary.spell([number for number in given if number < vocabulary.size])

    size = max(vocabulary.size, *(max(own) + 1 for own in numbers.values()))
    return replace(vocabulary, ids=ids, spell=spell, size=size)
