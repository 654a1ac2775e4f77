"""Checkpoints as others publish them: files told apart by their headers, and maps from our tensors to theirs.

A map is made forward, along the structure of our module: for each of its tensors the published ones that stand one
above the other in it. So each published tensor is used once, and what is missing or left over has a name.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import safe_open
from torch import Tensor, nn

from nodeflow_nn.placing import DIRECT, Staging, WithoutMemory

Shape = tuple[int, ...]
TOLD = 12
"""Faults that a message lists."""


class Transposed(NamedTuple):
    """A published matrix that is [in, out], where ours is [out, in]."""

    name: str


Piece = str | Transposed
Sources = Mapping[str, tuple[Piece, ...]]
"""By name of our tensor: the published tensors that stand one above the other in it."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors in one file or in several, known by their headers alone.

    path: the file, or the folder of the files. files, shapes: by name of the tensor.
    """

    path: Path
    files: Mapping[str, Path]
    shapes: Mapping[str, Shape]

    @contextmanager
    def reading(self) -> Iterator[Callable[[str], Tensor]]:
        """Within the block: a tensor by its name, from the mapped file."""
        with ExitStack() as stack:
            opened: dict[Path, Any] = {}

            def read(name: str) -> Tensor:
                path = self.files[name]
                if path not in opened:
                    opened[path] = stack.enter_context(safe_open(path, framework="pt"))
                found: Tensor = opened[path].get_tensor(name)
                return found

            yield read


class Merge(Protocol):
    """What changes some tensors of a module on their way into it (see `adapters.Merge`)."""

    def __contains__(self, ours: str, /) -> bool:
        """Whether it changes the tensor of that name."""

    def __call__(self, ours: str, value: Tensor, /) -> None:
        """Changes it in place."""


def name_of(piece: Piece) -> str:
    """The published name."""
    return piece if isinstance(piece, str) else piece.name


def faults(module: nn.Module, sources: Sources, shapes: Mapping[str, Shape], own: Callable[[str], bool]) -> list[str]:
    """Why the published tensors do not make up a module; empty if they do.

    Args:
        module: may be without memory.
        sources: for each of its tensors.
        shapes: of the published tensors.
        own: whether a published tensor must be used; others are somebody else's, or known to be of no use.
    """
    used = [name_of(piece) for pieces in sources.values() for piece in pieces]
    found = [f"missing {name}" for name in used if name not in shapes]
    found += [f"left over {name}" for name in sorted(set(shapes) - set(used)) if own(name)]
    found += [f"used twice {name}" for name in sorted(set(used)) if used.count(name) > 1] if _repeated(used) else []
    for ours, value in module.state_dict(keep_vars=True).items():
        if ours not in sources:
            found.append(f"no name is known for {ours}")
            continue
        parts = [_turned(piece, shapes, value.ndim) for piece in sources[ours] if name_of(piece) in shapes]
        if len(parts) < len(sources[ours]):
            continue  # told as missing
        if _stacked(parts) != tuple(value.shape):
            told = ", ".join(f"{name_of(piece)} {list(shapes[name_of(piece)])}" for piece in sources[ours][:3])
            found.append(f"{told} make {list(_stacked(parts) or ())}, not {list(value.shape)}")
    return found


def told(found: list[str]) -> str:
    """The faults in one sentence, the first of them at least."""
    more = f"; and {len(found) - TOLD} more" if len(found) > TOLD else ""
    return f"{len(found)} tensors do not fit: {'; '.join(found[:TOLD])}{more}"


def _repeated(names: list[str]) -> bool:
    return len(set(names)) < len(names)


def _turned(piece: Piece, shapes: Mapping[str, Shape], dimensions: int) -> Shape:
    """A published shape as it stands in ours; a 1x1 convolution is a linear layer."""
    shape = shapes[name_of(piece)]
    if isinstance(piece, Transposed):
        return shape[::-1]
    return shape[:2] if dimensions == 2 and len(shape) == 4 and shape[2:] == (1, 1) else shape


def _stacked(parts: list[Shape]) -> Shape | None:
    if len(parts) == 1:
        return parts[0]
    if not parts or not all(parts) or any(part[1:] != parts[0][1:] for part in parts):
        return None
    return (sum(part[0] for part in parts), *parts[0][1:])


def filled(
    make: Callable[[], nn.Module],
    sources: Sources,
    checkpoint: Checkpoint,
    device: torch.device | str,
    dtype: torch.dtype | None = torch.float32,
    merge: Merge | None = None,
) -> nn.Module:
    """A module on a device with published weights, without gradients, in evaluation mode.

    They go from the mapped files to the device; main memory holds one of them at a time. That they fit was judged.

    Args:
        make: builds the module, all of whose tensors are in its state.
        sources: for each of them.
        checkpoint: holds them.
        device: where the module shall be.
        dtype: of floating point weights there; None keeps the files'.
        merge: changes the tensors that are in it, each whole and in float32.
    """
    device = torch.device(device)
    with WithoutMemory():
        module = make()
    staging = Staging(device) if device.type == "cuda" else None
    state: dict[str, Tensor] = {}
    with checkpoint.reading() as read:
        for ours, value in module.state_dict(keep_vars=True).items():
            row, target, kind = 0, torch.empty(0), dtype
            for at, piece in enumerate(sources[ours]):
                part = read(name_of(piece))
                part = part.T if isinstance(piece, Transposed) else part
                if at == 0:
                    kind = dtype or part.dtype
                    wide = torch.float32 if merge is not None and ours in merge else kind
                    target = torch.empty(value.shape, dtype=wide, device=device)
                rows = target if len(sources[ours]) == 1 else target[row : row + len(part)]
                if staging is not None and part.nbytes > DIRECT:
                    staging.copy(part, rows)
                else:
                    rows.copy_(part.reshape(rows.shape))
                row += len(part) if part.ndim else 0
            if merge is not None and ours in merge:
                merge(ours, target)
                target = target.to(kind)
            state[ours] = target
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)
