"""The fused kernels against float64: under Triton's interpreter, and on a GPU where there is one."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
OPERATIONS = ("geglu", "group_norm_act", "guided_step", "layer_norm_modulate", "rms_norm", "vq_nearest")
ROUNDED = {"fp32": 1e-6, "fp16": 5e-4, "bf16": 3e-3}
"""Frobenius error of one rounding of the result, and a little for the sums in float32 before it."""
TRUNCATED = ROUNDED | {"bf16": 8e-3}
"""The interpreter cuts a float32 off where it makes a bfloat16 of it: up to 2^-7, where a GPU rounds."""
LEAST = {"geglu": 10, "group_norm_act": 40, "guided_step": 9, "layer_norm_modulate": 5, "rms_norm": 12, "vq_nearest": 7}


def errors(operation: str, device: str, thin: int, **environment: str) -> list[tuple[str, str, int, float]]:
    """Type, case, number of the result, error: of every case, computed in a process of its own."""
    command = [sys.executable, str(HERE / "cases.py"), operation, device, str(thin)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=500)
    assert 0 == done.returncode, done.stderr[-2000:]
    return [tuple(row) for row in json.loads(done.stdout)]


def judged(rows: list[tuple[str, str, int, float]], bounds: dict[str, float], least: int) -> None:
    assert all(least <= sum(row[0] == kind for row in rows) for kind in ("fp32", "bf16"))
    # not "error > bound": what was left unwritten is not a number, and no comparison with that holds
    assert [] == [row for row in rows if not row[3] <= bounds[row[0]]]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kernel_is_exact_to_rounding_under_the_interpreter(operation: str) -> None:
    judged(errors(operation, "cpu", 3, TRITON_INTERPRET="1"), TRUNCATED, LEAST[operation])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA or ROCm device")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kernel_is_exact_to_rounding_on_a_gpu(operation: str) -> None:
    judged(errors(operation, "cuda", 1), ROUNDED, LEAST[operation])
