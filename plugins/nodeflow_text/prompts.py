"""The notation in which people weigh words of a prompt."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

STEP: Final = 1.1
"""What a pair of round brackets multiplies with, and a pair of square ones divides by."""
LARGEST: Final = 1000.0
"""Weights beyond this, and below its negative, are taken for it."""


class Part(NamedTuple):
    """Some text, never empty, and its weight."""

    text: str
    weight: float = 1.0


Sections = tuple[tuple[Part, ...], ...]
_TOKEN: Final = re.compile(
    r"""
      \\(?P<literal>[()\[\]\\]|BREAK(?!\w))
    | :\s*+(?P<weight>[+-]?(?:\d++(?:\.\d*+)?+|\.\d++))\s*+\)
    | (?P<bracket>[()\[\]])
    | (?P<break>(?<!\w)BREAK(?!\w))
    | (?P<text>[^\\()\[\]:B]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BREAK: Final = re.compile(r"(?<!\w)BREAK(?!\w)")


def parse(prompt: str) -> Sections:
    r"""The texts of a prompt with their weights; any string is a prompt.

    - `(text)` weighs the text 1.1, `[text]` 1 / 1.1, and `(text:1.3)` 1.3; brackets within brackets multiply.
    - The word `BREAK` ends a section; whitespace around it does not count. Brackets may reach across it.
    - A backslash before a bracket, a backslash or the word BREAK makes it an ordinary character (word); any other
      backslash is one.
    - A bracket that is never closed reaches to the end of the prompt. A closing bracket that does not match the
      innermost open one is an ordinary character, and so is a colon that no number and round bracket follow.
    - Weights are decimal numbers, which may be 0 or negative; products are kept within -1000..1000.

    Returns: at least one section; within each neighbours of one weight are one part, and there may be no part at all.
    """
    groups: list[tuple[int, str, float]] = [(0, "", 1.0)]  # parent, opening bracket, factor; a parent comes first
    texts: list[tuple[str | None, int]] = []  # None: BREAK; with the innermost group
    inside = 0
    for token in _TOKEN.finditer(prompt):
        sign, weight = token["bracket"], token["weight"]
        parent, opened, _ = groups[inside]
        if token["break"]:
            texts.append((None, inside))
        elif sign and sign in "([":
            groups.append((inside, sign, STEP if sign == "(" else 1 / STEP))
            inside = len(groups) - 1
        elif (sign or (weight and ")")) and opened == {")": "(", "]": "["}[sign or ")"]:
            if weight:
                groups[inside] = parent, opened, float(weight)
            inside = parent
        else:
            texts.append((token["literal"] or token[0], inside))
    weights: list[float] = []
    for parent, _, factor in groups:
        weights.append(_bounded((weights[parent] if weights else 1.0) * factor))
    return _sections((text, weights[group]) for text, group in texts)


def _bounded(weight: float) -> float:
    return max(-LARGEST, min(LARGEST, weight))


def _sections(texts: Iterable[tuple[str | None, float]]) -> Sections:
    sections: list[list[tuple[list[str], float]]] = [[]]
    for text, weight in texts:
        if text is None:
            sections.append([])
        elif sections[-1] and sections[-1][-1][1] == weight:
            sections[-1][-1][0].append(text)
        else:
            sections[-1].append(([text], weight))
    joined = [[Part("".join(pieces), weight) for pieces, weight in section] for section in sections]
    for before, after in pairwise(range(len(joined))):
        joined[before] = _stripped(joined[before][::-1], str.rstrip)[::-1]
        joined[after] = _stripped(joined[after], str.lstrip)
    return tuple(tuple(section) for section in joined)


def _stripped(section: list[Part], strip: Callable[[str], str]) -> list[Part]:
    """A section without the whitespace that it begins with."""
    for index, (text, weight) in enumerate(section):
        if text := strip(text):
            return [Part(text, weight), *section[index + 1 :]]
    return []


def spell(sections: Sections) -> str:
    """A prompt that `parse` takes for these sections, if they are such as it gives."""
    return " BREAK ".join("".join(_spelt(part) for part in section) for section in sections)


def _spelt(part: Part) -> str:
    text = re.sub(r"[()\[\]\\]", r"\\\g<0>", part.text)
    text = _BREAK.sub(r"\\BREAK", text)
    return text if part.weight == 1.0 else f"({text}:{Decimal(repr(part.weight)):f})"
