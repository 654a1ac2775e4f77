"""Attention on a CPU, as an operator, compiled, traced for a device that is not there, and what it must refuse."""

import importlib
import inspect
import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from nodeflow.kernels.attention import attention, naive, sdpa
from nodeflow.kernels.attention.candidates import BACKWARD, FORWARD, OPERATION, OPERATORS, TRAINING, unfusable
from nodeflow.kernels.attention.launch import Call
from nodeflow.kernels.attention.tiles import TARGETS, backward_tiles, every, forward_tiles, parts

Shapes = tuple[int, int, int, int, int, int]


def drawn(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def qkv(n: int = 6, m: int = 5, h: int = 4, shared: int = 2, d: int = 8, dtype: Any = torch.float64) -> list[Tensor]:
    return drawn((2, h, n, d), (2, shared, m, d), (2, shared, m, d), dtype=dtype)


def by_hand(q: Tensor, k: Tensor, v: Tensor, weight: Callable[[int, int, int, int], float | None]) -> Tensor:
    """The definition, one query at a time; `weight`: the score's addition, or None where there is no attending."""
    out = torch.zeros_like(q)
    group = q.shape[1] // k.shape[1]
    for b, h, i in torch.cartesian_prod(*map(torch.arange, q.shape[:3])).tolist():
        scores = {}
        for j in range(k.shape[2]):
            if (added := weight(b, h, i, j)) is not None:
                scores[j] = float(q[b, h, i] @ k[b, h // group, j]) / math.sqrt(q.shape[3]) + added
        total = sum(math.exp(score) for score in scores.values())
        for j, score in scores.items():
            out[b, h, i] += math.exp(score) / total * v[b, h // group, j]
    return out


MASK = torch.tensor([[False] * 5, [True, False, True, True, False]])
PAIRS = torch.arange(30).view(1, 1, 6, 5) % 3 > 0
BIAS = torch.linspace(-2, 2, 4 * 30, dtype=torch.float64).view(1, 4, 6, 5)
TERMS: dict[str, tuple[dict[str, Any], Callable[[int, int, int, int], float | None]]] = {
    "nothing": ({}, lambda b, h, i, j: 0.0),
    "mask of keys": ({"mask": MASK}, lambda b, h, i, j: 0.0 if MASK[b, j] else None),
    "mask of pairs": ({"mask": PAIRS}, lambda b, h, i, j: 0.0 if PAIRS[0, 0, i, j] else None),
    "causal": ({"causal": True}, lambda b, h, i, j: 0.0 if j <= i else None),
    "bias": ({"bias": BIAS}, lambda b, h, i, j: float(BIAS[0, h, i, j])),
    "all": (
        {"mask": MASK, "causal": True, "bias": BIAS},
        lambda b, h, i, j: float(BIAS[0, h, i, j]) if j <= i and MASK[b, j] else None,
    ),
}


def four(given: dict[str, Any]) -> dict[str, Any]:
    """A mask [B, M] as the implementations take it."""
    mask = given.get("mask")
    return given | {"mask": mask[:, None, None] if mask is not None and mask.ndim == 2 else mask}


@pytest.mark.parametrize("name", TERMS)
def test_the_specification_is_the_definition(name: str) -> None:
    given, weight = TERMS[name]
    expected = by_hand(*qkv(), weight)
    torch.testing.assert_close(naive.attention(*qkv(), **four(given)), expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(attention(*qkv(), **given), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", TERMS)
def test_the_plain_products_and_torchs_own_agree_in_value_and_gradient(name: str) -> None:
    given = TERMS[name][0]
    arguments = (four(given).get("bias"), four(given).get("mask"), given.get("causal", False), 8**-0.5)
    forms: list[Callable[..., Tensor]] = [
        lambda *x: naive.attention(*x, **four(given)),
        lambda *x: naive.products(*x, **four(given)),
        lambda *x: sdpa.attention(*x, *arguments),
    ]
    found = []
    for form in forms:
        leaves = [x.requires_grad_() for x in qkv()]
        y = form(*leaves)
        found.append((y, *torch.autograd.grad(y.square().sum(), leaves)))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", TERMS)
def test_the_written_backward_is_autograds(name: str) -> None:
    given = four(TERMS[name][0])
    rest = (given.get("bias"), given.get("mask"), given.get("causal", False), 8**-0.5)
    leaves = [x.requires_grad_() for x in qkv()]
    gradient = drawn((2, 4, 6, 8))[0]
    y = naive.attention(*leaves, **given)
    expected = torch.autograd.grad(y, leaves, gradient)
    with torch.no_grad():
        out, lse = naive.forward(*leaves, *rest)
        found = naive.backward(gradient, *leaves, out, lse, *rest)
    torch.testing.assert_close(out, y, rtol=0, atol=0)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float32, 1e-6), (torch.float16, 5e-4), (torch.bfloat16, 3e-3)], ids=str
)
def test_a_cpu_is_exact_to_rounding(dtype: torch.dtype, bound: float) -> None:
    q, k, v = qkv(n=77, m=130, d=40, dtype=dtype)
    expected = naive.attention(q.double(), k.double(), v.double())
    for found in (attention(q, k, v), naive.attention(q, k, v)):
        assert dtype == found.dtype
        assert (found.double() - expected).norm() <= bound * expected.norm()


@pytest.mark.parametrize("name", TERMS)
def test_narrow_heads_get_columns_of_zeros_where_that_pays_and_the_same_numbers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = importlib.import_module("nodeflow.kernels.attention")
    assert home.WIDENED in (0, 16)
    seen: list[int] = []

    def watched(q: Tensor, *rest: Any) -> Tensor:
        seen.append(q.shape[-1])
        return sdpa.attention(q, *rest)

    given = {key: x.float() if key == "bias" else x for key, x in TERMS[name][0].items()}
    leaves = [x.requires_grad_() for x in qkv(dtype=torch.float32)]
    expected = attention(*leaves, **given)
    gradients = torch.autograd.grad(expected.square().sum(), leaves)
    monkeypatch.setattr(home, "sdpa", SimpleNamespace(attention=watched))
    monkeypatch.setattr(home, "_has_amx", lambda: False)
    monkeypatch.setattr(home, "WIDENED", 16)
    attention(*leaves, **given)
    monkeypatch.setattr(home, "WORTH_WIDENING", 2 * 4 * 6 * 5)
    attention(*qkv(), **TERMS[name][0])
    found = attention(*leaves, **given)
    assert [8, 8, 16] == seen
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), leaves), gradients, rtol=1e-5, atol=1e-5)


