"""The benches without a GPU, with next to no time: figures, table and picture are there, and say what is missing."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a file of benchmarks/ as it is when it is run as a script."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)

    def imported(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield imported
    for name in set(sys.modules) - before:
        if (BENCHMARKS / f"{name}.py").exists():
            del sys.modules[name]


def judged(folder: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / f"{name}.json").read_text("utf-8"))
    assert all(("seconds" in row) != ("skipped" in row) for row in document["rows"])
    assert {row["group"] for row in document["rows"]} <= {group["group"] for group in document["groups"]}
    text = (folder / f"{name}.md").read_text("utf-8")
    assert all(f"## {group['group']}" in text for group in document["groups"])
    assert all(one in text for one in document["unmeasured"])
    with Image.open(folder / f"{name}.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 3
    return document


def test_the_bench_of_kernels_runs_without_a_gpu_and_says_what_that_leaves_open(bench: Any, tmp_path: Path) -> None:
    bench("kernels").main(["--budget", "0.4", "--cpu", "--out", str(tmp_path)])
    document = judged(tmp_path, "kernels-cpu")
    assert "seconds" in document["rows"][0]
    assert "of a budget of 0.4 s" in document["rows"][-1]["skipped"]
    assert 4 == len(document["unmeasured"])


def test_the_bench_of_sampling_runs_without_a_gpu_and_says_what_that_leaves_open(bench: Any, tmp_path: Path) -> None:
    bench("sampling").main(["--budget", "0.2", "--cpu", "--out", str(tmp_path)])
    document = judged(tmp_path, "sampling-cpu")
    assert "seconds" in document["rows"][0]
    assert any("SDXL" in one for one in document["unmeasured"])


def test_rows_of_a_gpu_have_goals_that_are_judged(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels, clocks = bench("kernels"), bench("clocks")

    class Clock:
        prepare = staticmethod(clocks.on_cpu)

    monkeypatch.setattr(kernels, "Accelerator", Clock)
    monkeypatch.setattr(clocks, "SPAN", 1e-4)
    tensors = kernels.qkv(32, 7, 2, 40, 1, torch.float32, "cpu")
    row = kernels.attention_on_gpu("attention", "small", 40, tensors, judged=True)
    assert {"sdpa", "auto"} <= set(row["seconds"])
    assert ["auto's time / best"] == [goal["what"] for goal in row["goals"]]
    calls = {call.operation: call for call in kernels.memories(torch.float32, "cpu", 0)}
    for operation in ("rms_norm", "vq_nearest"):
        row = kernels.memory_on_gpu("memory", calls[operation], judged=True)
        assert 1.0 == row["shares"]["copy"]
        assert ("goals" in row) == (operation == "rms_norm")


def test_a_goal_that_is_missed_is_told(bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = bench("report")
    told = report.Report(tmp_path / "made.json", "Made", 10, {"torch": "x"})
    told.group("group", "About.", "times as fast")
    row = {"group": "group", "row": "one", "seconds": {"a": 2e-3, "b": 1e-3}, "reference": "a"}
    told.add(row | {"goals": [report.goal("a / b", 2.0, ">=", 1.15), report.goal("late", 1.1, "<=", 1.02)]})
    assert row["seconds"] == json.loads((tmp_path / "made.json").read_text("utf-8"))["rows"][0]["seconds"]
    told.finish()
    assert "1 of 2 goals met" in capsys.readouterr().out
    table = (tmp_path / "made.md").read_text("utf-8")
    assert "| one | 2 ms (1.00) | **1 ms (2.00)** | a / b 2.00 (>= 1.15: met); late 1.10 (<= 1.02: MISSED) |" in table


def test_kernels_need_torch_and_nothing_else_to_be_measured() -> None:
    import subprocess

    absent = "pydantic platformdirs pluggy networkx rich typer safetensors jsonschema tokenizers PIL".split()  # noqa: SIM905 # a line of words
    lines = [
        "import os, sys",
        f"sys.modules.update(dict.fromkeys({absent!r}))",
        f"sys.path[:0] = [{str(BENCHMARKS)!r}, {str(BENCHMARKS.parent)!r}, {str(BENCHMARKS.parent / 'plugins')!r}]",
        "import kernels, steps",
        "steps.network_file('unet')",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr[-2000:]
