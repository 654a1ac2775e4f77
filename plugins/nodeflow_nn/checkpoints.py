"""Weights files of strangers: judged by their header alone, then built. Nothing that a file says is ever executed."""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from nodeflow_nn.placing import WithoutMemory, placed
from nodeflow_nn.weights import Header, read_header

Builders = Mapping[str, Callable[[dict[str, Any]], nn.Module]]
Failure = type[Exception]
"""What to raise; the caller's own kind, since this package knows no engine."""

PICKLED = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
LARGEST = 8192
"""No sound config holds a larger number; one from a stranger could ask for more memory than there is."""


@dataclass(frozen=True)
class Described:
    """What a file's header says, and the bytes that its tensors take as float32."""

    header: Header
    bytes: int


def describe(path: Path, builders: Builders, failure: Failure = ValueError) -> Described:
    """Judge a file by its header: no tensor is read.

    Args:
        path: file that `save_weights` wrote.
        builders: by architecture: the header's config -> module.
        failure: what to raise, with a message that says file, fault and cure, when the file is absent, pickled, cut
            off, of another architecture, or when its tensors are not those of the module that its config means.
    """
    _refuse_strangers(path, failure)
    try:
        header = read_header(path)
        shapes = _shapes(path)
    except SafetensorError as error:
        raise failure(f"{path} is damaged or cut off: {error}\n    fetch it again") from error
    except (OSError, ValueError, RecursionError) as error:
        raise failure(f"{path} cannot be read as weights of nodeflow: {error}") from error
    if header.architecture not in builders:
        known = ", ".join(sorted(builders))
        raise failure(
            f"{path} holds a model of architecture {header.architecture!r}, but expected {known}\n"
            "    load it with the node that is made for it, or name another file"
        )
    return Described(header, _judged(path, header, shapes, builders[header.architecture], failure))


def build(
    path: Path,
    builders: Builders,
    device: torch.device | str,
    failure: Failure = ValueError,
    *,
    dtype: torch.dtype | None = torch.float32,
    eight: bool = False,
) -> nn.Module:
    """The module that a file describes, in evaluation mode on `device`, without gradients; failures as `describe`.

    Its weights go from the mapped file to the device, where they become of type dtype; None keeps the file's.
    eight: whether its layers hold them in 8 bits, and make them of type dtype whenever they compute.
    """
    header = describe(path, builders, failure).header
    try:
        return placed(lambda: builders[header.architecture](header.config), path, device, dtype, eight=eight)
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise failure(f"{path} cannot be loaded: {error}\n    fetch it again, or name another file") from error


def lay_out(path: Path, builders: Builders, failure: Failure = ValueError) -> nn.Module:
    """The module that a file describes, without memory: weights have shapes and no values; failures as `describe`."""
    header = describe(path, builders, failure).header
    with WithoutMemory():
        return builders[header.architecture](header.config).eval().requires_grad_(False)


def _refuse_strangers(path: Path, failure: Failure) -> None:
    try:
        with open(path, "rb") as file:
            start, brace, size = file.read(8), file.read(1), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise failure(f"{path} cannot be opened: {error.strerror}\n    check the name and the model folders") from error
    # a header of safetensors may well be 128 bytes more than a multiple of 256 long: its first byte then is 0x80
    pickled = brace != b"{" and (start[:4] == b"PK\x03\x04" or start[:1] == b"\x80")
    if path.suffix in PICKLED or pickled:
        raise failure(
            f"{path} is a pickled checkpoint; those are refused, because opening one can run any code\n"
            f"    convert it: nodeflow convert {shlex.quote(os.fspath(path))}"
        )
    if len(start) < 8 or int.from_bytes(start, "little") > size - 8:
        raise failure(f"{path} is cut off or no safetensors file: it has {size:,} bytes\n    fetch it again")


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(path, framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def _judged(
    path: Path,
    header: Header,
    shapes: Mapping[str, tuple[int, ...]],
    builder: Callable[[dict[str, Any]], nn.Module],
    failure: Failure,
) -> int:
    """Compare the file's tensors with those of the module, which is laid out without memory; bytes as float32."""
    numbers = [value for item in header.config.values() for value in (item if isinstance(item, list) else [item])]
    if any(isinstance(value, int | float) and not 0 <= value <= LARGEST for value in numbers):
        raise failure(f"{path}: its config has a number outside 0..{LARGEST}\n    name another file")
    try:
        with WithoutMemory():
            wanted = {name: tuple(value.shape) for name, value in builder(header.config).state_dict().items()}
    except (ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        raise failure(f"{path}: no {header.architecture} can be made of its config: {error}") from error
    wrong = sorted(name for name in wanted.keys() | shapes.keys() if wanted.get(name) != shapes.get(name))
    if wrong:
        told = "; ".join(f"{name} is {shapes.get(name)}, not {wanted.get(name)}" for name in wrong[:5])
        raise failure(f"{path} does not fit its own config in {len(wrong)} tensors: {told}\n    fetch it again")
    return sum(4 * torch.Size(shape).numel() for shape in shapes.values())
