"""A result in a file: what goes in comes out, and whatever else the file says is refused with one exception."""

import dataclasses
import enum
import functools
import hashlib
import json
import math
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open

from nodeflow import storage
from nodeflow.storage import Damaged, Unstorable, fetch, pack, store
from nodeflow.values import Image, Latent, LatentSpace, Model, SavedFile, Table, TextEmbedding

DTYPES = [
    torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32,
    torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.float8_e4m3fn,
    torch.float8_e5m2,
]  # fmt: skip


class Method(enum.Enum):
    DDIM = "ddim"
    DDPM = "ddpm"


class Loud(enum.StrEnum):
    YES = "yes"


class Pair(NamedTuple):
    number: int
    text: str


class Flags(enum.Flag):
    A = 1
    B = 2


class Form(BaseModel):
    model_config = ConfigDict(extra="allow")
    width: int = Field(8, alias="w", ge=1)
    names: list[str] = []


class Doubling(BaseModel):
    width: int

    def model_post_init(self, context: Any) -> None:
        self.width *= 2


@dataclass(frozen=True)
class Weights(Model):
    path: str
    patches: tuple[Path, ...] = ()

    @property
    def size(self) -> int:
        return 8

    def build(self, device: Any) -> str:
        return self.path


@dataclass(frozen=True, eq=False)
class Bound:
    model: Weights
    text: TextEmbedding
    method: Method = Method.DDIM
    extra: Any = None
    area: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "area", len(self.model.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slim:
    scale: float


@dataclass
class Open:
    scale: float


@dataclass(frozen=True)
class Cloning:
    tensor: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensor", self.tensor.clone())


def known(module: str) -> bool:
    return module in ("nodeflow.values", __name__)


def again(path: Path, result: tuple[Any, ...]) -> tuple[Any, ...]:
    store(path, result, known)
    return fetch(path, known)


def same(left: Any, right: Any) -> bool:
    """Equal in type, value, and every bit of every tensor; nan equals nan."""
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        bits = [tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (left, right)]
        return (left.dtype, left.shape) == (right.dtype, right.shape) and torch.equal(*bits)
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    return bool(left == right)


def forged(path: Path, structure: Any, entries: dict[str, Any] | None = None, data: bytes = b"") -> Path:
    """A file with a checksum that is right and a structure, or the text of one, that `store` would never write."""
    written = structure if isinstance(structure, str) else json.dumps(structure)
    metadata = {"nodeflow": "1", "checksum": "0" * 32, "structure": written}
    text = json.dumps({"__metadata__": metadata} | (entries or {})).encode()
    digest = hashlib.blake2b(text + data, digest_size=16).hexdigest()
    text = text.replace(b"0" * 32, digest.encode(), 1)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def text_embedding() -> TextEmbedding:
    return TextEmbedding(torch.randn(1, 4, 8), torch.tensor([[True, True, False, False]]))


RESULT = (
    Bound(Weights("a.safetensors", (Path("b"), Path("c/d"))), text_embedding(), Method.DDPM, Slim(scale=0.5)),
    Latent(torch.randn(1, 4, 8, 8, dtype=torch.float64), LatentSpace("sd15", 4, 8)),
    Table("scores", ("name", "score"), (("a", 1.5), ("b", None))),
    SavedFile("a.png", 12, 34),
    Form(w=3, names=["x"], other=(1, 2)),
    {"seed": 2**80, (1, "k"): [True, None, "\ud800 é\0"]},
    Loud.YES,
)


def test_everything_that_travels_comes_back_as_it_was(tmp_path: Path) -> None:
    found = again(tmp_path / "a", RESULT)
    assert same(RESULT, found)
    assert len("a.safetensors") == found[0].area


tensors = st.builds(
    lambda dtype, shape, seed: (
        torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
        if dtype is torch.bool
        else torch.randint(0, 256, (*shape, dtype.itemsize), dtype=torch.uint8).view(dtype).reshape(shape)
    ),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(0, 9),
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    tensors,
    st.sampled_from([*Method, Loud.YES]),
    st.text("abc/.\udc80", max_size=5).map(Path),
    st.builds(Slim, scale=st.floats()),
)
keys = st.one_of(st.integers(), st.text(), st.sampled_from(Method), st.tuples(st.text(), st.booleans()))
nested = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(Bound, st.builds(Weights, st.text()), st.builds(text_embedding), st.sampled_from(Method), inner),
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(nested, max_size=3).map(tuple))
def test_any_nesting_of_values_comes_back(tmp_path: Path, result: tuple[Any, ...]) -> None:
    assert same(result, again(tmp_path / "a", result))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_type_keep_their_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4).to(dtype)
    result = (values, values.transpose(0, 2), values[:, :0], values[0, 0, 0], values[:1].expand(5, 3, 4))
    assert same(result, again(tmp_path / "a", result))


