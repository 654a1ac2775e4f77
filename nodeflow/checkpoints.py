"""A checkpoint as it lies on disk: one file, or a folder with its config and with weights in one file or several."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nodeflow.errors import ModelError
from nodeflow.headers import CURE, PICKLED, Entry, amiss, short, unreadable, weights_header
from nodeflow.regular import open_file

SUFFIX = ".safetensors"
SHARD = re.compile(r"-\d+-of-\d+\.")
INDEX = ".safetensors.index.json"
CONFIG = "config.json"
ADAPTER = "adapter_config.json"
ADAPTED = "adapter_model"
"""What PEFT calls the settings and the weights of an adapter; without those settings the weights have no scale."""
PIPELINE = "model_index.json"
LONGEST_JSON = 16 * 2**20
"""Bytes of a config or an index; that of 10,000 tensors takes one million."""
SHARDS = 1000
Judge = Callable[[Path], object]
"""Raises PermissionError for a path that may not be read."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file, or a folder, says of its weights.

    path: the file or the folder. tensors: by name, each with its file. metadata: what the writer of the (first) file
    said of it. config: what config.json says, or of an adapter of PEFT's adapter_config.json; empty without one. files:
    all that it was read from.
    """

    path: Path
    tensors: Mapping[str, Entry]
    metadata: Mapping[str, str]
    config: Mapping[str, Any]
    files: tuple[Path, ...]

    @cached_property
    def dtypes(self) -> Mapping[str, str]:
        """Of each tensor, as the format names it."""
        return {name: entry.dtype for name, entry in self.tensors.items()}

    @cached_property  # of Stable Diffusion XL 2,500, and each of its parts asks several times
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of each tensor."""
        return {name: entry.shape for name, entry in self.tensors.items()}


def is_folder_of_weights(path: Path) -> bool:
    """Whether a folder is a model, not a place where models are kept: it has a config, a list of parts, or parts."""
    if any((path / name).is_file() for name in (CONFIG, PIPELINE, ADAPTER)):
        return True
    return path.is_dir() and any(path.glob(f"*/{CONFIG}"))


def read_checkpoint(path: Path, judge: Judge = Path, variant: str = "") -> Checkpoint:
    """A file or a folder by its headers; no weight is read.

    Args:
        path: safetensors file, or a folder with one, or with an index and its shards.
        judge: asked for each file before it is opened.
        variant: of a folder's weights, such as "fp16"; "" takes those without one, or else the only one there is.

    Raises:
        ModelError: something of it is absent, damaged, pickled or contradicts itself.
    """
    if not path.is_dir():
        judge(path)
        header = weights_header(path)
        config, files = _config(path.with_name(ADAPTER), judge) if path.name.startswith(ADAPTED) else ({}, ())
        return Checkpoint(path, header.tensors, header.metadata, config, (*files, path))
    weights = chosen(path, variant)
    config, files = _config(path / (ADAPTER if weights.name.startswith(ADAPTED) else CONFIG), judge)
    judge(weights)
    if not weights.name.endswith(".json"):
        header = weights_header(weights)
        return Checkpoint(path, header.tensors, header.metadata, config, (*files, weights))
    shards = _shards(weights)
    tensors: dict[str, Entry] = {}
    for shard, names in shards.items():
        judge(shard)
        own = weights_header(shard).tensors
        lost, strange = sorted(names - own.keys()), sorted(own.keys() - names)
        if lost or strange:
            told = "; ".join(
                f"{label} {_some(found)}" for label, found in (("missing", lost), ("left over", strange)) if found
            )
            raise ModelError(f"{shard} does not hold what {weights.name} says: {told}\n    {CURE}")
        tensors |= own
    return Checkpoint(path, tensors, weights_header(next(iter(shards))).metadata, config, (*files, weights, *shards))


def _config(file: Path, judge: Judge) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """What a file beside weights says of them, and the file; nothing if there is none."""
    if not file.is_file():
        return {}, ()
    judge(file)
    return read_json(file), (file,)


