"""What a result holds: its bytes, its tensors and how often they were written to, and what it points at outside."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

Result = tuple[Any, ...]

ENTRY_BYTES = 200
"""What an entry costs beside its values: key, tuple, place in the dictionary."""
SCALAR_BYTES = 32
SCALARS = frozenset({int, float, bool, type(None)})


@dataclass(slots=True, eq=False)  # frozen, or as a NamedTuple, it takes 0.2 microseconds more to make
class Entry:
    """A result, and its bytes.

    guards: its values that point at something outside and have a method `stands()`, as `values.SavedFile` has.
    afar: whether an accelerator holds some of it. tensors: each with the number of writes to it until now; torch
    counts them, those through views as well, but not those through `.data` or a NumPy array that shares the memory.
    """

    result: Result
    bytes: int
    guards: tuple[Any, ...] = ()
    afar: bool = False
    tensors: tuple[tuple[Any, int], ...] = ()

    def intact(self) -> bool:
        """Whether nobody has written to its tensors."""
        return all(tensor._version == writes for tensor, writes in self.tensors)


def measured(result: Result) -> Entry:
    """The entry for a result, its bytes estimated; a storage that several tensors share counts once.

    Tensors made in inference mode, whose writes nobody counts, become ordinary ones.

    Raises:
        ValueError: such a tensor has to stay as it is.
    """
    total = ENTRY_BYTES
    for value in result:
        kind = type(value)
        if kind in SCALARS:
            total += SCALAR_BYTES
        elif kind is str:
            total += sys.getsizeof(value)
        else:
            return _walked(result)
    return Entry(result, total)


def _walked(result: Result) -> Entry:
    total, afar = ENTRY_BYTES, False
    guards: list[Any] = []
    tensors: list[tuple[Any, int]] = []
    storages: dict[Any, int] = {}
    seen: set[int] = set()
    stack: list[Any] = list(result)
    while stack:
        value = stack.pop()
        kind = type(value)
        if kind in SCALARS:
            total += SCALAR_BYTES
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if hasattr(kind, "untyped_storage"):
            if value.is_inference():
                _make_ordinary(value)
            tensors.append((value, value._version))
            place, size = _held(value)
            storages[place] = size
            afar = afar or value.device.type != "cpu"
            continue
        total += sys.getsizeof(value, SCALAR_BYTES)
        if hasattr(kind, "stands"):
            guards.append(value)
        stack.extend(_inside(value, kind))
    return Entry(result, total + sum(storages.values()), tuple(guards), afar, tuple(tensors))


def _inside(value: Any, kind: type) -> Any:
    if kind is str or issubclass(kind, (type, ModuleType, FunctionType, MethodType)):
        return ()
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, dict):
        return [*value, *value.values()]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return getattr(value, "__dict__", {}).values()


def _held(tensor: Any) -> tuple[Any, int]:
    try:
        storage = tensor.untyped_storage()
        return (tensor.device, storage.data_ptr()), storage.nbytes()
    except RuntimeError:  # sparse tensors have no one storage
        return id(tensor), tensor.numel() * tensor.element_size()


def _make_ordinary(tensor: Any) -> None:
    """Puts an ordinary tensor in the place of one made in inference mode, for all that hold it."""
    import torch  # deferred: who holds a tensor has imported it

    try:
        torch.utils.swap_tensors(tensor, tensor.clone())  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        message = "it returned a tensor of torch.inference_mode() that is in use elsewhere"
        raise ValueError(f"{message}\n    return tensor.clone(), or compute under torch.no_grad()") from error
