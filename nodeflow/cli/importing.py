"""`nodeflow import`: graphs of other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import nodeflow.cli.output as output
from nodeflow.catalog import open_catalog
from nodeflow.cli.checking import JSON_OPTION
from nodeflow.document import save, write
from nodeflow.errors import GraphError, Problem

SHOWN = 40
"""Remarks of a kind that people are told; --json has all."""


def import_graph(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow of ComfyUI, or a picture that carries one.")],
    out: Annotated[Path | None, typer.Option(metavar="GRAPH", help="Write the graph to this file.")] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Turn a workflow of ComfyUI into a graph.

    Prints the graph, or writes it with --out; what will be otherwise is told on standard error. Nodes that cannot be
    turned stay in the graph as they are, and the exit code is 1. It is 2 if nothing was made of the file.
    """
    from nodeflow.foreign import faults_of, read_foreign

    catalog = open_catalog()
    document, found = read_foreign(file, catalog)
    faults = faults_of(document, catalog, {remark.ours for remark in found.left})
    if out is not None:
        _keep_apart(file, out)
        save(document, out)
    if as_json:
        told: dict[str, Any] = {"file": str(file), "out": None if out is None else str(out), "source": found.source}
        told |= {"nodes": found.nodes, "made": len(document.nodes)}
        told |= {"left": [remark.as_json() for remark in found.left]}
        told |= {"differs": [remark.as_json() for remark in found.differs]}
        told |= {"problems": [problem.as_json() for problem in faults]}
        output.say_json(told | ({} if out is not None else {"graph": write(document)}))
    else:
        if out is None:
            output.say(write(document).rstrip("\n"))
        else:
            output.say(f"wrote {out} ({output.counted(len(document.nodes), 'node')}, from {found.source})")
        _list("not turned", [(remark.node, remark.message) for remark in found.left])
        _list("different", [(remark.node, remark.message) for remark in found.differs])
        _list("amiss", [(problem.place, problem.message) for problem in faults])
    raise typer.Exit(output.FAILED if found.left or faults else output.DONE)


def _list(title: str, remarks: Sequence[tuple[str, str]]) -> None:
    for node, message in remarks[:SHOWN]:
        output.warn(f"{title}: {node}: {message}")
    if len(remarks) > SHOWN:
        output.warn(f"{title}: and {len(remarks) - SHOWN:,} more; --json has all")


def _keep_apart(file: Path, out: Path) -> None:
    """Refuses to write over what is read: it has more in it than the graph."""
    if out.exists() and file.samefile(out):
        raise GraphError(Problem("this is the file that is read", "name another for the graph", file=str(out)))
