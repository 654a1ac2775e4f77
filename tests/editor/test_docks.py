"""The queue, what is printed, and the plugins, in their docks."""

import os
import time

import pytest
from graphs_for_tests import document
from nodeflow_editor import plugins_dock as plugins_module
from nodeflow_editor.output_dock import LINES, OutputDock
from nodeflow_editor.plugins_dock import PluginsDock, leave_out
from nodeflow_editor.queue_dock import QueueDock
from nodeflow_editor.run.queue import Entry, RunQueue
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.settings import Settings
from nodeflow_editor.toolbar import Toolbar
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from nodeflow.catalog import OFF, Catalog, Plugin
from nodeflow.document import write

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


def test_delete_again_takes_out_the_next_and_never_what_runs(queue, qtbot):
    queue.list.setCurrentRow(1)
    for left in (["Two", "Three"], ["Three"], []):
        QTest.keyClick(queue.list, Qt.Key.Key_Delete)
        qtbot.waitUntil(lambda now=left: titles(queue)[: len(now) + 1] == ["Endless", *now], timeout=SOON)
        qtbot.wait(50)
        assert "▶" not in queue.list.currentItem().text()


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


def test_hundreds_of_runs_do_not_hold_up_the_window(queue, qtbot, window, monkeypatch):
    filled = []
    fill = queue._list
    monkeypatch.setattr(queue, "_list", lambda entries: (filled.append(len(entries)), fill(entries)))
    part(window, RunPart).submit(window.page, times=300)
    qtbot.waitUntil(lambda: "Queue (303)" == queue.dock.windowTitle(), timeout=SOON)
    assert len(filled) < 150
    filled.clear()
    QTest.mouseClick(queue.buttons["clear"], LEFT)
    qtbot.waitUntil(lambda: "Queue" == queue.dock.windowTitle(), timeout=SOON)
    qtbot.waitUntil(lambda: len(rows(queue)) == 21, timeout=SOON)
    assert len(filled) < 150


def test_a_list_that_is_being_read_stays_where_it_is(queue, qtbot, window):
    RunPart.of(window).submit(window.page, times=40)
    qtbot.waitUntil(lambda: "Queue (43)" == queue.dock.windowTitle(), timeout=SOON)
    window.setFocus()
    bar = queue.list.verticalScrollBar()
    bar.setValue(20)
    before = bar.value()
    assert before > 0
    RunPart.of(window).runner.cancel(RunPart.of(window).runner.queue.entries()[-1].id)
    qtbot.waitUntil(lambda: "Queue (42)" == queue.dock.windowTitle(), timeout=SOON)
    qtbot.wait(50)
    assert before == bar.value()


def test_a_queue_that_cannot_be_written_says_so(queue, qtbot, window):
    assert not queue.trouble.isVisible()
    waiting = RunPart.of(window).runner.queue
    waiting.trouble = "No space left on device"
    queue.fill()
    assert queue.trouble.isVisible()
    assert "No space left on device" in queue.trouble.text()
    waiting.trouble = ""
    queue.fill()
    assert not queue.trouble.isVisible()


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
    plugins.list.setCurrentItem(item)
    item.setCheckState(0, Qt.CheckState.Unchecked)
    assert item is plugins.list.topLevelItem(1)  # Qt still holds it: a list made anew at once would leave it nothing
    assert page.model.face("l").absent
    assert not page.model.face("n").absent
    assert ("stranger", ["stranger"]) == (os.environ[OFF], window.settings.get("plugins_off", []))
    qtbot.waitUntil(lambda: "off" == plugins.list.topLevelItem(1).text(3), timeout=SOON)
    assert "stranger" == plugins.list.currentItem().text(0)
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
