"""`nodeflow check` and `nodeflow diff`: graphs read, judged and compared, none of them run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import nodeflow.cli.output as output
from nodeflow.carried import open_graph, survey_graph
from nodeflow.catalog import Catalog, open_catalog
from nodeflow.errors import GraphError

JSON_OPTION = typer.Option("--json", help="JSON on standard output.")


def check(
    graphs: Annotated[list[Path], typer.Argument(metavar="GRAPH...", help="Graphs, or pictures that carry one.")],
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Find all that is wrong with graphs, without running them.

    Types, missing inputs, limits, cycles: all problems of all files. The exit code is 2 if there is one.
    """
    catalog = open_catalog()
    told: list[dict[str, Any]] = []
    faults = broken = 0
    for path in graphs:
        try:
            (nodes, absent), error = _checked(path, catalog), None
        except GraphError as found:
            (nodes, absent), error = (0, 0), found
        if error is not None:
            broken += 1
            faults += len(error.problems)
        if as_json:
            problems = [problem.as_json() for problem in error.problems] if error else []
            counts = {"nodes": nodes, "left_out": absent}
            told.append({"file": str(path), "ok": error is None, **counts, "problems": problems})
        elif error is not None:
            output.tell(error)
        else:
            more = f", {absent} left out" if absent else ""
            output.say(f"ok {path} ({output.counted(nodes, 'node')}{more})")
    if as_json:
        output.say_json(told)
    elif faults > 1:
        where = f" in {broken} of {output.counted(len(graphs), 'file')}" if len(graphs) > 1 else ""
        output.warn(output.counted(faults, "problem") + where)
    raise typer.Exit(output.WRONG if faults else output.DONE)


def _checked(path: Path, catalog: Catalog) -> tuple[int, int]:
    """How many nodes of the graph in a file would run, and how many muted or bypassed ones leave out.

    Raises:
        GraphError: it is not in order.
    """
    from nodeflow.graph import build

    document, faults = survey_graph(path)
    graph = build(document, catalog, file=str(path), folder=path.parent, known=faults)
    return len(graph.steps), len(graph.absent.nodes)


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A graph, or a picture that carries one.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.")],
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Tell in words what leads from one graph to another."""
    from nodeflow.diff import describe
    from nodeflow.diff import diff as compare

    edits = compare(open_graph(old), open_graph(new))
    if as_json:
        output.say_json([{"edit": type(edit).__name__, "text": describe(edit)} for edit in edits])
        return
    for edit in edits:
        output.say(describe(edit))
    if not edits and output.on_terminal():
        output.say("no difference")
