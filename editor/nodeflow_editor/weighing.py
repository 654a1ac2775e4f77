"""Weights of words in a prompt, changed as text: `cat`, `(cat:1.05)`, `(cat:1.1)`. Pure, no Qt.

The notation is that of docs/prompts.md: brackets within brackets multiply, a backslash takes the meaning from a sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

STEP = Decimal("0.05")
ROUND, SQUARE = Decimal("1.1"), 1 / Decimal("1.1")
"""What a pair of brackets means that names no number."""
LARGEST = Decimal(1000)
LONGEST = 100_000
"""Characters up to which a text is looked through at each key; a prompt has 10,000 at most."""
_SIGN = re.compile(
    r"""
      \\(?:[()\[\]\\]|BREAK(?!\w))
    | :\s*+(?P<weight>[+-]?(?:\d++(?:\.\d*+)?+|\.\d++))\s*+(?P<end>\))
    | (?P<bracket>[()\[\]])
    | (?P<break>(?<!\w)BREAK(?!\w))
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[^\s,;|]+")
_ENDING = ".:!?"
"""Signs at the end of a word that are not of it."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A text, where the words that were weighed are in it now, and where they began before."""

    text: str
    start: int
    end: int
    was: int


@dataclass(frozen=True, slots=True)
class _Group:
    """A pair of brackets: from `start` to `end`, what it holds from `left` to `right`."""

    start: int
    left: int
    right: int
    end: int
    weight: Decimal


@dataclass(frozen=True, slots=True)
class _Read:
    """A prompt: its pairs, inner ones before those around them; brackets left open; signs; what it says without them.

    signs: spans that are not to be broken up.
    """

    pairs: tuple[_Group, ...]
    open: int
    signs: tuple[tuple[int, int], ...]
    plain: str


def weighed(text: str, start: int, end: int, by: int) -> Weighed | None:
    """The text with the weight of some words changed to the next multiple of 0.05; a weight of 1 takes no brackets.

    Args:
        text: a prompt.
        start: where the words begin.
        end: where they end. If that is where they begin: the pair of brackets there, else the word there.
        by: 1 for more, -1 for less.

    Returns: None if there is no word, or it cannot be weighed by brackets: a bracket in it belongs to none.
    """
    if len(text) > LONGEST:
        return None
    known = _read(text)
    if start == end:
        group = next((pair for pair in known.pairs if pair.start < start < pair.end), None)
        span = (group.start, group.end) if group is not None else _word(text, known, start)
    else:
        span = _whole(text, known, start, end)
        group = next((pair for pair in known.pairs if span in ((pair.start, pair.end), _inside(text, pair))), None)
    if span is None:
        return None
    if group is None:
        return _proven(known, _put(text, *span, _next(Decimal(1), by), *span), pairs=1)
    weight, found = _next(group.weight, by), None
    if weight == 1:
        inner = text[group.left : group.right]
        rest = text[: group.start] + inner + text[group.end :]
        found = _proven(known, Weighed(rest, group.start, group.start + len(inner), group.left), pairs=-1)
    whole = _put(text, group.left, group.right, weight, group.start, group.end)
    return found or _proven(known, whole, pairs=0)


def _next(weight: Decimal, by: int) -> Decimal:
    """The next multiple of the step above a weight, or below."""
    steps = (weight / STEP).quantize(Decimal("1.000"), ROUND_HALF_EVEN)
    whole = steps.to_integral_value(ROUND_FLOOR if by > 0 else ROUND_CEILING) + by
    return max(-LARGEST, min(LARGEST, whole * STEP))


def _put(text: str, left: int, right: int, weight: Decimal, start: int, end: int) -> Weighed:
    """What stands from left to right in brackets of its own, in place of what stands from start to end."""
    inner, number = text[left:right], f"{weight.normalize():f}"
    made = f"{text[:start]}({inner}:{number}){text[end:]}"
    return Weighed(made, start + 1, start + 1 + len(inner), left)


def _proven(before: _Read, made: Weighed, *, pairs: int) -> Weighed | None:
    """A change, if it has changed a weight and nothing else: brackets pair as before, and the words are the same."""
    after = _read(made.text)
    same = (after.plain, after.open, len(after.pairs)) == (before.plain, before.open, len(before.pairs) + pairs)
    stands = pairs < 0 or any((pair.left, pair.right) == (made.start, made.end) for pair in after.pairs)
    return made if same and stands else None


def _read(text: str) -> _Read:
    pairs: list[_Group] = []
    inside: list[re.Match[str]] = []
    signs: list[tuple[int, int]] = []
    plain: list[str] = []
    done = 0
    for sign in _SIGN.finditer(text):
        plain.append(text[done : sign.start()])
        done = sign.end()
        closing = sign["end"] or (sign["bracket"] if sign["bracket"] in (")", "]") else None)
        if closing and inside and inside[-1][0] == {")": "(", "]": "["}[closing]:
            opened = inside.pop()
            named = Decimal(sign["weight"]) if sign["weight"] else ROUND if closing == ")" else SQUARE
            named = max(-LARGEST, min(LARGEST, named))
            pairs.append(_Group(opened.start(), opened.end(), sign.start(), sign.end(), named))
        elif sign["bracket"] in ("(", "["):
            inside.append(sign)
        else:
            plain.append("\0" if sign["break"] else sign[0].removeprefix("\\"))
            if closing:
                continue  # it belongs to no bracket: an ordinary sign
        signs.append(sign.span())
    return _Read(tuple(pairs), len(inside), tuple(signs), "".join([*plain, text[done:]]))


def _whole(text: str, known: _Read, start: int, end: int) -> tuple[int, int] | None:
    """Chosen words without the room around them, and no sign or pair of brackets broken up; None if there are none."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start == end:
        return None
    spans = [(*sign, True) for sign in known.signs] + [(pair.start, pair.end, False) for pair in known.pairs]
    if text[start - 1 : start] == "\\" and not any(one < start <= other for one, other in known.signs):
        start -= 1  # before a bracket it would take its meaning from it
    changed = True
    while changed:
        changed = False
        for one, other, sign in spans:
            crossed = one < start < other < end or start < one < end < other
            cut = sign and (one < start < other or one < end < other)
            if crossed or cut:
                start, end, changed = min(start, one), max(end, other), True
    return start, end


def _word(text: str, known: _Read, place: int) -> tuple[int, int] | None:
    """The word that a place is in or beside."""
    for start, end in _words(text, known):
        if start <= place <= end:
            return start, end
    return None


def _words(text: str, known: _Read) -> Iterator[tuple[int, int]]:
    """The words of a text: brackets and BREAK part them as spaces do, a bracket behind a backslash does not."""
    ends = [(one, other) for one, other in known.signs if text[one] != "\\"]
    parts = zip([0, *(other for _, other in ends)], [*(one for one, _ in ends), len(text)], strict=True)
    for left, right in parts:
        for word in _WORD.finditer(text, left, right):
            kept = word[0].rstrip(_ENDING)
            if kept:
                yield word.start(), word.start() + len(kept)


def _inside(text: str, pair: _Group) -> tuple[int, int]:
    """What a pair holds, without the room at its ends."""
    inner = text[pair.left : pair.right]
    return pair.left + len(inner) - len(inner.lstrip()), pair.right - len(inner) + len(inner.rstrip())
