"""What a pickle holds, as data: no object here can do anything, and tensors are places in the file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

DTYPES = {
    "float64": "F64", "double": "F64", "float32": "F32", "float": "F32", "float16": "F16", "half": "F16",
    "bfloat16": "BF16", "int64": "I64", "long": "I64", "int32": "I32", "int": "I32", "int16": "I16", "short": "I16",
    "int8": "I8", "char": "I8", "uint8": "U8", "byte": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ", "complex64": "C64", "complexfloat": "C64",
}  # fmt: skip
"""By torch's name of a type: safetensors' name. What is not here has no place in safetensors."""


Bytes = bytes


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """Bytes: so many from that place of the file on, or held here."""

    offset: int
    length: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A name that the pickle wants imported. It is not."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False, repr=False)
class Inert:
    """What the pickle wants made of a class or by a call: the name, and all that it gives it.

    It is never spelled out whole: what it holds may be without end.
    """

    maker: Any
    args: Any = ()
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)
    items: list[Any] = field(default_factory=list)

    def __str__(self) -> str:
        return str(self.maker) if isinstance(self.maker, Global) else "?"


@dataclass(slots=True, eq=False)
class Storage:
    """Numbers one behind the other in the file.

    dtype: as torch calls it, "" for plain bytes. bytes: how many. offset: where in the file, -1 as long as that is not
    known. data: they themselves, where they were no plain bytes in the file. whole, shift: of a view, whose it is, and
    how many bytes behind its beginning.
    """

    dtype: str
    bytes: int
    offset: int = -1
    data: Bytes | None = None
    whole: Storage | None = None
    shift: int = 0

    @property
    def place(self) -> int:
        """Where in the file it begins."""
        return self.whole.place + self.shift if self.whole is not None else self.offset


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor in the file. dtype: safetensors' name. start, strides: in numbers. fault: why it cannot be written."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    storage: Storage
    fault: str = ""

    @property
    def count(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


@dataclass(slots=True, eq=False)
class NumpyType:
    """A dtype of NumPy: its letters, such as "f4", and whether its bytes are in the order of little ends."""

    letters: str
    little: bool = True


@dataclass(slots=True, eq=False)
class NumpyArray:
    """An array of NumPy that waits for what it holds."""

    tensor: Tensor | None = None
