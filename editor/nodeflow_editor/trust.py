"""What runs of this editor may read: the working folder, the graph's, and those of files that its user named in person.

A graph is data from a stranger, and reads nothing else. Who drops a picture or chooses it in a dialog means it to be
read. No Qt.
"""

from __future__ import annotations

from pathlib import Path

from nodeflow_editor.settings import Settings

MOST = 40
"""Folders that are remembered; those not named for longest go first."""


def trust(settings: Settings, file: Path) -> None:
    """Remembers the folder of a file that was named in person."""
    folder = str(file.absolute().parent)
    kept = [name for name in _trusted(settings) if name != folder]
    settings.set("read", [*kept, folder][-MOST:])


def readable(settings: Settings, folder: Path) -> list[str]:
    """The folders for a run of a graph in `folder`."""
    wanted = [str(Path.cwd()), str(folder.absolute()), *_trusted(settings)]
    return list(dict.fromkeys(wanted))


def _trusted(settings: Settings) -> list[str]:
    return [name for name in settings.get("read", []) if isinstance(name, str)]
