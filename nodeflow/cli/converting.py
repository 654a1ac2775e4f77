"""`nodeflow convert`: pickled weights into safetensors, without unpickling; nothing of the file is executed."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

import nodeflow.cli.output as output
from nodeflow import __version__
from nodeflow.checkpoints import SUFFIX
from nodeflow.cli.checking import JSON_OPTION
from nodeflow.errors import ModelError
from nodeflow.headers import BITS
from nodeflow.pickled.archives import Archive, opened
from nodeflow.pickled.choosing import EVERYTHING, Chosen, chosen, groups
from nodeflow.pickled.writing import bytes_of, digest, refuse_existing, shared, write

SHOWN = 8
"""Names of one kind that a person is told."""
MOST_TOLD = 1000
"""Names of one kind that --json tells."""


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Pickled weights: .ckpt, .pt, .pth, .bin, .pkl.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="What to write; beside FILE if not given.")] = None,
    key: Annotated[
        str, typer.Option(metavar="KEY", help='The part of the file to take, such as state_dict; "." for all.')
    ] = "",
    keys: Annotated[bool, typer.Option("--keys", help="List the parts, and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Turn pickled weights into safetensors. Nothing in the file is executed, whatever it is.

    Tensors keep their types and names. Of several models in a file the averaged weights are taken, then what usually
    is the model; --keys lists what there is.
    """
    with opened(file) as archive:
        if keys:
            _list(archive, as_json)
            return
        found = chosen(file, archive.root, key)
        target = out if out is not None else file.with_suffix(SUFFIX)
        _refuse_useless(file, target)
        refuse_existing(target, force)
        total = sum(bytes_of(tensor) for tensor in found.tensors.values())
        with _endable(), _progress(archive.bytes + total) as progress:
            sha256 = digest(archive, progress)
            metadata = {"format": "pt", "source": file.name, "source_sha256": sha256}
            metadata |= {"source_key": found.key or EVERYTHING, "converted_by": f"nodeflow {__version__}"}
            size = write(archive, found.tensors, metadata, target, force=force, progress=progress)
        if as_json:
            output.say_json(_told(archive, found, target, size, sha256))
        else:
            _say(archive, found, target, size)


def _refuse_useless(source: Path, out: Path) -> None:
    """Refuses to write where it would be of no use: over the checkpoint, or under a name by which nothing is found.

    Raises:
        ModelError: it is such a name.
    """
    try:
        itself = out.samefile(source)
    except OSError:  # not there, as it should be; what else is the matter is told when it is written
        itself = False
    if itself:
        raise ModelError(f"{out} is the checkpoint itself, which stays as it is\n    --out names another file")
    if out.suffix != SUFFIX:
        raise ModelError(f"{out} does not end in {SUFFIX}, by which weights are known\n    --out {out.name}{SUFFIX}")


def _list(archive: Archive, as_json: bool) -> None:
    parts = groups(archive.path, archive.root)
    if as_json:
        output.say_json([group._asdict() for group in parts])
        return
    output.table(
        [(group.key, output.counted(group.tensors, "tensor"), output.size_text(group.bytes)) for group in parts],
        right=(1, 2),
    )
    if not parts:
        found = chosen(archive.path, archive.root)
        output.say(f"{output.counted(len(found.tensors), 'tensor')}, in no part")


def _types(found: Chosen) -> dict[str, int]:
    """The bytes of each type, the most first."""
    sizes: dict[str, int] = {}
    for tensor in found.tensors.values():
        assert tensor.dtype in BITS
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + bytes_of(tensor)
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _told(archive: Archive, found: Chosen, target: Path, size: int, sha256: str) -> dict[str, Any]:
    return {
        "file": str(archive.path),
        "out": str(target),
        "key": found.key or EVERYTHING,
        "tensors": len(found.tensors),
        "bytes": size,
        "dtypes": _types(found),
        "sha256": sha256,
        "stripped": found.stripped,
        "shared": shared(found.tensors),
        "other_parts": [group._asdict() for group in found.groups],
        "left_out": list(found.left[:MOST_TOLD]),
        "faults": dict(list(found.faults.items())[:MOST_TOLD]),
        "classes": list(archive.classes)[:MOST_TOLD],
    }


def _say(archive: Archive, found: Chosen, target: Path, size: int) -> None:
    output.say(str(target))
    of = f', of "{found.key}"' if found.key else ""
    output.say(
        f"{output.counted(len(found.tensors), 'tensor')}, {output.size_text(size)} ({', '.join(_types(found))}){of}"
    )
    if found.stripped:
        output.say(f'taken off every name: "{found.stripped}"')
    if count := shared(found.tensors):
        output.say(f"{output.counted(count, 'tensor')} share their numbers: each has its own now")
    for group in found.groups:
        told = f"{output.counted(group.tensors, 'tensor')}, {output.size_text(group.bytes)}"
        output.say(f"not taken: {group.key} ({told}); --key {group.key} takes it")
    for label, names in (("no tensors", found.left), ("of classes that were not imported", list(archive.classes))):
        if names:
            output.say(f"left out, {label}: {_some(names)}")
    for name, why in list(found.faults.items())[:SHOWN]:
        output.warn(f"warning: {name} is not written: it is {why}")
    if len(found.faults) > SHOWN:
        output.warn(f"warning: and {len(found.faults) - SHOWN} more")


def _some(names: Any) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


@contextmanager
def _endable() -> Iterator[None]:
    """The end of the terminal, or of all programs, is an exception: so what is half written is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar for a person on a terminal, nothing for others."""
    if not output.on_terminal(sys.stderr):
        yield lambda _done: None
        return
    from rich.console import Console  # deferred: few calls draw a bar
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    with Progress(
        BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)
