"""The command line: a verb, then files.

Errors go to standard error; with --json the last line on standard output says how the call ended as well. Exit codes: 0
done, 1 a node failed or an output could not be written, 2 the graph or the call is wrong, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from nodeflow import __version__
from nodeflow.catalog import Catalog
from nodeflow.cli import (
    checking,
    converting,
    editing,
    importing,
    keeping,
    kernels,
    looking,
    making,
    models,
    output,
    planning,
    running,
)
from nodeflow.cli.plain import Command, Group
from nodeflow.errors import Cancelled, GraphError, NodeflowError, Problem, RunError

app = typer.Typer(
    name="nodeflow",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # boxes drawn around help are what a pipe cannot read, and cost half the start
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(asked: bool) -> None:
    if asked:
        output.say(f"nodeflow {__version__}")
        raise typer.Exit


@app.callback()
def _nodeflow(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Node graphs that make pictures: run them, check them, look around."""


for _verb in (
    running.run, checking.check, planning.plan, checking.diff, looking.nodes, looking.plugins, looking.schema,
    looking.docs, models.models, converting.convert, keeping.cache, keeping.info, kernels.kernels,
    editing.edit,
):  # fmt: skip
    app.command(cls=Command)(_verb)
app.command("import", cls=Command)(importing.import_graph)
app.add_typer(making.new, name="new")


def main() -> None:
    """The program `nodeflow` once all of it is imported; `nodeflow.__main__` begins earlier."""
    sys.exit(call(sys.argv[1:]))


def call(arguments: Sequence[str]) -> int:
    """Runs one command line; returns its exit code and lets no exception out."""
    output.prepare_streams()
    try:
        code, problems = _invoke(arguments)
        if problems and "--json" in arguments:
            output.say_end(code, problems)
        output.flush()
    except output.PipeClosed:
        with suppress(OSError):  # or the interpreter would complain of the pipe when it flushes at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return output.PIPE_CLOSED
    except OSError as error:  # of standard output itself: a full disk
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        output.warn(f"error: {error}")
        return output.FAILED
    return code


def _invoke(arguments: Sequence[str]) -> tuple[int, Sequence[Problem]]:
    """Runs one command line: its exit code, and what is to be told of it. To people it has been told already."""
    try:
        command = typer.main.get_command(app)  # not `app` itself, which makes of Ctrl+C an exit like any other
        with command.make_context("nodeflow", list(arguments)) as context:
            command.invoke(context)
        return output.DONE, ()
    except typer.Exit as error:
        return error.exit_code, ()
    except GraphError as error:
        output.tell(error)
        return output.WRONG, error.problems
    except RunError as error:
        return output.FAILED, _warned(str(error))
    except (NodeflowError, OSError) as error:
        return output.WRONG, _warned(str(error))
    except (KeyboardInterrupt, Cancelled, typer.Abort):
        return output.INTERRUPTED, (Problem("interrupted"),)
    except SystemExit as error:  # the end of the terminal, or of all programs
        return int(error.code or output.DONE), (Problem("ended from outside"),)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own, of a class that has moved between its versions
            return _misused(error)
        return output.FAILED, _unexpected(error)


def _warned(text: str) -> tuple[Problem]:
    output.warn(f"error: {text}")
    message, _, cure = text.partition("\n")
    return (Problem(message, cure.strip()),)


def _misused(error: Any) -> tuple[int, Sequence[Problem]]:
    """Says what is wrong with the call. Without a command at all, typer's message is the help."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is not None and message.startswith("Usage:"):
        output.say(message)
        return (output.DONE, ()) if not context.args else (output.WRONG, (Problem("there is no such call"),))
    words = message[:1].lower() + message[1:]
    output.warn(f"error: {words}")
    cure = ""
    if context is not None:
        output.warn(f"    {context.get_usage().removeprefix('Usage: ')}")
        cure = f"`{context.command_path} --help` says more"
        output.warn(f"    {cure}")
    return output.WRONG, (Problem(words, cure),)


def _unexpected(error: Exception) -> tuple[Problem]:
    message = f"nodeflow itself failed: {type(error).__name__}: {error}"
    cure = "NODEFLOW_DEBUG=1 shows the trace; please report it with the output of `nodeflow info`"
    if "NODEFLOW_DEBUG" in os.environ:
        output.warn(traceback.format_exc().rstrip())
    else:
        output.warn(f"error: {message}")
        output.warn(f"    {cure}")
    return (Problem(message, cure),)


def manual_pages(catalog: Catalog, distribution: str = "") -> dict[str, str]:
    """The manual, Markdown by file name; `distribution` leaves out the nodes of other packages."""
    return looking.manual_of(catalog, typer.main.get_command(app), distribution)
