"""Models of the Hugging Face Hub by names such as `hf://org/repo`: found in its cache, fetched where that was asked."""

from __future__ import annotations

import errno
import inspect
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from nodeflow.checkpoints import SUFFIX, is_folder_of_weights, read_checkpoint, variant_of
from nodeflow.devices import amount
from nodeflow.errors import ModelError
from nodeflow.folders import hugging_face_cache
from nodeflow.headers import PICKLED
from nodeflow.places import REPOSITORY, snapshot

SCHEME = "hf://"
ALWAYS = "NODEFLOW_FETCH"
"""The variable that lets every run fetch what its graph names."""
ANY = "*"
FORM = "hf://org/repo, hf://org/repo/file or hf://org/repo@revision/file"
SIDE = frozenset({".json", ".txt", ".model"})
"""Of configs and vocabularies."""
LARGEST_SIDE = 64 * 2**20
MOST_SIDE = 300
MOST_FILES = 100_000
NAME = re.compile(r"[\w.-]+/[\w.-]+")
REVISION = re.compile(r"(refs/[\w.-]+/[\w.-]+|[\w.-]+)(?:/(.*))?")
INDEXED = f"{SUFFIX}.index."
SHARD = re.compile(r"-\d+-of-\d+")
FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
OF_THE_DISK = FULL | {
    errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EMFILE,
}  # fmt: skip
"""The system's numbers for what is the matter with a disk; all others are taken for those of the network."""
Listen = Callable[[str, int, int], None]
"""Told while files come: the file, the bytes that are there, those that there will be. May raise."""


