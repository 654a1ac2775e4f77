"""The result of one node as one safetensors file, and back. Nothing that a file says is ever executed.

Tensors are the file's entries. All else stands as JSON in its metadata ("structure"), beside a checksum over every
other byte of the header and the data. A class is named "module:QualName"; it is looked up only in modules that the
caller admits, must be a frozen dataclass, an Enum or a pydantic model, and is rebuilt by its own constructor, so that
its own checks judge what was read.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nodeflow.errors import NodeflowError
from nodeflow.regular import open_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Allowed = Callable[[str], bool]
"""Whether classes of the module of that name may be stored and rebuilt."""

FORMAT = "1"
HEADER_BYTES = 32 * 2**20
"""The longest header that is written or read; safetensors itself stops at 100 MB."""
DEPTH = 100
"""How deep values may nest: three levels of JSON each, well inside Python's 1,000 frames."""
MOST_VALUES = 2_000_000
"""How many values one result may hold: lists shared again and again would grow without bound when written out."""
BLANK = "0" * 32
CHECKSUM = re.compile(r"[0-9a-f]{32}")


class Unstorable(NodeflowError):
    """The result holds something that cannot be put in a file: a function, a module, a class of nobody we know."""


class Damaged(NodeflowError):
    """The file is not what was written, or cannot be understood here."""


@dataclass(frozen=True)
class Packed:
    """A result ready to be written: the header, then the bytes of each tensor."""

    chunks: tuple[bytes | memoryview, ...]

    @property
    def size(self) -> int:
        return sum(len(chunk) for chunk in self.chunks)

    def write(self, file: BinaryIO) -> None:
        for chunk in self.chunks:
            file.write(chunk)


def pack(result: Sequence[Any], allowed: Allowed) -> Packed:
    """Puts a node's output values into the form of a file; tensors of other devices are copied to the CPU.

    Raises:
        Unstorable: a value is of a kind that cannot be stored, or of a class that `allowed` would not give back.
        MemoryError: there is no memory for copies of tensors that are elsewhere, or not contiguous.
    """
    writer = _Writer(allowed)
    try:
        structure = json.dumps([writer.encode(value) for value in result], separators=(",", ":"), allow_nan=False)
    except RecursionError as error:
        raise Unstorable("values nested too deep") from error
    except ValueError as error:
        raise Unstorable(str(error)) from error
    tables, chunks = writer.laid_out()
    metadata = {"nodeflow": FORMAT, "checksum": BLANK, "structure": structure}
    text = json.dumps({"__metadata__": metadata} | tables, separators=(",", ":")).encode()
    if len(text) > HEADER_BYTES:
        raise Unstorable(f"{len(text):,} bytes of values beside its tensors, more than {HEADER_BYTES:,}")
    text += b" " * (-len(text) % 8)
    text = text.replace(BLANK.encode(), _digest(text, chunks).encode(), 1)
    return Packed((len(text).to_bytes(8, "little") + text, *chunks))


def store(path: str | os.PathLike[str], result: Sequence[Any], allowed: Allowed) -> int:
    """Writes a result to `path` and returns the bytes written. Not atomic: the cache sees to that.

    Raises:
        Unstorable: see `pack`; nothing was written.
        OSError: the file could not be written.
    """
    packed = pack(result, allowed)
    with open(path, "wb") as file:
        packed.write(file)
    return packed.size


