r"""Prompts of ComfyUI, spelt as `text.encode` reads them.

Both take `(words)` for 1.1 times as much and `(words:1.3)` for 1.3 times. In ComfyUI a number counts by itself,
whatever brackets stand around; square brackets and BREAK mean nothing; a backslash only escapes round brackets; and
`embedding:name` is a learnt word.
"""

import math
import re
from decimal import Decimal
from typing import Final, NamedTuple

STEP: Final = 1.1
LONGEST: Final = 10_000
"""Letters of a prompt, of which `text.encode` takes no more; a longer one is left as it is."""
DEEPEST: Final = 100
_EMBEDDING: Final = re.compile(r"(?<![^\s(),])embedding:([^\s,()\[\]\\:]+)", re.IGNORECASE)
_OPEN, _CLOSE = "\0\1", "\0\2"


class Part(NamedTuple):
    """Some text and its weight."""

    text: str
    weight: float


def parse(prompt: str) -> list[Part]:
    """The parts of a prompt as ComfyUI weighs them."""
    found: list[Part] = []
    waiting = [(prompt.replace(r"\)", _CLOSE).replace(r"\(", _OPEN), 1.0, 0)]
    while waiting:
        text, weight, depth = waiting.pop()
        if depth < 0:
            found.append(Part(text.replace(_OPEN, "(").replace(_CLOSE, ")"), weight))
            continue
        inner: list[tuple[str, float, int]] = []
        for piece in _pieces(text):
            if len(piece) > 1 and piece[0] == "(" and piece[-1] == ")" and depth < DEEPEST:
                inner.append((*_weighed(piece[1:-1], weight), depth + 1))
            else:
                inner.append((piece, weight, -1))
        waiting += reversed(inner)
    return [part for part in found if part.text]


def _weighed(text: str, weight: float) -> tuple[str, float]:
    """What stands within brackets, and its weight: a number after the last colon counts by itself."""
    words, colon, number = text.rpartition(":")
    try:
        if colon and words and math.isfinite(own := float(number)):
            return words, own
    except ValueError:
        pass
    return text, weight * STEP


def _pieces(text: str) -> list[str]:
    """A text cut before and behind its outermost brackets. One that is never closed reaches to the end."""
    pieces, current, depth = [], "", 0
    for letter in text:
        if letter == "(":
            if depth == 0 and current:
                pieces.append(current)
                current = ""
            depth += 1
            current += letter
        elif letter == ")":
            depth -= 1
            current += letter
            if depth == 0:
                pieces.append(current)
                current = ""
        else:
            current += letter
    return [*pieces, current] if current else pieces


class Spelt(NamedTuple):
    """A prompt as we spell it. weighted: whether any word has a weight. learnt: files of learnt words, by the word that
    stands for each.
    """

    text: str
    weighted: bool
    learnt: dict[str, str]


def spelt(prompt: str) -> Spelt:
    """The prompt in our spelling; as it is where both read it alike."""
    learnt: dict[str, str] = {}
    if len(prompt) > LONGEST:
        return Spelt(prompt, False, learnt)

    def word(found: re.Match[str]) -> str:
        name = found[1].removesuffix(".safetensors").removesuffix(".pt")
        own = re.sub(r"[^\w.-]", "_", name.rpartition("/")[2])
        learnt.setdefault(own, name)
        return own

    prompt = _EMBEDDING.sub(word, prompt)
    if not re.search(r"[()\[\]\\]|BREAK", prompt):
        return Spelt(prompt, False, learnt)
    parts = parse(prompt)
    weighted = any(part.weight != 1.0 for part in parts)
    if _alike(prompt):
        return Spelt(prompt, weighted, learnt)
    return Spelt("".join(_spelt(part) for part in parts), weighted, learnt)


_SIMPLE: Final = re.compile(r"([^()\[\]\\:]|:(?=[^()\[\]\\:]))*")
_GROUP: Final = re.compile(r"\([^()\[\]\\:]+(:[ ]?\d+(\.\d+)?)?\)")


def _alike(prompt: str) -> bool:
    """Whether both read a prompt alike: brackets that do not nest, with plain numbers if any."""
    return "BREAK" not in prompt and bool(_SIMPLE.fullmatch(_GROUP.sub("", prompt)))


def _spelt(part: Part) -> str:
    text = re.sub(r"[()\[\]\\]", r"\\\g<0>", part.text)
    text = re.sub(r"(?<!\w)BREAK(?!\w)", r"\\BREAK", text)
    return text if part.weight == 1.0 else f"({text}:{Decimal(repr(part.weight)):f})"
