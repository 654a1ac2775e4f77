"""Backups: written apart from the file, bounded, and offered after a crash where they are newer and different."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nodeflow_editor import backups as backups_module
from nodeflow_editor.app import begin
from nodeflow_editor.autosave import Autosave
from nodeflow_editor.backups import About, Backups
from nodeflow_editor.disk import look
from nodeflow_editor.files import Files
from nodeflow_editor.settings import Settings, state_folder
from nodeflow_editor.window import Window
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from nodeflow.catalog import Catalog
from nodeflow.document import Document, NodeEntry, parse, read, save, write
from nodeflow.edits import SetInput
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import PortType

CATALOG = Catalog.of(
    NodeSpec("t.make", 1, "test", "Make", "", (Port("text", PortType("str"), default=""),),
             (Port("out", PortType("str")),), "m:make")
)  # fmt: skip
GRAPH = Document(nodes={"a": NodeEntry("t.make", 1, {"text": "old"})}, view={"nodes": {"a": [0, 0]}})
ABOUT = About(None, "Untitled")


def made(qtbot, tmp_path) -> Window:
    window = Window(CATALOG, Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window, before_close_func=lambda window: window.guards.clear())
    window.resize(1200, 800)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


@pytest.fixture
def window(qtbot, tmp_path) -> Window:
    return made(qtbot, tmp_path)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "graph.json"
    save(GRAPH, path)
    return path


def states() -> list[Path]:
    return sorted(path for path in (state_folder() / "backups").rglob("*.json") if path.stem.isdigit())


def text_of(document: Document) -> str:
    return document.nodes["a"].inputs["text"]


def change(window: Window, text: str) -> None:
    assert window.do(SetInput("a", "text", text), "Set text")


def test_a_change_is_backed_up_after_a_while_and_the_file_is_left_alone(window, qtbot, file) -> None:
    autosave = Autosave.of(window)
    autosave._timer.setInterval(50)
    before = file.read_bytes()
    Files.of(window).open(file)
    change(window, "new")
    qtbot.waitUntil(lambda: len(states()) == 1)
    assert "new" == text_of(read(states()[0]))
    assert before == file.read_bytes()
    QTest.qWait(200)
    assert 1 == len(states())  # nothing has changed since


def test_only_the_last_few_states_are_kept_and_few_bytes(monkeypatch) -> None:
    kept = Backups()
    for number in range(20):
        assert kept.put("1", f"{number:04}" * 100, ABOUT)
        assert kept.put("2", f"{number:04}" * 100, ABOUT)
    assert 2 * backups_module.KEPT == len(states())
    monkeypatch.setattr(backups_module, "BYTES", 1200)
    assert kept.put("1", "last" * 100, ABOUT)
    assert 3 == len(states())  # the newest of each graph, and one more that fits
    assert {"last" * 100, "0019" * 100} <= {path.read_text("utf-8") for path in states()}


def test_a_clean_exit_leaves_nothing_and_nothing_is_offered(window, qtbot, tmp_path, file) -> None:
    Files.of(window).open(file)
    change(window, "new")
    Autosave.of(window).keep_all()
    Autosave.of(window).flush()
    assert 1 == len(states())
    window.close()
    QTest.keyClick(window.notices.named("quit").buttons[0], Qt.Key.Key_D)
    assert [] == states()
    after = made(qtbot, tmp_path)
    begin(after, [file], restore=True)
    assert () == after.page.bars.names()


def test_a_disk_that_takes_no_backup_is_told_once_until_there_is_room_again(window, file, monkeypatch) -> None:
    Files.of(window).open(file)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(backups_module, "write_whole", full)
        for text in ("one", "two", "three"):
            change(window, text)
            Autosave.of(window).keep_all()
            Autosave.of(window).flush()
            QGuiApplication.processEvents()
            bar = window.notices.named("backups")
            assert (text == "one") == (bar is not None)
            if bar is not None:
                assert "No space left" in bar.text
                bar.take(bar.answers[-1])
    assert [] == states()
    Autosave.of(window).keep_all()  # there is room again, and nothing has changed since
    Autosave.of(window).flush()
    assert "three" == text_of(read(states()[0]))


def test_a_state_folder_that_is_a_file_is_tolerated(qtbot, tmp_path, file) -> None:
    state_folder().parent.mkdir(parents=True, exist_ok=True)
    state_folder().write_text("in the way", "utf-8")
    window = made(qtbot, tmp_path)
    page = Files.of(window).open(file)
    change(window, "new")
    Autosave.of(window).keep_now(page)
    QGuiApplication.processEvents()
    assert "no backup could be written" in window.notices.named("backups").text
    window.guards.clear()
    window.close()


EDITOR = """
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from PySide6.QtCore import QTimer, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
import nodeflow_editor.autosave as autosave, nodeflow_editor.app as app
from nodeflow.document import Document, NodeEntry
from nodeflow.edits import SetInput, AddNode
autosave.EVERY = 100
application = QApplication([])
def work():
    windows = [found for found in application.topLevelWidgets() if isinstance(found, app.Window)]
    if not windows or windows[0].page is None or "a" not in windows[0].page.model.document.nodes:
        return QTimer.singleShot(100, work)  # it is starting
    (window,) = windows
    assert window.do(SetInput("a", "text", "unsaved"), "Set text")
    app.Files.of(window).new()
    assert window.do(AddNode("lost", NodeEntry("t.make")), "Add")
