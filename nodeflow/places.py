"""Models by name: in the working directory and in model folders, also as ComfyUI and Hugging Face lay them out."""

from __future__ import annotations

import difflib
import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nodeflow.checkpoints import ADAPTER, CONFIG, PIPELINE, SUFFIX, is_folder_of_weights
from nodeflow.errors import ModelError
from nodeflow.folders import is_folder, model_folders
from nodeflow.headers import PICKLED, unreadable
from nodeflow.regular import odd_kind, open_file

SHELVES = (
    "checkpoints", "vae", "loras", "clip", "text_encoders", "unet", "diffusion_models", "controlnet", "embeddings",
    "clip_vision", "upscale_models",
)  # fmt: skip
"""The folders of a `models` folder of ComfyUI: a name is looked for in each of them as well."""
REPOSITORY = "models--"
"""What the Hugging Face cache puts before `org--name`."""
DEEPEST = 8
MOST = 100_000
"""Files and folders that a listing looks at; a whole disk named by mistake would take minutes."""


def found_at(name: str, *, folders: bool = True) -> Path:
    """The file or folder that a model's name means.

    Args:
        name: a path, or the name of a file below a model folder, with or without ".safetensors"; of a folder with a
            model in it; or "org/name", with a path behind it if need be, of the Hugging Face cache.
        folders: whether it may be a folder.

    Raises:
        ModelError: there is none, with the nearest name; or the name means several.
    """
    places = [Path.cwd(), *model_folders()]
    if "\0" in name or not name.strip():
        raise ModelError(f"{json.dumps(name)} is no name of a model\n    `nodeflow models` lists what there is")
    for place in places:
        found = dict.fromkeys(_in(place, name, folders, shelves=place is not places[0]))
        if len(found) == 1:
            return next(iter(found))
        if found:
            meant = "\n    ".join(_name(path, place) for path in found)
            raise ModelError(f'"{name}" could be any of\n    {meant}\n    name one of these')
    folder = ""
    for candidate in (found for place in places for found in _candidates(place, name, shelves=place is not places[0])):
        if astray := _astray(candidate):
            raise ModelError(f"{candidate} is a link that leads {astray}\n    mend the link, or remove it")
        if (kind := _odd(candidate)) and not folder:
            if kind != "a folder":
                raise ModelError(f"{candidate} is {kind}, not a file\n    name a safetensors file")
            folder = f": {candidate} is a folder{' with no model in it' if folders else ', not a file'}"
    looked = "\n    ".join(str(place) for place in places)
    try:
        known = {known for path, _ in listed() for known in (path, stem(path))} - {name}
    except ModelError:
        known = set()
    near = difflib.get_close_matches(name, known, 1)
    cure = f'did you mean "{near[0]}"?' if near else "put the file into one of these folders"
    raise ModelError(f'no model "{name}"{folder}; looked in\n    {looked}\n    {cure}')


def _in(place: Path, name: str, folders: bool, *, shelves: bool) -> Iterator[Path]:
    for candidate in _candidates(place, name, shelves=shelves):
        try:
            there = candidate.is_file() or (folders and is_folder_of_weights(candidate))
        except PermissionError as error:
            if not shelves:
                raise unreadable(candidate, error) from error
            continue  # one model folder that may not be read does not hide the others
        if there:
            yield candidate


def _candidates(place: Path, name: str, *, shelves: bool) -> Iterator[Path]:
    homes = [place, *((place / shelf for shelf in SHELVES) if shelves else ())]
    organisation, slash, rest = name.partition("/")
    if shelves and slash and rest:
        repository, _, inner = rest.partition("/")
        home = snapshot(place / f"{REPOSITORY}{organisation}--{repository}")
        if home is not None:
            homes, name = [home], inner or "."
    for home in homes:
        yield from (home / name, home / f"{name}{SUFFIX}")