def test_safetensors_reads_the_file_and_its_tensors_are_aligned(tmp_path: Path) -> None:
    result = (torch.ones(3, dtype=torch.int8), torch.arange(5), torch.ones(3, dtype=torch.float16))
    store(tmp_path / "a", result, known)
    with safe_open(tmp_path / "a", "pt") as file:
        assert {"0", "1", "2"} == set(file.keys())
        assert same(result, tuple(file.get_tensor(str(number)) for number in range(3)))
    assert all(tensor.data_ptr() % tensor.dtype.itemsize == 0 for tensor in fetch(tmp_path / "a", known))


def test_the_same_tensor_twice_is_stored_once_and_comes_back_as_one(tmp_path: Path) -> None:
    pixels = torch.rand(1, 3, 64, 64)
    once = store(tmp_path / "a", (Image(pixels),), known)
    twice = store(tmp_path / "b", (Image(pixels), [pixels, pixels.view_as(pixels)]), known)
    assert twice < once + 200
    found = fetch(tmp_path / "b", known)
    assert found[0].pixels is found[1][0] is found[1][1]


def test_conjugated_and_differentiable_tensors_are_stored_as_their_values(tmp_path: Path) -> None:
    lazy, learned = torch.tensor([1 + 2j]).conj(), torch.ones(2, requires_grad=True)
    found = again(tmp_path / "a", (lazy, learned))
    assert same((torch.tensor([1 - 2j]), torch.ones(2)), found)
    assert not found[1].requires_grad


def test_a_named_tuple_of_outputs_comes_back_as_a_tuple(tmp_path: Path) -> None:
    pair = Pair(1, "x")
    found = again(tmp_path / "a", pair)
    assert pair == found
    assert tuple is type(found)


