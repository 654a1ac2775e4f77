"""Files that others change while they are open: noticed, asked about, never taken or written over unasked."""

import json
import os
import socket
from pathlib import Path

import pytest
from nodeflow_editor.files import Files
from nodeflow_editor.notes import Notes, born
from nodeflow_editor.settings import state_folder
from nodeflow_editor.watching import Watch
from nodeflow_editor.window import Window
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton

from nodeflow.document import Document, NodeEntry, parse, read, save, write
from nodeflow.edits import RemoveNode
from tests.editor.test_files import GRAPH, NONE, answer, change, press, shown, text_of, written


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    return shown(qtbot, tmp_path)


@pytest.fixture
def file(tmp_path) -> Path:
    return written(tmp_path)


def edited(file: Path, text: str) -> None:
    document = read(file)
    nodes = {"a": NodeEntry("t.make", 1, {"text": text}), "b": NodeEntry("t.make")}
    save(Document(nodes=nodes, view=document.view), file)


def test_a_file_changed_by_another_program_is_noticed_and_reloaded_when_asked(window, qtbot, file) -> None:
    page = Files.of(window).open(file)
    edited(file, "theirs")
    qtbot.waitUntil(lambda: page.bars.named("changed") is not None, timeout=5000)
    assert "old" == page.model.document.nodes["a"].inputs["text"]
    bar = page.bars.named("changed")
    assert not any(button.hasFocus() for button in bar.buttons)  # what is typed on the canvas must not answer
    press(window, Qt.Key.Key_F8, NONE)
    assert bar.buttons[0].hasFocus()
    show = bar.findChild(QPushButton, "Show differences")
    QTest.mouseClick(show, Qt.MouseButton.LeftButton)
    assert 'adds "b"' in bar.details.toPlainText()
    assert "theirs" in bar.details.toPlainText()
    QTest.mouseClick(bar.findChild(QPushButton, "Reload"), Qt.MouseButton.LeftButton)
    assert "theirs" == page.model.document.nodes["a"].inputs["text"]
    assert not page.changed
    edited(file, "theirs again")
    qtbot.waitUntil(lambda: page.bars.named("changed") is not None, timeout=5000)


def test_keeping_mine_asks_no_more_and_the_graph_counts_as_changed(window, qtbot, file) -> None:
    page = Files.of(window).open(file)
    edited(file, "theirs")
    qtbot.waitUntil(lambda: page.bars.named("changed") is not None, timeout=5000)
    QTest.mouseClick(page.bars.named("changed").findChild(QPushButton, "Keep mine"), Qt.MouseButton.LeftButton)
    assert page.changed
    Watch.check_all(next(part for part in window.parts if isinstance(part, Watch)))
    assert page.bars.named("changed") is None
    press(window, Qt.Key.Key_S)
    assert "old" == text_of(file)


def test_escape_decides_nothing_and_saving_asks_again(window, qtbot, file) -> None:
    page = Files.of(window).open(file)
    change(window)
    edited(file, "theirs")
    qtbot.waitUntil(lambda: page.bars.named("changed") is not None, timeout=5000)
    press(window, Qt.Key.Key_F8, NONE)
    answer(page.bars.named("changed"), Qt.Key.Key_Escape)
    assert page.bars.named("changed") is None
    assert page.view.hasFocus()
    press(window, Qt.Key.Key_S)
    assert "theirs" == text_of(file)
    assert page.bars.named("over") is not None


def test_saving_over_what_another_program_wrote_asks(window, file) -> None:
    page = Files.of(window).open(file)
    change(window)
    edited(file, "theirs")
    press(window, Qt.Key.Key_S)
    assert "theirs" == text_of(file)
    answer(page.bars.named("over"), Qt.Key.Key_C)
    assert "theirs" == text_of(file)
    press(window, Qt.Key.Key_S)
    answer(page.bars.named("over"), Qt.Key.Key_O)
    assert "new" == text_of(file)
    (kept,) = (state_folder() / "replaced").iterdir()
    assert "theirs" == text_of(kept)


def test_a_file_that_is_only_touched_is_not_asked_about(window, file) -> None:
    page = Files.of(window).open(file)
    os.utime(file, (1, 1))
    QApplication.sendEvent(window, QEvent(QEvent.Type.WindowActivate))
    QTest.qWait(400)
    assert page.bars.named("changed") is None
    change(window)
    press(window, Qt.Key.Key_S)
    assert "new" == text_of(file)


def test_a_file_that_is_removed_leaves_the_graph_open_to_be_written_again(window, qtbot, file) -> None:
    page = Files.of(window).open(file)
    file.unlink()
    qtbot.waitUntil(lambda: page.bars.named("changed") is not None, timeout=5000)
    assert page.changed
    press(window, Qt.Key.Key_S)
    assert write(GRAPH) == file.read_text("utf-8")


def test_a_second_editor_on_one_file_says_so_and_opens_it(window, qtbot, tmp_path, file) -> None:
    Files.of(window).open(file)
    (note,) = (state_folder() / "open").iterdir()
    window.close_page(window.page)
    assert [] == list((state_folder() / "open").iterdir())
    told = {
        "file": str(file),
        "pid": os.getppid(),
        "host": socket.gethostname(),
        "born": born(os.getppid()),
        "since": 0.0,
    }
    note.with_name(note.name.replace(str(os.getpid()), "other")).write_text(json.dumps(told), "utf-8")
    page = Files.of(window).open(file)
    assert f"process {os.getppid()}" in page.bars.named("shared").text
    told["born"] = "1"  # another process of that number: the editor is gone
    note.with_name(note.name.replace(str(os.getpid()), "other")).write_text(json.dumps(told), "utf-8")
    assert {os.getpid()} == {note.pid for note in Notes().others(file)}
    window.close_page(page)
    assert Files.of(window).open(file).bars.named("shared") is None


def test_removing_and_reverting_a_graph_keeps_what_is_alike(window, file) -> None:
    edited(file, "old")
    page = Files.of(window).open(file)
    kept = page.model.document.nodes["b"]
    page.model.do(RemoveNode("a"), "Remove")
    Files.of(window).reload(page)
    assert kept is page.model.document.nodes["b"]
    assert ["a", "b"] == list(page.model.document.nodes)
    assert parse(file.read_bytes()) == page.model.document
