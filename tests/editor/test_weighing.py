"""Ctrl+Up and Ctrl+Down in a prompt change the weight of words, and nothing else of it."""

import random
import time

import pytest
from nodeflow_editor.long_text import LongText
from nodeflow_editor.weighing import LONGEST, weighed
from nodeflow_text.prompts import parse
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextCursor
from PySide6.QtTest import QTest

from nodeflow.edits import SetInput
from tests.editor.test_gestures import CONTROL
from tests.editor.test_values import ValueHand, hand, window  # noqa: F401 # fixtures

UP, DOWN = Qt.Key.Key_Up, Qt.Key.Key_Down


def after(marked: str, by: int) -> str | None:
    """The text after one key, with bars where the words are; in `marked` they stand around what is chosen."""
    text = marked.replace("|", "")
    start, end = marked.index("|"), marked.rindex("|")
    made = weighed(text, start, end - (marked.count("|") > 1), by)
    if made is None:
        return None
    return f"{made.text[: made.start]}|{made.text[made.start : made.end]}|{made.text[made.end :]}"


@pytest.mark.parametrize(
    ("before", "up", "down"),
    [
        ("a c|at", "a (|cat|:1.05)", "a (|cat|:0.95)"),
        ("cat|, dog", "(|cat|:1.05), dog", "(|cat|:0.95), dog"),
        ("a dog|.", "a (|dog|:1.05).", "a (|dog|:0.95)."),
        ("(cat:1.0|5) dog", "(|cat|:1.1) dog", "|cat| dog"),
        ("(cat:0.9|5)", "|cat|", "(|cat|:0.9)"),
        ("(cat|:1.03)", "(|cat|:1.05)", "|cat|"),
        ("(ca|t:0)", "(|cat|:0.05)", "(|cat|:-0.05)"),
        ("(c|at)", "(|cat|:1.15)", "(|cat|:1.05)"),
        ("[ca|t]", "(|cat|:0.95)", "(|cat|:0.9)"),
        ("((ca|t))", "((|cat|:1.15))", "((|cat|:1.05))"),
        ("| two words |", " (|two words|:1.05) ", " (|two words|:0.95) "),
        ("a |(cat:1.2)|", "a (|cat|:1.25)", "a (|cat|:1.15)"),
        ("(a |red| car:1.2)", "(a (|red|:1.05) car:1.2)", "(a (|red|:0.95) car:1.2)"),
        ("(a c|ar:1.2) b", "(|a car|:1.25) b", "(|a car|:1.15) b"),
        ("(a |car:1.2) b| c", "(|(a car:1.2) b|:1.05) c", "(|(a car:1.2) b|:0.95) c"),
        (r"saber_\(fa|te\) b", r"(|saber_\(fate\)|:1.05) b", r"(|saber_\(fate\)|:0.95) b"),
        (r"\|cat|", r"(|\cat|:1.05)", r"(|\cat|:0.95)"),
        ("one |two BREAK three|", "one (|two BREAK three|:1.05)", "one (|two BREAK three|:0.95)"),
        ("(cat:1000|)", "(|cat|:1000)", "(|cat|:999.95)"),
    ],
)  # fmt: skip
def test_a_step_of_weight(before: str, up: str, down: str) -> None:
    assert (up, down) == (after(before, 1), after(before, -1))


@pytest.mark.parametrize("marked", ["|", "a  |  b", "|  |", "BR|EAK", "|a) b|", "|(a red| cat", "a , | , b"])
def test_what_is_no_word_or_has_a_bracket_without_its_other_is_left(marked: str) -> None:
    assert after(marked, 1) is None


def _by_sign(prompt: str) -> list[tuple[str, float]]:
    return [(sign, part.weight) for section in parse(prompt) for part in section for sign in part.text]