class NotFetched(ModelError):
    """A model of the hub is not in the cache, and nobody has asked to fetch it. `name` is how it was named."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f'"{name}" is not fetched yet\n'
            f"    nodeflow run --fetch fetches what a graph names, --set NAME={name} this alone, {ALWAYS}=1 always"
        )


@dataclass(frozen=True)
class HubName:
    """A model on the hub. path: of a file or folder in the repository, "" for all of it."""

    repository: str
    path: str
    revision: str

    @classmethod
    def of(cls, name: str) -> HubName:
        """What a name such as "hf://org/repo" means.

        Raises:
            ModelError: it is no such name.
        """
        left, at, right = name.removeprefix(SCHEME).partition("@")
        found = REVISION.fullmatch(right) if at else None
        revision, rest = (found[1], found[2] or "") if found else ("main", "")
        organisation, _, inner = left.strip("/").partition("/")
        repository, _, path = inner.partition("/")
        whole = "/".join(part.strip("/") for part in (path, rest) if part.strip("/"))
        repository = f"{organisation}/{repository}"
        odd = ".." in PurePosixPath(whole).parts or "\\" in whole or ".." in revision
        if not NAME.fullmatch(repository) or ".." in repository or odd or (at and not found):
            raise ModelError(f'"{name}" is no name of a model on the hub\n    expected {FORM}')
        return cls(repository, whole, revision)

    @property
    def home(self) -> Path:
        """The repository in the cache."""
        return hugging_face_cache() / f"{REPOSITORY}{self.repository.replace('/', '--')}"

    def root(self) -> Path | None:
        """The folder of its files in the cache, if there are any."""
        if self.revision == "main":
            return snapshot(self.home)
        try:
            commit = (self.home / "refs" / self.revision).read_text("ascii").strip()
        except (OSError, ValueError):
            commit = self.revision
        found = self.home / "snapshots" / commit
        return found if commit.isalnum() and found.is_dir() else None


_fetching: ContextVar[tuple[frozenset[str], Listen] | None] = ContextVar("fetching", default=None)


def _unheard(file: str, done: int, total: int) -> None:
    """Nobody listens."""


@contextmanager
def fetching(names: Iterable[str], listen: Listen = _unheard) -> Iterator[None]:
    """Until the end of the block, the repositories of these names may be fetched; `ANY` stands for all."""
    allowed = frozenset(name if name == ANY else HubName.of(name).repository for name in names)
    token = _fetching.set((allowed, listen))
    try:
        yield
    finally:
        _fetching.reset(token)


def hub_names(values: Iterable[Any]) -> list[str]:
    """The names of models on the hub among typed-in values."""
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item for item in flat if isinstance(item, str) and item.startswith(SCHEME)]


def found_at_hub(name: str, *, part: str = "", folders: bool = True, looking: bool = False) -> Path:
    """The file or folder in the cache that a name means, fetched first if it is not there and that was asked for.

    Args:
        name: such as "hf://org/repo".
        part: the subfolder of a pipeline that is wanted; that of the name is returned all the same.
        folders: whether it may be a folder.
        looking: never fetch.

    Raises:
        NotFetched: it is not there, and nobody has asked for it.
        ModelError: it is no name of a model, or could not be fetched.
    """
    wanted = HubName.of(name)
    known = _sought(name, lambda: _here(wanted, part, folders), partial(files_of, wanted, part), looking)
    if known is None:
        raise ModelError(f'"{name}" was fetched, but {_fault(wanted, part)}')
    return known


def folder_at_hub(name: str, kinds: Sequence[Sequence[str]], part: str = "", *, looking: bool = False) -> Path | None:
    """The folder in the cache that a name means, or its subfolder `part`, which has all the files of one of `kinds`.

    None if there is none at the hub; failures as `found_at_hub`. Configs and vocabularies are fetched, no weights.
    """
    wanted = HubName.of(name)

    def here() -> Path | None:
        root = wanted.root()
        homes = (root / wanted.path, root / wanted.path / part) if root is not None else ()
        return next((home for home in homes for files in kinds if all((home / file).is_file() for file in files)), None)

    return _sought(name, here, partial(_beside, wanted.path or "."), looking)


def _sought(
    name: str, here: Callable[[], Path | None], choose: Callable[[Mapping[str, int]], list[str]], looking: bool
) -> Path | None:
    """What is there, after the chosen files of the repository were fetched if need be, and if that was asked for."""
    if (known := here()) is not None:
        return known
    wanted = HubName.of(name)
    allowed, listen = (None if looking else _fetching.get()) or (frozenset(), _unheard)
    always = not looking and os.environ.get(ALWAYS, "") not in ("", "0")
    if not always and not allowed & {wanted.repository, ANY}:
        raise NotFetched(name)
    _fetch(wanted, choose, listen)
    return here()


def not_fetched(error: BaseException | None) -> str:
    """The name of the model that is not fetched yet, if an error is of that; else ""."""
    while error is not None:
        if isinstance(error, NotFetched):
            return error.name
        error = error.__cause__
    return ""


def _here(wanted: HubName, part: str, folders: bool) -> Path | None:
    root = wanted.root()
    if root is None:
        return None
    for candidate in (root / wanted.path, root / f"{wanted.path}{SUFFIX}") if wanted.path else (root,):
        if candidate.is_file():
            return candidate
        if not folders or not candidate.is_dir():
            continue
        home = candidate / part if part and (candidate / part).is_dir() else candidate
        if is_folder_of_weights(candidate):
            return candidate if _whole(home) else None
        alone = sorted(candidate.glob(f"*{SUFFIX}"))
        return alone[0] if len(alone) == 1 else None
    return None


def _whole(folder: Path) -> bool:
    try:
        read_checkpoint(folder)
    except ModelError:
        return False
    return True


def _fault(wanted: HubName, part: str) -> str:
    """Why nothing of what was fetched can be read. What lies in the cache is never fetched a second time."""
    root = wanted.root()
    home = root / wanted.path if root is not None else Path(wanted.path)
    try:
        read_checkpoint(home / part if part and (home / part).is_dir() else home)
    except ModelError as error:
        what = str(error).partition("\n")[0]
        return f"{what}\n    it is so at the hub, or was damaged since: remove {wanted.home}, then it is fetched anew"
    return "there is no model in it that can be read\n    name a file of it"


def _fetch(wanted: HubName, choose: Callable[[Mapping[str, int]], list[str]], listen: Listen) -> None:
    """Brings the chosen files into the cache."""
    try:
        import huggingface_hub as library  # deferred, and optional: few graphs name the hub
    except ImportError as error:
        raise ModelError(
            f"fetching {SCHEME}{wanted.repository} needs huggingface_hub\n"
            "    pip install 'nodeflow-engine[hub]', or download the files into a model folder"
        ) from error
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise ModelError(f"{SCHEME}{wanted.repository} is not fetched yet, and HF_HUB_OFFLINE forbids it\n    unset it")
    try:
        about = library.HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(
            wanted.repository, revision=wanted.revision, files_metadata=True
        )
        sizes = {item.rfilename: item.size or 0 for item in (about.siblings or [])[:MOST_FILES]}
        sizes = {name: size for name, size in sizes.items() if _sound(name)}
        _bring(library, wanted, str(about.sha), {name: sizes[name] for name in choose(sizes)}, listen)
    except ModelError:
        raise
    except Exception as error:  # of the library, of what it speaks HTTP with, of the disk
        raise ModelError(_told(wanted, error)) from error


def _bring(library: Any, wanted: HubName, commit: str, files: Mapping[str, int], listen: Listen) -> None:
    if not commit.isalnum():
        raise ModelError(f"the hub gives {wanted.repository} the odd revision {commit!r}\n    name another")
    cache = hugging_face_cache()
    cache.mkdir(parents=True, exist_ok=True)
    total, done = sum(files.values()), 0
    free = shutil.disk_usage(cache).free
    begun = sum(path.stat().st_size for path in (wanted.home / "blobs").glob("*.incomplete"))  # goes on where it ended
    absent = (size for name, size in files.items() if not (wanted.home / "snapshots" / commit / name).is_file())
    lacking = sum(absent) - begun
    if lacking > free:
        raise ModelError(
            f"{SCHEME}{wanted.repository} takes {amount(lacking)} more, but only {amount(free)} are free in {cache}\n"
            "    HF_HUB_CACHE names another folder"
        )
    download = library.hf_hub_download
    counts = "tqdm_class" in inspect.signature(download).parameters  # older versions tell of whole files only
    for name, size in files.items():
        listen(name, done, total)
        heard = _counter(lambda count, name=name, done=done: listen(name, done + count, total))  # type: ignore[misc]
        download(
            wanted.repository, name, revision=commit, cache_dir=cache, library_name="nodeflow",
            endpoint=os.environ.get("HF_ENDPOINT"), **({"tqdm_class": heard} if counts else {}),
        )  # fmt: skip
        done += size
    listen("", total, total)
    ref = wanted.home / "refs" / wanted.revision  # written last: a branch leads to files that are all there
    ref.parent.mkdir(parents=True, exist_ok=True)
    partial = ref.with_name(f"{ref.name}.{os.getpid()}.partial")
    partial.write_text(commit, "ascii")
    os.replace(partial, ref)


def _counter(told: Callable[[int], None]) -> Any:
    """What the library takes for its bar: it draws nothing, and tells how many bytes came."""
    from tqdm.auto import tqdm  # deferred: the library has brought it

    class Counter(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})
            self.n = options.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            self.n += int(n or 0)
            told(int(self.n))

    return Counter


def _sound(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name


def files_of(wanted: HubName, part: str, sizes: Mapping[str, int]) -> list[str]:
    """The files that a loader needs, weights last: configs and vocabularies of the whole, weights of the part.

    Args:
        wanted: what was asked for.
        part: of a pipeline.
        sizes: of all files of the repository.

    Raises:
        ModelError: there is nothing of the kind, only something pickled, or several could be meant.
    """
    path = wanted.path
    name = path if path in sizes else f"{path}{SUFFIX}"
    if path and name in sizes:
        if PurePosixPath(name).suffix in PICKLED:
            raise ModelError(_pickled(wanted, [name]))
        return [*_beside(str(PurePosixPath(name).parent), sizes), *([name] if name.endswith(SUFFIX) else [])]
    within = f"{path}/" if path else ""
    if not any(file.startswith(within) for file in sizes):
        near = [file for file in sizes if file.endswith(SUFFIX)][:5]
        missing = f'has no "{path}"' if path else "is empty"
        raise ModelError(f"{SCHEME}{wanted.repository} {missing}\n    it has {', '.join(near) or 'no safetensors'}")
    home = f"{within}{part}/" if part and any(file.startswith(f"{within}{part}/") for file in sizes) else within
    own = [file.removeprefix(home) for file in sizes if file.startswith(home)]
    own = [file for file in own if "/" not in file]
    return [*_beside(path or ".", sizes), *(f"{home}{file}" for file in _weights(wanted, home, own))]


def _weights(wanted: HubName, home: str, names: list[str]) -> list[str]:
    """The safetensors of one model: plain ones, or else the only variant; a single file rather than shards."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for name in names:
        if name.endswith(SUFFIX):
            stem = SHARD.sub("", name)
            kinds.setdefault(variant_of(stem), {}).setdefault(stem, []).append(name)
    where = f"{SCHEME}{wanted.repository}/{home}".rstrip("/")
    if not kinds:
        pickled = [name for name in names if PurePosixPath(name).suffix in PICKLED]
        if pickled:
            raise ModelError(_pickled(wanted, [home + name for name in pickled]))
        raise ModelError(f"{where} has no weights in safetensors\n    name a folder or a file that has some")
    found = kinds.get("") or (next(iter(kinds.values())) if len(kinds) == 1 else {})
    if len(found) != 1:
        known = "\n    ".join(f"{where}/{name}" for name in sorted(names) if name.endswith(SUFFIX))
        raise ModelError(f"{where} holds several models; name the one that is meant:\n    {known}")
    ((stem, alike),) = found.items()
    single = [name for name in alike if not SHARD.search(name)]
    indexes = [name for name in names if INDEXED in name and variant_of(name) == variant_of(stem)]
    return single or sorted([*alike, *indexes])


