"""Prompts of ComfyUI weigh the same words here, however they are spelt."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nodeflow_comfyui import prompts
from nodeflow_text.prompts import LARGEST, Part, Sections
from nodeflow_text.prompts import parse as ours


def theirs(text: str, weight: float = 1.0) -> list[tuple[str, float]]:
    """The rule as it stands in words: brackets weigh 1.1 times what is around them, unless a number is given."""
    parts: list[tuple[str, float]] = []
    depth, start = 0, 0
    cuts = []
    for at, letter in enumerate(text):
        if letter == "(":
            if depth == 0 and start < at:
                cuts.append(text[start:at])
                start = at
            depth += 1
        elif letter == ")":
            depth -= 1
            if depth == 0:
                cuts.append(text[start : at + 1])
                start = at + 1
    for piece in [*cuts, text[start:]]:
        if len(piece) > 1 and piece[0] == "(" and piece[-1] == ")":
            words, colon, number = piece[1:-1].rpartition(":")
            if colon and words and re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*", number):
                parts += theirs(words, float(number))
            else:
                parts += theirs(piece[1:-1], weight * 1.1)
        elif piece:
            parts.append((piece, weight))
    return parts


def letters(parts: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(letter, round(weight, 9)) for text, weight in parts for letter in text]


def of_sections(sections: Sections) -> list[tuple[str, float]]:
    assert 1 == len(sections)
    return [tuple(part) for part in sections[0]]


@given(st.text(alphabet="ab ,()[]:1.5", max_size=24) | st.text(alphabet="(a:2) BREAK", max_size=40))
@example("((word))")
@example("((a:1.2) b:1.1)")
@example("[a] and (b")
@example("a) BREAK (b:0.5)")
@example("(a:)")
@example("(:1.5)")
@example("(a:1.5:2)")
def test_the_words_weigh_the_same(prompt: str) -> None:
    expected = [(text, max(-LARGEST, min(LARGEST, weight))) for text, weight in theirs(prompt)]
    assert letters(expected) == letters(of_sections(ours(prompts.spelt(prompt).text)))


def test_backslashes_escape_round_brackets_and_nothing_else() -> None:
    found = prompts.spelt(r"a \(b\) c\d [e] BREAK")
    assert ((Part(r"a (b) c\d [e] BREAK"),),) == ours(found.text)
    assert not found.weighted


@pytest.mark.parametrize("prompt", ["a cat, (very big:1.3) and (red)", "plain words: 12:30", ""])
def test_what_both_read_alike_stays_as_it_was_written(prompt: str) -> None:
    assert prompt == prompts.spelt(prompt).text


def test_a_number_counts_by_itself() -> None:
    assert ((Part("a", 1.2), Part(" b", 1.1)),) == ours(prompts.spelt("((a:1.2) b:1.1)").text)


def test_learnt_words_are_named() -> None:
    found = prompts.spelt("a cat, embedding:easynegative, (embedding:sub/bad-hands.pt:1.2) embedding:x.safetensors")
    assert {"easynegative": "easynegative", "bad-hands": "sub/bad-hands", "x": "x"} == found.learnt
    assert "a cat, easynegative, (bad-hands:1.2) x" == found.text


def test_deep_brackets_take_no_time() -> None:
    assert prompts.spelt("(" * 3000 + "a" + ")" * 3000).weighted
