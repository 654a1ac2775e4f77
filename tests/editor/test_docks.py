"""The queue, the history, what is printed, and the plugins, in their docks."""

import os
import time

import pytest
from graphs_for_tests import document
from nodeflow_editor import plugins_dock as plugins_module
from nodeflow_editor.history_dock import HistoryDock
from nodeflow_editor.output_dock import LINES, OutputDock
from nodeflow_editor.plugins_dock import PluginsDock, leave_out
from nodeflow_editor.queue_dock import QueueDock
from nodeflow_editor.run.history import History
from nodeflow_editor.run.queue import Entry, RunQueue
from nodeflow_editor.run.thumbnails import thumbnail
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.settings import Settings
from nodeflow_editor.toolbar import Toolbar
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest

from nodeflow.catalog import OFF, Catalog, Plugin
from nodeflow.document import parse, write

SOON = 60_000
LEFT, NONE, ALT = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.AltModifier


@pytest.fixture
def window(run_window):
    return run_window()


def part(window, kind):
    return next(found for found in window.parts if isinstance(found, kind))


def show(window, name):
    window.docks[name].show()
    window.docks[name].raise_()
    QGuiApplication.processEvents()


def rows(dock):
    return [dock.list.item(row).text() for row in range(dock.list.count())]


def number(title, x=0):
    return document({"n": ("rough.number", {"x": x})}, {"x": "n"}, title=title)


def loop():
    return document({"l": ("rough.loops",)}, {"x": "l"}, title="Endless")


# --- queue


@pytest.fixture
def queue(window, qtbot):
    """A run that does not end, and three that wait."""
    show(window, "queue")
    runs = RunPart.of(window)
    for graph in (loop(), number("One", 1), number("Two", 2), number("Three", 3)):
        runs.submit(window.open_document(graph))
    dock = part(window, QueueDock)
    qtbot.waitUntil(lambda: len(rows(dock)) == 4 and rows(dock)[0].startswith("▶"), timeout=SOON)
    dock.list.setFocus()
    return dock


def titles(dock):
    return [row.split("  ")[1] for row in rows(dock)]


def test_runs_that_wait_are_listed_and_reordered_by_key(queue, window, qtbot):
    assert ["Endless", "One", "Two", "Three"] == titles(queue)
    assert "Queue (3)" == queue.dock.windowTitle()
    assert "3 waiting" == part(window, Toolbar).queue.text()
    queue.list.setCurrentRow(3)
    QTest.keyClick(queue.list, Qt.Key.Key_Up, ALT)
    qtbot.waitUntil(lambda: titles(queue) == ["Endless", "One", "Three", "Two"], timeout=SOON)
    assert "Three" in queue.list.currentItem().text()
    QTest.keyClick(queue.list, Qt.Key.Key_Up, ALT)
    qtbot.waitUntil(lambda: titles(queue) == ["Endless", "Three", "One", "Two"], timeout=SOON)
    assert not queue.buttons["earlier"].isEnabled()


def test_delete_takes_a_run_out_and_stops_the_one_that_is_going(queue, qtbot):
    queue.list.setCurrentRow(2)
    QTest.keyClick(queue.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: titles(queue)[:3] == ["Endless", "One", "Three"], timeout=SOON)
    queue.list.setCurrentRow(0)
    QTest.keyClick(queue.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: queue.dock.windowTitle() == "Queue", timeout=SOON)
    qtbot.waitUntil(lambda: any("Endless  ·  stopped" in row for row in rows(queue)), timeout=SOON)


def test_clear_empties_the_queue_and_a_run_that_is_over_can_be_run_again(queue, qtbot, window):
    QTest.mouseClick(queue.buttons["clear"], LEFT)
    qtbot.waitUntil(lambda: queue.dock.windowTitle() == "Queue", timeout=SOON)
    RunPart.of(window).cancel()
    qtbot.waitUntil(lambda: any("Endless  ·  stopped" in row for row in rows(queue)), timeout=SOON)
    row = next(at for at, text in enumerate(rows(queue)) if "One" in text)
    queue.list.setCurrentRow(row)
    queue.list.setFocus()
    QTest.keyClick(queue.list, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: any("One  ·  done" in text for text in rows(queue)), timeout=SOON)


def test_a_graph_is_run_several_times(window, qtbot):
    show(window, "queue")
    dock = part(window, QueueDock)
    window.open_document(number("Often"))
    dock.times.setValue(3)
    QTest.mouseClick(dock.buttons["several"], LEFT)
    assert "no seed changes" in window.statusBar().currentMessage()
    ends = []
    RunPart.of(window).runner.ended.connect(lambda *end: ends.append(end))
    qtbot.waitUntil(lambda: len(ends) == 3, timeout=SOON)


def test_the_folder_for_files_is_typed(window, tmp_path):
    show(window, "queue")
    dock = part(window, QueueDock)
    assert str(tmp_path / "outputs") == dock.out.text()
    dock.out.selectAll()
    QTest.keyClicks(dock.out, str(tmp_path / "elsewhere"))
    QTest.keyClick(dock.out, Qt.Key.Key_Return)
    assert tmp_path / "elsewhere" == RunPart.of(window).out
    dock.out.clear()
    QTest.keyClick(dock.out, Qt.Key.Key_Return)
    assert tmp_path / "outputs" == RunPart.of(window).out


