"""`nodeflow new plugin NAME`: a folder that installs, with a node that works, its test, and a graph that uses it."""

from __future__ import annotations

import keyword
import os
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from nodeflow import __version__
from nodeflow.errors import GraphError, PluginError, Problem

SUFFIX = ".template"
"""Ends the name of every template, so that no tool takes one for the Python, TOML or JSON that it will become."""
MOST_LETTERS = 40
TAKEN = frozenset({"nodeflow", "graph", "test", "tests"})


def make_plugin(name: str, folder: Path) -> Path:
    """Writes the folder `nodeflow-NAME` of a new plugin below `folder`, and returns its path.

    Raises:
        GraphError: the name cannot be a plugin's or is one's already, or the folder is there or cannot be written;
            nothing is left behind.
    """
    check_name(name)
    if taken := clash(name):
        _refuse(name, f"the plugin of that name is installed ({taken})")
    target = folder / f"nodeflow-{name.replace('_', '-')}"
    if target.exists():
        raise GraphError(Problem(f"{target} is there already", "choose another name, or another --folder"))
    words = {"name": name, "title": name.replace("_", " ").capitalize(), "package": f"nodeflow_{name}"}
    words |= {"distribution": target.name, "version": __version__}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}.", dir=folder) as making:
            _copy(files("nodeflow") / "templates" / "plugin", Path(making) / "made", words)
            os.replace(Path(making) / "made", target)
    except OSError as error:
        told = f"{target} cannot be written: {error.strerror or error}"
        raise GraphError(
            Problem(told, "make room or give yourself the right to write there, or use --folder")
        ) from error
    return target


def check_name(name: str) -> None:
    """Judges the name of a plugin.

    Raises:
        GraphError: with what is wrong with it.
    """
    plain = name.removeprefix("nodeflow-").removeprefix("nodeflow_").lower().replace("-", "_")
    if not (name.isascii() and name.isidentifier() and name == name.lower()) or name.startswith("_"):
        cure = f'such as "{plain}"' if plain.isascii() and plain.isidentifier() and plain[:1] != "_" else ""
        _refuse(name, "use lower case letters, digits and underscores", cure)
    if len(name) > MOST_LETTERS:
        _refuse(name[:MOST_LETTERS] + "...", f"{MOST_LETTERS} letters at most")
    if keyword.iskeyword(name) or name in TAKEN:
        _refuse(name, "the word is taken")
    if name.startswith("nodeflow_"):
        _refuse(name, "the package will be called nodeflow_ by itself", f'"{plain}" is enough')


def clash(name: str) -> str:
    """The installed distribution that has a plugin of that name, or nothing."""
    found = next(iter(entry_points(group="nodeflow", name=name)), None)
    if found is None:
        return ""
    return f"{found.dist.name} {found.dist.version}" if found.dist else found.value


def _refuse(name: str, why: str, cure: str = "") -> None:
    raise GraphError(Problem(f'"{name}" cannot be the name of a plugin: {why}', cure))


def _copy(source: Traversable, target: Path, words: dict[str, str]) -> None:
    target.mkdir(exist_ok=True)
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.name != "__pycache__":
                _copy(entry, target / _named(entry.name, words), words)
        elif entry.name.endswith(SUFFIX):
            try:
                text = Template(entry.read_text("utf-8")).substitute(words)
            except (KeyError, ValueError) as error:
                raise PluginError(f"the template {entry.name} is damaged: {error}") from error
            (target / _named(entry.name.removesuffix(SUFFIX), words)).write_text(text, "utf-8", newline="\n")


def _named(name: str, words: dict[str, str]) -> str:
    return name.replace("NAME", words["name"]).replace("dot_", ".", 1)
