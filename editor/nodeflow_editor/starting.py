"""Before the window: whether Qt is there, is sound, and can open a window here. Qt itself would end the process. No Qt.

The checks take milliseconds. Only where one of them is in doubt another process tries, which takes a third of a second.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from nodeflow.errors import NodeflowError

INSTALL = "pip install 'nodeflow-engine[editor]'"
BASE = "libglib2.0-0 libgl1 libegl1 libfontconfig1 libxkbcommon0 libdbus-1-3 fonts-dejavu-core"
"""Debian's packages that Qt needs for anything at all."""
WINDOW = (
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0 libxcb-render-util0 "
    "libxcb-image0"
)
"""And for a window of X11."""
TRIAL = "from PySide6.QtGui import QGuiApplication; QGuiApplication([])"
DISPLAYS = ("WAYLAND_DISPLAY", "DISPLAY")
PATIENCE = 60.0
"""Seconds for the trial: a cold disk on a busy machine."""


def ready() -> None:
    """Returns if the editor can start.

    Raises:
        NodeflowError: it cannot; the message says what to install or set.
    """
    if find_spec("PySide6") is None:
        raise NodeflowError(
            f"the editor needs PySide6, which is not installed\n    {INSTALL}\n"
            f"    on Debian and Ubuntu Qt needs: apt install {BASE}\n    and for a window: apt install {WINDOW}"
        )
    try:
        import PySide6
        from PySide6 import QtCore, QtGui, QtWidgets  # noqa: F401 # whether they load
    except ImportError as error:
        raise NodeflowError(unloadable(str(error))) from error
    if not sound():
        raise NodeflowError(
            f"PySide6 {PySide6.__version__} under Python {sys.version_info.major}.{sys.version_info.minor} ends the "
            "program after a while: it loses a reference to None with each call\n"
            "    pip install 'PySide6-Essentials<6.12', or use Python 3.12 or later"
        )
    if doubtful() and (said := trial()) is not None:
        raise NodeflowError(no_window(said))


CALLS = 64


def sound() -> bool:
    """Whether calls that return None leave its count of references alone.

    PySide6 6.12.0 under Python before 3.12 loses one at each call, and ends the process after some thousands.
    """
    from PySide6.QtCore import QObject

    probe = QObject()
    before = sys.getrefcount(None)
    for _ in range(CALLS):
        probe.blockSignals(False)
        probe.setObjectName("x")
    return sys.getrefcount(None) > before - CALLS // 2


def unloadable(error: str) -> str:
    """What to say of a part of Qt that does not load."""
    missing = re.search(r"(\S+\.so[.\d]*): cannot open shared object", error)
    what = f"the library {missing[1]} is missing" if missing else error
    return f"Qt does not load: {what}\n    on Debian and Ubuntu: apt install {BASE}"


def doubtful(platform: str = sys.platform) -> bool:
    """Whether a window may be impossible here: no display, one that nobody serves, or a library that is missing."""
    named = os.environ.get("QT_QPA_PLATFORM", "")
    if named.partition(":")[0] in ("offscreen", "minimal", "vnc"):
        return False
    if platform != "linux" or named or os.environ.get("WAYLAND_DISPLAY"):
        return bool(named) or platform == "linux"
    return not _served(os.environ.get("DISPLAY", "")) or bool(missing_library())


def _served(display: str) -> bool:
    """Whether an X server of this machine answers; one of another machine is not asked here."""
    host, colon, number = display.rpartition(":")
    number = number.partition(".")[0]
    if not colon or not number.isdigit() or host not in ("", "unix"):
        return False
    for address in (f"\0/tmp/.X11-unix/X{number}", f"/tmp/.X11-unix/X{number}"):  # noqa: S108 # X11's own place
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(2.0)
            try:
                line.connect(address)
            except OSError:
                continue
            return True
    return False


def missing_library() -> str:
    """The library that the part of Qt lacks which makes windows of X11; empty if it has all."""
    from ctypes import CDLL

    spec = find_spec("PySide6")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    try:
        CDLL(str(folder / "Qt" / "plugins" / "platforms" / "libqxcb.so"))
    except OSError as error:
        found = re.search(r"(\S+\.so[.\d]*): cannot open shared object", str(error))
        return found[1] if found else str(error)
    return ""


def trial() -> str | None:
    """Starts Qt in another process: None if it can, else what it said."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL], capture_output=True, text=True, errors="replace", timeout=PATIENCE,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr


def no_window(said: str) -> str:
    """What to say where Qt can open no window; `said` is what it said itself."""
    named = os.environ.get("QT_QPA_PLATFORM", "")
    display = " or ".join(f"{name}={os.environ[name]}" for name in DISPLAYS if os.environ.get(name))
    if named and f'"{named.partition(":")[0]}"' in said and "Could not find" in said:
        return f"Qt can open no window: it has no platform {named}, which QT_QPA_PLATFORM names\n    unset it"
    if not display and not named and sys.platform == "linux":
        return (
            "there is no display to open a window on: neither DISPLAY nor WAYLAND_DISPLAY is set\n"
            "    start it from a desktop, or over ssh with -X; `nodeflow run` needs no display"
        )
    if sys.platform == "linux" and (library := missing_library()):
        return f"Qt can open no window: {library} is missing\n    on Debian and Ubuntu: apt install {WINDOW}"
    if "could not connect to display" in said or "Failed to create wl_display" in said:
        return f"Qt can open no window: nothing answers at {display}\n    see that the desktop it names is running"
    words = [line.strip() for line in said.splitlines() if line.strip()]
    reason = words[0][:200] if words else "it did not say why"
    return f"Qt can open no window: {reason}\n    on Debian and Ubuntu: apt install {WINDOW}"
