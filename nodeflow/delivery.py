"""A graph's outputs, handed out: written to files by the plugin that knows them, or said when they are small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodeflow.catalog import Catalog
from nodeflow.errors import Cancelled, told
from nodeflow.events import Delivered, Made, Undelivered
from nodeflow.hooks import manager
from nodeflow.jsontext import CURES
from nodeflow.values import SavedFile, Table

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

    def deliver(self, made: Made, stem: Path, about: str) -> Delivered | Undelivered:
        """Writes an output. Its file is called `stem` and the first digits of the result's name.

        So the same run writes the same file again, and another run never writes over it.
        """
        path = stem.with_name(f"{stem.name}-{made.name[:8]}")
        try:
            paths = self._saved(made.value, path, about)
        except Cancelled:
            raise
        except BaseException as error:  # a save_value hook, like a node, may raise anything
            return Undelivered(made.output, str(path), _reason(error))
        written, small = tuple(str(path) for path in paths), _small(made.value)
        nowhere = not written and small is None and made.value is not None
        return Delivered(made.output, written, small, _kind(made.value) if nowhere else "")

    def _saved(self, value: Any, path: Path, about: str) -> Iterable[Path | str]:
        files = value if isinstance(value, list | tuple) else (value,)
        if files and all(isinstance(file, SavedFile) for file in files):  # a node wrote them
            return [file.path for file in files]
        return () if _said(value) else self.plugins().hook.save_value(value=value, stem=path, about=about) or ()


def _reason(error: BaseException) -> str:
    """What went wrong, and the cure on a line of its own."""
    if isinstance(error, UnicodeEncodeError):
        letters = ", ".join(f"U+{ord(letter):04X}" for letter in error.object[error.start : error.end][:3])
        return f"the text holds {letters}, which no file can hold\n    take it out of the text"
    if isinstance(error, OSError) and error.errno:
        cure = CURES.get(error.errno, "choose another output folder (--out), or give yourself the right to write there")
        return f"{error.strerror}\n    {cure}"
    return told(error)


def _said(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _kind(value: Any) -> str:
    """`a TextEmbedding`, `a list of TextEmbedding`."""
    name = type(value).__name__
    inside = f" of {type(value[0]).__name__}" if isinstance(value, list | tuple) and value else ""
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}{inside}"


def _small(value: Any) -> Any:
    if isinstance(value, Table) and len(value.rows) <= MAX_ROWS:
        table: Mapping[str, Any] = {"title": value.title, "columns": value.columns, "rows": value.rows}
        return table
    return value if _said(value) or (isinstance(value, str) and len(value) <= 10_000) else None
