"""Where nodeflow keeps what it may lose (cache) and what people give it (models)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder; `NODEFLOW_CACHE` names another."""
    named = os.environ.get("NODEFLOW_CACHE")
    if named:
        return Path(named)
    import platformdirs  # deferred: kernels run on machines that have torch and little else

    return Path(platformdirs.user_cache_dir("nodeflow", appauthor=False))


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
    """Folders that weights are looked for in: those of `NODEFLOW_MODELS`, the user's data folder, Hugging Face's cache.

    A folder named there that is ComfyUI's stands for its folder `models`, and one that has the cache for its `hub`. The
    user's own cache counts if it is there. A folder that may not be read is as it was named.
    """
    import platformdirs  # deferred, as above

    named = [Path(folder) for folder in os.environ.get("NODEFLOW_MODELS", "").split(os.pathsep) if folder]
    own = Path(platformdirs.user_data_dir("nodeflow", appauthor=False)) / "models"
    cache = hugging_face_cache()
    return (*(_models_of(folder) for folder in named), own, *((cache,) if is_folder(cache) else ()))


def hugging_face_cache() -> Path:
    """Where huggingface_hub keeps what it has fetched; its own variables name another folder."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HF_HOME") or Path(caches) / "huggingface") / "hub"


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder, as far as this may be known."""
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _models_of(folder: Path) -> Path:
    try:
        if (folder / "models" / "checkpoints").is_dir():
            return folder / "models"
        return folder / "hub" if any((folder / "hub").glob("models--*")) else folder
    except PermissionError:
        return folder
