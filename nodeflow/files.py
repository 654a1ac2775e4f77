"""Files by name and by content: which weights a name means, and what a file holds."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from nodeflow.errors import ModelError
from nodeflow.folders import model_folders

WHOLE = 64 * 2**20
"""Up to this many bytes a file's identity is the digest of all it holds; beyond, reading it would cost seconds."""


def file_identity(path: str | os.PathLike[str]) -> str:
    """A digest that changes when the file's content does; of a file over 64 MiB, of its first MiB, size and time.

    Raises:
        FileNotFoundError: there is no such file.
    """
    stat = os.stat(path)
    return _digest(os.fspath(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        if size <= WHOLE:
            while block := file.read(2**20):
                digest.update(block)
        else:
            digest.update(file.read(2**20) + f"{size} {mtime_ns}".encode())
    return digest.hexdigest()


def find_weights(name: str) -> Path:
    """The safetensors file that a model's name means.

    "plugin:file" is shipped by that plugin in its folder `weights`; any other name is a path, looked for in the
    working directory and then in the model folders.

    Raises:
        ModelError: there is none; the message lists where it was looked for and what is there.
    """
    plugin, colon, stem = name.partition(":")
    if colon and len(plugin) > 1:
        return _shipped(plugin, stem)
    places = [Path.cwd(), *model_folders()]
    for place in places:
        for candidate in (place / name, place / f"{name}.safetensors"):
            if candidate.is_file():
                return candidate
    looked = "\n    ".join(str(place) for place in places)
    raise ModelError(f'no model "{name}"; looked in\n    {looked}\n    put the file into one of these folders')


def shipped_weights(plugin: str) -> tuple[Path, ...]:
    """The weight files that an installed plugin brings, by name."""
    found = next(iter(entry_points(group="nodeflow", name=plugin)), None)
    spec = find_spec(found.module.partition(".")[0]) if found else None
    folders = (spec.submodule_search_locations or []) if spec else []
    return tuple(sorted(path for folder in folders for path in Path(folder, "weights").glob("*.safetensors")))


def _shipped(plugin: str, stem: str) -> Path:
    known = {path.stem: path for path in shipped_weights(plugin)}
    if stem in known:
        return known[stem]
    if known:
        raise ModelError(f'plugin "{plugin}" ships no weights "{stem}"; it ships {", ".join(known)}')
    raise ModelError(f'"{plugin}:{stem}": no plugin "{plugin}" that ships weights is installed')
