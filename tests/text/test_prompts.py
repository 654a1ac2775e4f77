"""The notation for weighted prompts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nodeflow_text.prompts import LARGEST, STEP, Part, parse, spell

SYMBOLS = st.text(st.sampled_from(list("()[]\\:.,-+ 0123456789abBREAK\n\u00a0é字")), max_size=60)
WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
WEIGHTS = st.floats(-LARGEST, LARGEST).map(lambda weight: weight or 0.0)


def weights(prompt: str) -> dict[str, float]:
    return {part.text.strip(): part.weight for section in parse(prompt) for part in section}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", ((),)),
        ("a cat", ((Part("a cat"),),)),
        ("a (cat)", ((Part("a "), Part("cat", 1.1)),)),
        ("a [cat]", ((Part("a "), Part("cat", 1 / 1.1)),)),
        ("a (cat:1.3) here", ((Part("a "), Part("cat", 1.3), Part(" here")),)),
        ("(cat: 0.5 )", ((Part("cat", 0.5),),)),
        ("(cat:-1)", ((Part("cat", -1.0),),)),
        ("(cat:0)", ((Part("cat", 0.0),),)),
        ("(ratio 16:9:1.5)", ((Part("ratio 16:9", 1.5),),)),
        ("16:9 a:b", ((Part("16:9 a:b"),),)),
        (r"\(cat\) \[dog\] \\ \n", ((Part(r"(cat) [dog] \ \n"),),)),
        (r"(cat \(tabby\):1.2)", ((Part("cat (tabby)", 1.2),),)),
        ("a (cat", ((Part("a "), Part("cat", 1.1)),)),
        ("a) cat]", ((Part("a) cat]"),),)),
        ("[cat:1.5]", ((Part("cat:1.5", 1 / 1.1),),)),
        ("one BREAK two", ((Part("one"),), (Part("two"),))),
        ("(one BREAK two:1.2)", ((Part("one", 1.2),), (Part("two", 1.2),))),
        ("BREAKFAST aBREAK break", ((Part("BREAKFAST aBREAK break"),),)),
        (r"one \BREAK two", ((Part("one BREAK two"),),)),
        ("BREAK", ((), ())),
    ],
)
def test_prompts_and_what_they_mean(prompt: str, expected: object) -> None:
    assert expected == parse(prompt)


def test_weights_multiply() -> None:
    assert {"a": STEP, "b": STEP * STEP, "c": STEP * 2, "": STEP} == pytest.approx(weights("(a (b) (c:2))"))
    assert {"a": 6.0} == pytest.approx(weights("((a:2):3)"))
    assert {"a": 1.0} == pytest.approx(weights("[(a)]"))


@given(st.lists(st.floats(0.1, 4).map(lambda weight: round(weight, 3)), max_size=4))
def test_nested_weights_multiply(factors: list[float]) -> None:
    prompt = "word"
    for factor in factors:
        prompt = f"({prompt}:{factor})"
    assert weights(prompt)["word"] == pytest.approx(math.prod(factors))


@given(SYMBOLS | st.text())
def test_any_string_is_a_prompt_and_can_be_spelt(prompt: str) -> None:
    found = parse(prompt)
    assert found == parse(spell(found))
    assert len(found) >= 1
    for part in (part for section in found for part in section):
        assert part.text
        assert math.isfinite(part.weight)
        assert abs(part.weight) <= LARGEST


@given(st.lists(st.tuples(WORDS, WEIGHTS), max_size=6))
def test_what_is_spelt_means_itself(pairs: list[tuple[str, float]]) -> None:
    parts: list[Part] = []
    for text, weight in pairs:
        if parts and parts[-1].weight == weight:
            parts[-1] = Part(parts[-1].text + text, weight)
        else:
            parts.append(Part(text, weight))
    assert (tuple(parts),) == parse(spell((tuple(parts),)))


@given(SYMBOLS)
def test_without_signs_nothing_is_lost(prompt: str) -> None:
    plain = "".join(sign for sign in prompt if sign not in "()[]\\B")
    assert plain == "".join(part.text for section in parse(plain) for part in section)


@pytest.mark.parametrize("piece", ["(", "(a", "[", ")", "\\", ":", ":1", "(a:9)", " ", "BREAK ", "( )[ ]", "é"])
def test_long_prompts_take_no_longer_for_what_is_in_them(piece: str) -> None:
    found = parse(piece * (200_000 // len(piece)))
    assert all(abs(part.weight) <= LARGEST for section in found for part in section)


def test_weights_beyond_the_largest_are_the_largest() -> None:
    assert {"a": LARGEST} == weights(f"(a:{'9' * 400})")
    assert {"a": -LARGEST} == weights(f"((a:{LARGEST}):-2)")
