"""Checkpoints as others publish them: files told apart by their headers, and maps from our tensors to theirs.

A map is made forward, along the outline of our module: for each of its tensors the published ones that stand one
above the other in it. So each published tensor is used once, and what is missing or left over has a name.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nodeflow_nn.eightbit import hold, in_eight
from nodeflow_nn.placing import DIRECT, Staging, WithoutMemory
from nodeflow_nn.soundness import Soundness

Shape = tuple[int, ...]
TOLD = 12
"""Faults that a message lists."""
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
"""Types, as safetensors names them, of which weights may be."""


class Transposed(NamedTuple):
    """A published matrix that is [in, out], where ours is [out, in]."""

    name: str


Piece = str | Transposed
Sources = Mapping[str, tuple[Piece, ...]]
"""By name of our tensor: the published tensors that stand one above the other in it."""


class Sides(tuple[int, ...]):
    """A shape that says whose it is where it has fewer sides than are asked for: what is read of a file may be odd.

    Raises:
        ValueError: at such a side.
    """

    name: str

    def __getitem__(self, at: Any) -> Any:
        try:
            return super().__getitem__(at)
        except IndexError:
            raise ValueError(
                f"{self.name} is {list(self)}, but expected a tensor of more dimensions\n    fetch it again"
            ) from None


def telling(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes of a file's tensors, to measure a model by."""
    found: dict[str, Shape] = {}
    for name, shape in shapes.items():
        sides = Sides(shape)
        sides.name = name
        found[name] = sides
    return found


class Located(Protocol):
    """A tensor in a file."""

    @property
    def file(self) -> Path:
        """Which."""


class Headers(Protocol):
    """What the engine reads of a checkpoint before any weight."""

    @property
    def path(self) -> Path:
        """The file, or the folder of the files."""

    @property
    def tensors(self) -> Mapping[str, Located]:
        """By name."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Likewise."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors in one file or in several, known by their headers alone.

    path: the file, or the folder of the files. files, shapes: by name of the tensor.
    """

    path: Path
    files: Mapping[str, Path]
    shapes: Mapping[str, Shape]

    @classmethod
    def of(cls, headers: Headers) -> "Checkpoint":
        """One whose headers were read."""
        return cls(headers.path, {name: tensor.file for name, tensor in headers.tensors.items()}, headers.shapes)

    @contextmanager
    def reading(self) -> Iterator[Callable[[str], Tensor]]:
        """Within the block: a tensor by its name, from the mapped file."""
        with ExitStack() as stack:
            opened: dict[Path, Any] = {}

            def read(name: str) -> Tensor:
                path = self.files[name]
                if path not in opened:
                    opened[path] = stack.enter_context(safe_open(path, framework="pt"))
                try:
                    found: Tensor = opened[path].get_tensor(name)
                except SafetensorError as error:
                    raise ValueError(f"{name} cannot be read from {path}: {error}") from error
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


def shapes_of(module: nn.Module) -> dict[str, Shape]:
    """By name, of all tensors of a module, which may be without memory."""
    return {name: tuple(value.shape) for name, value in module.state_dict(keep_vars=True).items()}


def outlined(make: Callable[[], nn.Module]) -> dict[str, Shape]:
    """Likewise, of a module that takes no memory meanwhile."""
    with WithoutMemory():
        return shapes_of(make())


def faults(
    wanted: Mapping[str, Shape],
    sources: Sources,
    shapes: Mapping[str, Shape],
    own: Callable[[str], bool],
    dtypes: Mapping[str, str] | None = None,
) -> list[str]:
    """Why the published tensors do not make up a module; empty if they do.

    Args:
        wanted: by name, the shapes of the module's tensors.
        sources: for each of its tensors.
        shapes: of the published tensors.
        own: whether a published tensor must be used; others are somebody else's, or known to be of no use.
        dtypes: of the published tensors, as safetensors names them.
    """
    used = [piece if isinstance(piece, str) else piece.name for pieces in sources.values() for piece in pieces]
    known = set(used)
    found = [f"missing {name}" for name in used if name not in shapes]
    found += [f"left over {name}" for name in sorted(filter(own, shapes.keys() - known))]
    if len(known) < len(used):
        found += [f"used twice {name}" for name, times in sorted(Counter(used).items()) if times > 1]
    kinds = dtypes or {}
    odd = sorted(name for name in known & kinds.keys() if kinds[name] not in FLOATS and shapes[name])
    found += [f"{name} is {kinds[name]}, not floating point" for name in odd]
    for ours, shape in wanted.items():
        if ours not in sources:
            found.append(f"no name is known for {ours}")
            continue
        pieces = sources[ours]
        if len(pieces) == 1 and isinstance(pieces[0], str) and shapes.get(pieces[0]) == shape:  # as most are
            continue
        parts = [_turned(piece, shapes, len(shape)) for piece in pieces if name_of(piece) in shapes]
        if len(parts) < len(pieces):
            continue  # told as missing
        if (made := _stacked(parts)) != shape:
            told = ", ".join(f"{name_of(piece)} {list(shapes[name_of(piece)])}" for piece in pieces[:3])
            found.append(f"{told} make {list(made or ())}, not {list(shape)}")
    return found


