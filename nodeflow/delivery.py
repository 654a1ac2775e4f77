"""A graph's outputs, handed out: written to files by the plugin that knows them, or said when they are small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodeflow.catalog import Catalog
from nodeflow.events import Delivered, Ended
from nodeflow.hooks import manager
from nodeflow.values import Table

if TYPE_CHECKING:
    import pluggy

MAX_ROWS = 1000
"""A larger table goes to its file alone: a message is no place for it."""


class Delivery:
    """Writes outputs through the plugins' `save_value` hooks."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._plugins: pluggy.PluginManager | None = None

    def plugins(self) -> pluggy.PluginManager:
        """All plugins that import; called only when there is something to write."""
        if self._plugins is None:
            self._plugins = manager()
            for plugin in self._catalog.plugins:
                if not plugin.error:
                    self._plugins.register(import_module(plugin.module), plugin.name)
        return self._plugins

    def deliver(self, ended: Ended, folder: Path, stem: str, about: str) -> Iterator[Delivered]:
        """Writes each output below `folder`.

        A file is called after the graph, the output where there are several, and the first digits of the result's
        name: the same run writes the same file again, another run never writes over it.

        Raises:
            OSError: the folder cannot be written.
        """
        for output, value in ended.outputs.items():
            middle = f"-{output}" if len(ended.outputs) > 1 else ""
            path = folder / f"{stem}{middle}-{ended.names[output][:8]}"
            paths = () if _said(value) else self.plugins().hook.save_value(value=value, stem=path, about=about) or ()
            yield Delivered(output, tuple(str(path) for path in paths), _small(value))


def _said(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _small(value: Any) -> Any:
    if isinstance(value, Table) and len(value.rows) <= MAX_ROWS:
        table: Mapping[str, Any] = {"title": value.title, "columns": value.columns, "rows": value.rows}
        return table
    return value if _said(value) or (isinstance(value, str) and len(value) <= 10_000) else None