def fetch(path: str | os.PathLike[str], allowed: Allowed, limit: int | None = None) -> tuple[Any, ...]:
    """Reads a result; its tensors are on the CPU and share one storage. Without tensors, torch is not imported.

    Args:
        path: the file.
        allowed: says of which modules classes may be rebuilt; these are imported if they are not yet.
        limit: bytes beyond which a file is refused before it is read.

    Raises:
        Damaged: the file is not what `store` wrote, or a class of it is unknown, changed or not allowed.
        OSError: the file could not be read.
        MemoryError: there is no memory for its tensors.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise Damaged(f"{size:,} bytes, more than the {limit:,} allowed")
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(HEADER_BYTES + 8, size - 8):
            raise Damaged(f"a header of {length:,} bytes in a file of {size:,}")
        text = file.read(length)
        data, view = _room(size - 8 - length)
        if file.readinto(view) != len(view) or len(text) != length:
            raise Damaged("the file ends early")
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__")
        checksum = metadata["checksum"]
        if metadata["nodeflow"] != FORMAT or not CHECKSUM.fullmatch(checksum):
            raise Damaged("not a result of this version of nodeflow")
        if _digest(text.replace(checksum.encode(), BLANK.encode(), 1), (view,)) != checksum:
            raise Damaged("the checksum does not match")
        reader = _Reader(allowed, {name: _tensor(data, entry) for name, entry in header.items()})
        return tuple(reader.decode(value) for value in json.loads(metadata["structure"]))
    except (Damaged, MemoryError):
        raise
    except Exception as error:  # whatever a forged or outdated structure makes json, torch or a constructor raise
        raise Damaged(f"{type(error).__name__}: {error}") from error


def _digest(text: bytes, chunks: Sequence[bytes | memoryview]) -> str:
    digest = hashlib.blake2b(text, digest_size=len(BLANK) // 2)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _room(size: int) -> tuple[Tensor | None, memoryview]:
    """Room for all tensors at once, aligned as torch wants it, and the same bytes as a buffer."""
    if size == 0:
        return None, memoryview(bytearray())
    import torch  # deferred: a result without tensors is read without it

    try:
        data = torch.empty(size, dtype=torch.uint8)
    except RuntimeError as error:
        raise MemoryError(f"no memory for {size:,} bytes of tensors") from error
    return data, data.numpy().data


def _tensor(data: Tensor | None, entry: Mapping[str, Any]) -> Tensor:
    import torch

    if data is None:
        data = torch.empty(0, dtype=torch.uint8)
    dtype, shape, (begin, end) = _dtypes()[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if not 0 <= begin <= end <= len(data) or end - begin != math.prod(shape) * dtype.itemsize:
        raise Damaged(f"a tensor {shape} at bytes {begin} to {end} of {len(data)}")
    return data[begin:end].view(dtype).reshape(shape)


@functools.cache
def _dtypes() -> Mapping[str, torch.dtype]:
    import torch

    return {
        "BOOL": torch.bool, "U8": torch.uint8, "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64,
        "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64, "F16": torch.float16,
        "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64,
        "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    }  # fmt: skip


def _is_form(kind: type) -> bool:
    pydantic = sys.modules.get("pydantic")  # while nobody imported it, there is no class of it
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def _is_frozen(kind: Any) -> bool:
    told = getattr(kind, "__dataclass_params__", None)
    return told is not None and bool(told.frozen)


def _class_called(name: str) -> Any:
    module, _, qualname = name.partition(":")
    found = functools.reduce(getattr, qualname.split("."), import_module(module))
    # the chain of names may lead out of the module ("nodeflow.values:os.PathLike"); the class itself says where it is
    if not isinstance(found, type) or (found.__module__, found.__qualname__) != (module, qualname):
        raise AttributeError(f"{name} is no class of that module")
    return found


def _built(kind: Any, fields: Mapping[str, Any]) -> Any:
    """An instance made by the class' own constructor: it decides whether these fields are legal."""
    if not _is_form(kind):
        return kind(**fields)
    if "root" in kind.model_fields:
        return kind.model_validate(fields["root"])
    known = kind.model_fields
    aliases = {name: known[name].validation_alias for name in fields if name in known}
    named = {name: alias for name, alias in aliases.items() if isinstance(alias, str)}
    return kind.model_validate({named.get(name, name): value for name, value in fields.items()})


def _fields(value: Any) -> dict[str, Any]:
    if _is_form(type(value)):
        return {name: getattr(value, name) for name in type(value).model_fields} | (value.model_extra or {})
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}