QTimer.singleShot(100, work)
sys.exit(app.start([Path(name) for name in sys.argv[1:]]))
"""


@pytest.fixture
def editor() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts editors of their own process, in which somebody changes the graph in front and begins another."""
    started: list[subprocess.Popen] = []

    def start(*files: Path) -> subprocess.Popen:
        root = Path(__file__).parents[2]
        env = {**os.environ, "PYTHONPATH": f"{root / 'editor'}{os.pathsep}{root}", "QT_QPA_PLATFORM": "offscreen"}
        command = [sys.executable, "-c", EDITOR, *map(str, files)]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        crash(process)


def wait_for_states(process: subprocess.Popen, count: int) -> None:
    end = time.monotonic() + 60
    while len(states()) < count:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.05)


def crash(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stderr.close()


def click(bar, text: str) -> None:
    QTest.mouseClick(bar.findChild(QPushButton, text), Qt.MouseButton.LeftButton)


def test_after_kill_9_the_next_start_offers_the_backup_and_undo_takes_it_back(qtbot, tmp_path, file, editor) -> None:
    process = editor(file)
    wait_for_states(process, 2)
    crash(process)
    assert "old" == text_of(read(file))
    window = made(qtbot, tmp_path)
    begin(window, [file], restore=True)
    pages = {page.name: page for page in window.pages()}
    assert {"graph", "Untitled"} == set(pages)
    page = pages["graph"]
    assert "old" == text_of(page.model.document)
    bar = page.bars.named("backup")
    window.tabs.setCurrentWidget(page)
    click(bar, "Show differences")
    assert 'sets a.text to "unsaved"' in bar.details.toPlainText()
    click(bar, "Open backup")
    assert "unsaved" == text_of(page.model.document)
    assert page.changed
    assert "old" == text_of(read(file))
    assert ["lost"] == list(pages["Untitled"].model.document.nodes)
    assert pages["Untitled"].changed
    page.model.undo.undo()
    assert write(GRAPH) == write(page.model.document)


def test_a_backup_that_was_answered_is_not_offered_again_and_one_that_was_not_is(qtbot, tmp_path, file, editor) -> None:
    process = editor(file)
    wait_for_states(process, 2)
    crash(process)
    for answer, again in (("Later", True), ("Discard backup", True), ("", False)):
        window = made(qtbot, tmp_path)
        begin(window, [file], restore=True)
        page = Files.of(window).page_of(file)
        bar = page.bars.named("backup")
        assert again == (bar is not None)
        window.tabs.setCurrentWidget(page)
        if answer:
            click(bar, answer)
        window.guards.clear()
        window.close()
    assert [] == states()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_ends_the_editor_in_order_and_unsaved_work_is_there_at_the_next_start(
    qtbot, tmp_path, file, editor
) -> None:
    process = editor(file)
    wait_for_states(process, 2)
    process.send_signal(signal.SIGTERM)
    assert 0 == process.wait(timeout=30)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert [] == list((state_folder() / "open").iterdir())
    window = made(qtbot, tmp_path)
    begin(window, [file], restore=True)
    assert Files.of(window).page_of(file).bars.named("backup") is not None


def left_by_a_crash(file: Path | None, document: Document, *, age: float = 0.0, about: About | None = None) -> Backups:
    """A folder as an editor leaves it that is killed."""
    other = Backups()
    assert other.put("1", write(document), about or About(str(file) if file else None, "graph"))
    other._own.release()
    other._own = None
    if age:
        (state,) = states()
        state.rename(state.with_name(f"{int((time.time() - age) * 1e9):020}.json"))
    return other


NEW = Document(nodes={"a": NodeEntry("t.make", 1, {"text": "new"})}, view={"nodes": {"a": [0, 0]}})


def test_a_backup_older_than_its_file_is_not_offered(window, file) -> None:
    left_by_a_crash(file, NEW, age=3600)
    window.guards.clear()
    window.close()
    assert [] == offered(file)


@pytest.mark.parametrize(("changed", "offers"), [(False, True), (True, False)])
def test_a_clock_that_was_set_back_does_not_keep_a_backup_of_a_file_that_is_as_it_was(file, changed, offers) -> None:
    about = About(str(file), "graph", look(file).digest)
    left_by_a_crash(file, NEW, age=3600, about=about)
    if changed:
        save(Document(), file)
    assert offers == bool(offered(file))


def test_a_backup_that_is_the_same_as_its_file_is_not_offered(window, file) -> None:
    left_by_a_crash(file, GRAPH)
    assert [] == offered(file)


def test_a_backup_that_only_spells_its_file_otherwise_is_not_offered(window, file) -> None:
    left_by_a_crash(file, GRAPH)
    file.write_text(file.read_text("utf-8").replace("\n", " "), "utf-8")
    os.utime(file, (1, 1))
    assert [] == offered(file)


def test_a_damaged_backup_gives_way_to_the_one_before(window, file) -> None:
    left_by_a_crash(file, NEW)
    (state,) = states()
    whole = state.read_text("utf-8")
    state.with_name(f"{time.time_ns():020}.json").write_text(whole[:40], "utf-8")
    (left,) = offered(file)
    assert NEW == parse(left.text)


def test_a_backup_whose_file_is_gone_comes_back_as_a_graph_to_be_saved(qtbot, tmp_path, file) -> None:
    left_by_a_crash(file, NEW)
    file.unlink()
    window = made(qtbot, tmp_path)
    begin(window, [], restore=True)
    assert "new" == text_of(window.page.model.document)
    assert window.page.changed
    window.page.view.setFocus()
    QTest.keyClick(window.page.view, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    assert "new" == text_of(read(file))


def test_backups_of_a_running_editor_are_not_offered_to_another(file) -> None:
    running = Backups()
    assert running.put("1", write(NEW), About(str(file), "graph"))
    assert [] == offered(file)
    running.close()


def offered(file: Path) -> list:
    found = Backups()
    try:
        return [left for left in found.left() if not left.superseded()]
    finally:
        found.close()


def test_nothing_is_brought_back_when_it_is_not_wanted(qtbot, tmp_path, file) -> None:
    left_by_a_crash(None, NEW)
    window = made(qtbot, tmp_path)
    begin(window, [], restore=False)
    assert [] == list(window.page.model.document.nodes)
    window.close()
    assert 1 == len(states())


def test_untitled_graphs_come_back_and_a_second_crash_does_not_lose_them(qtbot, tmp_path) -> None:
    left_by_a_crash(None, NEW)
    window = made(qtbot, tmp_path)
    begin(window, [], restore=True)
    Autosave.of(window).flush()
    assert 1 == len(states())
    assert "new" == text_of(read(states()[0]))
    click(window.page.bars.named("backup"), "Discard it")
    Autosave.of(window).flush()
    assert [] == states()
    shutil.rmtree(state_folder())
