"""The hooks: what an extension can tell nodeflow. pluggy calls them; each names only the arguments it wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pluggy

hook = pluggy.HookimplMarker("nodeflow")
"""Marks a function of a plugin as the implementation of the hook of that name."""

_spec = pluggy.HookspecMarker("nodeflow")


class Hooks:
    """What a plugin may implement."""

    @_spec
    def register_nodes(self) -> Sequence[Callable[..., Any]]:  # type: ignore[empty-body]
        """The plugin's nodes: functions marked with `@node`. Called once, when the catalog is built."""

    @_spec(firstresult=True)
    def save_value(self, value: object, stem: Path, about: str) -> Sequence[Path] | None:
        """Writes an output of a graph to files and returns their paths, or None if it does not know such a value.

        `stem` is the path without its ending; `about` is the text of the graph that made the value, to be kept in
        the file where its format can. Write atomically.
        """


def manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks and has no plugin yet."""
    plugins = pluggy.PluginManager("nodeflow")
    plugins.add_hookspecs(Hooks)
    return plugins
