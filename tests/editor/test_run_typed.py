"""Ctrl+Enter while a value is typed: it is taken, and run."""

import pytest
from graphs_for_tests import document
from nodeflow_editor.commands.value import Values
from nodeflow_editor.long_text import LongText
from nodeflow_editor.run_part import RunPart
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from tests.editor.test_run_window import CONTROL, ends, window  # noqa: F401 # fixtures


@pytest.mark.parametrize("before", ["a red fox", "a red fox\nin snow"])
def test_ctrl_enter_takes_what_is_being_typed_and_runs_it(window, ends, before):  # noqa: F811
    page = window.open_document(document({"t": ("rough.says", {"text": before})}, {"x": "t"}))
    page.view.value_wanted.emit("t", "text")
    field = next(part for part in window.parts if isinstance(part, Values)).field
    assert isinstance(field.widget, LongText if "\n" in before else QLineEdit)
    QTest.keyClicks(field.widget, "a blue hare")
    QTest.keyClick(field.widget, Qt.Key.Key_Return, CONTROL)
    assert field.over
    assert 0 == ends.wait()["failed"]
    assert "a blue hare" in RunPart.of(window).run_of(*ends.told).document.nodes["t"].inputs["text"]


def test_what_is_refused_is_not_run(window, ends):  # noqa: F811
    page = window.open_document(document({"n": ("rough.number", {"x": 1})}, {"x": "n"}))
    page.view.value_wanted.emit("n", "x")
    field = next(part for part in window.parts if isinstance(part, Values)).field
    QTest.keyClicks(field.widget, "seven")
    QTest.keyClick(field.widget, Qt.Key.Key_Return, CONTROL)
    assert field.why.isVisible()
    assert not RunPart.of(window).runner.queue.entries()
    assert not ends.told
