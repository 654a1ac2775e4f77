"""What the editor remembers between starts: a JSON file, written whole or not at all. No Qt."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from platformdirs import user_config_path, user_state_path

JSON = Any
LARGEST = 4 * 2**20
"""Bytes that a settings file may have; a larger one is none of ours."""


def config_folder() -> Path:
    """Where settings are: NODEFLOW_EDITOR_HOME, else the user's own folder for them."""
    home = os.environ.get("NODEFLOW_EDITOR_HOME")
    return Path(home) if home else user_config_path("nodeflow", appauthor=False)


def state_folder() -> Path:
    """Where backups, the queue and the history are: below NODEFLOW_EDITOR_HOME, else the user's folder for state."""
    home = os.environ.get("NODEFLOW_EDITOR_HOME")
    return Path(home) / "state" if home else user_state_path("nodeflow", appauthor=False)


class Settings:
    """Values by name. What cannot be read counts as not set; what cannot be written is forgotten at the end."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_folder() / "editor.json"
        self._values: dict[str, JSON] = self._read()

    def _read(self) -> dict[str, JSON]:
        try:
            if not self.path.is_file() or self.path.stat().st_size > LARGEST:
                return {}
            found = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def get(self, name: str, default: JSON) -> JSON:
        """The value, or the default if there is none or it is of another kind."""
        value = self._values.get(name, default)
        return value if default is None or type(value) is type(default) else default

    def set(self, name: str, value: JSON) -> None:
        """Keeps a value, on disk at once."""
        if self._values.get(name) != value:
            self._values = {**self._values, name: value}
            with contextlib.suppress(OSError):
                write_whole(self.path, json.dumps(self._values, indent=1))


def write_whole(path: Path, text: str) -> None:
    """Writes a file whole or not at all.

    Raises:
        OSError: it cannot be written; the old one stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