def test_what_a_crash_left_is_offered_and_never_started_unasked(run_window, qtbot, tmp_path):
    crashed = RunQueue()
    for name in ("Going", "Waiting"):
        crashed.add(Entry(crashed.number(), write(number(name)), name, out=str(tmp_path), folder=str(tmp_path)))
    crashed.begin()
    crashed._own.release()
    crashed._own = None
    window = run_window()
    dock = part(window, QueueDock)
    qtbot.waitUntil(lambda: window.notices.named("queue") is not None, timeout=SOON)
    assert "2 runs were left in the queue when the editor ended last time." == window.notices.named("queue").text
    QTest.keyClick(window.notices.named("queue").buttons[0], Qt.Key.Key_S)
    assert window.docks["queue"].isVisible()
    assert dock.left.isVisible()
    states = [dock.left.list.item(row).checkState() for row in range(2)]
    assert [Qt.CheckState.Unchecked, Qt.CheckState.Checked] == states  # the one that was going may be the reason
    qtbot.wait(300)
    assert () == RunPart.of(window).runner.queue.entries()
    ends = []
    RunPart.of(window).runner.ended.connect(lambda *end: ends.append(end))
    QTest.mouseClick(dock.left.run, LEFT)
    qtbot.waitUntil(lambda: len(ends) == 1, timeout=SOON)
    assert not dock.left.isVisible()
    assert () == RunPart.of(window).runner.queue.left_over()


# --- history


@pytest.fixture
def history(run_window, tmp_path):
    """Three pictures; the file of the oldest is gone."""
    kept = History(thumbnail=thumbnail)
    for name, colour in (("first", "red"), ("second", "green"), ("third", "blue")):
        picture = QImage(40, 20, QImage.Format.Format_RGB32)
        picture.fill(colour)
        picture.save(str(tmp_path / f"{name}.png"))
        kept.add(name, "image", [str(tmp_path / f"{name}.png")], write(number(name)))
    (tmp_path / "first.png").unlink()
    window = run_window()
    show(window, "history")
    return part(window, HistoryDock)


def spot(dock, row):
    return dock.view.visualRect(dock.model.index(row)).center()


def test_pictures_stand_newest_first_and_a_click_shows_one(history):
    texts = [history.model.index(row).data() for row in range(3)]
    assert ["third", "second", "first"] == [text.split("\n")[0] for text in texts]
    assert "file is gone" in texts[2]
    assert (40, 20) == (history.model.index(0).data(Qt.ItemDataRole.DecorationRole).size().toTuple())
    wanted = []
    history._window.picture_wanted.connect(lambda *what: wanted.append(what))
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 1))
    assert ["second"] == [title for _, title, _ in wanted]
    assert "second.png" == wanted[0][2].name
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 2))
    assert 1 == len(wanted)
    assert "the file of this picture is gone" in history._window.statusBar().currentMessage()


def test_a_double_click_opens_the_graph_even_if_the_picture_is_gone(history):
    window = history._window
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 2))
    QTest.mouseDClick(history.view.viewport(), LEFT, NONE, spot(history, 2))
    assert number("first") == window.page.model.document
    assert "first" == window.page.name


