"""`nodeflow models`: what is in the model folders and in the working directory, told from headers alone.

Nothing is loaded, torch neither.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

import nodeflow.cli.output as output
from nodeflow.checkpoints import PIPELINE, Checkpoint, read_checkpoint
from nodeflow.cli.checking import JSON_OPTION
from nodeflow.errors import ModelError
from nodeflow.files import shipped_weights
from nodeflow.folders import model_folders
from nodeflow.headers import BITS, bytes_by_type
from nodeflow.kinds import as_pipeline, kind_of
from nodeflow.places import inside, listed
from nodeflow.regular import odd_kind

DTYPES = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16", "F8_E4M3": "fp8 e4m3", "F8_E5M2": "fp8 e5m2"}


@dataclass(frozen=True)
class Listed:
    """A line of the list. bytes: of its weights. dtype: of most of them. error: why it cannot be used, or ""."""

    name: str
    kind: str
    bytes: int
    dtype: str
    path: str
    error: str = ""


def models(
    pattern: Annotated[
        str, typer.Argument(metavar="[WORD]", help="Only those with this word in their name or kind.")
    ] = "",
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """List the models that graphs can name: their kind, size and type.

    Looks into NODEFLOW_MODELS, the user's data folder, the Hugging Face cache and the working directory; ComfyUI's
    folders are understood. Of each file the header alone is read.
    """
    word = pattern.lower()
    lines: list[Listed] = []
    try:
        lines.extend(_lines())  # what came before a fault stays
    except ModelError as error:
        output.warn(str(error))
    known = sorted(
        (line for line in lines if word in line.name.lower() or word in line.kind.lower()),
        key=lambda line: (line.name.count(":"), line.name),
    )
    if as_json:
        output.say_json([asdict(line) for line in known])
        return
    output.table([
        (_shown(line.name), output.size_text(line.bytes), line.dtype, _shown(line.kind))
        for line in known if not line.error
    ], right=(1,))  # fmt: skip
    for line in known:
        if line.error:
            output.warn(f"{_shown(line.name)}: {line.error.replace(line.path, _shown(line.path))}")
    if not known and word:
        output.warn(f'no model has "{pattern}" in its name or kind')
    elif not known:
        folders = "\n    ".join(str(folder) for folder in model_folders())
        output.warn(f"no models; put them into one of\n    {folders}")


def _lines() -> Iterator[Listed]:
    for plugin in sorted({point.name for point in entry_points(group="nodeflow")}):
        for path in shipped_weights(plugin):
            yield _line(f"{plugin}:{path.stem}", path, shipped=True)
    for name, path in listed():
        yield _line(name, path)


def _shown(name: str) -> str:
    """A name in one line: files may be called anything, with line breaks and bytes that are no text."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)


def _line(name: str, path: Path, *, shipped: bool = False) -> Listed:
    try:
        if not shipped:
            _judge(path)
        parts = _parts(path) if path.is_dir() else {}
        whole = [read_checkpoint(path, Path if shipped else _judge)] if not parts else list(parts.values())
        kind = as_pipeline(parts) if parts else kind_of(whole[0])
    except (ModelError, OSError) as error:
        return Listed(name, "", 0, "", str(path), str(error))
    types: dict[str, int] = {}
    for checkpoint in whole:
        for dtype, count in bytes_by_type(checkpoint.tensors):
            types[dtype] = types.get(dtype, 0) + count
    most = max(types, key=lambda dtype: types[dtype], default="")
    assert not most or most in BITS
    return Listed(name, kind, sum(types.values()), DTYPES.get(most, most.lower()), str(path))


def _parts(folder: Path) -> dict[str, Checkpoint]:
    """The models of a pipeline's folder, by the names of their folders."""
    if not (folder / PIPELINE).is_file():
        return {}
    homes = sorted(home for home in folder.iterdir() if home.is_dir() and (home / "config.json").is_file())
    return {home.name: read_checkpoint(home, _judge) for home in homes}


def _judge(path: Path) -> None:
    if not inside(path):
        raise ModelError("a link that leads out of the model folders, where no graph may read")
    mode = path.stat().st_mode if path.exists() else stat.S_IFREG
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ModelError(f"is {odd_kind(mode)}, not a file")
