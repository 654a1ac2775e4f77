"""What `nodeflow plan` says of the graphs in graphs/, beside what their runs take: peak memory, and CPU time.

Both are counted in this process. Memory by the same ledger of operators, on fake tensors for the plan and on real ones
for the run: the bytes of every tensor's storage while it lives, models included. It does not cover what an operator
takes within itself, what the allocator rounds up or keeps, and what is no tensor. The run is the engine's own, results
not kept, and its time is CPU time of each node, without the ledger, in a second run: the best of --rounds.

    python benchmarks/plan.py [--rounds 3] [graphs/text_to_image.json ...]
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # CPU time is the time of a run where one thread computes

import torch

from nodeflow.cache import Cache
from nodeflow.catalog import open_catalog
from nodeflow.document import read
from nodeflow.events import Failed, Finished, Started
from nodeflow.graph import Graph, build
from nodeflow.plan.ceilings import ceilings_of
from nodeflow.plan.ledger import Ledger
from nodeflow.plan.walk import Planner
from nodeflow.runner import Engine

ROOT = Path(__file__).parents[1]
TOLD = ROOT / "benchmarks" / "results" / "plan.json"


def engine() -> Engine:
    return Engine(cache=Cache(None, 0, 0), device="cpu")


def times(graph: Graph) -> dict[str, float]:
    """CPU seconds of each node of a run."""
    began, took = {}, {}
    for event in engine().run(graph):
        if isinstance(event, Started):
            began[event.node] = time.process_time()
        elif isinstance(event, Finished):
            took[event.node] = time.process_time() - began[event.node]
        elif isinstance(event, Failed):
            sys.exit(f"{event.node}: {event.message}")
    return took


def peaks(graph: Graph) -> dict[str, int]:
    """The most bytes that tensors took while each node ran, models and what other nodes gave included."""
    runs, ledger, most = engine(), Ledger(), {}
    for step in graph.steps.values():
        callee = runs.callee(step.spec)
        function = callee.function

        def watched(*args: Any, function: Any = function, **kwargs: Any) -> Any:
            with ledger:
                return function(*args, **kwargs)

        if not hasattr(function, "watched"):
            watched.watched = True  # type: ignore[attr-defined]
            callee.function = watched
    for event in runs.run(graph):
        if isinstance(event, Started):
            ledger.memory.begin()
        elif isinstance(event, Finished):
            most[event.node] = ledger.memory.peak.get("cpu", 0)
    return most


def compared(path: Path, rounds: int) -> dict[str, Any]:
    graph = build(read(path), open_catalog(), folder=path.parent)
    planned = []
    for _ in range(2):  # the first imports what a plan needs
        began = time.process_time()
        planned = [Planner(graph, "cpu", ceilings=ceilings_of("cpu")).run()]
        cost = time.process_time() - began
    plan = planned[0]
    memory, runs = peaks(graph), [times(graph) for _ in range(rounds)]
    seconds = {node: min(run[node] for run in runs) for node in runs[0]}
    nodes = [
        {
            "node": node.id, "type": node.type, "unknown": node.unknown,
            "planned_seconds": node.seconds, "measured_seconds": seconds[node.id],
            "planned_peak": node.peak.get("cpu", 0), "measured_peak": memory[node.id],
        }
        for node in plan.nodes
    ]  # fmt: skip
    return {
        "graph": str(path.relative_to(ROOT)),
        "planned_seconds": plan.seconds, "measured_seconds": sum(seconds.values()),
        "time_ratio": plan.seconds / sum(seconds.values()),
        "planned_peak": plan.peak["cpu"], "measured_peak": max(memory.values()),
        "peak_ratio": plan.peak["cpu"] / max(memory.values()),
        "planning_seconds": cost, "nodes": nodes,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="*", type=Path, default=sorted((ROOT / "graphs").glob("*.json")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", action="store_true", help="print each node as well")
    asked = parser.parse_args()
    ceilings = ceilings_of("cpu", anew=True)
    print(ceilings)
    rows = []
    for path in asked.graphs:
        row = compared(path.resolve(), asked.rounds)
        rows.append(row)
        print(
            f"{row['graph']:42} peak {row['planned_peak'] / 1e6:7.2f} / {row['measured_peak'] / 1e6:7.2f} MB "
            f"= {row['peak_ratio']:.3f}   time {row['planned_seconds']:6.2f} / {row['measured_seconds']:6.2f} s "
            f"= {row['time_ratio']:.2f}   planned in {row['planning_seconds']:.2f} s",
            flush=True,
        )
        for node in row["nodes"] if asked.nodes else ():
            planned = "   ?  " if node["planned_seconds"] is None else f"{node['planned_seconds']:6.3f}"
            print(
                f"    {node['node']:20} {planned} / {node['measured_seconds']:6.3f} s   "
                f"{node['planned_peak'] / 1e6:7.3f} / {node['measured_peak'] / 1e6:7.3f} MB   {node['unknown']}"
            )
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__,
               "threads": torch.get_num_threads(), "ceilings": vars(ceilings)}  # fmt: skip
    TOLD.write_text(json.dumps({"machine": machine, "graphs": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
