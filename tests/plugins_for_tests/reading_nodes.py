"""Nodes whose results depend on files; OPENED has each path that an `identity` was asked for."""

from pathlib import Path

from nodeflow import QUIET, Context, file_identity, find_weights, node, weights_identity

OPENED: list[str] = []


def own_way(paths: list[Path]) -> str:
    """An `identity` that opens files by itself."""
    OPENED.extend(map(str, paths))
    return " ".join(path.read_text() for path in paths)


@node(category="f", identity=lambda path: file_identity(path))
def by_path(path: Path, *, ctx: Context = QUIET) -> str:
    """The text of a file."""
    return ctx.read(path).read_text()


@node(category="f", identity=lambda name: file_identity(name))
def by_name(name: str) -> str:
    """A file that is named by a text."""
    return name


@node(category="f", identity=own_way)
def by_itself(paths: list[Path]) -> int:
    """How many files there are."""
    return len(paths)


@node(category="f", identity=weights_identity)
def weights(model: str) -> str:
    """The name of weights."""
    return model


@node(category="f", identity=lambda model: file_identity(find_weights(model)))
def weights_by_hand(model: str) -> str:
    """The same, found in two steps."""
    return model


@node(category="f")
def plain(path: Path, *, ctx: Context = QUIET) -> str:
    """The text of a file, without an identity."""
    return ctx.read(path).read_text()