def chosen(folder: Path, variant: str = "") -> Path:
    """The weights of a folder: a safetensors file, or the index of several.

    Raises:
        ModelError: there are none, or more than one could be meant.
    """
    try:
        names = sorted(item.name for item in folder.iterdir() if item.is_file())
    except OSError as error:
        raise unreadable(folder, error) from error
    indexes = [name for name in names if name.endswith(INDEX) or _index_variant(name)]
    of_shards = {shard.name for name in indexes for shard in _shards(folder / name)}
    alone = [name for name in names if name.endswith(SUFFIX) and name not in of_shards]
    by_variant: dict[str, list[str]] = {}
    for name in (*alone, *indexes):
        by_variant.setdefault(variant_of(name), []).append(name)
    wanted = variant if variant in by_variant or len(by_variant) != 1 else next(iter(by_variant))
    found = by_variant.get(wanted, [])
    if len(found) == 1:
        return folder / found[0]
    if found:
        if all(SHARD.search(name) for name in found):
            index = SHARD.split(found[0])[0] + INDEX
            raise ModelError(f"{folder} holds shards without their index: {_some(found)}\n    fetch {index} as well")
        raise ModelError(f"{folder} holds several models: {', '.join(found)}\n    name the file that is meant")
    if by_variant:
        kinds = ", ".join(sorted(kind or "plain" for kind in by_variant))
        raise ModelError(
            f'{folder} has no "{variant or "plain"}" weights, but {kinds}\n    name the file that is meant'
        )
    pickled = [name for name in names if Path(name).suffix in PICKLED]
    told = f"are only pickled ones ({', '.join(pickled)}), which are refused" if pickled else "is nothing of the kind"
    cure = f"convert them: nodeflow convert {shlex.quote(str(folder / pickled[0]))}" if pickled else CURE
    raise ModelError(f"{folder} should hold weights in a safetensors file, but there {told}\n    {cure}")


def _index_variant(name: str) -> str:
    """The variant of an index that is called `model.safetensors.index.fp16.json`."""
    head, _, tail = name.partition(".safetensors.index.")
    return tail.removesuffix(".json") if head and tail.endswith(".json") and tail.count(".") == 1 else ""


def variant_of(name: str) -> str:
    """The variant that a name of weights says: `model.fp16.safetensors` -> "fp16"; `model.safetensors` -> ""."""
    if found := _index_variant(name):
        return found
    return name.removesuffix(INDEX).removesuffix(SUFFIX).partition(".")[2]


def _shards(index: Path) -> dict[Path, set[str]]:
    """By file: the tensors that an index says are in it."""
    said = read_json(index).get("weight_map")
    if not isinstance(said, dict) or not said or not all(isinstance(name, str) for name in said.values()):
        raise ModelError(f"{index} has no weight_map that names a file for each tensor\n    {CURE}")
    found: dict[Path, set[str]] = {}
    for tensor, name in said.items():
        if Path(name).name != name or not name.endswith(SUFFIX):
            told = f"names the shard {short(name)}, which is no safetensors file beside it"
            raise ModelError(f"{index} {told}\n    {CURE}")
        found.setdefault(index.parent / name, set()).add(tensor)
    if len(found) > SHARDS:
        raise ModelError(f"{index} names {len(found):,} shards; at most {SHARDS:,} are read")
    if absent := [shard.name for shard in found if not shard.is_file()]:
        raise ModelError(
            f"{index.parent} lacks {len(absent)} of its {len(found)} shards: {_some(absent)}\n"
            "    fetch these files into the folder"
        )
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file of a model's folder.

    Raises:
        ModelError: it is none, or too long to be one.
    """
    try:
        with open_file(path) as file:
            text = file.read(LONGEST_JSON + 1)
        found = json.loads(text) if len(text) <= LONGEST_JSON else None
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no JSON{amiss(error)}\n    {CURE}") from error
    if not isinstance(found, dict):
        fault = f"longer than {LONGEST_JSON:,} bytes" if len(text) > LONGEST_JSON else "no JSON object"
        raise ModelError(f"{path} is {fault}\n    {CURE}")
    return found


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
