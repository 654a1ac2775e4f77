"""The operators as the compiler sees them: registration, shapes and strides on a device that is not there, gradients.

A GPU's own kernels are run by test_fused.py; here everything runs on a CPU, or under fake tensors that claim CUDA.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from nodeflow.kernels import geglu, group_norm_act, guided_step, layer_norm_modulate, rms_norm, vq_nearest

LAST = torch.channels_last


def number(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def normed(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    return group_norm_act(x, weight, weight, 2, eps=1e-5, scale=scale, shift=scale)


def stepped(cond: Tensor, x: Tensor, noise: Tensor) -> Tensor:
    return guided_step(cond, x, x, noise, guidance=2.0, c_x=0.9, c_eps=-0.1, c_noise=0.2, clip=1.5)


def modulated(x: Tensor, scale: Tensor) -> Tensor:
    return layer_norm_modulate(x, None, scale, scale, 1e-5)


def rooted(x: Tensor, weight: Tensor) -> Tensor:
    return rms_norm(x, weight, 1e-6)


CALLS: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "geglu": (geglu, (number(3, 5, 8),)),
    "group_norm_act": (normed, (number(2, 4, 3, 5), number(4), number(2, 4))),
    "group_norm_act channels-last": (
        normed, (number(2, 4, 3, 5).contiguous(memory_format=LAST), number(4), number(2, 4))
    ),
    "guided_step": (stepped, (number(2, 3, 4, 4).contiguous(memory_format=LAST), *number(2, 2, 3, 4, 4))),
    "layer_norm_modulate": (modulated, (number(2, 5, 8), number(2, 8))),
    "rms_norm": (rooted, (number(2, 4, 5, 8).transpose(1, 2), number(8))),
    "vq_nearest": (vq_nearest, (number(3, 5, 8), number(6, 8))),
}  # fmt: skip
ALL = pytest.mark.parametrize("name", CALLS)


def operator(name: str) -> tuple[Any, tuple[Any, ...]]:
    """The operator that a call is made of, and the arguments that it is given."""
    from nodeflow.kernels import OPERATIONS

    _, args = CALLS[name]
    name = name.split()[0]
    given = {
        "group_norm_act": lambda x, w, s: OPERATIONS[name].bind(x, w, w, 2, eps=1e-5, scale=s, shift=s),
        "guided_step": lambda c, x, n: OPERATIONS[name].bind(
            c, x, x, n, guidance=2.0, c_x=0.9, c_eps=-0.1, c_noise=0.2, clip=1.5
        ),
        "layer_norm_modulate": lambda x, s: OPERATIONS[name].bind(x, None, s, s, 1e-5),
        "rms_norm": lambda x, w: OPERATIONS[name].bind(x, w, 1e-6),
    }
    return getattr(torch.ops.nodeflow, name).default, given.get(name, OPERATIONS[name].bind)(*args)


@ALL
def test_an_operator_is_registered_as_torch_asks(name: str) -> None:
    found, args = operator(name)
    torch.library.opcheck(found, args)
    if name.startswith(("geglu", "group")):
        torch.library.opcheck(found, tuple(a.clone().requires_grad_() if isinstance(a, Tensor) else a for a in args))


@ALL
@pytest.mark.parametrize("dynamic", [False, True])
def test_calls_and_operators_compile_whole(name: str, dynamic: bool) -> None:
    torch._dynamo.reset()
    function, args = CALLS[name]
    whole: Any = torch.compile(function, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    found, given = operator(name)
    alone: Any = torch.compile(lambda *a: found(*a), fullgraph=True, dynamic=dynamic, backend="aot_eager")
    expected = function(*args)
    for got in (whole(*args), alone(*given)):
        assert (expected.shape, expected.stride(), expected.dtype) == (got.shape, got.stride(), got.dtype)
        torch.testing.assert_close(got, expected)


@ALL
def test_on_a_gpu_that_is_not_there_a_call_is_traced_as_one_operator(name: str) -> None:
    function, args = CALLS[name]
    with FakeTensorMode(allow_non_fake_inputs=True):
        there = [torch.empty_strided(t.shape, t.stride(), device="cuda") for t in args]
        graph = make_fx(function)(*there)
        got = function(*there)
    calls = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    assert [f"nodeflow.{name.split()[0]}.default"] == [call for call in calls if call.startswith("nodeflow")]
    expected = function(*args)
    assert (expected.shape, expected.stride(), expected.dtype) == (got.shape, got.stride(), got.dtype)
    assert "cuda" == got.device.type


@pytest.mark.parametrize("act", ["silu", "none"])
@pytest.mark.parametrize("absent", [(), (0, 1), (2, 3), (0,), (1, 2)])
def test_the_backward_of_group_norm_act_is_that_of_the_plain_form(act: str, absent: tuple[int, ...]) -> None:
    from nodeflow.kernels.group_norm_act import naive

    x = number(2, 6, 5, 3).double().requires_grad_()
    parameters: list[Tensor | None] = [
        number(*shape, seed=seed).double().requires_grad_()
        for seed, shape in enumerate(((6,), (6,), (2, 6), (2, 6)), 10)
    ]
    for missing in absent:
        parameters[missing] = None
    wanted = [x, *(t for t in parameters if t is not None)]
    upstream = number(2, 6, 5, 3, seed=9).double()
    expected = torch.autograd.grad(naive.group_norm_act(x, *parameters, 3, 1e-3, act), wanted, upstream)
    got = torch.autograd.grad(torch.ops.nodeflow.group_norm_act(x, *parameters, 3, 1e-3, act), wanted, upstream)
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_the_backward_of_geglu_is_that_of_the_plain_form() -> None:
    from nodeflow.kernels.geglu import naive

    x, upstream = number(3, 5, 8).double().requires_grad_(), number(3, 5, 4, seed=9).double()
    (expected,) = torch.autograd.grad(naive.geglu(x), x, upstream)
    (got,) = torch.autograd.grad(torch.ops.nodeflow.geglu(x), x, upstream)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("backward", "expected"), [(False, "plain"), (True, "operator")])
def test_where_something_traces_no_gradient_is_lost(
    backward: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nodeflow.kernels import OPERATIONS, operators

    monkeypatch.setattr(operators, "route", lambda *tensors: "operator")  # as of tensors on a GPU
    x = torch.empty(3, 8, device="meta", requires_grad=True)
    call = partial(
        operators.called, OPERATIONS["rms_norm"], lambda _: "operator", lambda _: "plain", (x,), backward=backward
    )
    assert expected == call()
    with torch.no_grad():
        assert "operator" == call()


@pytest.mark.parametrize("name", ["guided_step", "layer_norm_modulate", "rms_norm"])
def test_what_has_no_fused_backward_is_not_fused_where_gradients_are_wanted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nodeflow.kernels import OPERATIONS, guided_step, layouts

    monkeypatch.setattr(layouts, "unfused", lambda *tensors: None)  # as on a GPU with Triton
    monkeypatch.setattr(inspect.getmodule(guided_step), "unfused", lambda *tensors: None)
    _, args = operator(name)
    wanting = tuple(a.clone().requires_grad_() if isinstance(a, Tensor) else a for a in args)
    fused = [candidate for candidate in OPERATIONS[name].candidates if candidate.kind == "triton"]
    assert {None} == {candidate.legal(*args) for candidate in fused}
    for candidate in fused:
        assert "gradients are wanted" in (candidate.legal(*wanting) or "")
        with torch.no_grad():
            assert None is candidate.legal(*wanting)


def test_gradients_reach_through_what_has_no_fused_backward() -> None:
    x, weight = number(3, 8).requires_grad_(), number(8).requires_grad_()
    rms_norm(x, weight, 1e-6).sum().backward()
    assert x.grad is not None
    assert weight.grad is not None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA or ROCm device")
@ALL
def test_on_a_gpu_every_mode_gives_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("NODEFLOW_CACHE", str(tmp_path_factory.mktemp("choices")))
    function, args = CALLS[name]
    expected, there = function(*args), [t.cuda() for t in args]
    for mode in ("torch", "triton", "auto"):
        monkeypatch.setenv("NODEFLOW_KERNELS", mode)
        got = function(*there)
        assert expected.stride() == got.stride()
        torch.testing.assert_close(got.cpu(), expected)
