"""Files in the editor: opened, saved, closed, changed by others; asked by keys, and nothing lost."""

import os
import struct
import zlib
from pathlib import Path

import pytest
from nodeflow_editor.bars import Bar
from nodeflow_editor.chooser import Chooser
from nodeflow_editor.files import Files
from nodeflow_editor.settings import Settings, state_folder
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QLineEdit

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, read, save, write
from nodeflow.edits import SetInput
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType

CATALOG = Catalog.of(
    NodeSpec("t.make", 1, "test", "Make", "", (Port("text", PortType("str"), default=""),),
             (Port("out", PortType("str")),), "m:make")
)  # fmt: skip
CONTROL, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
GRAPH = Document(nodes={"a": NodeEntry("t.make", 1, {"text": "old"})}, view={"nodes": {"a": [0, 0]}})


def shown(qtbot, tmp_path: Path) -> Window:
    made = Window(CATALOG, Settings(tmp_path / "settings.json"))
    qtbot.addWidget(made, before_close_func=lambda window: window.guards.clear())
    made.resize(1200, 800)
    made.show()
    qtbot.waitExposed(made)
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


def written(folder: Path) -> Path:
    save(GRAPH, folder / "graph.json")
    return folder / "graph.json"


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    return shown(qtbot, tmp_path)


@pytest.fixture
def file(tmp_path) -> Path:
    return written(tmp_path)


def press(window: Window, key: Qt.Key, keys=CONTROL) -> None:
    target = window.page.view if window.page is not None else window
    target.setFocus()
    QTest.keyClick(target, key, keys)
    QGuiApplication.processEvents()


def change(window: Window, text: str = "new") -> None:
    assert window.do(SetInput("a", "text", text), "Set text")


def answer(bar: Bar | None, key: Qt.Key) -> None:
    assert bar is not None
    assert bar.buttons[0].hasFocus()
    QTest.keyClick(bar.buttons[0], key)
    QGuiApplication.processEvents()


def choose(window: Window, qtbot, path: Path | str) -> None:
    """Types a name into the file dialog and presses Enter, as one does."""
    QGuiApplication.processEvents()
    (dialog,) = [found for found in window.findChildren(QFileDialog) if found.isVisible()]
    edit = dialog.findChild(QLineEdit, "fileNameEdit")
    edit.selectAll()
    QTest.keyClicks(edit, str(path))
    QTest.keyClick(edit, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not dialog.isVisible())
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)


def text_of(path: Path) -> str:
    return read(path).nodes["a"].inputs["text"]


def test_a_graph_made_here_and_one_written_by_hand_are_the_same_bytes(window, file) -> None:
    by_hand = file.read_bytes()
    Files.of(window).open(file)
    change(window)
    change(window, "old")
    press(window, Qt.Key.Key_S)
    assert by_hand == file.read_bytes()
    assert not window.page.changed


def test_save_as_asks_for_a_name_and_writes_what_is_on_show(window, qtbot, tmp_path) -> None:
    press(window, Qt.Key.Key_N)
    Files.of(window).new(GRAPH)
    assert window.page.changed
    press(window, Qt.Key.Key_S)
    choose(window, qtbot, tmp_path / "fresh")
    assert write(GRAPH) == (tmp_path / "fresh.json").read_text("utf-8")
    assert "fresh" == window.page.name
    assert not window.page.changed


def test_a_name_that_is_taken_is_asked_about_before_it_is_replaced(window, qtbot, tmp_path, file) -> None:
    (tmp_path / "there.json").write_text("mine", "utf-8")
    Files.of(window).open(file)
    press(window, Qt.Key.Key_S, CONTROL | SHIFT)
    choose(window, qtbot, tmp_path / "there.json")
    answer(window.page.bars.named("over"), Qt.Key.Key_Escape)
    assert "mine" == (tmp_path / "there.json").read_text("utf-8")
    assert file == window.page.model.file
    press(window, Qt.Key.Key_S, CONTROL | SHIFT)
    choose(window, qtbot, tmp_path / "there.json")
    answer(window.page.bars.named("over"), Qt.Key.Key_R)
    assert write(GRAPH) == (tmp_path / "there.json").read_text("utf-8")
    assert tmp_path / "there.json" == window.page.model.file


def test_a_copy_leaves_the_graph_with_its_own_file(window, qtbot, tmp_path, file) -> None:
    Files.of(window).open(file)
    change(window)
    window.actions_table.made["file.save_copy"].trigger()
    choose(window, qtbot, tmp_path / "copy.json")
    assert "new" == text_of(tmp_path / "copy.json")
    assert "old" == text_of(file)
    assert file == window.page.model.file
    assert window.page.changed


