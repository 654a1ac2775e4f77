"""What the engine itself costs: trivial nodes in a chain, a fan and a join, in process CPU time, in one run.

    python benchmarks/engine.py [--largest 20000] [--out benchmarks/results/engine.json]

Prints milliseconds of CPU a node for checking, a first run, a run in which everything is cached, and one after the
last node's value changed; then kilobytes a node, and cold starts of the command line. ComfyUI's figures stand beside
them where it was measured (0.3.64, two cores, no GPU, process CPU time; not this machine, so read them as an order of
magnitude).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nodeflow import Catalog, node
from nodeflow.document import Document, NodeEntry, Wire, with_values
from nodeflow.events import Ended
from nodeflow.graph import build
from nodeflow.nodes import spec_of
from nodeflow.runner import Engine

ROOT = Path(__file__).parents[1]
COMFYUI = {
    ("chain", 100): (2.5, 1.3),
    ("chain", 400): (10.4, 12.0),
    ("fan", 1000): (0.67, 0.37),
    ("fan", 5000): (3.5, 1.8),
    ("join", 1000): (1.26, 0.21),
    ("join", 5000): (6.7, 0.80),
}
"""Milliseconds a node, first and cached. A chain of 1,000 ended in a RecursionError."""


@node(category="bench")
def start(value: int = 0) -> int:
    """Give a number."""
    return value


@node(category="bench")
def step(first: int, value: int = 0) -> int:
    """Add two numbers."""
    return first + value


@node(category="bench")
def total(items: list[int]) -> int:
    """Add up numbers."""
    return sum(items)


CATALOG = Catalog.of(*(spec_of(function, "bench") for function in (start, step, total)))


def chain(size: int) -> Document:
    nodes = {"n0": NodeEntry("bench.start", 1, {"value": 1})}
    for index in range(1, size):
        nodes[f"n{index}"] = NodeEntry("bench.step", 1, {"first": Wire(f"n{index - 1}"), "value": index})
    return Document(nodes=nodes, outputs={"out": f"n{size - 1}"})


def fan(size: int) -> Document:
    nodes = {"n0": NodeEntry("bench.start", 1, {"value": 1})}
    for index in range(1, size):
        nodes[f"n{index}"] = NodeEntry("bench.step", 1, {"first": Wire("n0"), "value": index})
    return Document(nodes=nodes)


def join(size: int) -> Document:
    nodes = {f"n{index}": NodeEntry("bench.start", 1, {"value": index}) for index in range(size - 2)}
    nodes["sum"] = NodeEntry("bench.total", 1, {"items": [Wire(name) for name in nodes]})
    nodes["last"] = NodeEntry("bench.step", 1, {"first": Wire("sum")})
    return Document(nodes=nodes, outputs={"out": "last"})


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    began = time.process_time()
    value = work()
    return time.process_time() - began, value


def ended(engine: Engine, graph: Any) -> Ended:
    *_, last = engine.run(graph)
    assert isinstance(last, Ended)
    return last


def measure(shape: Callable[[int], Document], size: int) -> dict[str, Any]:
    """One row. The last node is the one whose value is changed."""
    document = shape(size)
    last = list(document.nodes)[-1]
    check, graph = cpu(lambda: build(document, CATALOG))
    engine = Engine()
    first, told = cpu(lambda: ended(engine, graph))
    assert told.ran == size
    cached, told = cpu(lambda: ended(engine, graph))
    assert told.ran == 0
    changed = build(with_values(document, {f"{last}.value": 7_777_777}), CATALOG)
    edit, told = cpu(lambda: ended(engine, changed))
    return {
        "shape": shape.__name__, "nodes": size, "check": check / size * 1e3, "first": first / size * 1e3,
        "cached": cached / size * 1e3, "edit": edit / size * 1e3, "edit_ran": told.ran, "kb": memory(shape, size),
    }  # fmt: skip


def memory(shape: Callable[[int], Document], size: int) -> float:
    """Kilobytes a node that stay after a run: the document, the graph and the results."""
    gc.collect()
    tracemalloc.start()
    engine, graph = Engine(), build(shape(size), CATALOG)
    ended(engine, graph)
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert engine is not None
    return kept / size / 1e3


LAUNCH = """
import json, os, sys
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ,
                       file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
print(json.dumps([status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""
"""A small parent: a process' peak memory begins with that of the one it was forked from."""


def cold(arguments: Sequence[str], repeat: int = 3) -> dict[str, float]:
    """The least CPU seconds and the peak MB of a whole process, started `repeat` times."""
    figures = []
    for _ in range(repeat):
        launched = subprocess.run(
            [sys.executable, "-S", "-c", LAUNCH, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        status, seconds, peak = json.loads(launched.stdout)
        assert status == 0, (arguments, launched.stderr)
        figures.append((seconds, peak))
    return {"cpu_s": min(seconds for seconds, _ in figures), "mb": min(peak for _, peak in figures)}


def starts(folder: Path) -> dict[str, dict[str, float]]:
    """Cold starts. A run's figure holds its worker's too, whose CPU time the client inherits when it ends."""
    graph = "graphs/text_to_image.json"
    line = ["-m", "nodeflow.cli"]
    cold([*line, "check", graph], 1)
    return {
        "python": cold(["-c", "pass"]),
        "import torch": cold(["-c", "import torch"]),
        "--help": cold([*line, "--help"]),
        "check": cold([*line, "check", graph]),
        "nodes": cold([*line, "nodes"]),
        "run": cold([*line, "run", graph, "--no-cache", "--out", str(folder)], 2),
        "run, cached": cold([*line, "run", graph, "--out", str(folder)], 2),
    }


def show(rows: list[dict[str, Any]], processes: dict[str, dict[str, float]]) -> None:
    console = Console(width=100)
    table = Table(title="CPU milliseconds a node", header_style="bold")
    for column in ("shape", "nodes", "check", "first", "cached", "edit", "ran", "KB/node", "ComfyUI first / cached"):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for row in rows:
        peer = COMFYUI.get((row["shape"], row["nodes"]))
        figures = [f"{row[key]:.4f}" for key in ("check", "first", "cached", "edit")]
        beside = (
            f"{peer[0]} / {peer[1]} ({peer[0] / row['first']:.0f}x, {peer[1] / row['cached']:.0f}x)" if peer else ""
        )
        table.add_row(row["shape"], f"{row['nodes']:,}", *figures, str(row["edit_ran"]), f"{row['kb']:.2f}", beside)
    console.print(table)
    table = Table(title="Cold starts", header_style="bold")
    for column in ("command", "CPU s", "MB"):
        table.add_column(column, justify="left" if column == "command" else "right")
    for name, figures in processes.items():
        table.add_row(name, f"{figures['cpu_s']:.2f}", f"{figures['mb']:.0f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--largest", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/engine.json")
    options = parser.parse_args()
    sizes = [size for size in (100, 400, 1_000, 5_000, 20_000) if size <= options.largest]
    rows = [measure(shape, size) for shape in (chain, fan, join) for size in sizes]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    processes = starts(Path(os.environ.get("TMPDIR", "/tmp")) / "nodeflow-bench")  # noqa: S108 # nothing secret
    show(rows, processes)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    machine = {"python": platform.python_version(), "machine": platform.machine(), "peak_mb": peak}
    options.out.write_text(
        json.dumps({"machine": machine, "rows": rows, "starts": processes}, indent=1) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()