class _Writer:
    """Turns values into JSON, and collects the tensors on the way."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._tensors: list[Tensor] = []
        self._known: dict[Any, int] = {}
        self._open: set[int] = set()
        self._count = 0

    def encode(self, value: Any) -> Any:
        kind = type(value)
        self._count += 1
        if self._count > MOST_VALUES:
            raise Unstorable(f"more than {MOST_VALUES:,} values")
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, Path):
            return {"path": str(value)}
        if isinstance(value, Enum):
            return self._choice(value)
        if hasattr(kind, "untyped_storage"):
            return {"tensor": str(self._number(value))}
        if id(value) in self._open or len(self._open) >= DEPTH:
            raise Unstorable(f"values nested more than {DEPTH} deep")
        self._open.add(id(value))
        try:
            return self._inside(value, kind)
        finally:
            self._open.discard(id(value))

    def _inside(self, value: Any, kind: type) -> Any:
        if kind is list:
            return [self.encode(item) for item in value]
        if kind is tuple:
            return {"tuple": [self.encode(item) for item in value]}
        if kind is dict:
            return {"dict": [[self.encode(key), self.encode(item)] for key, item in value.items()]}
        if not _is_frozen(kind) and not _is_form(kind):
            raise Unstorable(f"{_name(kind)} is of no kind that can be stored")
        name, fields = self._name(kind), _fields(value)
        try:
            again = _built(kind, fields)
            # tuples compare their items by identity first, so tensors that a constructor passes on count as equal
            same = again == value if _is_form(kind) else tuple(_fields(again).values()) == tuple(fields.values())
        except Exception as error:  # a constructor, or a comparison of tensors that it made anew
            raise Unstorable(f"{_name(kind)} cannot be made from its fields: {error}") from error
        if not same:
            raise Unstorable(f"{_name(kind)} changes its fields when it is made from them again")
        return {"class": [name, {key: self.encode(item) for key, item in fields.items()}]}

    def _choice(self, value: Enum) -> Any:
        kind = type(value)
        if kind.__members__.get(str(value.name)) is not value:
            raise Unstorable(f"{value!r} has no name of its own")
        return {"enum": [self._name(kind), value.name]}

    def _name(self, kind: type) -> str:
        name = _name(kind)
        if kind.__module__ == "__main__" or not self._allowed(kind.__module__):
            raise Unstorable(f"{name} is not of nodeflow or a plugin")
        try:
            found = _class_called(name)
        except Exception:
            found = None
        if found is not kind:
            raise Unstorable(f"{name} cannot be found by its name")
        return name

    def _number(self, tensor: Tensor) -> int:
        import torch

        if type(tensor) is not torch.Tensor or tensor.layout != torch.strided or tensor.device.type == "meta":
            raise Unstorable(f"{type(tensor).__name__} ({tensor.layout}, on {tensor.device}) is no plain tensor")
        if tensor.is_quantized or tensor.dtype not in _dtypes().values():
            raise Unstorable(f"tensors of {tensor.dtype} have no place in safetensors")
        place = (tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride())
        same = (*place, tensor.is_conj(), tensor.is_neg())
        if same not in self._known:
            self._known[same] = len(self._tensors)
            self._tensors.append(tensor)
        return self._known[same]

    def laid_out(self) -> tuple[dict[str, Any], list[memoryview]]:
        """The table of tensors and their bytes: widest elements first, so that all are aligned without gaps."""
        names = {dtype: name for name, dtype in _dtypes().items()} if self._tensors else {}
        tables: dict[str, Any] = {}
        chunks: list[memoryview] = []
        offset = 0
        for number, tensor in sorted(enumerate(self._tensors), key=lambda pair: -pair[1].dtype.itemsize):
            end = offset + tensor.numel() * tensor.dtype.itemsize
            entry = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
            tables[str(number)], offset = entry, end
            if tensor.numel():
                chunks.append(_bytes_of(tensor))
        return tables, chunks


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _bytes_of(tensor: Tensor) -> memoryview:
    import torch

    try:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    except RuntimeError as error:
        raise MemoryError(f"no memory for a copy of a tensor: {error}") from error
    return plain.reshape(-1).view(torch.uint8).numpy().data


class _Reader:
    """Turns JSON into values."""

    def __init__(self, allowed: Allowed, tensors: Mapping[str, Tensor]) -> None:
        self._allowed = allowed
        self._tensors = tensors

    def decode(self, data: Any) -> Any:
        if isinstance(data, list):
            return [self.decode(item) for item in data]
        if not isinstance(data, dict):
            return data
        ((tag, inner),) = data.items()
        match tag:
            case "float":
                return float(inner)
            case "path":
                return Path(inner)
            case "tensor":
                return self._tensors[inner]
            case "tuple":
                return tuple(self.decode(item) for item in inner)
            case "dict":
                return {self.decode(key): self.decode(item) for key, item in inner}
            case "enum":
                return self._class(inner[0], lambda kind: issubclass(kind, Enum)).__members__[inner[1]]
            case "class":
                return self._instance(*inner)
            case _:
                raise Damaged(f'unknown tag "{tag}"')

    def _instance(self, name: str, fields: Mapping[str, Any]) -> Any:
        kind = self._class(name, lambda kind: _is_frozen(kind) or _is_form(kind))
        if _is_frozen(kind):
            known = {field.name for field in dataclasses.fields(kind) if field.init}
            if known != fields.keys():
                raise Damaged(f"{name} has other fields now: {sorted(known ^ fields.keys())}")
        return _built(kind, {key: self.decode(item) for key, item in fields.items()})

    def _class(self, name: str, fits: Callable[[Any], bool]) -> Any:
        if not self._allowed(name.partition(":")[0]):
            raise Damaged(f"{name} is not of nodeflow or a plugin")
        kind = _class_called(name)
        if not fits(kind):
            raise Damaged(f"{name} is no frozen dataclass, Enum or pydantic model")
        return kind
