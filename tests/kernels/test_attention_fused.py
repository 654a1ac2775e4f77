"""The fused attention against float64: under Triton's interpreter, and on a GPU where there is one."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROUNDED = {"fp32": 1e-6, "fp16": 5e-4, "bf16": 3e-3}
"""Frobenius error of one rounding of the result, and of the weights before they meet the values."""
TRUNCATED = ROUNDED | {"bf16": 8e-3}
"""The interpreter cuts a float32 off where it makes a bfloat16 of it: up to 2^-7, where a GPU rounds."""
BACKWARD_ON_A_GPU = ROUNDED | {"bf16": 8e-3}
"""Forward keeps to ROUNDED. Slopes are differences of rounded numbers, which cancel: up to 5.6e-3 for five keys."""
LEAST = 10
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA or ROCm device")
Row = tuple[str, str, str, float]


def errors(device: str, thin: int, **environment: str) -> list[Row]:
    """Type, case, result, error: of every case, computed in a process of its own."""
    command = [sys.executable, str(HERE / "attention_cases.py"), device, str(thin)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=900)
    assert 0 == done.returncode, done.stderr[-2000:]
    return [(kind, case, result, error) for kind, case, result, error in json.loads(done.stdout)]


def judged(rows: list[Row], bounds: dict[str, float], backward: dict[str, float]) -> None:
    for kind in ("fp32", "bf16"):
        assert LEAST <= len({case for found, case, _, _ in rows if found == kind})
    # not "error > bound": what was left unwritten is not a number, and no comparison with that holds
    limits = {"out": bounds, "lse": dict.fromkeys(bounds, 1e-6)}
    assert [] == [row for row in rows if not row[3] <= limits.get(row[2], backward)[row[0]]]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_forward_and_backward_are_exact_to_rounding_under_the_interpreter() -> None:
    judged(errors("cpu", 3, TRITON_INTERPRET="1"), TRUNCATED, TRUNCATED)


@pytest.mark.gpu
@needs_gpu
def test_forward_and_backward_are_exact_to_rounding_on_a_gpu() -> None:
    judged(errors("cuda", 1), ROUNDED, BACKWARD_ON_A_GPU)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("backend", ["auto", "torch", "triton"])
@pytest.mark.parametrize("head", [40, 64, 80, 128, 160])
def test_every_backend_agrees_with_float64_on_a_gpu(backend: str, head: int) -> None:
    from nodeflow.kernels.attention import attention, naive

    qkv = torch.randn(2, 130, 3, 4, head, device="cuda", dtype=torch.bfloat16)
    q, k, v = (x.transpose(1, 2) for x in qkv.unbind(2))
    mask = torch.rand(2, 130, device="cuda") > 0.3
    mask[0] = False
    expected = naive.attention(q.double(), k.double(), v.double(), mask=mask[:, None, None])
    found = attention(q, k, v, mask=mask, backend=backend)
    assert (130 * 4 * head, head, 4 * head, 1) == found.stride()
    assert (found - expected).norm() <= ROUNDED["bf16"] * expected.norm()


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("backend", ["auto", "torch", "triton"])
def test_gradients_agree_with_float64_on_a_gpu(backend: str) -> None:
    from nodeflow.kernels.attention import attention, naive

    given = [torch.randn(2, 4, n, 40, device="cuda", dtype=torch.bfloat16, requires_grad=True) for n in (130, 77, 77)]
    exact = [x.detach().double().requires_grad_() for x in given]
    mask = torch.rand(2, 77, device="cuda") > 0.3
    mask[0] = False
    found = torch.autograd.grad(attention(*given, mask=mask, causal=True, backend=backend).square().sum(), given)
    naively = naive.attention(*exact, mask=mask[:, None, None], causal=True)
    for got, true in zip(found, torch.autograd.grad(naively.square().sum(), exact), strict=True):
        assert (got - true).norm() <= BACKWARD_ON_A_GPU["bf16"] * true.norm()


@pytest.mark.gpu
@needs_gpu
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's compiler imports what torch deprecates
@pytest.mark.parametrize("dynamic", [False, True])
def test_it_compiles_whole_on_a_gpu(dynamic: bool) -> None:
    from nodeflow.kernels.attention import attention

    whole = torch.compile(attention, fullgraph=True, dynamic=dynamic)
    for n in (96, 130):
        q, k, v = (torch.randn(2, 4, n, 40, device="cuda", dtype=torch.float16) for _ in range(3))
        torch.testing.assert_close(whole(q, k, v), attention(q, k, v), rtol=2e-3, atol=2e-3)


@pytest.mark.gpu
@needs_gpu
def test_what_no_fused_kernel_takes_falls_to_torch_with_a_reason() -> None:
    from nodeflow.kernels import explain
    from nodeflow.kernels.attention import naive

    q, k, v = (torch.randn(1, 2, 9, 264, device="cuda") for _ in range(3))
    choice = explain("attention", q, k, v)
    assert "torch" == choice.kind
    assert any("heads of 264 columns" in rival.reason for rival in choice.rivals)
    from nodeflow.kernels.attention import attention

    torch.testing.assert_close(attention(q, k, v), naive.attention(q, k, v), rtol=1e-4, atol=1e-5)
