"""Sampling: one step of large U-Nets beside eager and compiled torch on a GPU; on a CPU small ones, and whole pictures.

On a GPU, with random weights: Stable Diffusion 1.5 and XL, batch 2, bfloat16. Needs torch, triton and this repository:

    PYTHONPATH=.:plugins python benchmarks/sampling.py [--budget 300] [--out benchmarks/results]

Without a GPU: the same step tiny; our U-Nets beside diffusers' of the same shape, where that is installed; what each
way of running a network gains; graphs/text_to_image.json at 25 steps. CPU seconds of one thread.
"""

import json
import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # CPU time is the time of a run where one thread computes

import statistics
import time

import steps
import torch
from report import ROOT, Report, Row, asked, machine

GRAPH = ROOT / "graphs" / "text_to_image.json"
STEPS = 25
PICTURES = f"graphs/text_to_image.json, {STEPS} steps"
FASTEST = {"precision": "fp32", "channels_last": "on"}
VARIANTS: dict[str, dict[str, Any] | None] = {
    "as shipped": None,
    "channels apart": FASTEST | {"channels_last": "off"},
    "two passes": FASTEST | {"batch_guidance": False},
    "words read in every step": FASTEST | {"read_once": False},
    "bf16": FASTEST | {"precision": "bf16"},
}
"""Ways to run the shipped graph: inputs of a diffusion.execution behind its denoiser, each one thing the other way."""
UNMEASURED = (
    *(
        f"one step of {setup.name}: at least {setup.eager:g} times as fast as eager, {setup.compiled:g} as compiled"
        for setup in steps.SETUPS
    ),
    "sampling as a recorded graph",
)


def varied(count: int, inputs: dict[str, Any] | None) -> str:
    """The shipped graph as text, for so many pictures, its denoiser run as `inputs` say."""
    data = json.loads(GRAPH.read_text("utf-8"))
    nodes = data["nodes"]
    nodes["empty"]["inputs"]["count"] = count
    nodes["sample"]["inputs"]["steps"] = STEPS
    if inputs is not None:
        wire = nodes["sample"]["inputs"]["denoiser"]
        nodes["bench"] = {"type": "diffusion.execution", "version": 1, "inputs": {"denoiser": wire, **inputs}}
        nodes["sample"]["inputs"]["denoiser"] = {"$from": "bench"}
    return json.dumps(data)


def sampler(text: str) -> Callable[[], float]:
    """A graph made ready; each call of what it gives runs it with its models there: CPU seconds of its sampler."""
    from nodeflow.cache import Cache
    from nodeflow.catalog import open_catalog
    from nodeflow.document import parse
    from nodeflow.events import Failed, Finished, Started
    from nodeflow.graph import build
    from nodeflow.runner import Engine

    graph = build(parse(text, GRAPH.name), open_catalog(), folder=GRAPH.parent)
    engine = Engine(cache=Cache(None, 0, 0), device="cpu")

    def once() -> float:
        began, taken = 0.0, 0.0
        for event in engine.run(graph, until="sample"):
            if isinstance(event, Started) and event.node == "sample":
                began = time.process_time()
            elif isinstance(event, Finished) and event.node == "sample":
                taken = time.process_time() - began
            elif isinstance(event, Failed):
                raise RuntimeError(f"{event.node}: {event.message}")
        return taken

    once()  # imports, loads
    return once


def pictures(report: Report) -> None:
    """Seconds a picture, each variant in each round."""
    about = "CPU seconds of sampling per picture, one thread; each of the others turns one thing the other way."
    report.group(PICTURES, about, "times as fast as the graph as it is shipped")
    for count, rounds in ((1, 3), (16, 1)):
        name = f"batch {count}"
        if not report.room(PICTURES, name, 25 if count == 1 else 90):
            continue
        ready: dict[str, Callable[[], float]] = {}
        failed: list[str] = []
        for variant, inputs in VARIANTS.items():
            if count > 1 and variant == "bf16" and not half_pays():
                failed.append("bf16 left out: without AMX or AVX512-bf16 it takes several times as long")
                continue
            try:
                ready[variant] = sampler(varied(count, inputs))
            except Exception as error:  # a switch that this version has not is a line in the table
                failed.append(f"{variant} failed: {str(error).splitlines()[0][:160]}")
        times: dict[str, list[float]] = {variant: [] for variant in ready}
        for _ in range(rounds):
            for variant, once in ready.items():
                times[variant].append(once() / count)
        seconds = {variant: statistics.median(taken) for variant, taken in times.items()}
        row: Row = {"group": PICTURES, "row": name, "seconds": seconds, "reference": "as shipped"}
        report.add(row | ({"note": "; ".join(failed)} if failed else {}))


def half_pays() -> bool:
    """Whether the CPU multiplies bfloat16 itself."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def others(report: Report, bench: str, group: str, about: str, measure: str, *, needs: str, budget: float) -> None:
    """The rows of another bench here, `rows(budget)`, under one heading."""
    report.group(group, about, measure)
    missing = [name for name in (bench, *needs.split()) if find_spec(name) is None]
    if missing:
        report.skip(group, bench, f"{' and '.join(missing)} is not installed")
        report.unmeasured(f"benchmarks/{bench}.py ({' and '.join(missing)} is not installed)")
        return
    if not report.room(group, bench, 20):
        return
    try:
        for row in import_module(bench).rows(min(budget, report.left)):
            report.add(_adopted(row, bench, group))
            if report.left <= 0:
                break
    except Exception as error:  # what another bench has met is a line of this one
        report.skip(group, bench, f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}")


def _adopted(row: Row, bench: str, group: str) -> Row:
    """A row of another bench as this one has them."""
    notes = [row.get("note", ""), *(f"{name} left out: {why}" for name, why in row.get("left_out", {}).items())]
    notes += [f"{name} is {error:.1g} off" for name, error in row.get("errors", {}).items() if error]
    kept = {key: value for key, value in row.items() if key not in ("name", "left_out", "errors")}
    return {**kept, "group": group, "row": row.get("name", bench), "note": "; ".join(filter(None, notes))}


def cpu(report: Report) -> None:
    """What a CPU can tell, cheap things first."""
    report.unmeasured(*(f"{one} (needs a GPU)" for one in UNMEASURED))
    with torch.inference_mode():
        steps.cpu(report)
    pictures(report)
    others(
        report, "cpu_unet", "U-Nets beside diffusers", "The same shapes, random weights, one thread.",
        "times as fast as diffusers", needs="diffusers", budget=120,
    )  # fmt: skip
    others(
        report, "loop_switches", "What each way of running a network gains", "One guided step, one thread.",
        "times as fast as plain", needs="", budget=120,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    options = asked(__doc__, argv)
    if torch.cuda.is_available() and not options.cpu:
        report = Report(options.out / "sampling.json", "Sampling", options.budget, machine())
        with torch.no_grad():
            steps.gpu(report)
    else:
        report = Report(options.out / "sampling-cpu.json", "Sampling, on a CPU", options.budget, machine())
        cpu(report)
    report.finish()


if __name__ == "__main__":
    main()