def test_revert_takes_the_file_and_undo_brings_the_changes_back(window, file) -> None:
    Files.of(window).open(file)
    change(window)
    window.actions_table.made["file.revert"].trigger()
    assert write(GRAPH) == write(window.page.model.document)
    assert not window.page.changed
    press(window, Qt.Key.Key_Z)
    assert "new" == window.page.model.document.nodes["a"].inputs["text"]
    assert window.page.changed


def test_a_tab_without_changes_closes_unasked_and_one_with_changes_asks(window, file) -> None:
    Files.of(window).open(file)
    press(window, Qt.Key.Key_W)
    assert window.page is None
    Files.of(window).open(file)
    change(window)
    press(window, Qt.Key.Key_W)
    answer(window.page.bars.named("close"), Qt.Key.Key_C)
    assert window.page is not None
    assert window.page.view.hasFocus()
    press(window, Qt.Key.Key_W)
    answer(window.page.bars.named("close"), Qt.Key.Key_S)
    assert window.page is None
    assert "new" == text_of(file)


def test_discarded_changes_come_back_with_the_tab_that_was_closed(window, file) -> None:
    Files.of(window).open(file)
    change(window)
    press(window, Qt.Key.Key_W)
    answer(window.page.bars.named("close"), Qt.Key.Key_D)
    assert window.page is None
    assert "old" == text_of(file)
    press(window, Qt.Key.Key_T, CONTROL | SHIFT)
    assert "new" == window.page.model.document.nodes["a"].inputs["text"]
    assert window.page.changed


def test_quitting_asks_once_for_all_graphs_and_saves_them(window, tmp_path) -> None:
    for name in ("one", "two", "three"):
        save(GRAPH, tmp_path / f"{name}.json")
        Files.of(window).open(tmp_path / f"{name}.json")
        if name != "three":
            change(window, name)
    press(window, Qt.Key.Key_Q)
    bar = window.notices.named("quit")
    assert bar.text.startswith("one, two have changes")
    answer(bar, Qt.Key.Key_Escape)
    assert window.isVisible()
    press(window, Qt.Key.Key_Q)
    answer(window.notices.named("quit"), Qt.Key.Key_S)
    assert not window.isVisible()
    assert ["one", "two", "old"] == [text_of(tmp_path / f"{name}.json") for name in ("one", "two", "three")]


def test_quitting_may_discard_and_leaves_the_files_alone(window, file) -> None:
    Files.of(window).open(file)
    change(window)
    window.close()
    answer(window.notices.named("quit"), Qt.Key.Key_D)
    assert not window.isVisible()
    assert "old" == text_of(file)


def test_ctrl_tab_goes_round(window, tmp_path) -> None:
    for name in ("one", "two", "three"):
        save(GRAPH, tmp_path / f"{name}.json")
        Files.of(window).open(tmp_path / f"{name}.json")
    seen = []
    for _ in range(3):
        press(window, Qt.Key.Key_Tab)
        seen.append(window.page.name)
    assert ["one", "two", "three"] == seen


def test_files_opened_last_are_listed_and_those_that_are_gone_are_marked(window, tmp_path) -> None:
    for number in range(25):
        save(GRAPH, tmp_path / f"g{number}.json")
        Files.of(window).open(tmp_path / f"g{number}.json")
        window.close_page(window.page)
    (tmp_path / "g23.json").unlink()
    menu = window.actions_table.made["file.recent"].menu()
    menu.aboutToShow.emit()
    listed = [(action.text(), action.isEnabled()) for action in menu.actions()]
    assert 20 == len(Files.of(window).recent())
    assert listed[0][0].startswith("&1  g24.json")
    assert "not there any more" in listed[1][0]
    assert [True, False, True] == [enabled for _, enabled in listed[:3]]
    menu.actions()[2].trigger()
    assert "g22" == window.page.name


def test_files_opened_last_are_found_by_typing(window, tmp_path) -> None:
    for name in ("sunset", "portrait", "meadow"):
        save(GRAPH, tmp_path / f"{name}.json")
        Files.of(window).open(tmp_path / f"{name}.json")
        window.close_page(window.page)
    window.actions_table.made["file.recent"].trigger()
    (chooser,) = [found for found in window.findChildren(Chooser) if found.isVisible()]
    QTest.keyClicks(chooser.line, "port")
    QTest.keyClick(chooser.line, Qt.Key.Key_Return)
    assert "portrait" == window.page.name


