"""`nodeflow new`: a start for something of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import nodeflow.cli.output as output
from nodeflow.cli.plain import Command, Group

new = typer.Typer(
    cls=Group,
    help="Make a start for something of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@new.callback()
def _group() -> None:
    """Keeps `plugin` a word of its own: typer drops the name of a lone command."""


@new.command("plugin", cls=Command)
def plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What its nodes begin with: brush makes brush.dots.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where its folder goes.")] = Path(),
) -> None:
    """Make a plugin: a node, its test, a graph that uses it."""
    from nodeflow.scaffold import make_plugin

    made = make_plugin(name, folder)
    output.say(f"made {made}")
    output.say(f"    cd {made} && pip install -e '.[test]' && pytest")
    output.say(f"    nodeflow run graphs/{name}.json")
