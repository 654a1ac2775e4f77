"""Which of many names somebody means who types a few letters. Pure text, no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from math import log2

EXACT, PREFIX, WORD, SUBSTRING, FUZZY = 5.0, 4.0, 3.0, 2.0, 1.0
BESIDE = 1.5
"""How much less a hit in the id, the menu or the help counts than one in the title."""
HABIT = 0.12
"""What each doubling of one's own use adds: eight times used beats a title twice as short, not a better kind of hit."""


NOTHING: Mapping[str, int] = {}
JOINTS = str.maketrans("_./-", "    ")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that can be found: its key, its title, and what else it is known by."""

    key: str
    title: str
    beside: str = ""
    """Id and menu, in small letters."""
    low: str = ""
    """The title in small letters."""

    @classmethod
    def of(cls, key: str, title: str, *beside: str) -> Candidate:
        """With its letters made small once."""
        return cls(key, title, plain(" ".join(beside)), plain(title))


def plain(text: str) -> str:
    """Small letters, with spaces for what joins words in ids and menus."""
    return " ".join(text.lower().translate(JOINTS).split())


def score(query: str, candidate: Candidate) -> float | None:
    """How well a candidate fits what was typed, in small letters; None if not at all."""
    own = _score(query, candidate.low)
    if own is not None and own >= WORD:
        return own
    other = _score(query, candidate.beside)
    scores = [value for value in (own, other - BESIDE if other is not None else None) if value is not None]
    return max(scores, default=None)


def _score(query: str, text: str) -> float | None:
    at = text.find(query)
    if at == 0:
        return EXACT + 0.5 if text == query else PREFIX + 0.5 * len(query) / len(text)
    if at > 0:
        return (WORD if f" {query}" in text else SUBSTRING) + 0.5 * len(query) / len(text)
    if len(query) < 2 or len(query) > len(text):  # one letter that begins a word has been found already
        return None
    words, letters = _parts(query)
    if len(words) > 1 and all(map(text.__contains__, words)):
        return SUBSTRING - 0.25
    spread = _spread(letters, text)
    return None if spread is None else FUZZY * (1 - spread) + 0.25 * len(query) / len(text)


@lru_cache(maxsize=8)
def _parts(query: str) -> tuple[list[str], str]:
    """The words of a query, and its letters without what is between them: the same for thousands of candidates."""
    return query.split(), query.replace(" ", "")


def _spread(letters: str, text: str) -> float | None:
    """How far apart the letters stand in a text that has them in this order, 0..1; None if it has not.

    The first must begin a word: "gsn" means "group selected nodes", not "messaging".
    """
    last = 0 if text[0] == letters[0] else text.find(f" {letters[0]}") + 1
    if last == 0 and text[0] != letters[0]:
        return None
    gaps, limit = 0, max(len(letters) // 2, 1)
    for letter in letters[1:]:
        at = text.find(letter, last + 1)
        if at < 0:
            return None
        if at != last + 1 and text[at - 1] != " ":
            gaps += 1
            if gaps > limit:
                return None
        last = at
    return gaps / (limit + 1)


def ranked(
    query: str, candidates: Sequence[Candidate], used: Mapping[str, int], limit: int = 200,
    common: Mapping[str, int] = NOTHING,
) -> list[Candidate]:  # fmt: skip
    """The candidates that fit, best first; all of them, those used most first, for an empty query.

    common: how often others use them, which decides between those that fit alike.
    """
    wanted = plain(query)
    found: Iterable[tuple[float, Candidate]]
    if not wanted:
        found = ((log2(1 + used.get(item.key, 0)), item) for item in candidates)
    else:
        scored = ((score(wanted, item), item) for item in candidates)
        found = (
            (points + HABIT * log2(1 + used[item.key]) if item.key in used else points, item)
            for points, item in scored
            if points
        )
    order = nsmallest(limit, found, key=lambda pair: (-pair[0], -common.get(pair[1].key, 0), pair[1].low, pair[1].key))
    return [item for _, item in order]