def test_a_picture_is_copied_and_removed(history, tmp_path):
    QTest.mouseClick(history.view.viewport(), LEFT, NONE, spot(history, 0))
    QTest.keyClick(history.view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert (40, 20) == QGuiApplication.clipboard().image().size().toTuple()
    QTest.keyClick(history.view, Qt.Key.Key_Delete)
    assert ["second", "first"] == [picture.title for picture in history.model.pictures]
    assert (tmp_path / "third.png").is_file()


def test_a_delivered_picture_appears_at_once(window, qtbot):
    show(window, "history")
    dock = part(window, HistoryDock)
    graph = document({"p": ("showing.paints", {"grey": 0.7, "width": 12})}, {"image": "p"}, title="Grey")
    RunPart.of(window).submit(window.open_document(graph))
    qtbot.waitUntil(lambda: dock.model.rowCount() == 1, timeout=SOON)
    assert "Grey" == dock.model.pictures[0].title
    assert graph == parse(dock._history.graph_of(dock.model.pictures[0]))


# --- output


def test_what_nodes_print_and_small_values_are_shown(window, qtbot):
    graph = document({"p": ("rough.prints", {"text": "hello"}), "n": ("rough.number", {"x": 7})}, {"t": "p", "n": "n"})
    RunPart.of(window).submit(window.open_document(graph))
    text = part(window, OutputDock).text
    qtbot.waitUntil(lambda: "hello\n" in text.toPlainText() and "n: 7" in text.toPlainText(), timeout=SOON)
    assert "child" in text.toPlainText()


def test_printed_lines_are_bounded(window):
    dock = part(window, OutputDock)
    for _ in range(4):
        dock.add(["x" * 10_000] * LINES)
    assert LINES >= dock.text.blockCount()
    assert len(dock.text.toPlainText()) <= LINES * 2_001


# --- plugins


PLUGINS = (
    Plugin("image", "nodeflow_image", "nodeflow-engine", "0.1", "", nodes=("rough.number",)),
    Plugin("stranger", "stranger", "nodeflow-stranger", "2.0", "", nodes=("rough.loops", "rough.says")),
    Plugin("broken", "broken", "nodeflow-broken", "1.0", "", error="no such module", trace="Traceback: x"),
)


@pytest.fixture
def plugins(window, qtbot, monkeypatch):
    monkeypatch.delenv(OFF, raising=False)
    monkeypatch.setenv(OFF, "")
    specs, asked = {spec.id: spec.as_json() for spec in window.catalog}, []

    def look(*, refresh=False, off=None):
        asked.append(refresh)
        time.sleep(0.3)
        return Catalog(specs, PLUGINS)

    monkeypatch.setattr(plugins_module, "open_catalog", look)
    show(window, "plugins")
    dock = part(window, PluginsDock)
    qtbot.waitUntil(lambda: dock.list.topLevelItemCount() == 3, timeout=SOON)
    dock.asked = asked
    return dock


def test_plugins_are_listed_with_what_is_wrong(plugins):
    told = [[plugins.list.topLevelItem(row).text(column) for column in range(4)] for row in range(3)]
    assert ["image", "0.1", "nodeflow-engine", "1"] == told[0]
    assert ["broken", "1.0", "nodeflow-broken", "✕ broken"] == told[2]
    assert "Plugins (1 broken)" == plugins.dock.windowTitle()
    plugins.list.setCurrentItem(plugins.list.topLevelItem(2))
    assert "Traceback: x" in plugins.details.toPlainText()


def test_a_refresh_does_not_hold_up_the_window_and_gives_open_graphs_the_new_types(plugins, qtbot):
    window = plugins._window
    page = window.open_document(document({"l": ("rough.loops",)}))
    before = window.catalog
    began = time.monotonic()
    QTest.mouseClick(plugins.refresh_button, LEFT)
    assert time.monotonic() - began < 0.2
    assert not plugins.refresh_button.isEnabled()
    qtbot.waitUntil(plugins.refresh_button.isEnabled, timeout=SOON)
    assert [False, True] == plugins.asked
    assert before is not window.catalog is page.model.catalog


def test_a_plugin_that_is_switched_off_leaves_placeholders_and_comes_back(plugins, qtbot):
    window = plugins._window
    page = window.open_document(document({"l": ("rough.loops",), "n": ("rough.number",)}))
    item = plugins.list.topLevelItem(1)
    item.setCheckState(0, Qt.CheckState.Unchecked)
    assert page.model.face("l").absent
    assert not page.model.face("n").absent
    assert ("stranger", ["stranger"]) == (os.environ[OFF], window.settings.get("plugins_off", []))
    assert "off" == plugins.list.topLevelItem(1).text(3)
    plugins.list.topLevelItem(1).setCheckState(0, Qt.CheckState.Checked)
    assert not page.model.face("l").absent
    assert "" == os.environ[OFF]


def test_the_safe_mode_leaves_nodeflows_own_plugins_alone(plugins):
    page = plugins._window.open_document(document({"l": ("rough.loops",), "n": ("rough.number",)}))
    QTest.mouseClick(plugins.safe, LEFT, NONE, plugins.safe.rect().center() - plugins.safe.rect().center() / 1.1)
    assert page.model.face("l").absent
    assert not page.model.face("n").absent
    assert "others" == os.environ[OFF]


def test_settings_and_the_flag_say_what_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv(OFF, "one")
    settings = Settings(tmp_path / "s.json")
    settings.set("plugins_off", ["two"])
    leave_out(settings)
    assert "one,two" == os.environ[OFF]
    leave_out(settings, safe=True)
    assert "one,two,others" == os.environ[OFF]


# --- toolbar


def test_the_toolbar_runs_cancels_and_chooses_the_device(window, qtbot):
    bar = part(window, Toolbar)
    window.open_document(loop())
    made = window.actions_table.made
    assert not made["run.cancel"].isEnabled()
    QTest.mouseClick(bar.bar.widgetForAction(made["run.run"]), LEFT)
    qtbot.waitUntil(made["run.cancel"].isEnabled, timeout=SOON)
    qtbot.waitUntil(lambda: RunPart.of(window).runner.state == "running", timeout=SOON)
    QTest.mouseClick(bar.bar.widgetForAction(made["run.cancel"]), LEFT)
    qtbot.waitUntil(lambda: not made["run.cancel"].isEnabled(), timeout=SOON)
    bar.device.menu().actions()[0].trigger()
    assert "" == RunPart.of(window).device
    assert "Best device ▾" == bar.device.text()
    window.page.view.zoom(0.5)
    assert "50 % ▾" == bar.zoom.text()
