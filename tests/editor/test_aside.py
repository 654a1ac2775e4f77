"""Work beside the window's thread."""

import subprocess
import sys
import threading
from pathlib import Path

from nodeflow_editor.aside import Aside
from PySide6.QtCore import QObject
from shiboken6 import delete

EDITOR = Path(__file__).parents[2] / "editor"
HANGS = """
import threading
from PySide6.QtCore import QCoreApplication, QObject
from nodeflow_editor.aside import Aside
application = QCoreApplication([])
aside, begun = Aside("test", QObject(application)), threading.Event()
aside.call(lambda: begun.set() or threading.Event().wait(), print)
assert begun.wait(30)
aside.close()
"""


def test_what_is_done_comes_back_in_the_windows_thread_and_what_fails_too(qtbot) -> None:
    owner, told = QObject(), []
    aside = Aside("test", owner)
    aside.call(lambda: 7, lambda found: told.append((found, threading.current_thread())))
    aside.call(lambda: 1 // 0, told.append, lambda error: told.append(type(error)))
    qtbot.waitUntil(lambda: len(told) == 2)
    assert [(7, threading.main_thread()), ZeroDivisionError] == told
    aside.close()


def test_nothing_comes_back_once_it_is_closed(qtbot) -> None:
    owner, told, go = QObject(), [], threading.Event()
    aside = Aside("test", owner)
    aside.call(go.wait, told.append)
    aside.call(lambda: 2, told.append)
    aside.close()
    go.set()
    qtbot.wait(50)
    assert [] == told


def test_an_answer_that_comes_after_its_window_is_dropped_without_a_word(qtbot) -> None:
    owner, begun, go = QObject(), threading.Event(), threading.Event()
    aside = Aside("test", owner)
    aside.call(lambda: begun.set() or go.wait(), print)
    assert begun.wait(30)
    delete(owner)
    go.set()
    aside._work.put(None)
    aside._thread.join(30)
    assert not aside._thread.is_alive()


def test_the_program_ends_while_something_hangs() -> None:
    path = f"import sys; sys.path.insert(0, {str(EDITOR)!r})"
    subprocess.run([sys.executable, "-c", path + HANGS], check=True, timeout=60, cwd=EDITOR.parent)