def test_a_prompt_is_read_afterwards_as_before_but_for_one_weight() -> None:
    """As the node that reads prompts reads them: its weights and its words, sign by sign."""
    draw = random.Random(7)
    pieces = ["(", ")", "[", "]", ":1.2)", ":.5)", ":", "\\", "\\(", "\\)", "BREAK", " ", "cat", "a", ",", "é🦊"]
    weighing = 0
    for _ in range(4000):
        prompt = "".join(draw.choices(pieces, k=draw.randint(1, 12)))
        start, end = sorted(draw.choices(range(len(prompt) + 1), k=2))
        made = weighed(prompt, start, end if draw.random() < 0.7 else start, draw.choice([1, -1]))
        if made is None:
            continue
        old, new = _by_sign(prompt), _by_sign(made.text)
        assert [sign for sign, _ in old] == [sign for sign, _ in new], (prompt, made)
        changed = [at for at, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
        if not changed:
            continue
        weighing += 1
        shares = {round(new[at][1] / old[at][1], 6) for at in changed}
        assert 1 == len(shares), (prompt, made)
        assert list(range(changed[0], changed[-1] + 1)) == changed, (prompt, made)
    assert weighing > 1500


def test_the_longest_prompt_takes_no_time() -> None:
    for piece in ("(cat:1.2) ", "\\(", "(", "[a)", "a(b "):
        text = piece * (LONGEST // len(piece))
        start = time.process_time()
        weighed(text, len(text) // 2, len(text) // 2, 1)
        weighed(text, 3, len(text) - 3, 1)
        assert time.process_time() - start < 2.0
    assert weighed("a" * (LONGEST + 1), 0, 1, 1) is None


def test_keys_weigh_the_word_at_the_cursor_in_the_node(hand: ValueHand) -> None:  # noqa: F811
    hand.click(hand.value("prompt"))
    area = hand.field()
    QTest.keyClicks(area, "a fox")
    for _ in range(3):
        QTest.keyClick(area, UP, CONTROL)
    assert "a (fox:1.15)" == area.text()
    QTest.keyClick(area, DOWN, CONTROL)
    QTest.keyClicks(area, "es")  # the cursor stays behind the word
    assert "a (foxes:1.1)" == area.text()
    QTest.keyClick(area, Qt.Key.Key_Return, CONTROL)
    assert "a (foxes:1.1)" == hand.inputs("all")["prompt"]
    assert 1 == hand.model.undo.count()


def test_chosen_words_stay_chosen_and_all_steps_are_one_undo_of_the_field(hand: ValueHand) -> None:  # noqa: F811
    hand.click(hand.value("prompt"))
    area = hand.field()
    assert isinstance(area, LongText)
    area.insertPlainText("🦊 in ")
    QTest.keyClicks(area, "deep snow")
    for _ in range(2):
        QTest.keyClick(area, Qt.Key.Key_Left, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(area, UP, CONTROL)
    QTest.keyClick(area, DOWN, CONTROL)  # back to 1, without brackets
    assert "🦊 in deep snow" == area.text()
    QTest.keyClick(area, DOWN, CONTROL)
    assert ("🦊 in (deep snow:0.95)", "deep snow") == (area.text(), area.textCursor().selectedText())
    QTest.keyClick(area, Qt.Key.Key_Z, CONTROL)
    assert "🦊 in deep snow" == area.text()


def test_words_of_a_line_that_is_broken_for_speed(qtbot) -> None:
    area = LongText("word " * 3000 + "end", prompt=True)
    qtbot.addWidget(area)
    area.show()
    area.moveCursor(QTextCursor.MoveOperation.End)
    QTest.keyClick(area, UP, CONTROL)
    QTest.keyClick(area, UP, CONTROL)
    assert "word " * 3000 + "(end:1.1)" == area.text()
    area.undo()
    assert "word " * 3000 + "end" == area.text()


def test_keys_weigh_words_in_the_form_as_well(hand: ValueHand, qtbot) -> None:  # noqa: F811
    dock = hand.page.window().docks["form"]
    hand.scene.select(["all"])
    dock.show()
    dock.raise_()
    qtbot.waitUntil(lambda: any(found.prompt for found in dock.findChildren(LongText)))
    area = next(found for found in dock.findChildren(LongText) if found.prompt)
    area.setFocus()
    QTest.keyClicks(area, "fox")
    QTest.keyClick(area, UP, CONTROL)
    assert "(fox:1.05)" == area.text()
    hand.page.setFocus()
    assert "(fox:1.05)" == hand.inputs("all")["prompt"]


def test_in_other_texts_these_keys_move_as_ever(hand: ValueHand) -> None:  # noqa: F811
    hand.model.do(SetInput("all", "name", "one\ntwo"), "Set")
    hand.click(hand.value("name"))
    QTest.keyClick(hand.field(), UP, CONTROL)
    assert "one\ntwo" == hand.field().text()
