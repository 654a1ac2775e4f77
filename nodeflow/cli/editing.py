"""`nodeflow edit`: the desktop editor."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from nodeflow.errors import NodeflowError


def edit(
    graphs: Annotated[
        list[Path] | None, typer.Argument(metavar="[GRAPH]...", help="Graphs, or pictures that carry one.")
    ] = None,
    no_restore: Annotated[
        bool, typer.Option("--no-restore", help="Begin anew: no tabs of the last time, no backups.")
    ] = False,
    safe: Annotated[
        bool, typer.Option("--safe", help="Leave out all plugins that did not come with nodeflow.")
    ] = False,
) -> None:
    """Open the desktop editor.

    Without a graph it opens what was open the last time. After a crash it offers what was not saved. The name of a
    graph that is not there yet begins a new one, which the first save writes.
    """
    if find_spec("nodeflow_editor") is None:
        raise NodeflowError("the editor is not part of this installation\n    pip install 'nodeflow-engine[editor]'")
    # by name: the engine must not know the editor, and --help must not load Qt
    import_module("nodeflow_editor.starting").ready()
    raise typer.Exit(import_module("nodeflow_editor.app").start(graphs or [], restore=not no_restore, safe=safe))
