"""Where nodeflow keeps what it may lose (cache) and what people give it (models)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The user's cache folder; `NODEFLOW_CACHE` names another."""
    named = os.environ.get("NODEFLOW_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("nodeflow", appauthor=False))


def results_folder() -> Path:
    """Where runs keep their results."""
    return cache_folder() / "results"


def trouble_with(folder: Path) -> str:
    """Why nothing can be written to a folder; empty if something can. The folder is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def model_folders() -> tuple[Path, ...]:
    """Folders that weights are looked for in: those of `NODEFLOW_MODELS`, then the user's data folder."""
    named = os.environ.get("NODEFLOW_MODELS", "")
    own = Path(platformdirs.user_data_dir("nodeflow", appauthor=False)) / "models"
    return (*(Path(folder) for folder in named.split(os.pathsep) if folder), own)