def _beside(folder: str, sizes: Mapping[str, int]) -> list[str]:
    """Configs and vocabularies in a folder and in those below."""
    start = PurePosixPath(folder)
    side = [
        name
        for name, size in sizes.items()
        if PurePosixPath(name).suffix in SIDE
        and size <= LARGEST_SIDE
        and start in PurePosixPath(name).parents
        and ".index." not in name  # of shards that may not come
    ]
    side = [name for name in side if len(PurePosixPath(name).relative_to(start).parts) <= 2]
    return sorted(side if len(side) <= MOST_SIDE else [name for name in side if PurePosixPath(name).parent == start])


def _pickled(wanted: HubName, names: list[str]) -> str:
    return (
        f"{SCHEME}{wanted.repository} holds this model only pickled ({', '.join(names[:5])}), which is never fetched, "
        "because opening it can run any code\n"
        "    download it yourself, and convert it: nodeflow convert FILE; or name another repository"
    )


def _told(wanted: HubName, error: BaseException) -> str:
    """What went wrong, and the cure; by the names of the library's errors, which have moved between its versions."""
    name = f"{SCHEME}{wanted.repository}"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "GatedRepoError" in kinds or status == 403:
        return (
            f"{name} is gated: its owner wants to know who takes it\n"
            f"    ask for it on https://huggingface.co/{wanted.repository}, then log in: hf auth login, or set HF_TOKEN"
        )
    if "RevisionNotFoundError" in kinds:
        return f'{name} has no revision "{wanted.revision}"\n    name a branch, a tag or a commit of it'
    if "RepositoryNotFoundError" in kinds or status == 401:
        return f"there is no {name}, or only for those who are logged in\n    check the name, or log in: hf auth login"
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number in OF_THE_DISK:
        why = (
            "the disk is full" if number in FULL else f"{hugging_face_cache()} cannot be written: {os.strerror(number)}"
        )
        return f"{name} cannot be fetched: {why}\n    HF_HUB_CACHE names another folder"
    if status is not None:
        return f"{name} cannot be fetched: the hub answers {status}\n    try again later"
    return (
        f"{name} cannot be fetched: the hub cannot be reached ({type(error).__name__})\n"
        "    check the network, or download the files elsewhere into a model folder"
    )
