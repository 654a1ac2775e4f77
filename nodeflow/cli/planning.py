"""`nodeflow plan`: what a run will take, told from shapes and headers before a weight is read."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import nodeflow.cli.output as output
from nodeflow.carried import survey_graph
from nodeflow.catalog import open_catalog
from nodeflow.choices import mode
from nodeflow.cli.opening import with_settings
from nodeflow.devices import amount, device_name, size_of
from nodeflow.errors import GraphError, Problem

if TYPE_CHECKING:
    from nodeflow.graph import Graph
    from nodeflow.plan.ceilings import Ceilings
    from nodeflow.plan.told import NodePlan, Plan

SHOWN = 60
"""Nodes that a person is shown; of a larger graph those that take longest."""


def plan(
    graph: Annotated[
        Path | None, typer.Argument(metavar="[GRAPH]", help="A graph, or a picture that carries one.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter, or an input: node.port.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="NODE", help="Plan this node and what it needs.")] = None,
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help="cpu, cuda, cuda:1, mps.")] = None,
    vram: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory of the device, such as 6GB; what is free if not given."),
    ] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure this machine anew.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Tell what a run will take, and all that does not fit together.

    Shapes, time and memory are told without running the graph; no weight is read. The exit code is 2 if something is
    wrong, and 1 if the run does not fit into the memory.
    """
    if graph is None and not measure:
        raise GraphError(Problem("name a graph to plan", "`nodeflow plan --help` says more"))
    mode()  # a wrong word is told before a run meets it
    budget = None if vram is None else size_of(vram)
    checked = None if graph is None else _checked(graph, settings or [], until)
    place = _place(device)
    from nodeflow.plan.ceilings import ceilings_of

    ceilings = ceilings_of(place, anew=measure)
    if graph is None or checked is None:
        _say_ceilings(place, ceilings, as_json)
        return
    found = _planned(checked, graph, place, until, budget, ceilings)
    if as_json:
        told: dict[str, Any] = {"file": str(graph), "device": place, **found.as_json()}
        told["left_out"] = checked.absent.outputs
        output.say_json(told | {"ceilings": asdict(ceilings)})
    else:
        _say(found)
        for name, reason in checked.absent.outputs.items():
            output.say(f'output "{name}" is left out: {reason}')
        output.tell(GraphError(found.problems))
    if not found.only_size:
        raise typer.Exit(output.WRONG)
    raise typer.Exit(output.DONE if found.fits else output.FAILED)


def _checked(path: Path, settings: list[str], until: str | None) -> Graph:
    from nodeflow.graph import build

    catalog = open_catalog()
    document, faults = survey_graph(path)
    document, wrong = with_settings(document, settings, catalog, path.parent, str(path))
    checked = build(document, catalog, file=str(path), folder=path.parent, known=[*faults, *wrong])
    if until is not None and (problem := checked.astray(until)):
        raise GraphError(replace(problem, message=f"--until: {problem.message}", file=str(path)))
    return checked


def _place(device: str | None) -> str:
    """The device that is meant.

    Raises:
        GraphError: this machine has no such device.
    """
    from nodeflow.devices import devices

    if device is not None and "," in device:
        cure = f"name the one that is to be planned for, such as --device {device.partition(',')[0]}"
        raise GraphError(Problem(f"--device {device}: a plan is for one device", cure))
    known = [found.name for found in devices()]
    place = known[0] if device is None else device_name(device)
    if place not in known:
        raise GraphError(
            Problem(f'--device {device}: there is no device "{place}" here', f"there is {', '.join(known)}")
        )
    return place


def _planned(
    checked: Graph, path: Path, device: str, until: str | None, vram: int | None, ceilings: Ceilings
) -> Plan:  # fmt: skip
    from nodeflow.plan.walk import Planner

    found = Planner(checked, device, until=until, vram=vram, ceilings=ceilings).run()
    found.problems = [replace(problem, file=str(path)) for problem in found.problems]
    return found


def _say_ceilings(device: str, ceilings: Ceilings, as_json: bool) -> None:
    if as_json:
        output.say_json({"device": device, "ceilings": asdict(ceilings)})
        return
    output.table([
        ("device", device),
        ("products", f"{ceilings.matmul / 1e9:,.0f} GFLOP/s"),
        ("convolutions", f"{ceilings.convolution / 1e9:,.0f} GFLOP/s"),
        ("copies", f"{ceilings.copy / 1e9:,.1f} GB/s"),
        ("an operator", f"{ceilings.operator * 1e6:,.1f} us"),
        ("weights", f"{ceilings.load / 1e9:,.1f} GB/s"),
    ])  # fmt: skip


def _say(found: Plan) -> None:
    nodes = found.nodes
    if len(nodes) > SHOWN:
        longest = sorted(nodes, key=lambda node: (not node.faulty, -(node.seconds or 0)))[:SHOWN]
        nodes = [node for node in nodes if node in longest]
    rows: list[tuple[str, ...]] = [("node", "time", "GFLOP", "moved", "parameters", "peak", "gives")]
    rows += [_row(node) for node in nodes]
    output.table(rows, right=range(1, 6))
    if len(nodes) < len(found.nodes):
        output.say(f"and {output.counted(len(found.nodes) - len(nodes), 'node')} that take less time")
    for node in found.nodes:
        for note in node.notes:
            output.say(f"{node.id}: {note}")
    for node in found.unknown:
        output.say(f"{node.id}: not known before it runs: it {node.unknown}")
    for move in found.moves:
        if move.action == "evicted":
            output.say(f"{move.model} is evicted from {move.device} for {move.node} ({amount(move.bytes)})")
    more = ", and what is not known" if any(node.seconds is None for node in found.nodes) else ""
    output.say(f"about {output.seconds_text(found.seconds)}{more}")
    output.say(found.verdict())


def _row(node: NodePlan) -> tuple[str, ...]:
    peak = max(node.peak.values(), default=0)
    gives = "; ".join(f"{name}: {value}" if name != "out" else str(value) for name, value in node.outputs.items())
    return (
        node.id,
        "?" if node.seconds is None else output.seconds_text(node.seconds),
        f"{node.flops / 1e9:,.2f}" if node.flops else "",
        amount(node.bytes) if node.bytes else "",
        f"{node.parameters:,}" if node.parameters else "",
        "" if node.unjudged else amount(peak),
        _state(node) or gives,
    )


def _state(node: NodePlan) -> str:
    """Why it is not told what a node gives; nothing if it is."""
    if node.faulty:
        return "wrong: told below"
    if node.unjudged:
        return f"not judged: {node.unjudged}"
    return "not known before it runs" if node.unknown and not node.outputs else ""
