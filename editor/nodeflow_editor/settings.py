"""What the editor remembers between starts: a JSON file, written whole or not at all. No Qt.

It is written by a thread of its own: a disk takes some 10 ms, and the places of windows are kept each time they rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from platformdirs import user_config_path, user_data_path, user_state_path

JSON = Any
LARGEST = 4 * 2**20
"""Bytes that a settings file may have; a larger one is none of ours."""
HAND = ThreadPoolExecutor(1, thread_name_prefix="editor-settings")
"""Writes, one file after the other; what is begun is done before the program ends."""


def config_folder() -> Path:
    """Where settings are: NODEFLOW_EDITOR_HOME, else the user's own folder for them."""
    home = os.environ.get("NODEFLOW_EDITOR_HOME")
    return Path(home) if home else user_config_path("nodeflow", appauthor=False)


def state_folder() -> Path:
    """Where backups, the queue and the history are: below NODEFLOW_EDITOR_HOME, else the user's folder for state."""
    home = os.environ.get("NODEFLOW_EDITOR_HOME")
    return Path(home) / "state" if home else user_state_path("nodeflow", appauthor=False)


def data_folder() -> Path:
    """Where pictures are that graphs name and no other folder has: below NODEFLOW_EDITOR_HOME, else the user's own."""
    home = os.environ.get("NODEFLOW_EDITOR_HOME")
    return Path(home) / "data" if home else user_data_path("nodeflow", appauthor=False)


class Settings:
    """Values by name. What cannot be read counts as not set; what cannot be written is forgotten at the end.

    A file that is damaged is kept beside it before another is written; `damaged` is then where.

    Several editors may share a file: each writes the values that it has set, and leaves the others as they are there.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_folder() / "editor.json"
        self.damaged: Path | None = None
        self._lock = threading.Lock()
        self._unwritten: dict[str, JSON] = {}
        HAND.submit(lambda: None).result()  # what this program has set is in the file
        self._values: dict[str, JSON] = {}
        self._values = self._read()

    def _read(self) -> dict[str, JSON]:
        """What the file holds; what was known before where it is damaged."""
        try:
            if not self.path.is_file() or not self.path.stat().st_size:
                return {}
            if self.path.stat().st_size <= LARGEST:
                found = json.loads(self.path.read_text("utf-8"))
                if isinstance(found, dict):
                    return found
        except OSError:
            return {}
        except (ValueError, RecursionError):
            pass
        self._keep_aside()
        return self._values

    def _keep_aside(self) -> None:
        """Somebody may have edited the file, and slipped: that is worth more than what is written over it."""
        aside = self.path.with_name(f"{self.path.stem}.damaged{self.path.suffix}")
        with contextlib.suppress(OSError):
            os.replace(self.path, aside)
            self.damaged = aside

    def get(self, name: str, default: JSON) -> JSON:
        """The value, or the default if there is none or it is of another kind."""
        value = self._values.get(name, default)
        return value if default is None or type(value) is type(default) else default

    def set(self, name: str, value: JSON) -> None:
        """Keeps a value, on disk a moment later."""
        if self._values.get(name) == value:
            return
        self._values = {**self._values, name: value}
        with self._lock:
            begun = bool(self._unwritten)
            self._unwritten[name] = value
        if not begun:
            HAND.submit(self._write)

    def _write(self) -> None:
        with self._lock:
            changes, self._unwritten = self._unwritten, {}
        with contextlib.suppress(OSError):
            known = self._read() or self._values  # the file may be gone, or not be read at this moment
            write_whole(self.path, json.dumps({**known, **changes}, indent=1))


def write_whole(path: Path, text: str, *, synced: bool = True) -> None:
    """Writes a file whole or not at all.

    Args:
        path: where; its folder is made.
        text: what.
        synced: wait until the disk has it, as a power failure may lose it else. That takes some 10 ms.

    Raises:
        OSError: it cannot be written; the old one stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
