"""Checkpoints of torch, old and new, are read to the bit without torch's help and without a call."""

import collections
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from nodeflow.headers import weights_header
from nodeflow.pickled.archives import opened
from nodeflow.pickled.choosing import Chosen, chosen
from nodeflow.pickled.writing import shared, write

Taken = Callable[..., Chosen]
TYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32,
)  # fmt: skip


class Trainer:
    """What a Lightning checkpoint may hold beside its weights."""

    def __init__(self) -> None:
        self.best = torch.ones(3)


class Net(nn.Module):
    """Buffers of both kinds, modules within modules, and weights that are tied."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.second = nn.Linear(3, 4)
        self.second.weight = self.first[0].weight
        self.register_buffer("kept", torch.arange(3.0))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(x)


def converted(path: Path, out: Path, key: str = "") -> dict[str, Tensor]:
    with opened(path) as archive:
        found = chosen(path, archive.root, key)
        write(archive, found.tensors, {"by": "us"}, out, force=True, progress=lambda done: None)
    weights_header(out)  # judged as a stranger's file is
    return load_file(out)


def raw(value: Tensor) -> Tensor:
    """The bytes of a tensor, row by row; not a number equals itself there."""
    return value.clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8)


def same(expected: dict[str, Tensor], actual: dict[str, Tensor]) -> None:
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        assert value.dtype == actual[name].dtype, name
        assert value.shape == actual[name].shape, name
        assert torch.equal(raw(value), raw(actual[name])), name


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before 1.6"])
def test_every_type_shape_and_order_comes_through_to_the_bit(tmp_path: Path, zipped: bool) -> None:
    torch.manual_seed(0)
    state = {f"of.{kind}": torch.randn(3, 4).abs().to(kind) for kind in TYPES}
    base = torch.randn(4, 6)
    state |= {
        "scalar": torch.tensor(3.0), "empty": torch.zeros(0, 4), "turned": base.T, "part": base[1:3, 2:5],
        "every other": base[:, ::2], "spread": torch.ones(1).expand(3)[:1], "last": torch.randn(2, 3, 4, 4).to(
            memory_format=torch.channels_last
        ),
    }  # fmt: skip
    path = tmp_path / "a.pt"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    same({name: value.contiguous() for name, value in state.items()}, converted(path, tmp_path / "a.safetensors"))


def test_a_module_gives_its_state_and_tied_weights_are_written_for_each(tmp_path: Path, taken: Taken) -> None:
    net = Net()
    torch.save(net, tmp_path / "net.pt")
    same(dict(net.state_dict()), converted(tmp_path / "net.pt", tmp_path / "net.safetensors"))
    assert 2 == shared(taken(tmp_path / "net.pt").tensors)


def test_torchscript_gives_its_state(tmp_path: Path) -> None:
    net = Net().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # such files are around, whatever torch thinks of them now
        scripted = torch.jit.trace(net, torch.zeros(1, 3))
        torch.jit.save(scripted, tmp_path / "net.pt")
    found = converted(tmp_path / "net.pt", tmp_path / "net.safetensors")
    expected = {name: value for name, value in scripted.state_dict().items() if name in found}
    same(expected, {name: found[name] for name in expected})
    assert set(net.state_dict()) <= set(found)


def test_a_lightning_checkpoint_gives_its_weights_and_tells_what_it_leaves(tmp_path: Path, taken: Taken) -> None:
    state = {"model.a.weight": torch.randn(2, 2), "model_ema.a": torch.randn(2)}
    optimizer = {"state": {0: {"exp_avg": torch.zeros(2, 2)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]}
    whole = {
        "epoch": 3, "state_dict": state, "optimizer_states": [optimizer], "callbacks": {Trainer: Trainer()},
        "hyper_parameters": {"config": collections.OrderedDict(a=Trainer()), "path": Path("x"), "n": {1, 2}},
    }  # fmt: skip
    torch.save(whole, tmp_path / "last.ckpt")
    found = taken(tmp_path / "last.ckpt")
    assert "state_dict" == found.key
    assert ["optimizer_states"] == [group.key for group in found.groups]
    assert ("epoch", "callbacks", "hyper_parameters") == found.left
    same(state, converted(tmp_path / "last.ckpt", tmp_path / "last.safetensors"))
    with opened(tmp_path / "last.ckpt") as archive:
        assert any(name.endswith("test_archives.Trainer") for name in archive.classes)


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_of_tensors_and_arrays_is_read(tmp_path: Path, protocol: int) -> None:
    torch.manual_seed(0)
    arrays = {"a": np.arange(2000, dtype="f4").reshape(40, 50), "f": np.asfortranarray(np.arange(12.0).reshape(3, 4))}
    tensors = {"t": torch.randn(30, 40), "h": torch.randn(3).half()}
    path = tmp_path / "g.pkl"
    path.write_bytes(pickle.dumps({"G": {"unused": "text"}, "G_ema": {**arrays, **tensors}}, protocol))
    expected = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()} | tensors
    same(expected, converted(path, tmp_path / "g.safetensors"))


def test_a_class_that_carries_its_own_source_gives_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As StyleGAN2 and EDM are pickled: a call with a dictionary, whose module brings its own code."""
    net = Net()

    def _reconstruct_persistent_obj(meta: object) -> object:
        raise AssertionError("this must never be called")

    class Persistent:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            source = "raise SystemExit('executed')"
            return _reconstruct_persistent_obj, ({"type": "class", "module_src": source, "state": net.__dict__},)

    module = type(sys)("torch_utils_persistence")
    _reconstruct_persistent_obj.__module__ = "torch_utils_persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_utils_persistence", module)
    (tmp_path / "s.pkl").write_bytes(pickle.dumps({"G": None, "G_ema": Persistent()}))
    same(dict(net.state_dict()), converted(tmp_path / "s.pkl", tmp_path / "s.safetensors"))


def test_what_is_written_is_read_by_safetensors_with_its_metadata(tmp_path: Path) -> None:
    torch.save({"b": torch.ones(3, dtype=torch.int8), "a": torch.ones(2, 2)}, tmp_path / "a.pt")
    converted(tmp_path / "a.pt", tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert {"by": "us"} == file.metadata()


def test_large_strided_tensors_are_written_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodeflow.pickled.writing.PIECE", 1000)
    state = {"turned": torch.randn(50, 60).T, "long": torch.randn(1234)}
    torch.save(state, tmp_path / "a.pt")
    same(state, converted(tmp_path / "a.pt", tmp_path / "a.safetensors"))


def test_torch_is_never_imported(tmp_path: Path) -> None:
    torch.save(Net(), tmp_path / "net.pt")
    code = (
        "import sys; from nodeflow.cli import call; code = call(['convert', sys.argv[1]]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "net.pt")], capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr)
