"""Starts the editor: the application, its look, its window."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from PySide6.QtCore import QSize, QSocketNotifier
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication, QDockWidget

from nodeflow.catalog import Catalog, open_catalog
from nodeflow.errors import told
from nodeflow_editor.autosave import Autosave
from nodeflow_editor.bars import Answer
from nodeflow_editor.closing import Closing
from nodeflow_editor.files import Files
from nodeflow_editor.plugins_dock import leave_out
from nodeflow_editor.recovery import Recovery
from nodeflow_editor.reports import Reports
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.session import Session
from nodeflow_editor.settings import Settings
from nodeflow_editor.soon import soon
from nodeflow_editor.splash import patiently
from nodeflow_editor.style import dress
from nodeflow_editor.sweeping import Sweeper
from nodeflow_editor.theme import DARK
from nodeflow_editor.window import Window

ENDS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))
"""What asks a program to end."""
SIZE, EDGE = QSize(1480, 920), 0.94
"""The window when it opens for the first time, and the share of a small screen that it takes."""
WARM = 1_000
"""Milliseconds after which the worker is started, so that the first run need not wait for it."""
LOOKING = "Looking at the installed nodes. Once after an installation this takes some seconds."
NAMED = 6
"""Plugins that are named in a sentence."""
NO_FAMILIES = frozenset(("Monospace", "Sans Serif", "Serif"))
"""What Qt lists where there is not one."""
NO_FONTS = "no fonts are installed, so texts cannot be drawn\n    on Debian: apt install fonts-dejavu-core\n"


def start(files: Sequence[Path], *, restore: bool = True, safe: bool = False) -> int:
    """Opens the editor, and returns the exit code when it is closed.

    Args:
        files: graphs, be they there yet or not, and pictures that carry one. With none, the tabs of the last time.
        restore: whether the tabs and the window of the last time, and what a crash left, are brought back.
        safe: whether plugins that did not come with nodeflow are left out.
    """
    application = QApplication.instance() or QApplication(["nodeflow"])
    assert isinstance(application, QApplication)
    application.setApplicationName("nodeflow")
    application.setApplicationDisplayName("nodeflow")
    application.setDesktopFileName("nodeflow")
    dress(application, DARK)
    settings = Settings()
    leave_out(settings, safe=safe)
    catalog, trouble = patiently(known_nodes, LOOKING)
    window = Window(catalog, settings)
    reports = Reports(window)
    reports.install()
    if not (restore and Session.of(window).restore_window()):
        window.resize(fitting(window.screen().availableSize()))
    window.show()
    signals, sweeper = Signals(window), Sweeper(window)
    # once the window has its size: what fits in sight depends on it
    soon(window, lambda: begin(window, files, restore=restore, trouble=trouble))
    soon(window, RunPart.of(window).runner.warm, WARM)
    code = application.exec()
    signals.over()
    sweeper.over()
    return code


def fitting(room: QSize) -> QSize:
    """The size of the first window on a screen with that much room: SIZE, with an edge of the screen around it."""
    return SIZE.boundedTo(room * EDGE)


def known_nodes() -> tuple[Catalog, str]:
    """The installed nodes, and what went wrong with them. Without any, graphs open all the same."""
    try:
        catalog = open_catalog()
    except Exception as error:  # a plugin's metadata, a disk: whatever it is, graphs can be looked at and saved
        return Catalog.of(), f"The installed nodes could not be read: {told(error)}"
    broken = [plugin.name for plugin in catalog.plugins if plugin.error]
    if not broken:
        return catalog, ""
    more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
    names = ", ".join(broken[:NAMED]) + more
    return catalog, f"Plugins that do not load: {names}. Their nodes are absent; the dock Plugins says why."


def begin(window: Window, files: Sequence[Path], *, restore: bool, trouble: str = "") -> None:
    """Opens what the window begins with."""
    opened = Files.of(window)
    if files:
        opened.open_all(files, begin=True)
    elif restore:
        Session.of(window).restore_tabs()
    asked = window.page if files else None
    if restore:
        Recovery.of(window).offer()
    if asked is not None:
        window.tabs.setCurrentWidget(asked)
    if window.page is None:
        opened.new()
    if trouble:
        answers = (Answer("Show &plugins", lambda: show(window.docks["plugins"])), Answer("&Close"))
        window.notices.ask("plugins", trouble, answers, kind="warns", focus=False)
    if (aside := window.settings.damaged) is not None:
        text = f"The settings could not be read, and begin anew. They are kept as {aside}."
        window.notices.ask("settings", text, (Answer("&Close"),), kind="warns", focus=False)
    if NO_FAMILIES.issuperset(QFontDatabase.families()):
        # where no letter can be drawn, this is the place to say it
        sys.stderr.write(NO_FONTS)


def show(dock: QDockWidget) -> None:
    """Opens a dock, and brings it to the front of those that share its place."""
    dock.show()
    dock.raise_()


class Signals:
    """Signals that ask the program to end close the window unasked; what is not saved is offered at the next start.

    Python's handlers run between two of its instructions, and Qt's loop has none while it waits: a byte wakes it.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)
        self._notifier = QSocketNotifier(self._read.fileno(), QSocketNotifier.Type.Read, window)
        self._notifier.activated.connect(self._woken)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in ENDS:
            signal.signal(number, self._end)

    def _woken(self) -> None:
        with contextlib.suppress(OSError):
            self._read.recv(64)

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        soon(self._window, self._leave)

    def _leave(self) -> None:
        self._window.settling.emit()
        Autosave.of(self._window).leave_behind()
        self._window.guards.clear()  # nobody is asked
        Closing.of(self._window).leave()

    def over(self) -> None:
        """The window is gone: a signal that comes now finds the program ending, and shall not hold it up."""
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self._notifier.setEnabled(False)
        self._read.close()
        self._write.close()
