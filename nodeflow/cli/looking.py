"""`nodeflow nodes`, `plugins`, `schema` and `docs`: what there is, read from the catalog; no plugin is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import nodeflow.cli.output as output
from nodeflow.catalog import OFF, Catalog, Plugin, left_out, open_catalog
from nodeflow.cli.checking import JSON_OPTION
from nodeflow.errors import GraphError, Problem
from nodeflow.jsontext import save

if TYPE_CHECKING:
    from nodeflow.reference import Command
    from nodeflow.spec import NodeSpec


def nodes(
    kind: Annotated[str | None, typer.Argument(metavar="[TYPE]", help="A node type, such as image.resize.")] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """List the node types there are, or explain one of them.

    Into a pipe a line for each type, with single blanks between: its name, its category, and what it does.
    """
    catalog = open_catalog()
    if kind is None:
        known = sorted(catalog, key=lambda spec: (spec.category, spec.id))
        if as_json:
            output.say_json([spec.as_json() for spec in known])
        else:
            _list(known)
            _tell_broken(catalog)
        return
    spec = catalog.get(kind)
    if spec is None:
        raise GraphError(Problem(f'there is no node type "{kind}"', catalog.cure(kind)))
    if as_json:
        output.say_json(spec.as_json())
    else:
        _explain(spec)


def _list(known: list[NodeSpec]) -> None:
    if not output.on_terminal():
        for spec in known:
            category = "_".join(spec.category.split()) or "-"
            output.say(output.cut(f"{spec.id} {category} {_summary(spec)}", output.WIDE).rstrip())
        return
    columns = max((len(spec.id) for spec in known), default=0)
    for category, group in groupby(known, key=lambda spec: spec.category):
        output.say(output.bold(category))
        output.table([(spec.id.ljust(columns), _summary(spec)) for spec in group], indent=2)


def _summary(spec: NodeSpec) -> str:
    """What a node does: the first sentence of its help, on one line."""
    paragraph = " ".join(spec.help.partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph, maxsplit=1)[0]


def _tell_broken(catalog: Catalog) -> None:
    broken = [plugin.name for plugin in catalog.plugins if plugin.error]
    if broken:
        output.warn(f"left out: the nodes of {', '.join(broken)}, which cannot be loaded; see `nodeflow plugins`")


def _explain(spec: NodeSpec) -> None:
    from nodeflow.reference import input_line, traits

    columns = output.width()
    output.say(f"{output.bold(spec.id)}  {output.dim(f'version {spec.version}, {spec.category}')}")
    output.say(output.wrapped(spec.help, 2, columns))
    if spec.inputs:
        output.say("\n" + output.bold("inputs"))
    names = max((len(port.name) for port in (*spec.inputs, *spec.outputs)), default=0)
    for port in spec.inputs:
        takes = output.wrapped(input_line(port), names + 4, columns).lstrip()
        output.say(f"  {port.name:<{names}}  {takes}")
        if port.help:
            output.say(output.wrapped(port.help, names + 4, columns))
    output.say("\n" + output.bold("outputs"))
    for port in spec.outputs:
        output.say(f"  {port.name:<{names}}  {port.type}")
    if told := traits(spec):
        output.say()
        output.say(output.wrapped(" ".join(told), 2, columns))


def plugins(
    as_json: Annotated[bool, JSON_OPTION] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Import all plugins again.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="With the tracebacks of broken ones.")] = False,
) -> None:
    """List the installed plugins, and why a broken one is broken."""
    known = open_catalog(refresh=refresh).plugins
    if as_json:
        output.say_json([asdict(plugin) for plugin in known])
        return
    output.table([_plugin_row(plugin) for plugin in known])
    for plugin in known:
        if plugin.error:
            output.warn(f"\n{plugin.name}: {plugin.error}")
        if plugin.trace and verbose:
            output.warn(plugin.trace.rstrip())
    if any(plugin.trace for plugin in known) and not verbose:
        output.warn("\n`nodeflow plugins -v` has the tracebacks")
    if names := left_out():
        output.warn(f"\nleft out, as {OFF} says: {', '.join(names)}")
    if not known:
        output.warn("no plugin is installed")


def _plugin_row(plugin: Plugin) -> tuple[str, ...]:
    nodes = "broken" if plugin.error else output.counted(len(plugin.nodes), "node")
    return plugin.name, nodes, f"{plugin.distribution} {plugin.version}"


def schema(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this file.")] = None,
) -> None:
    """Print the JSON Schema of graph files, for text editors."""
    from nodeflow.schema import json_schema

    made = json_schema(open_catalog())
    if out is None:
        output.say_json(made)
    else:
        save(output.json_text(made) + "\n", out)


def docs(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a file for each page into it.")] = None,
    distribution: Annotated[str, typer.Option("--of", metavar="PACKAGE", help="The nodes of this package only.")] = "",
) -> None:
    """Print the manual: every node, command and hook."""
    pages = manual_of(open_catalog(), context.find_root().command, distribution)
    if out is None:
        output.say("\n".join(pages.values()).rstrip())
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        save(text, out / name)
    for stale in sorted({path.name for path in out.glob("*.md")} - pages.keys()):
        output.warn(f"{out / stale} is no page of the manual (any more)")


def manual_of(catalog: Catalog, root: Any, distribution: str = "") -> dict[str, str]:
    """The pages of the manual; `root` is the whole command line, `distribution` leaves out other packages' nodes."""
    from nodeflow.reference import manual

    if not distribution:
        return manual(catalog, list(commands(root, "nodeflow")))
    own = {name for plugin in catalog.plugins if plugin.distribution == distribution for name in plugin.nodes}
    return manual((spec for spec in catalog if spec.id in own), list(commands(root, "nodeflow")))


def commands(command: Any, path: str) -> Iterator[Command]:
    """A command of typer's as the manual wants it, or all those below it."""
    from nodeflow.reference import Command

    if inner := getattr(command, "commands", None):
        for name in inner:
            yield from commands(inner[name], f"{path} {name}")
        return
    usage = " ".join((path, *command.collect_usage_pieces(typer.Context(command, info_name=path))))
    yield Command(path, usage, command.help or "", tuple(_parameter(item) for item in command.params))


def _parameter(item: Any) -> tuple[str, str]:
    """A parameter as the help has it: `--out DIR` and what it is for."""
    if item.param_type_name == "argument":
        return item.metavar, item.help or ""
    name = ", ".join(item.opts) + (f" {item.metavar}" if item.metavar and not item.is_flag else "")
    default = f" [default: {item.default}]" if item.default and not item.is_flag else ""
    return name, (item.help or "") + default
