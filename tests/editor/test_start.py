"""How the editor starts, what keeps it from starting, and what it finds as it was."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from nodeflow_editor import app, starting
from nodeflow_editor.files import Files
from nodeflow_editor.reports import Reports, log_file
from nodeflow_editor.session import Session
from nodeflow_editor.settings import Settings
from nodeflow_editor.window import Window
from PySide6.QtCore import QPointF, QSize, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from nodeflow.catalog import Catalog, Plugin
from nodeflow.cli import call
from nodeflow.document import Document, NodeEntry, save
from nodeflow.errors import NodeflowError

ROOT = Path(__file__).parents[2]
GRAPH = Document(
    nodes={name: NodeEntry("t.absent") for name in ("a", "b")}, view={"nodes": {"a": [0, 0], "b": [4000, 900]}}
)


def nodeflow(*arguments: str, code: str = "", **env: str | None) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own; `code` runs before it."""
    whole = {**os.environ, "PYTHONPATH": f"{ROOT / 'editor'}{os.pathsep}{ROOT}", **env}
    lines = f"import sys\n{code}\nfrom nodeflow.cli import call\nsys.exit(call({list(arguments)!r}))"
    return subprocess.run(
        [sys.executable, "-c", lines], env={name: value for name, value in whole.items() if value is not None},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def made(qtbot, tmp_path) -> Window:
    window = Window(Catalog.of(), Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window, before_close_func=lambda window: window.guards.clear())
    window.resize(1200, 800)
    window.show()
    qtbot.waitExposed(window)
    return window


def test_the_first_window_fits_on_a_small_screen() -> None:
    assert (1480, 920) == app.fitting(QSize(2560, 1400)).toTuple()
    assert (1284, 677) == app.fitting(QSize(1366, 720)).toTuple()


def test_a_graph_that_was_asked_for_is_in_front_of_what_a_crash_left(qtbot, tmp_path, monkeypatch) -> None:
    window, file = made(qtbot, tmp_path), tmp_path / "asked.json"
    save(GRAPH, file)
    monkeypatch.setattr(app.Recovery, "offer", lambda _: Files.of(window).new(GRAPH, "left"))
    app.begin(window, [file], restore=True)
    assert ["asked", "left"] == [page.name for page in window.pages()]
    assert "asked" == window.page.name


# --- what keeps it from starting


def test_help_and_a_missing_pyside_need_no_qt() -> None:
    blocked = "sys.modules['PySide6'] = None"
    assert "Open the desktop editor" in nodeflow("edit", "--help", code=blocked).stdout


def test_without_pyside_it_says_what_to_install(monkeypatch, capsys) -> None:
    monkeypatch.setattr(starting, "find_spec", lambda _: None)
    assert 2 == call(["edit"])
    told = capsys.readouterr().err
    assert "pip install 'nodeflow-engine[editor]'" in told
    assert "libglib2.0-0" in told
    assert "libxcb-cursor0" in told


def test_a_library_that_qt_lacks_is_named_with_debians_packages() -> None:
    done = nodeflow("edit", code="sys.modules['PySide6.QtWidgets'] = None")
    assert 2 == done.returncode
    assert "Qt does not load" in done.stderr
    assert "apt install libglib2.0-0" in done.stderr
    assert "libEGL.so.1 is missing" in starting.unloadable("libEGL.so.1: cannot open shared object file: No such file")


def test_a_pyside_that_loses_none_is_refused(monkeypatch) -> None:
    assert starting.sound()
    monkeypatch.setattr(starting, "sound", lambda: False)
    with pytest.raises(NodeflowError, match=r"PySide6-Essentials<6\.12"):
        starting.ready()


@pytest.mark.skipif(sys.platform != "linux", reason="displays of X11 and Wayland")
@pytest.mark.parametrize(
    ("display", "platform", "said"),
    [
        (None, None, "there is no display"),
        (":7654", None, "nothing answers at DISPLAY=:7654"),
        (None, "nonsense", "no platform nonsense"),
    ],
)
def test_where_no_window_can_be_opened_it_says_why_and_does_not_abort(display, platform, said) -> None:
    if display is not None and starting.missing_library():
        pytest.skip("a library for windows of X11 is missing, which is said first")
    done = nodeflow("edit", DISPLAY=display, WAYLAND_DISPLAY=None, QT_QPA_PLATFORM=platform)
    assert 2 == done.returncode
    assert said in done.stderr


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_with_a_display_there_is_no_doubt_and_no_trial(monkeypatch) -> None:
    read, write = os.pipe()
    with subprocess.Popen(["Xvfb", "-displayfd", str(write), "-nolisten", "tcp"], pass_fds=[write]) as server:
        try:
            os.close(write)
            number = os.read(read, 20).decode().strip()
            for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("DISPLAY", f":{number}")
            assert starting.doubtful() == bool(starting.missing_library())
        finally:
            os.close(read)
            server.terminate()


# --- the whole program


WORK = """
import nodeflow_editor.starting as starting
starting.ready()
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
application = QApplication(["nodeflow"])
def window():
    import nodeflow_editor.window
    found = [one for one in application.topLevelWidgets() if isinstance(one, nodeflow_editor.window.Window)]
    return found[0] if found else None
def when(ready, do):
    if window() and window().page and ready():
        do()
    else:
        QTimer.singleShot(20, lambda: when(ready, do))
"""
"""Begins the program, and has `do` done in it when its window is there and something is so."""


def test_the_program_opens_graphs_by_name_and_its_process_loads_neither_torch_nor_plugins(tmp_path) -> None:
    for name in ("one", "two"):
        save(GRAPH, tmp_path / f"{name}.json")
    code = WORK + (
        "def look():\n"
        "    print([page.name for page in window().pages()], window().page.name)\n"
        "    print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'triton', 'nodeflow_image'}))\n"
        "    window().close()\n"
        "when(lambda: len(list(window().pages())) == 2, look)\n"
    )
    done = nodeflow("edit", str(tmp_path / "one.json"), str(tmp_path / "two.json"), code=code)
    assert 0 == done.returncode, done.stderr
    assert ["['one', 'two'] one", "[]"] == done.stdout.splitlines()


def test_what_nobody_catches_is_shown_and_written_down_and_the_window_lives(tmp_path) -> None:
    code = WORK + (
        "import threading\n"
        "def fail():\n"
        "    raise KeyError('in a slot')\n"
        "def begin():\n"
        "    for at in (10, 20, 30): QTimer.singleShot(at, fail)\n"
        "    QTimer.singleShot(50, lambda: threading.Thread(target=lambda: 1 / 0).start())\n"
        "def look():\n"
        "    print(window().isVisible(), window().notices.named('failure').text)\n"
        "    window().close()\n"
        "when(lambda: True, begin)\n"
        "when(lambda: 'Zero' in getattr(window().notices.named('failure'), 'text', ''), look)\n"
    )
    done = nodeflow("edit", code=code)
    assert 0 == done.returncode, done.stderr
    assert "True Something in the editor failed: ZeroDivisionError" in done.stdout
    written = log_file().read_text("utf-8")
    assert 3 == written.count("KeyError: 'in a slot'")
    assert "ZeroDivisionError" in written


def test_a_failure_that_comes_again_and_again_fills_neither_window_nor_disk(qtbot, tmp_path) -> None:
    window = made(qtbot, tmp_path)
    reports = Reports(window)
    for _ in range(400):
        reports.take(ValueError, ValueError("again"), None)
        QGuiApplication.processEvents()
    bar = window.notices.named("failure")
    assert "(256 times)" in bar.text
    assert ("failure",) == window.notices.names()
    assert log_file().read_text("utf-8").count("ValueError: again") <= 60


def test_hooks_for_failures_are_as_before_when_the_window_is_closed(qtbot, tmp_path) -> None:
    before = sys.excepthook, threading.excepthook
    window = made(qtbot, tmp_path)
    reports = Reports(window)
    reports.install()
    assert sys.excepthook is not before[0]
    window.close()
    assert before == (sys.excepthook, threading.excepthook)


def test_without_a_catalog_and_with_broken_plugins_graphs_open_all_the_same(qtbot, tmp_path, monkeypatch) -> None:
    def fails() -> Catalog:
        raise OSError("the disk is gone")

    monkeypatch.setattr(app, "open_catalog", fails)
    catalog, trouble = app.known_nodes()
    assert 0 == len(catalog)
    assert "the disk is gone" in trouble
    broken = [Plugin(f"shaky_{i}", "shaky", "shaky", "1", "", error="ImportError") for i in range(9)]
    monkeypatch.setattr(app, "open_catalog", lambda: Catalog({}, tuple(broken)))
    catalog, trouble = app.known_nodes()
    assert "shaky_5 and 3 more" in trouble
    save(GRAPH, tmp_path / "graph.json")
    window = made(qtbot, tmp_path)
    app.begin(window, [tmp_path / "graph.json"], restore=True, trouble=trouble)
    bar = window.notices.named("plugins")
    assert "shaky" in bar.text
    assert not window.docks["plugins"].isVisible()
    bar.take(bar.answers[0])
    assert window.docks["plugins"].isVisible()
    assert "graph" == window.page.name


# --- as it was


def opened(window: Window, folder: Path, *names: str) -> None:
    for name in names:
        save(GRAPH, folder / f"{name}.json")
        Files.of(window).open(folder / f"{name}.json")


def corner(window: Window) -> tuple[int, int]:
    place = window.page.view.at(QPointF(0, 0))
    return round(place.x()), round(place.y())


def test_tabs_zoom_place_and_the_tab_in_front_are_as_they_were(qtbot, tmp_path) -> None:
    first = made(qtbot, tmp_path)
    opened(first, tmp_path, "one", "two", "three")
    first.tabs.setCurrentIndex(1)
    first.page.view.zoom(0.5)
    first.page.view.pan(-321, -123)
    seen = corner(first)
    first.close()
    second = made(qtbot, tmp_path)
    app.begin(second, [], restore=True)
    assert ["one", "two", "three"] == [page.name for page in second.pages()]
    assert "two" == second.page.name
    assert 0.5 == second.page.view.scale_now
    assert max(abs(a - b) for a, b in zip(seen, corner(second), strict=True)) <= 2


def test_the_window_and_its_docks_are_as_they_were(qtbot, tmp_path) -> None:
    first = made(qtbot, tmp_path)
    hidden = {name for name, dock in first.docks.items() if dock.isVisible()}
    for name in hidden:
        first.docks[name].hide()
    QTest.qWait(50)
    first.resize(760, 600)
    size = first.size()
    first.close()
    second = Window(Catalog.of(), Settings(tmp_path / "settings.json"))
    qtbot.addWidget(second)
    assert Session.of(second).restore_window()
    second.show()
    assert size == second.size()
    assert not any(second.docks[name].isVisible() for name in hidden)


def test_named_graphs_open_alone_and_no_restore_begins_anew(qtbot, tmp_path) -> None:
    first = made(qtbot, tmp_path)
    opened(first, tmp_path, "one", "two")
    first.close()
    second = made(qtbot, tmp_path)
    app.begin(second, [tmp_path / "two.json"], restore=True)
    assert ["two"] == [page.name for page in second.pages()]
    third = made(qtbot, tmp_path)
    app.begin(third, [], restore=False)
    assert ["Untitled"] == [page.name for page in third.pages()]


def test_a_file_that_is_gone_and_settings_that_are_damaged_do_not_keep_the_rest_from_opening(qtbot, tmp_path) -> None:
    first = made(qtbot, tmp_path)
    opened(first, tmp_path, "one", "two")
    first.close()
    (tmp_path / "one.json").unlink()
    second = made(qtbot, tmp_path)
    app.begin(second, [], restore=True)
    assert ["two"] == [page.name for page in second.pages()]
    assert "one.json" in second.statusBar().currentMessage()
    second.close()
    odd = {"tabs": [7, {"file": 3}, {"file": str(tmp_path / "two.json"), "scale": "x", "corner": [1]}], "front": "y"}
    settings = Settings(tmp_path / "settings.json")
    settings.set("session", odd)
    settings.set("window", {"geometry": "%%%", "state": 4})
    third = made(qtbot, tmp_path)
    assert not Session.of(third).restore_window()
    app.begin(third, [], restore=True)
    assert ["two"] == [page.name for page in third.pages()]


@pytest.mark.parametrize("text", ['{"keys": {"edit.undo": "Ctrl+U"},}', "[1]", "[" * 100_000, "\0"])
def test_settings_that_are_damaged_are_kept_and_told_before_others_are_written(qtbot, tmp_path, text) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    window = made(qtbot, tmp_path)
    app.begin(window, [], restore=True)
    assert str(tmp_path / "settings.damaged.json") in window.notices.named("settings").text
    window.settings.set("out", "there")
    window.close()
    assert text == (tmp_path / "settings.damaged.json").read_text()
    again = Settings(path)
    assert (None, "there") == (again.damaged, again.get("out", ""))


def test_settings_that_somebody_damages_meanwhile_do_not_take_the_others_along(tmp_path) -> None:
    settings = Settings(tmp_path / "settings.json")
    settings.set("out", "there")
    assert "there" == Settings(tmp_path / "settings.json").get("out", "")
    (tmp_path / "settings.json").write_text('{"out": "the')
    settings.set("device", "cpu")
    again = Settings(tmp_path / "settings.json")
    assert ("there", "cpu") == (again.get("out", ""), again.get("device", ""))
    assert '{"out": "the' == (tmp_path / "settings.damaged.json").read_text()


def test_the_tab_that_was_in_front_is_so_again_though_one_before_it_is_gone(qtbot, tmp_path) -> None:
    first = made(qtbot, tmp_path)
    opened(first, tmp_path, "one", "two", "three")
    first.tabs.setCurrentIndex(1)
    first.close()
    (tmp_path / "one.json").unlink()
    second = made(qtbot, tmp_path)
    app.begin(second, [], restore=True)
    assert "two" == second.page.name


def test_a_crash_finds_the_tabs_as_well(qtbot, tmp_path) -> None:
    window = made(qtbot, tmp_path)
    timer = Session.of(window).findChild(QTimer)
    timer.setInterval(20)
    opened(window, tmp_path, "one")
    qtbot.waitUntil(lambda: not timer.isActive())
    kept = Settings(tmp_path / "settings.json").get("session", {})
    assert [str(tmp_path / "one.json")] == [tab["file"] for tab in kept["tabs"]]


def test_the_window_fits_a_small_screen(qtbot, tmp_path) -> None:
    window = Window(Catalog.of(), Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.show()
    for dock in window.docks.values():
        if window.dockWidgetArea(dock) == Qt.DockWidgetArea.RightDockWidgetArea:
            dock.show()
    window.resize(1280, 640)
    assert (1280, 640) == (window.width(), window.height())


@pytest.mark.skipif(sys.platform != "linux", reason="fontconfig's fonts")
def test_where_no_font_is_installed_it_says_so(tmp_path) -> None:
    none = tmp_path / "fonts.conf"
    none.write_text(f"<fontconfig><cachedir>{tmp_path}/cache</cachedir></fontconfig>")
    code = WORK + "when(lambda: True, lambda: QTimer.singleShot(200, window().close))\n"
    done = nodeflow("edit", code=code, FONTCONFIG_FILE=str(none))
    assert 0 == done.returncode
    assert "apt install fonts-dejavu-core" in done.stderr
