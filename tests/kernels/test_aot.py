"""Every kernel compiles for devices that are not there, to the figures that are on record for this triton."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BAND = 8
"""Registers that a figure may differ by: one step of allocation. All other figures are exact."""


def harness() -> ModuleType:
    """The script beside this file, as a module."""
    spec = importlib.util.spec_from_file_location("aot", Path(__file__).with_name("aot.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["aot"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


THERE = importlib.util.find_spec("triton") is not None
aot = harness()
CASES = list(aot.cases()) if THERE else []


def on_record() -> dict[str, dict[str, int | bool]]:
    import triton

    key = ".".join(triton.__version__.split(".")[:2])
    recorded: dict[str, dict[str, int | bool]] = json.loads(aot.GOLDEN.read_text()).get(key, {})
    if not recorded:
        pytest.skip(f"no figures are on record for triton {key}; `make aot` writes them")
    return recorded


def judged(case: tuple[str, str, str]) -> None:
    recorded, found = on_record(), aot.figures(case)
    assert [] == aot.trouble(case, found)
    assert str(case) in recorded, "not on record: `make aot` writes it"
    expected = recorded[str(case)]
    assert abs(expected["registers"] - found["registers"]) <= BAND
    assert expected | {"registers": 0} == found | {"registers": 0}


@pytest.mark.skipif(not THERE, reason="triton is not installed")
@pytest.mark.parametrize("case", [case for case in CASES if aot.quick(case)], ids=str)
def test_a_kernel_compiles_to_the_figures_on_record(case: tuple[str, str, str]) -> None:
    judged(case)


@pytest.mark.slow
@pytest.mark.skipif(not THERE, reason="triton is not installed")
@pytest.mark.parametrize("case", [case for case in CASES if not aot.quick(case)], ids=str)
def test_a_kernel_compiles_everywhere_to_the_figures_on_record(case: tuple[str, str, str]) -> None:
    judged(case)


@pytest.mark.skipif(not THERE, reason="triton is not installed")
def test_the_record_holds_what_is_quick_and_nothing_that_no_kernel_lists() -> None:
    recorded = set(on_record())
    assert set() == {str(case) for case in CASES if aot.quick(case)} - recorded
    assert set() == recorded - {str(case) for case in CASES}


@pytest.mark.slow
@pytest.mark.skipif(not THERE, reason="triton is not installed")
def test_the_record_holds_all_kernels() -> None:
    assert {str(case) for case in CASES} == set(on_record())


@pytest.mark.skipif(not THERE, reason="triton is not installed")
def test_what_is_quick_exists() -> None:
    named = {f"{operation}: {case}" for operation, listed in aot.QUICK.items() for case in listed}
    assert named <= {str(case) for case in CASES}
    assert {case.operation for case in CASES} == {case.operation for case in CASES if aot.quick(case)}


def test_no_record_excuses_a_spill_shared_memory_or_idle_matrix_units() -> None:
    case = aot.Case("attention", "forward bf16 d40", "sm_90")
    fine = {"registers": 200, "spills": 0, "shared": 49152, "hgmma": True}
    assert [] == aot.trouble(case, fine)
    for fault in ({"spills": 2}, {"shared": 232_449}, {"hgmma": False}):
        assert 1 == len(aot.trouble(case, fine | fault))
