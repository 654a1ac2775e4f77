"""Files that a node could not read: which input names them, and what there is instead."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from nodeflow.errors import ModelError, told
from nodeflow.graph import Step
from nodeflow.likeness import nearest

LOOKED = 2_000
"""Names of a folder among which the nearest is sought: a message must not take seconds."""
CURES = {
    errno.EISDIR: "name a file in it",
    errno.EACCES: "change who may read it, or name another file",
    errno.EPERM: "change who may read it, or name another file",
    errno.ELOOP: "mend the links, or name another file",
    errno.ENAMETOOLONG: "name a file that is there",
}


def explained(error: BaseException, step: Step, given: Mapping[str, Any]) -> tuple[str, str | None]:
    """What a node's error says, and the input that names the file which it is about, if it is about one.

    Args:
        error: what the node raised.
        step: the node.
        given: what is known of its inputs.
    """
    named, text, port = list(_named(step, given)), told(error), getattr(error, "port", None)
    if any(port == known.name for known in step.spec.inputs):
        return text, port  # the error knows it by itself
    if isinstance(error, OSError) and error.errno is not None and isinstance(error.filename, str | os.PathLike):
        path = Path(error.filename)
        found = next(((port, name) for port, name, _ in named if _same(Path(name), path)), None)
        return (_unread(error, found[1]), found[0]) if found else (text, None)
    files = [(port, name) for port, name, is_file in named if is_file or text.startswith(f'"{name}"')]
    ports = list(dict.fromkeys(port for port, name in files if f'"{name}"' in text or str(_whole(Path(name))) in text))
    if not ports and isinstance(error, ModelError):
        ports = [port.name for port in step.spec.inputs if port.widget == "model"]
    return text, ports[0] if len(ports) == 1 else None


def _named(step: Step, given: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Every input with each text that it holds, typed in, wired or by default, and whether it must name a file."""
    for port in step.spec.inputs:
        kinds = {port.type.kind, *(kind.kind for kind in port.type.items)}
        value = given.get(port.name, port.default)
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str | Path) and str(name):
                yield port.name, str(name), "path" in kinds or port.widget == "model"


def _whole(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, a circle of links
        return path.absolute()


def _same(one: Path, other: Path) -> bool:
    return one == other or _whole(one) == _whole(other)


def _unread(error: OSError, name: str) -> str:
    """A sentence and its cure in place of an error number."""
    reason = (error.strerror or type(error).__name__).lower()
    if error.errno != errno.ENOENT:
        return f'"{name}" cannot be read: {reason}\n    {CURES.get(error.errno or 0, "name another file")}'
    path = _whole(Path(name))
    folder = next(parent for parent in path.parents if parent.is_dir())
    if folder != path.parent:
        missing = path.relative_to(folder).parts[0]
        cure = _cure(name, folder, missing, folders=True)
        return f'there is no file "{name}": {folder} has no folder "{missing}"\n    {cure}'
    cure = _cure(name, folder, path.name, folders=False)
    return f'there is no file "{name}": expected one in {folder}\n    {cure}'


def _cure(name: str, folder: Path, missing: str, *, folders: bool) -> str:
    """`did you mean "pictures/cat.png"?`, or where names are looked for."""
    try:
        with os.scandir(folder) as entries:
            known = [entry.name for entry in islice(entries, LOOKED) if entry.is_dir() == folders]
    except OSError:
        known = []
    if close := nearest(missing, known):
        found = close.removeprefix('did you mean "').removesuffix('"?')
        return close if missing not in name else f'did you mean "{found.join(name.rsplit(missing, 1))}"?'
    return "name a file that is there; names without a folder are looked for where nodeflow was started"