def test_several_files_are_opened_at_once(window, qtbot, tmp_path) -> None:
    for name in ("one", "two"):
        save(GRAPH, tmp_path / f"{name}.json")
    Files.of(window).new()
    press(window, Qt.Key.Key_O)
    choose(window, qtbot, f'"{tmp_path / "one.json"}" "{tmp_path / "two.json"}"')
    assert ["one", "two"] == [page.name for page in window.pages()]
    assert "one" == window.page.name


def test_a_file_that_is_open_is_shown_and_not_opened_twice(window, file) -> None:
    first = Files.of(window).open(file)
    Files.of(window).new()
    assert first is Files.of(window).open(file.parent / "." / file.name)
    assert 2 == window.tabs.count()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b'{"a": 1}', "not a nodeflow graph"),
        (b'{"nodeflow": 99, "nodes": {}}', "update nodeflow"),
        (b'{"nodeflow": 1, "nodes": {', "ends too early"),
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0) + b"IEND", "carries no graph"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "saved as PNG do"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "saved as PNG do"),
    ],
)
def test_a_file_that_is_no_graph_is_told_in_the_window_and_nothing_opens(window, tmp_path, content, said) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    assert Files.of(window).open(path) is None
    assert said in window.notices.named("open").text
    assert "odd.json" in window.notices.named("open").text
    assert 0 == window.tabs.count()


def test_a_file_that_is_not_there_or_a_folder_is_told(window, tmp_path) -> None:
    for path, said in ((tmp_path / "none.json", "no such file"), (tmp_path, "a folder")):
        assert Files.of(window).open(path) is None
        assert said in window.notices.named("open").text


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_picture_opens_as_the_graph_it_carries_and_is_never_written_over(window, qtbot, tmp_path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"nodeflow\0" + write(GRAPH).encode()) + chunk(b"IEND", b"")
    )
    before = picture.read_bytes()
    Files.of(window).open(picture)
    assert "cat" == window.page.name
    assert window.page.model.file is None
    assert not window.page.changed
    press(window, Qt.Key.Key_S)
    choose(window, qtbot, tmp_path / "cat.json")
    assert write(GRAPH) == (tmp_path / "cat.json").read_text("utf-8")
    assert before == picture.read_bytes()


def test_a_faulty_file_opens_as_far_as_it_can_be_read_and_is_not_written_over_unasked(window, tmp_path) -> None:
    path = tmp_path / "faulty.json"
    text = '{"nodeflow": 1, "nodes": {"a": {"type": "t.make", "inputs": {"text": {"$from": 7}}}, "b": 3}}'
    path.write_text(text, "utf-8")
    page = Files.of(window).open(path)
    assert {"a"} == set(page.model.document.nodes)
    assert {} == dict(page.model.document.nodes["a"].inputs)
    assert {"a", "b"} == {problem.node for problem in page.faults}
    assert "2 parts" in page.bars.named("faults").text
    assert page.bars.named("faults").details.toPlainText().count("\n") >= 1
    press(window, Qt.Key.Key_S)
    assert text == path.read_text("utf-8")
    answer(page.bars.named("over"), Qt.Key.Key_O)
    assert () == page.faults
    assert {"a"} == set(read(path).nodes)
    (kept,) = (state_folder() / "replaced").iterdir()
    assert text == kept.read_text("utf-8")


# --- what goes wrong when saving


def test_a_full_disk_leaves_the_old_file_whole_and_the_graph_open(window, file, monkeypatch) -> None:
    before = file.read_bytes()
    Files.of(window).open(file)
    change(window)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        press(window, Qt.Key.Key_S)
        bar = window.page.bars.named("save")
        assert "make room on the disk" in bar.text
        assert before == file.read_bytes()
        assert [] == list(file.parent.glob("*.tmp"))
        assert window.page.changed
    answer(bar, Qt.Key.Key_T)
    assert "new" == text_of(file)
    assert not window.page.changed


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_no_permission_to_write_is_told_with_its_cure_and_the_graph_stays(window, qtbot, file, monkeypatch) -> None:
    Files.of(window).open(file)
    change(window)
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: allowed(path, mode) and not (mode & os.W_OK and str(path) == str(file))
    )
    press(window, Qt.Key.Key_S)
    bar = window.page.bars.named("save")
    assert "read-only" in bar.text
    assert "choose a place" in bar.text
    answer(bar, Qt.Key.Key_A)
    choose(window, qtbot, file.with_name("other.json"))
    assert "new" == text_of(file.with_name("other.json"))
    assert "old" == text_of(file)
