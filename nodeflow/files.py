"""Files by name and by content: which weights a name means, and what a file holds."""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from nodeflow.checkpoints import Checkpoint, read_checkpoint
from nodeflow.context import QUIET, Context
from nodeflow.errors import ModelError
from nodeflow.headers import unreadable
from nodeflow.hub import SCHEME, folder_at_hub, found_at_hub
from nodeflow.places import found_at
from nodeflow.regular import odd_kind, open_file
from nodeflow.values import Model

WHOLE = 64 * 2**20
"""Up to this many bytes a file's identity is the digest of all it holds; beyond, reading it would cost seconds."""
PIECES, PIECE = 8, 2**15
"""A larger file's is that of so many pieces of so many bytes, evenly from its beginning to its end: models that were
trained from one another often begin with the same numbers."""


Judge = Callable[[Path], object]
"""Raises PermissionError for a path that may not be read."""
_judge: ContextVar[Judge | None] = ContextVar("judge", default=None)
_headers: ContextVar[bool] = ContextVar("headers", default=False)
_shipped_found: set[Path] = set()
"""Shipped weights that were asked for by name: they lie outside all folders, and their plugin lets them be read."""


@contextmanager
def judged_by(judge: Judge) -> Iterator[None]:
    """Until the end of the block, `judge` decides what `file_identity` and `find_weights` may look at."""
    token = _judge.set(judge)
    try:
        yield
    finally:
        _judge.reset(token)


@contextmanager
def headers_only() -> Iterator[None]:
    """Until the end of the block, weights are told apart by header, size and time: none of their numbers is read."""
    token = _headers.set(True)
    try:
        yield
    finally:
        _headers.reset(token)


def _judged(path: Path) -> None:
    judge = _judge.get()
    if judge is not None and path not in _shipped_found:
        judge(path)


