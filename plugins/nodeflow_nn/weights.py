"""Weights on disk: safetensors whose header says what to build, and where the numbers come from."""

import dataclasses
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")


@dataclasses.dataclass(frozen=True)
class Header:
    """What a weights file says of itself. architecture: name of the builder. config: the builder's arguments.
    provenance: how the weights were made.
    """

    architecture: str
    config: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def text_space(self) -> str:
        """What a text encoder and the denoisers trained with it have in common; "" if the file does not tell.

        That is `text_space`, else `trained_together`, which all files of one training share, else the encoder's file.
        """
        for key in ("text_space", "trained_together"):
            if isinstance(found := self.provenance.get(key), str) and found:
                return found
        found = self.provenance.get("text")
        return Path(found).stem if isinstance(found, str) else ""


def save_weights(
    path: Path,
    module: nn.Module,
    architecture: str,
    config: Any,
    provenance: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a module whole or not at all.

    Args:
        path: file to write.
        module: whose state is saved; floating point tensors as dtype.
        architecture: name under which the builder is known.
        config: a dataclass of plain values.
        provenance: plain values: graph, seed, pictures, minutes, accuracy, versions.
        dtype: float16 or float32.
    """
    state = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous()
        for name, value in module.state_dict().items()
    }
    metadata = {
        "format": "pt",
        "architecture": architecture,
        "config": json.dumps(dataclasses.asdict(config), sort_keys=True),
        "provenance": json.dumps(dict(provenance), sort_keys=True),
    }
    write_tensors(path, state, metadata)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write safetensors whole or not at all, to be read by whoever may read what is written here.

    safetensors by itself lets nobody but the owner read: a server could not use what a person trained.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.touch()
        usual = stat.S_IMODE(partial.stat().st_mode)
        save_file(dict(tensors), partial, None if metadata is None else dict(metadata))
        partial.chmod(usual)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_header(path: Path) -> Header:
    """The header alone, without the tensors. ValueError if the file was not written by `save_weights`."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    missing = {"architecture", "config", "provenance"} - metadata.keys()
    if missing:
        raise ValueError(f"{path}: no {', '.join(sorted(missing))} in its header")
    return Header(metadata["architecture"], json.loads(metadata["config"]), json.loads(metadata["provenance"]))


def read_tensors(path: Path, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """All tensors by name, floating point ones as dtype."""
    with safe_open(path, framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in found.items()}


def load_weights(
    path: Path, builders: Mapping[str, Callable[[dict[str, Any]], nn.Module]], *, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Build the module that a file's header names, and fill it.

    Args:
        path: file that `save_weights` wrote.
        builders: by architecture: the header's config -> module.
        dtype: of the weights in memory.

    Raises ValueError for an unknown architecture, and for keys or shapes that do not match, naming them.
    """
    header = read_header(path)
    if header.architecture not in builders:
        raise ValueError(f"{path}: architecture {header.architecture!r} is none of {', '.join(sorted(builders))}")
    module = builders[header.architecture](header.config)
    fill(module, read_tensors(path, dtype), source=str(path))
    return module.to(dtype).eval()


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Copy tensors into a module; ValueError that names every missing, leftover or misshapen key."""
    wanted = module.state_dict()
    faults = [f"missing {name}" for name in wanted if name not in tensors]
    faults += [f"left over {name}" for name in tensors if name not in wanted]
    faults += [
        f"{name} is {list(tensors[name].shape)}, not {list(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if faults:
        raise ValueError(f"{source} does not fit {type(module).__name__}: {'; '.join(faults)}")
    module.load_state_dict(dict(tensors))


def read_config(config: type[C], values: Mapping[str, Any]) -> C:
    """A header's JSON as the dataclass it was written from, lists taken as tuples."""
    return config(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def from_config(module: Callable[[C], M], config: type[C]) -> Callable[[dict[str, Any]], M]:
    """A builder for `load_weights`: from a header's JSON to module(config(...))."""

    def build(values: dict[str, Any]) -> M:
        return module(read_config(config, values))

    return build