def _odd(path: Path) -> str:
    """What a path leads to that is no file: "a pipe"; "" if it is one, or nothing is there."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return ""
    return "" if stat.S_ISREG(mode) else odd_kind(mode)


def _astray(path: Path) -> str:
    """Where a link leads that leads nowhere: "to x.safetensors, which is not there"; "" for all else."""
    try:
        target = path.readlink()
    except OSError:
        return ""
    try:
        os.stat(path)
    except OSError as error:
        return "to itself" if error.errno == errno.ELOOP else f"to {target}, which is not there"
    return ""


def snapshot(repository: Path) -> Path | None:
    """The folder of a repository in the Hugging Face cache that its branch "main" means, or else the newest."""
    snapshots = repository / "snapshots"
    try:
        with open_file(repository / "refs" / "main") as file:
            revision = file.read(100).decode("ascii").strip()
    except (OSError, ValueError):
        revision = ""
    if revision.isalnum() and (snapshots / revision).is_dir():
        return snapshots / revision
    try:
        known = [item for item in snapshots.iterdir() if item.is_dir()]
    except OSError:
        return None
    return max(known, key=lambda item: item.stat().st_mtime, default=None)


def listed() -> Iterator[tuple[str, Path]]:
    """All that is in the model folders and in the working directory: names that `found_at` knows, and where they lead.

    Links are followed, none of them twice; one that leads out of these folders is listed and not entered, and so is a
    folder that may not be read. In the working directory, where anything may lie, pickled files are passed over, and
    everywhere those that were converted.

    Raises:
        ModelError: there are so many files that these are no model folders; the working directory comes last.
    """
    seen: set[Path] = set()
    left = MOST
    for place in (*model_folders(), here := Path.cwd()):
        weights = (SUFFIX,) if place is here else (SUFFIX, *PICKLED)
        waiting = [(place, "", 0)]
        while waiting:
            folder, name, depth = waiting.pop()
            real = _real(folder)
            if real in seen or depth > DEEPEST:
                continue
            seen.add(real)
            if not _inside(real):
                yield name, folder
                continue
            try:
                items = sorted(folder.iterdir())
            except PermissionError:
                yield name or str(folder), folder
                continue
            except OSError:
                continue
            left -= len(items)
            if left < 0:
                cure = (
                    "start nodeflow in a smaller folder" if place is here else "name smaller folders in NODEFLOW_MODELS"
                )
                raise ModelError(f"{place} holds more than {MOST:,} files, not all of which were looked at\n    {cure}")
            within = {item.name for item in items}
            weighs = any(item.suffix in weights for item in items)
            parts = bool(depth) and PIPELINE in within  # its parts are not models by themselves
            whole = bool(depth) and not within.isdisjoint((CONFIG, ADAPTER)) and weighs and not parts
            if parts or whole:
                yield name, folder
            for item in [] if whole else items:
                if item.name.startswith(".") or (item.suffix in PICKLED and f"{item.stem}{SUFFIX}" in within):
                    continue  # hidden, or converted already
                if item.suffix in weights and not is_folder(item):
                    yield (f"{name}/{item.name}" if name else item.name), item
                elif not parts and is_folder(item):
                    waiting.append(_next(item, name, depth))


def _next(item: Path, name: str, depth: int) -> tuple[Path, str, int]:
    if item.name.startswith(REPOSITORY):
        home = snapshot(item)
        if home is not None:
            return home, item.name.removeprefix(REPOSITORY).replace("--", "/", 1), depth + 1
    return item, f"{name}/{item.name}" if name else item.name, depth + 1


def inside(path: Path) -> bool:
    """Whether a path, its links followed, is below a model folder or the working directory."""
    return _inside(_real(path))


def _inside(resolved: Path) -> bool:
    return any(resolved.is_relative_to(_real(folder)) for folder in (Path.cwd(), *model_folders()))


def _real(path: Path) -> Path:
    """Its links followed; a link that leads to itself is itself, where `Path.resolve` raises in some Pythons."""
    return Path(os.path.realpath(path))


def stem(name: str) -> str:
    """A model's name without ".safetensors"."""
    return name.removesuffix(SUFFIX)


def _name(path: Path, place: Path) -> str:
    return os.fspath(path.relative_to(place)) if path.is_relative_to(place) else os.fspath(path)