def test_logits_of_ten_thousand_do_not_overflow() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        q, k, v = (16 * x.clamp(-3, 3).round() for x in qkv(n=9, m=7, d=32, dtype=dtype))
        expected = naive.attention(q.double(), k.double(), v.double(), scale=1.0)
        assert 1e3 < (q.double()[:, :2] @ k.double().mT).abs().max() < 2e4
        found = attention(q, k, v, scale=1.0)
        assert (found.double() - expected).norm() <= 3e-3 * expected.norm()


def test_no_keys_give_zeros() -> None:
    q, k, v = qkv(m=0)
    assert not attention(q, k, v).any()
    assert not naive.attention(q, k, v).any()


def test_views_of_a_fused_qkv_are_read_in_place() -> None:
    q, k, v = (part.unflatten(-1, (2, 40)).transpose(1, 2) for part in drawn((2, 6, 240))[0].chunk(3, -1))
    mask = torch.ones(1, 1, 1, 6, dtype=torch.bool)
    call = Call.of(q, k, v, None, mask, False, 1.0)
    assert [x.data_ptr() for x in (q, k, v, mask)] == [x.data_ptr() for x in (call.q, call.k, call.v, call.mask)]
    assert 8 == call.unit
    assert (1440 // 8, 40 // 8, 240 // 8) == call.strides[:3]


def test_a_head_is_split_into_two_powers_of_two() -> None:
    known = {8: (16, 0), 16: (16, 0), 33: (32, 16), 40: (32, 16), 64: (64, 0), 80: (64, 16), 120: (128, 0)}
    known |= {96: (64, 32), 128: (128, 0), 160: (128, 32), 256: (256, 0)}
    assert known == {head: tuple(parts(head)) for head in known}
    assert all(parts(head).width >= head for head in range(1, 257))


def test_every_candidate_is_listed() -> None:
    for listed in (forward_tiles, backward_tiles):
        asked = itertools.product(range(1, 257), (2, 4), TARGETS)
        assert {tiles for one in asked for tiles in listed(*one)} == set(every(listed))


def operator_arguments(name: str, requires_grad: bool) -> tuple[Any, ...]:
    given = four(TERMS[name][0])
    tensors = [x.requires_grad_(requires_grad) for x in qkv(dtype=torch.float32)]
    bias = None if (bias := given.get("bias")) is None else bias.float()
    return *tensors, bias, given.get("mask"), given.get("causal", False), 0.3


@pytest.mark.parametrize("name", ["nothing", "all"])
@pytest.mark.parametrize("operation", ["attention", "attention_torch", "attention_forward"])
def test_the_operators_pass_torchs_own_checks(operation: str, name: str) -> None:
    arguments = operator_arguments(name, requires_grad=operation == "attention_forward")
    found = torch.library.opcheck(getattr(torch.ops.nodeflow, operation).default, arguments)
    assert {"SUCCESS"} == set(found.values())


def test_the_operator_of_backward_passes_torchs_own_checks() -> None:
    arguments = operator_arguments("all", requires_grad=False)
    out, lse = naive.forward(*arguments)
    found = torch.library.opcheck(torch.ops.nodeflow.attention_backward.default, (out.clone(), out, lse, *arguments))
    assert {"SUCCESS"} == set(found.values())


def test_the_operators_are_named_after_their_operations() -> None:
    assert {"auto", "torch", "triton"} == set(OPERATORS)
    for operation in (OPERATION, FORWARD, BACKWARD):
        assert hasattr(torch.ops.nodeflow, operation.name)
    assert len(OPERATION.candidates) == len({candidate.name for candidate in OPERATION.candidates})
    assert ("sdpa", "torch") == (TRAINING.candidates[0].name, TRAINING.candidates[0].kind)


@pytest.mark.parametrize("dynamic", [False, True])
def test_it_compiles_whole_on_a_cpu(dynamic: bool) -> None:
    whole = torch.compile(
        lambda q, k, v, mask: attention(q, k, v, mask=mask, causal=True),
        fullgraph=True,
        dynamic=dynamic,
        backend="aot_eager",
    )
    for n in (6, 9):
        q, k, v = qkv(n=n)
        torch.testing.assert_close(whole(q, k, v, MASK), attention(q, k, v, mask=MASK, causal=True))


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_it_is_traced_for_a_gpu_that_is_not_there(name: str, backend: str) -> None:
    with FakeTensorMode():
        given = {
            key: torch.empty(x.shape, dtype=x.dtype, device="cuda") if isinstance(x, Tensor) else x
            for key, x in TERMS[name][0].items()
        }
        q, k, v = (torch.empty(x.shape, dtype=torch.float16, device="cuda") for x in qkv())
        y = attention(q, k, v, backend=backend, **given)
    assert ((2, 4, 6, 8), (192, 8, 32, 1)) == (tuple(y.shape), y.stride())
    assert ("cuda", torch.float16) == (y.device.type, y.dtype)


def test_autocast_casts_as_torch_does() -> None:
    q, k, v = qkv(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.bfloat16 == attention(q, k, v.bfloat16()).dtype


Q, K, V = qkv(dtype=torch.float32)
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a mask of another length": (
        lambda: attention(Q, K, V, mask=torch.ones(2, 6, dtype=torch.bool)),
        ValueError,
        r"mask has shape \[2, 6\], but expected \[B, M\] or what broadcasts to \[2, 4, 6, 5\]",
    ),
    "a mask of five dimensions": (
        lambda: attention(Q, K, V, mask=torch.ones(1, 1, 1, 1, 5, dtype=torch.bool)),
        ValueError,
        "mask has shape",
    ),
    "a mask of numbers": (lambda: attention(Q, K, V, mask=torch.ones(2, 5)), TypeError, "mask is of float32"),
    "a mask elsewhere": (
        lambda: attention(Q, K, V, mask=torch.ones(2, 5, dtype=torch.bool, device="meta")),
        ValueError,
        "mask is on meta, but expected cpu",
    ),
    "a bias of another shape": (
        lambda: attention(Q, K, V, bias=torch.ones(6, 6)),
        ValueError,
        r"bias has shape \[6, 6\]",
    ),
    "a bias elsewhere": (lambda: attention(Q, K, V, bias=torch.ones(5, device="meta")), ValueError, "bias is on meta"),
    "whole numbers": (lambda: attention(Q.int(), K, V), TypeError, "q is of int32"),
    "types that differ": (lambda: attention(Q, K.half(), V), TypeError, "k is of float16, but expected float32"),
    "three dimensions": (lambda: attention(Q[0], K, V), ValueError, r"expected \[B, H, N, d\]"),
    "heads that do not divide": (
        lambda: attention(Q[:, :3], K, V),
        ValueError,
        "k has 2 heads, which do not divide q's 3",
    ),
    "another head dimension": (lambda: attention(Q[..., :4], K, V), ValueError, r"expected \[2, Hkv, M, 4\]"),
    "values unlike keys": (lambda: attention(Q, K, V[:, :, :4]), ValueError, "v has shape"),
    "devices that differ": (lambda: attention(Q, K.to("meta"), V), ValueError, "k is on meta, but expected cpu"),
    "an unknown backend": (lambda: attention(Q, K, V, backend="cuda"), ValueError, "backend is 'cuda'"),
    "triton on a CPU": (
        lambda: attention(Q, K, V, backend="triton"),
        ValueError,
        "no fused kernel takes a tensor on cpu",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_with_what_was_found(name: str) -> None:
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()


def test_fused_kernels_say_what_they_do_not_take() -> None:
    with FakeTensorMode():
        for shape, dtype, scale, reason in (
            ((1, 2, 3, 264), torch.float16, 1.0, "heads of 264 columns; it takes up to 256"),
            ((1, 2, 3, 64), torch.float64, 1.0, "float64"),
            ((1, 2, 0, 64), torch.float16, 1.0, "without elements"),
            ((1, 2, 3, 64), torch.float16, -1.0, "a scale of -1.0"),
        ):
            x = torch.empty(shape, dtype=dtype, device="cuda")
            assert reason in str(unfusable(x, x, x, None, None, False, scale))


def test_the_public_signature_is_the_agreed_one() -> None:
    assert ["q", "k", "v", "bias", "mask", "causal", "scale", "backend"] == list(
        inspect.signature(attention).parameters
    )
