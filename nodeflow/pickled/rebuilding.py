"""What the few names that checkpoints need would make of their arguments, said as data; every other name is inert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nodeflow.headers import BITS, DIMENSIONS
from nodeflow.pickled.machine import Damaged, Effort, keyed
from nodeflow.pickled.values import DTYPES, Blob, Global, Inert, NumpyArray, NumpyType, Storage, Tensor

LETTERS = {
    "f8": "float64", "f4": "float32", "f2": "float16", "i8": "int64", "i4": "int32", "i2": "int16", "i1": "int8",
    "u8": "uint64", "u4": "uint32", "u2": "uint16", "u1": "uint8", "b1": "bool", "c8": "complex64",
}  # fmt: skip
"""NumPy's letters for types that torch has too."""
RUNS_CODE = frozenset({
    "os", "posix", "nt", "subprocess", "sys", "runpy", "importlib", "imp", "pty", "socket", "shutil", "ctypes",
    "commands", "webbrowser", "code", "codeop", "pdb", "bdb", "timeit", "cProfile", "profile", "trace", "doctest",
    "asyncio", "multiprocessing", "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve",
    "pip", "setuptools", "distutils", "idlelib", "lib2to3", "urllib", "urllib2", "http", "httplib", "requests",
    "ftplib", "smtplib", "signal", "platform", "pkgutil", "zipimport", "linecache", "tempfile",
})  # fmt: skip
"""Packages of which no weights need anything, and with which a pickle does harm."""
RUNS_CODE_ALSO = {
    "builtins": {
        "eval", "exec", "compile", "open", "__import__", "setattr", "delattr", "globals", "locals", "vars", "input",
        "breakpoint", "execfile", "file", "apply", "reload",
    },
    "types": {"CodeType", "FunctionType"},
    "operator": {"attrgetter", "methodcaller"},
    "torch": {"load", "hub", "ops", "compile"},
    "torch.hub": {"load", "load_state_dict_from_url", "download_url_to_file"},
    "torch.serialization": {"load"},
    "torch.jit": {"load"},
    "torch.utils.cpp_extension": {"load", "load_inline"},
    "numpy": {"load", "fromfile", "save"},
    "numpy.testing._private.utils": {"runstring"},
    "numpy.f2py.crackfortran": {"myeval", "param_eval"},
}  # fmt: skip
HARMLESS = ("collections.", "builtins.", "__builtin__.", "torch.", "numpy.", "_codecs.", "copyreg.", "copy_reg.")
"""Names that need not be told as left out."""
MOST_SIDES = 64
"""Of a tensor; torch allows as many."""


def runs_code(name: Global) -> bool:
    """Whether a pickle that wants this name wants to run something, or to load what does."""
    module = {"__builtin__": "builtins"}.get(name.module, name.module)
    first = name.name.partition(".")[0]
    return module.partition(".")[0] in RUNS_CODE or first in RUNS_CODE_ALSO.get(module, ())


def storage_type(kind: Any) -> str:
    """`torch.FloatStorage` -> "float"; "" for bytes of any type.

    Raises:
        Damaged: it is no type of a storage.
    """
    if not isinstance(kind, Global) or not kind.module.startswith("torch") or not kind.name.endswith("Storage"):
        told = f" {kind}" if isinstance(kind, Global) else ""
        raise Damaged(f"it holds numbers of an unknown type{told}")
    name = kind.name.removesuffix("Storage").lower()
    return "" if name == "untyped" else name


def item_bytes(dtype: str) -> int:
    """Of a number, by torch's name of the type; those that safetensors lacks count as the most."""
    return 1 if not dtype else BITS[DTYPES[dtype]] // 8 if dtype in DTYPES else 16


class Rebuilder:
    """Applies names to arguments. `nested` reads the storage in a torch file that is held as bytes in another."""

    def __init__(self, nested: Callable[[Blob], Any], effort: Effort) -> None:
        self._nested, self._effort = nested, effort

    def apply(self, maker: Any, args: Any) -> Any:
        """What a call of `maker` stands for; inert if it is not known."""
        name = str(maker) if isinstance(maker, Global) else ""
        if name == "torch.storage._load_from_bytes" and isinstance(args, tuple) and len(args) == 1:
            return self._nested(args[0])
        if name in ("torch._tensor._rebuild_from_type_v2", "torch._utils._rebuild_from_type_v2"):
            return self.apply(args[0], args[2])
        known = KNOWN.get(name)
        if known is None or not isinstance(args, tuple):
            return Inert(maker, args)
        for given in args:
            self._effort.copy(given)
        return known(args)

    def build(self, made: Any, state: Any) -> Any:
        """An object with its state."""
        if isinstance(made, NumpyArray):
            _, shape, kind, fortran, data = state
            self._effort.copy(data)
            made.tensor = array(data, kind, shape, bool(fortran))
        elif isinstance(made, NumpyType):
            made.little = made.little and state[1] != ">"
        elif isinstance(made, Inert):
            made.state = state
        return made


