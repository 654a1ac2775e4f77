"""Closing the window while a run is going."""

import pytest
from graphs_for_tests import document
from nodeflow_editor import leaving
from nodeflow_editor.run_part import RunPart
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from nodeflow.edits import MoveNodes

SOON = 60_000


@pytest.fixture
def window(run_window, qtbot):
    """With a run that has been going for a moment."""
    made = run_window()
    RunPart.of(made).submit(made.open_document(document({"l": ("rough.loops",)}, {"x": "l"})))
    qtbot.waitUntil(lambda: RunPart.of(made).going is not None, timeout=SOON)
    return made


def test_a_run_that_has_been_going_for_long_is_asked_about(window, qtbot, monkeypatch):
    monkeypatch.setattr(leaving, "LONG", 0.0)
    assert not window.close()
    bar = window.notices.named("leaving")
    assert "A run has been going for 0." in bar.text
    QTest.keyClick(bar.buttons[0], Qt.Key.Key_Escape)
    assert window.isVisible()
    window.close()
    QTest.keyClick(window.notices.named("leaving").buttons[0], Qt.Key.Key_S)
    assert not window.isVisible()
    assert "idle" != RunPart.of(window).runner.state  # it was going to the end


def test_the_question_goes_with_the_run_and_a_short_one_is_not_asked_about(window, qtbot, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(leaving, "LONG", 0.0)
        assert not window.close()
    RunPart.of(window).cancel()
    qtbot.waitUntil(lambda: window.notices.named("leaving") is None, timeout=SOON)
    RunPart.of(window).submit(window.page)
    qtbot.waitUntil(lambda: RunPart.of(window).going is not None, timeout=SOON)
    assert window.close()


def test_to_stay_for_the_run_is_to_be_asked_about_changes_again(window, qtbot, monkeypatch):
    window.page.model.do(MoveNodes({"l": [40, 40]}), "Move")
    assert not window.close()
    monkeypatch.setattr(leaving, "LONG", 0.0)
    QTest.keyClick(window.notices.named("quit").buttons[0], Qt.Key.Key_D)  # the run has become a long one meanwhile
    QTest.keyClick(window.notices.named("leaving").buttons[0], Qt.Key.Key_Escape)
    monkeypatch.setattr(leaving, "LONG", 60.0)
    assert not window.close()
    assert window.notices.named("quit") is not None
