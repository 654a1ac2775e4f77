"""What no fused kernel takes falls to torch, and `explain` says why.

Asked of fake tensors, which have shapes, strides, types and a GPU that is not there, but no numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from nodeflow import kernels
from nodeflow.choices import Choices
from nodeflow.kernels import OPERATIONS, dispatch, explain
from nodeflow.kernels.dispatch import CPU_RULE, Dispatcher

STEP = {"guidance": 2.0, "c_x": 0.9, "c_eps": -0.1, "c_noise": 0.2}
Call = tuple[str, Callable[[], tuple[Any, ...]], dict[str, Any]]


class Absent:
    """A GPU on which all candidates take as long as each other."""

    def arch(self, arguments: Sequence[Any]) -> str | None:
        return "sm_90 absent" if arguments[0].device.type == "cuda" else None

    def capturing(self) -> bool:
        return False

    def on(self, arguments: Sequence[Any]) -> Any:
        return nullcontext()

    def prepare(self, run: Callable[[], Any]) -> Callable[[], float]:
        return lambda: 1e-5


@pytest.fixture(autouse=True)
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made = Dispatcher(Absent(), lambda: Choices(tmp_path))
    monkeypatch.setattr(dispatch, "dispatcher", lambda: made)
    monkeypatch.delenv("NODEFLOW_KERNELS", raising=False)
    with FakeTensorMode():
        yield


def there(*shape: int, dtype: torch.dtype = torch.float16, device: str = "cuda") -> Tensor:
    return torch.empty(shape, dtype=dtype, device=device)


def apart(batch: int, channels: int, high: int, wide: int) -> Tensor:
    """Images of which every other column was left out."""
    strides = (channels * high * 2 * wide, high * 2 * wide, 2 * wide, 2)
    return torch.empty_strided((batch, channels, high, wide), strides, dtype=torch.float16, device="cuda")


def heads(*shape: int, **kind: Any) -> tuple[Tensor, Tensor, Tensor]:
    return there(*shape, **kind), there(*shape, **kind), there(*shape, **kind)


def images(x: Tensor) -> tuple[Tensor, None, None, int]:
    return x, None, None, 2


FLOAT64, META = {"dtype": torch.float64}, {"device": "meta"}
GRADIENT = "gradients are wanted, and the fused form has no backward"
NOT_TAKEN: dict[str, tuple[Call, str]] = {
    "heads too wide": (("attention", lambda: heads(1, 2, 9, 264), {}), "heads of 264 columns; it takes up to 256"),
    "heads of float64": (("attention", lambda: heads(1, 2, 9, 40, **FLOAT64), {}), "float64; it takes float32,"),
    "heads elsewhere": (("attention", lambda: heads(1, 2, 9, 40, **META), {}), "a tensor on meta"),
    "a scale of 0": (("attention", lambda: heads(1, 2, 9, 40), {"scale": 0.0}), "a scale of 0.0"),
    "pictures of float64": (("group_norm_act", lambda: images(there(2, 4, 8, 8, **FLOAT64)), {"eps": 1e-5}), "float64"),
    "pictures elsewhere": (("group_norm_act", lambda: images(there(2, 4, 8, 8, **META)), {"eps": 1e-5}), "on meta"),
    "pictures of every other column": (
        ("group_norm_act", lambda: images(apart(2, 4, 8, 4)), {"eps": 1e-5}),
        "strides (256, 64, 8, 2): neither NCHW nor channels-last",
    ),
    "groups too large": (
        ("group_norm_act", lambda: images(there(1, 20_000, 2, 2)), {"eps": 1e-5}),
        "groups of 10000 channels; it takes up to 8192",
    ),
    "columns that do not lie side by side": (("geglu", lambda: (there(8, 6).T,), {}), "do not lie evenly"),
    "columns of float64": (("geglu", lambda: (there(6, 8, **FLOAT64),), {}), "float64"),
    "norms of float64": (("rms_norm", lambda: (there(6, 8, **FLOAT64), None, 1e-6), {}), "float64"),
    "norms of rows apart": (("rms_norm", lambda: (there(8, 6).T, None, 1e-6), {}), "do not lie evenly"),
    "norms of rows too wide": (("rms_norm", lambda: (there(2, 100_000), None, 1e-6), {}), "rows of 100000 numbers"),
    "norms with gradients": (("rms_norm", lambda: (there(2, 8).requires_grad_(), None, 1e-6), {}), GRADIENT),
    "modulated rows too wide": (
        ("layer_norm_modulate", lambda: (there(2, 100_000), None, there(2, 100_000), there(2, 100_000), 1e-6), {}),
        "rows of 100000 numbers",
    ),
    "steps over pieces": (
        ("guided_step", lambda: (apart(2, 3, 8, 4), None, apart(2, 3, 8, 4), apart(2, 3, 8, 4)), STEP),
        "neither contiguous, NCHW nor channels-last",
    ),
    "steps of float64": (("guided_step", lambda: (*there(4, 2, 3, 8, 8, **FLOAT64).unbind(),), STEP), "float64"),
    "codes of float64": (("vq_nearest", lambda: (there(9, 8, **FLOAT64), there(5, 8, **FLOAT64)), {}), "float64"),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_what_no_fused_kernel_takes_is_torchs_and_the_reason_is_told(name: str) -> None:
    (operation, arguments, more), reason = NOT_TAKEN[name]
    given = arguments()
    choice = explain(operation, *given, **more)

    assert "torch" == choice.kind
    fused = [rival for rival in choice.rivals if rival.kind == "triton"]
    assert len(fused) == sum(candidate.kind == "triton" for candidate in OPERATIONS[operation].candidates)
    assert all(reason in rival.reason for rival in fused), {rival.reason for rival in fused}


def test_another_device_than_a_gpu_is_named() -> None:
    assert CPU_RULE == explain("geglu", there(2, 4, device="cpu")).reason
    assert "tensors on meta are always computed by torch" == explain("geglu", there(2, 4, device="meta")).reason


EMPTY: dict[str, tuple[Call, tuple[int, ...]]] = {
    "no batch": (("attention", lambda: heads(0, 2, 9, 40), {}), (0, 2, 9, 40)),
    "no queries": (("attention", lambda: (there(1, 2, 0, 40), *heads(1, 2, 9, 40)[1:]), {}), (1, 2, 0, 40)),
    "no keys": (("attention", lambda: (there(1, 2, 9, 40), *heads(1, 2, 0, 40)[1:]), {}), (1, 2, 9, 40)),
    "no pictures": (("group_norm_act", lambda: images(there(0, 4, 8, 8)), {"eps": 1e-5}), (0, 4, 8, 8)),
    "no places": (("group_norm_act", lambda: images(there(2, 4, 0, 8)), {"eps": 1e-5}), (2, 4, 0, 8)),
    "no rows": (("geglu", lambda: (there(0, 8),), {}), (0, 4)),
    "no columns": (("geglu", lambda: (there(3, 0),), {}), (3, 0)),
    "no rows to norm": (("rms_norm", lambda: (there(2, 0, 8), there(8), 1e-6), {}), (2, 0, 8)),
    "no rows to modulate": (
        ("layer_norm_modulate", lambda: (there(0, 3, 8), None, there(0, 8), there(0, 8), 1e-6), {}),
        (0, 3, 8),
    ),
    "no step": (("guided_step", lambda: (*there(4, 0, 3, 8, 8).unbind(),), STEP), (0, 3, 8, 8)),
    "no codes": (("vq_nearest", lambda: (there(0, 8), there(5, 8)), {}), (0,)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_of_nothing_comes_nothing_and_no_kernel_is_launched(name: str) -> None:
    operation, arguments, more = EMPTY[name][0]
    choice = explain(operation, *arguments(), **more)
    assert "torch" == choice.kind
    assert {"a tensor without elements"} == {rival.reason for rival in choice.rivals if rival.kind == "triton"}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("gradient", [False, True])
def test_of_nothing_comes_nothing_on_a_cpu(name: str, gradient: bool) -> None:
    (operation, arguments, more), shape = EMPTY[name]
    fake = arguments()
    with torch._subclasses.fake_tensor.unset_fake_temporarily():
        given = [torch.zeros(x.shape) if isinstance(x, Tensor) else x for x in fake]
        first = given[0].requires_grad_(gradient and operation != "vq_nearest")
        result = getattr(kernels, operation)(*given, **more)
        assert shape == result.shape
        if first.requires_grad:
            result.sum().backward()
            assert first.shape == first.grad.shape
