"""Typer's commands without pydantic: our parameters are texts, paths and flags, which need no schema to be read.

From version 0.29 on typer builds a pydantic validator for each parameter, which costs 0.2 CPU seconds of every start:
as much as checking a graph. Other versions lack the method that is replaced here, and are left as they are.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, get_args

from typer.core import TyperCommand, TyperGroup


class _Reader:
    """What typer asks for a parameter's value."""

    def __init__(self, annotation: Any) -> None:
        inner = [item for item in get_args(annotation) if item is not type(None)]
        self.make = Path if Path in (annotation, *inner) else lambda value: value

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        del ctx
        if param.multiple or param.nargs == -1:
            return [self.make(item) for item in value or ()]
        return None if value is None else self.make(value)


def _plain(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if hasattr(parameter, "get_runtime_param"):
            parameter.get_runtime_param = partial(_Reader, parameter.type_descriptor.annotation)
        if parameter.param_type_name == "argument" and hasattr(parameter, "display_type_rich"):
            parameter.display_type_rich = lambda **_: ""  # its name says what it is, `<list[Path]>` beside it does not
    return parameters


class Command(TyperCommand):
    """A command whose parameters are read by us, and whose usage is written the same by every version."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        del ctx
        return ["[OPTIONS]", *(item.metavar or "" for item in self.params if item.param_type_name == "argument")]


class Group(TyperGroup):
    """The same of a group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))