def test_a_result_without_tensors_is_written_and_read_without_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from nodeflow.storage import fetch, store; from nodeflow.cache import Cache, ours\n"
        "from nodeflow.values import Table\n"
        "store('a', (Table('t', ('x',), ((1,),)), 'text', 1.5), ours); print(fetch('a', ours)[0].rows)\n"
        "assert not {'torch', 'numpy', 'pydantic'} & sys.modules.keys()"
    )
    paths = {"PYTHONPATH": str(Path(storage.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=paths, capture_output=True, text=True)
    assert "((1,),)\n" == done.stdout, done.stderr


LOOP: list[Any] = []
LOOP.append([LOOP])
LOCAL = dataclass(frozen=True)(type("Local", (), {}))()
DEEP = functools.reduce(lambda inner, _: [inner], range(200), 1)
BUSHY = functools.reduce(lambda inner, _: [inner, inner], range(60), 1)
UNSTORABLE = [
    lambda: None, torch.nn.Linear(2, 2), torch.nn.Parameter(torch.ones(2)), torch.ones(2, device="meta"),
    torch.eye(2).to_sparse(), torch.ones(2, dtype=torch.complex128), Open(1.0), Cloning(torch.ones(2)),
    Doubling(width=2), Flags.A | Flags.B, LOCAL, LOOP, DEEP, BUSHY, 10**5000, {1, 2}, b"bytes", int,
    object(), range(3),
]  # fmt: skip


@pytest.mark.parametrize("value", UNSTORABLE, ids=lambda value: type(value).__name__)
def test_what_a_file_cannot_hold_is_refused_and_nothing_written(tmp_path: Path, value: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(storage, "MOST_VALUES", 1000)
    with pytest.raises(Unstorable):
        store(tmp_path / "a", ({"k": [value]},), known)
    assert not (tmp_path / "a").exists()


def test_a_class_that_would_not_be_given_back_is_refused_at_once() -> None:
    with pytest.raises(Unstorable, match="not of nodeflow or a plugin"):
        pack((Slim(scale=1.0),), lambda module: module == "nodeflow.values")


@pytest.mark.parametrize("result", [RESULT, (1.5, "text")], ids=["tensors", "plain"])
def test_a_flipped_bit_anywhere_is_damage(tmp_path: Path, result: tuple[Any, ...]) -> None:
    store(tmp_path / "a", result, known)
    whole = (tmp_path / "a").read_bytes()
    chance = random.Random(0)
    # densely over the length and the first words, then anywhere
    for bit in [*range(0, 256, 3), *(chance.randrange(len(whole) * 8) for _ in range(200))]:
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        (tmp_path / "b").write_bytes(broken)
        with pytest.raises(Damaged):
            fetch(tmp_path / "b", known)


def test_a_shortened_or_lengthened_file_is_damage(tmp_path: Path) -> None:
    store(tmp_path / "a", RESULT, known)
    whole = (tmp_path / "a").read_bytes()
    for length in [*range(20), *range(20, len(whole), 97), len(whole) - 1]:
        (tmp_path / "b").write_bytes(whole[:length])
        with pytest.raises(Damaged):
            fetch(tmp_path / "b", known)
    for more in (b"\0", whole):
        (tmp_path / "b").write_bytes(whole + more)
        with pytest.raises(Damaged):
            fetch(tmp_path / "b", known)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_damage(tmp_path: Path, data: bytes, framed: bool) -> None:
    (tmp_path / "a").write_bytes(len(data).to_bytes(8, "little") + data if framed else data)
    with pytest.raises(Damaged):
        fetch(tmp_path / "a", known)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, storage.HEADER_BYTES + 9, 300])
def test_a_header_that_claims_to_be_huge_is_not_read(tmp_path: Path, length: int) -> None:
    (tmp_path / "a").write_bytes(length.to_bytes(8, "little"))
    os.truncate(tmp_path / "a", min(length, 2**30) - 100)
    with pytest.raises(Damaged, match="a header of"):
        fetch(tmp_path / "a", known)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    size = store(tmp_path / "a", RESULT, known)
    assert same(RESULT, fetch(tmp_path / "a", known, size))
    with pytest.raises(Damaged, match="more than"):
        fetch(tmp_path / "a", known, size - 1)


def test_forging_a_legal_file_works_so_that_the_refusals_below_mean_something(tmp_path: Path) -> None:
    structure = [{"class": [f"{__name__}:Slim", {"scale": {"float": "inf"}}]}, {"tensor": "0"}]
    entry = {"0": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}
    assert same((Slim(scale=math.inf), torch.tensor([1, 2], dtype=torch.uint8)),
                fetch(forged(tmp_path / "a", structure, entry, b"\1\2"), known))  # fmt: skip


HERE, VALUES = __name__, "nodeflow.values"
FORGED = [
    {"class": ["os:system", {"command": "true"}]}, {"class": [f"{VALUES}:os.PathLike", {}]},
    {"class": [f"{VALUES}:dataclass", {}]}, {"class": [f"{VALUES}:SavedFile.at", {"path": "."}]},
    {"class": [f"{VALUES}:Nobody", {}]}, {"class": [f"{VALUES}:", {}]}, {"class": [VALUES, {}]},
    {"class": [f"{VALUES}:Image", {"pixels": 1}]}, {"class": [f"{HERE}:Open", {"scale": 1.0}]},
    {"class": [f"{HERE}:known", {"module": "os"}]}, {"class": [f"{HERE}:Slim", {}]},
    {"class": [f"{HERE}:Slim", {"scale": 1.0, "other": 2}]}, {"class": [f"{HERE}:Slim", [1.0]]},
    {"class": [f"{HERE}:SavedFile", {"path": "a", "size": 1, "mtime_ns": 1}]},
    {"class": [f"{HERE}:Weights", {"path": "a"}]},
    {"class": [f"{HERE}:Form", {"width": 0}]}, {"class": [f"{HERE}:Form", {"width": "wide"}]},
    {"enum": [f"{HERE}:Method", "NONE"]}, {"enum": [f"{HERE}:Slim", "scale"]}, {"tensor": "7"}, {"tensor": []},
    {"float": "wide"}, {"path": 3}, {"dict": [[[], 1]]}, {"dict": [[1]]}, {"tuple": 3}, {"unknown": 3},
    {"tuple": [], "float": "1"}, {},
    *("[" * depth + "]" * depth for depth in (sys.getrecursionlimit(), 100_000)),  # nested deeper than Python recurses
]  # fmt: skip


@pytest.mark.parametrize("value", FORGED, ids=lambda value: str(value)[:50])
def test_a_structure_that_nobody_wrote_is_damage(tmp_path: Path, value: Any) -> None:
    with pytest.raises(Damaged):
        fetch(forged(tmp_path / "a", value if isinstance(value, str) else [value]), known)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]},
        {"dtype": "U8", "shape": [3], "data_offsets": [0, 2]},
        {"dtype": "U8", "shape": [-2, -1], "data_offsets": [2, 0]},
        {"dtype": "U8", "shape": [-4, -2], "data_offsets": [0, 8]},
        {"dtype": "I32", "shape": [1], "data_offsets": [1, 5]},
        {"dtype": "I4", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "U8", "shape": "x", "data_offsets": [0, 8]},
        {"dtype": "U8", "shape": [8]},
        [],
    ],
    ids=str,
)
def test_a_tensor_that_is_not_where_it_should_be_is_damage(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(Damaged):
        fetch(forged(tmp_path / "a", [{"tensor": "0"}], {"0": entry}, bytes(8)), known)


def test_only_admitted_modules_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = forged(tmp_path / "a", [{"class": ["stranger:Thing", {}]}])
    with pytest.raises(Damaged, match="not of nodeflow or a plugin"):
        fetch(path, known)
    assert "stranger" not in sys.modules


def test_a_missing_file_is_not_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fetch(tmp_path / "a", known)
