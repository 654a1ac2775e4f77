"""Which implementation of a kernel was chosen, why, and by how much; remembered on disk, a file for each choice.

Reading it imports no torch. Several processes may share the folder: a file is written whole or not at all, and what
cannot be read, or is somebody else's, is a miss.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from nodeflow.errors import NodeflowError
from nodeflow.folders import cache_folder
from nodeflow.regular import open_file

FORMAT = 1
LARGEST = 64 * 1024
"""Bytes of the longest file that is read; one of ten candidates takes two thousand."""
KINDS = ("torch", "triton")
Mode = Literal["torch", "triton", "auto"]
MODES: tuple[Mode, ...] = ("torch", "triton", "auto")
SOURCES = ("measured", "remembered", "rule", "capture")


@dataclass(frozen=True)
class Rival:
    """An implementation that was looked at.

    name: of the candidate. kind: "torch" or "triton". configuration: its tile sizes and such. seconds: of one call, or
    None where it was not measured. reason: why it was not legal, or failed, or was left out; "" where it was measured.
    """

    name: str
    kind: str
    configuration: Mapping[str, int | str]
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """What runs an operation on arguments of one kind, and why.

    operation: its public name. implementation, kind, configuration, seconds: of what was chosen. reason: the rule that
    decided, as a sentence. source: "measured" now, "remembered" from the disk, "rule" where nothing had to be
    measured, or "capture" where nothing could be, within a graph capture. rivals: all others. notes: what else there
    is to tell, such as a file that could not be read.
    """

    operation: str
    implementation: str
    kind: str
    configuration: Mapping[str, int | str]
    seconds: float | None
    reason: str
    source: str
    rivals: tuple[Rival, ...] = ()
    notes: tuple[str, ...] = ()

    def ahead(self) -> float | None:
        """How many times as fast as the best measured rival it is, or None without one."""
        others = [rival.seconds for rival in self.rivals if rival.seconds]
        return min(others) / self.seconds if others and self.seconds else None


@dataclass(frozen=True)
class Remembered:
    """What a file holds: the measured candidates, and what they were measured for."""

    key: Mapping[str, str]
    choice: Choice


def mode() -> Mode:
    """What `NODEFLOW_KERNELS` asks for; "auto" if it is not set.

    Raises:
        NodeflowError: it is none of torch, triton, auto.
    """
    asked = os.environ.get("NODEFLOW_KERNELS") or "auto"
    for known in MODES:
        if asked == known:
            return known
    raise NodeflowError(f"NODEFLOW_KERNELS is {asked!r}, but expected one of {', '.join(MODES)}")


def choices_folder() -> Path:
    """Where the user's choices are kept."""
    return cache_folder() / "kernels"


class Choices:
    """Choices on disk: one small JSON file for each, named by the digest of its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: Mapping[str, str]) -> Path:
        """The file of a key."""
        text = json.dumps(key, sort_keys=True)
        return self.folder / f"{key['operation']}-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}.json"

    def get(self, key: Mapping[str, str]) -> tuple[Choice | None, str]:
        """What was remembered for a key, and "" or why a file that is there does not count."""
        path = self.path(key)
        try:
            found = _read(path)
        except FileNotFoundError:
            return None, ""
        except (OSError, ValueError) as error:
            return None, f"{path} is passed over: {_reason(error)}"
        if dict(found.key) != dict(key):
            return None, f"{path} is passed over: it was written for something else"
        return found.choice, ""

    def put(self, key: Mapping[str, str], choice: Choice) -> str:
        """Remembers a choice; "" or why it could not be written, which is no error of whoever computes."""
        path = self.path(key)
        partial = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        text = json.dumps({"nodeflow kernels": FORMAT, "key": dict(key), "choice": asdict(choice)}, indent=1)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, "utf-8")
            os.replace(partial, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            return f"not remembered: {error}"
        return ""

    def all(self) -> Iterator[Remembered | str]:
        """Everything that is remembered; a sentence for each file that cannot be read."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                yield _read(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                yield f"{path} is passed over: {_reason(error)}"


def _reason(error: OSError | ValueError) -> str:
    """What is the matter, without the file's name, which is told already."""
    return str(getattr(error, "strerror", None) or error)


def _read(path: Path) -> Remembered:
    """A file's content; ValueError with a reason if it is not what `Choices.put` wrote."""
    with open_file(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} bytes")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is damaged ({error})") from error
    if not isinstance(told, dict) or told.get("nodeflow kernels") != FORMAT:
        raise ValueError("it was not written by this version of nodeflow")
    try:
        key = {_text(name): _text(value) for name, value in told["key"].items()}
        if "operation" not in key:
            raise ValueError("a key without an operation")
        return Remembered(key, _choice(told["choice"]))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error


def _choice(told: Mapping[str, Any]) -> Choice:
    rivals = tuple(
        Rival(*_candidate(item["name"], item), _seconds(item["seconds"]), _text(item["reason"]))
        for item in told["rivals"]
    )
    if told["source"] not in SOURCES:
        raise ValueError(f"a source {told['source']!r}")
    chosen = _candidate(told["implementation"], told)
    operation, reason, notes = _text(told["operation"]), _text(told["reason"]), tuple(map(_text, told["notes"]))
    return Choice(operation, *chosen, _seconds(told["seconds"]), reason, told["source"], rivals, notes)


def _candidate(name: Any, told: Mapping[str, Any]) -> tuple[str, str, dict[str, int | str]]:
    if told["kind"] not in KINDS:
        raise ValueError(f"a kind {told['kind']!r}")
    configuration = {_text(item): value for item, value in told["configuration"].items()}
    if any(not isinstance(value, int | str) for value in configuration.values()):
        raise ValueError("a configuration of something else than numbers and texts")
    return _text(name), told["kind"], configuration


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} where a text should be")
    return value


def _seconds(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value) and value > 0):
        raise ValueError(f"{value!r} where seconds should be")
    return None if value is None else float(value)