def told(found: list[str]) -> str:
    """The faults in one sentence, the first of them at least."""
    more = f"; and {len(found) - TOLD} more" if len(found) > TOLD else ""
    count = "1 tensor does" if len(found) == 1 else f"{len(found)} tensors do"
    return f"{count} not fit: {'; '.join(found[:TOLD])}{more}"


def _turned(piece: Piece, shapes: Mapping[str, Shape], dimensions: int) -> Shape:
    """A published shape as it stands in ours; a convolution of one place is a linear layer."""
    shape = shapes[name_of(piece)]
    if isinstance(piece, Transposed):
        return shape[::-1]
    return shape[:2] if dimensions == 2 and set(shape[2:]) == {1} else shape


def _stacked(parts: list[Shape]) -> Shape | None:
    if len(parts) == 1:
        return parts[0]
    if not parts or not all(parts) or any(part[1:] != parts[0][1:] for part in parts):
        return None
    return (sum(part[0] for part in parts), *parts[0][1:])


def _gathered(
    pieces: Sequence[Piece],
    empty: Callable[..., Tensor],
    dtype: torch.dtype | None,
    read: Callable[[str], Tensor],
    staging: Staging | None,
) -> tuple[Tensor, torch.dtype]:
    """One tensor of ours out of the published ones, as `dtype` or as theirs, and their type. empty: makes room."""
    row, target, theirs = 0, torch.empty(0), torch.float32
    for at, piece in enumerate(pieces):
        part = read(name_of(piece))
        part = part.T if isinstance(piece, Transposed) else part
        if at == 0:
            target, theirs = empty(dtype=dtype or part.dtype), part.dtype
        rows = target if len(pieces) == 1 else target[row : row + len(part)]
        if staging is not None and part.nbytes > DIRECT:
            staging.copy(part, rows)
        else:
            rows.copy_(part.reshape(rows.shape))
        row += len(part) if part.ndim else 0
    return target, theirs


def filled(
    make: Callable[[], nn.Module],
    sources: Sources,
    checkpoint: Checkpoint,
    device: torch.device | str,
    dtype: torch.dtype | None = torch.float32,
    merge: Merge | None = None,
    *,
    channels_last: bool = False,
    eight: bool = False,
) -> nn.Module:
    """A module on a device with published weights, without gradients, in evaluation mode.

    Each is copied once, from the mapped file to its place; main memory holds one at a time beside what stays there.
    That they fit was judged.

    Args:
        make: builds the module, all of whose tensors are in its state.
        sources: for each of them.
        checkpoint: holds them.
        device: where the module shall be.
        dtype: of floating point weights there; None keeps the files'.
        merge: changes the tensors that are in it, each whole and in float32.
        channels_last: lay kernels of convolutions out so; on a GPU that is left to the caller, in its own memory.
        eight: whether layers hold their weights in 8 bits, computing in `dtype`, which is then some.

    Raises:
        ValueError: some weights are not finite, or beyond what `dtype` can hold.
    """
    device = torch.device(device)
    with WithoutMemory():
        module = make()
    staging = Staging(device) if device.type == "cuda" else None
    last, state, sound = channels_last and staging is None, dict[str, Tensor](), Soundness()
    with checkpoint.reading() as read:
        wanted = module.state_dict(keep_vars=True)
        holding = hold(module, dtype) if eight and dtype is not None else {}
        for ours, value in wanted.items():
            whole = ours in holding or (merge is not None and ours in merge)
            form = torch.channels_last if last and value.ndim == 4 else torch.contiguous_format
            empty = partial(torch.empty, value.shape, device=device, memory_format=form)
            target, theirs = _gathered(sources[ours], empty, torch.float32 if whole else dtype, read, staging)
            if merge is not None and ours in merge:
                merge(ours, target)
            sound.look(ours, target)
            if ours in holding:
                assert dtype is not None
                stem = ours.removesuffix("weight")
                state[f"{stem}eight"], state[f"{stem}scale"] = in_eight(target, dtype)
            else:
                state[ours] = target.to(dtype or theirs)
        sound.judge({ours: tuple(map(name_of, pieces)) for ours, pieces in sources.items()}, read, dtype)
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)