def tensor(storage: Any, start: Any, shape: Any, strides: Any, dtype: str | None = None) -> Any:
    """A view into a storage, judged: it lies within it.

    Raises:
        Damaged: it does not.
    """
    if not isinstance(storage, Storage):
        return Inert(Global("torch", "Tensor"), (storage,))
    name = dtype if dtype is not None else storage.dtype
    shape, strides = _sides(shape), _sides(strides)
    numbers = (start, *shape, *strides)
    if len(shape) != len(strides) or not all(type(number) is int and 0 <= number < 2**62 for number in numbers):
        raise Damaged("it holds a tensor without a sound shape")
    last = start + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if 0 not in shape and (last + 1) * item_bytes(name) > storage.bytes and name in DTYPES:
        raise Damaged(f"it holds a tensor {list(shape)} that does not lie within its {storage.bytes:,} bytes")
    kind = DTYPES.get(name, "")
    fault = "" if kind else f"of the type {name}, which safetensors lacks"
    if len(shape) > DIMENSIONS:
        fault = f"of {len(shape)} dimensions, more than {DIMENSIONS}"
    return Tensor(kind, shape, strides, start, storage, fault)


def array(data: Any, kind: Any, shape: Any, fortran: bool) -> Any:
    """An array of NumPy as a tensor; None where it is of objects or texts."""
    letters = kind.letters if isinstance(kind, NumpyType) else ""
    name = LETTERS.get(letters.lstrip("<=|"), "")
    if isinstance(data, str):  # as Python 2 wrote bytes
        data = Blob(0, len(data), data.encode("latin-1"))
    if not isinstance(data, Blob) or not name:
        return None
    shape = _sides(shape)
    strides, step = [], 1
    for side in shape if fortran else shape[::-1]:
        strides.append(step)
        step *= max(side, 1)
    storage = Storage(name, data.length, data.offset, data.data)
    found = tensor(storage, 0, shape, strides if fortran else strides[::-1])
    assert isinstance(kind, NumpyType)
    return found if kind.little else replace(found, fault="of numbers in the order of big ends")


def _sides(told: Any) -> tuple[Any, ...]:
    """The numbers of a shape, which may stand within an object."""
    sides = told.args[0] if isinstance(told, Inert) and told.args else told
    if not isinstance(sides, list | tuple) or len(sides) > MOST_SIDES:
        raise Damaged("it holds a tensor without a sound shape")
    return tuple(sides)


def _typed(args: tuple[Any, ...]) -> Any:
    """`_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype)`."""
    storage, start, shape, strides, _, _, kind, *_ = args
    return tensor(storage, start, shape, strides, kind.name if isinstance(kind, Global) else "?")


def _pairs(args: tuple[Any, ...]) -> dict[Any, Any]:
    given = args[-1] if args and isinstance(args[-1], dict | list) else ()
    if isinstance(given, dict):
        return dict(given)
    return {keyed(pair[0]): pair[1] for pair in given if isinstance(pair, list | tuple) and len(pair) == 2}


def _numpy_type(args: tuple[Any, ...]) -> NumpyType:
    letters = args[0] if args and isinstance(args[0], str) else "?"
    return NumpyType(letters.lstrip("<>=|"), not letters.startswith(">"))


def _bytes_of(args: tuple[Any, ...]) -> Any:
    """`_codecs.encode(text, "latin1")`: bytes, as protocol 2 has to write them."""
    data = args[0].encode("latin-1")
    return Blob(0, len(data), data)


def _from_buffer(args: tuple[Any, ...]) -> NumpyArray:
    data, kind, shape, order = args
    return NumpyArray(array(data, kind, shape, order == "F"))


def _listed(args: tuple[Any, ...]) -> Any:
    return list(args[0]) if args and isinstance(args[0], list | tuple) else []


def _first(args: tuple[Any, ...]) -> Any:
    return args[0]


KNOWN: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "torch._utils._rebuild_tensor": lambda args: tensor(*args[:4]),
    "torch._utils._rebuild_tensor_v2": lambda args: tensor(*args[:4]),
    "torch._utils._rebuild_tensor_v3": _typed,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_device_tensor_from_numpy": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch.Size": lambda args: tuple(_listed(args)),
    "torch.jit._pickle.restore_type_tag": _first,
    **{f"torch.jit._pickle.build_{kind}list": _first for kind in ("int", "double", "bool", "tensor")},
    "collections.OrderedDict": _pairs,
    "collections.defaultdict": _pairs,
    "collections.Counter": _pairs,
    "_codecs.encode": _bytes_of,
    **{f"{home}.dict": _pairs for home in ("builtins", "__builtin__")},
    **{f"{home}.{kind}": _listed for home in ("builtins", "__builtin__") for kind in ("list", "set", "frozenset")},
    **{f"{home}.bytearray": (lambda args: args[0] if args else None) for home in ("builtins", "__builtin__")},
    **{f"numpy.{home}.multiarray._reconstruct": lambda _args: NumpyArray() for home in ("core", "_core")},
    **{f"numpy.{home}.numeric._frombuffer": _from_buffer for home in ("core", "_core")},
    "numpy.dtype": _numpy_type,
}
"""All that is understood. Their results are data, whatever the arguments."""