def file_identity(path: str | os.PathLike[str]) -> str:
    """A digest that changes when the file's content does; of a file over 64 MiB, of some of it, size and time.

    Raises:
        FileNotFoundError: there is no such file.
        PermissionError: it lies outside the folders that the run may read, or this user may not read it.
        ValueError: it is no regular file: to open a pipe would wait for ever, a device may never end.
    """
    _judged(Path(path))
    told = os.stat(path)
    if not stat.S_ISREG(told.st_mode):
        raise ValueError(f'"{os.fspath(path)}" is {odd_kind(told.st_mode)}, not a file\n    name a file')
    weights = _headers.get() and Path(path).suffix == ".safetensors"
    return (_header_digest if weights else _digest)(os.fspath(path), told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open_file(path) as file:
        if size <= WHOLE:
            while block := file.read(2**20):
                digest.update(block)
        else:
            for at in range(PIECES):
                file.seek((size - PIECE) * at // (PIECES - 1))
                digest.update(file.read(PIECE))
            digest.update(f"{size} {mtime_ns}".encode())
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _header_digest(path: str, size: int, mtime_ns: int) -> str:
    with open_file(path) as file:
        length = file.read(8)
        header = file.read(min(int.from_bytes(length, "little"), WHOLE))
    return hashlib.blake2b(header + f"header {size} {mtime_ns}".encode(), digest_size=16).hexdigest()


def find_weights(name: str, ctx: Context = QUIET) -> Path:
    """The safetensors file that a model's name means.

    "plugin:file" is shipped by that plugin in its folder `weights`; any other name is a path, looked for in the
    working directory and then in the model folders, also as ComfyUI and the Hugging Face cache lay them out.

    Args:
        name: as a loader's input has it.
        ctx: of the node that wants to read it; which paths it may read, the run decides.

    Raises:
        ModelError: there is none, or several; the message lists where it was looked for and what is there.
        PermissionError: it is a path outside the folders that the run may read.
    """
    return _found(name, ctx, folders=False)


def find_checkpoint(name: str, ctx: Context = QUIET, part: str = "") -> Checkpoint:
    """What the headers say of the model of that name, a file or a folder; no weight is read.

    Args:
        name: as for `find_weights`; or that of a folder with a model in it, or of a repository, "org/name", in the
            Hugging Face cache.
        ctx: likewise.
        part: the subfolder to take of a folder that has it, such as "vae" of a whole pipeline.

    Raises:
        ModelError: there is none; or it is damaged, pickled, or lacks some of its files.
        PermissionError: a file of it lies outside the folders that the run may read.
    """
    path = _found(name, ctx, folders=True, part=part)

    if part and (path / part).is_dir():
        path = path / part
    return read_checkpoint(path, partial(_allow, name, ctx) if path not in _shipped_found else Path)


def find_folder(name: str, kinds: Sequence[Sequence[str]], part: str = "", ctx: Context = QUIET) -> Path:
    """The folder of that name, or its subfolder `part`, which has all the files of one of `kinds`.

    Args:
        name: as for `find_checkpoint`.
        kinds: names of files, such as those of a vocabulary; the first set is looked for first.
        part: the subfolder to look into as well.
        ctx: as for `find_weights`.

    Raises:
        ModelError: there is none.
        PermissionError: it lies outside the folders that the run may read.
    """
    if name.startswith(SCHEME):
        path, why = folder_at_hub(name, kinds, part, looking=_headers.get()), "the repository has no such files there"
    else:
        path, why = _folder(name, kinds, part)
    if path is None:
        wanted = ", or with ".join(" and ".join(files) for files in kinds)
        raise ModelError(f'no folder "{name}" with {wanted}\n    {why}')
    _allow(name, ctx, path)
    return path


def _folder(name: str, kinds: Sequence[Sequence[str]], part: str) -> tuple[Path | None, str]:
    """A folder on disk, or why there is none."""
    why = ""
    for home in (name, f"{name}/{part}") if part else (name,):
        for files in kinds:
            try:
                path = found_at(f"{home}/{files[0]}", folders=False).parent
            except ModelError as error:
                why = why or str(error)
                continue
            lacking = [file for file in files if not (path / file).is_file()]
            if not lacking:
                return path, ""
            why = why or f"{path} lacks {', '.join(lacking)}"
    return None, why


def _allow(name: str, ctx: Context, path: Path) -> None:
    """Asks whether a file may be read; a refusal tells the name, for by its path alone it may look as if it could."""
    try:
        ctx.read(path)
        _judged(path)
    except PermissionError as error:
        if error.errno is not None or f'"{name}"' in str(error):
            raise
        raise PermissionError(f'"{name}": {error}') from error


def checkpoint_identity(checkpoint: Checkpoint) -> str:
    """The content of all its files, as `file_identity` has each."""
    told = [f"{file.name} {_content(file)}" for file in checkpoint.files]
    return (
        told[0].partition(" ")[2]
        if len(told) == 1
        else hashlib.blake2b("\n".join(told).encode(), digest_size=16).hexdigest()
    )


def _found(name: str, ctx: Context, *, folders: bool, part: str = "") -> Path:
    plugin, colon, stem = name.partition(":")
    if name.startswith(SCHEME):
        path = found_at_hub(name, part=part, folders=folders, looking=_headers.get())
    elif colon and len(plugin) > 1:
        return _shipped(plugin, stem)
    else:
        path = found_at(name, folders=folders)
    _allow(name, ctx, path)
    return path


def weights_identity(model: str) -> str:
    """The content of the weights of that name: `identity` of a node whose input `model` names some."""
    return _content(find_weights(model))


def _content(weights: Path) -> str:
    """`file_identity` of weights, which the system may not let us read."""
    try:
        return file_identity(weights)
    except OSError as error:
        if error.errno is None:  # the run's own refusal, which says it all
            raise
        raise unreadable(weights, error) from error


@dataclass(frozen=True)
class FileModel(Model):
    """A Model in a weights file: of that name, with that content. `bytes` is what it takes as float32."""

    name: str
    digest: str
    bytes: int

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.bytes

    @property
    def path(self) -> Path:
        """The file.

        Raises:
            ModelError: it is gone, or no longer what it was when the graph looked at it.
        """
        path = find_weights(self.name)
        if _content(path) != self.digest:
            raise ModelError(f"{path} has changed since the graph looked at it\n    run the graph again")
        return path


@dataclass(frozen=True)
class CheckpointModel(Model):
    """A Model in a checkpoint, a file or a folder: of that name, with that content.

    `bytes` is what it takes as float32; `part` the subfolder of a pipeline that it is in.
    """

    name: str
    digest: str
    bytes: int
    part: str

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.bytes

    def checkpoint(self) -> Checkpoint:
        """Its headers.

        Raises:
            ModelError: it is gone, or no longer what it was when the graph looked at it.
        """
        return _unchanged(self.name, self.digest, self.part)


@dataclass(frozen=True)
class Patch:
    """A file that changes a model's weights, such as a LoRA: of that name, with that content, and how strongly."""

    name: str
    digest: str
    strength: float = 1.0

    @classmethod
    def named(cls, name: str, strength: float = 1.0, ctx: Context = QUIET) -> Patch:
        """The file that a name means; failures as `find_checkpoint`."""
        return cls(name, checkpoint_identity(find_checkpoint(name, ctx)), strength)

    def checkpoint(self) -> Checkpoint:
        """Its headers.

        Raises:
            ModelError: it is gone, or no longer what it was when the graph looked at it.
        """
        return _unchanged(self.name, self.digest, "")


def _unchanged(name: str, digest: str, part: str) -> Checkpoint:
    found = find_checkpoint(name, part=part)
    if checkpoint_identity(found) != digest:
        raise ModelError(f"{found.path} has changed since the graph looked at it\n    run the graph again")
    return found


def shipped_weights(plugin: str) -> tuple[Path, ...]:
    """The weight files that an installed plugin brings, by name."""
    return tuple(sorted(path for folder in _folders(plugin) for path in (folder / "weights").glob("*.safetensors")))


@lru_cache(maxsize=256)  # the entry points of a whole environment take 5 ms to read, and a run asks nine times
def _folders(plugin: str) -> tuple[Path, ...]:
    found = next(iter(entry_points(group="nodeflow", name=plugin)), None)
    spec = find_spec(found.module.partition(".")[0]) if found else None
    return tuple(Path(folder) for folder in (spec.submodule_search_locations or [])) if spec else ()


def _shipped(plugin: str, stem: str) -> Path:
    known = {path.stem: path for path in shipped_weights(plugin)}
    if stem in known:
        _shipped_found.add(known[stem])
        return known[stem]
    if known:
        near = difflib.get_close_matches(stem, known, 1)
        cure = f'did you mean "{plugin}:{near[0]}"?' if near else f"it ships {', '.join(known)}"
        raise ModelError(f'plugin "{plugin}" ships no weights "{stem}"\n    {cure}')
    raise ModelError(f'"{plugin}:{stem}": no plugin "{plugin}" that ships weights is installed')
