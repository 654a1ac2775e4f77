"""A node is a function with annotations and a docstring; `@node` marks it and changes nothing else."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter

from nodeflow.annotations import port_type
from nodeflow.context import Context
from nodeflow.errors import PluginError
from nodeflow.spec import NodeSpec, Port
from nodeflow.types import fault

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__nodeflow__"
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Ui:
    """How an editor draws an input: "slider", "seed", "multiline", "file", "colour". The engine never reads it."""

    widget: str


Seed = Annotated[int, Field(ge=0, le=2**53 - 1), Ui("seed")]
"""A seed; at most 2**53 - 1, so that every JSON reader keeps it exact."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What `@node` was told."""

    category: str
    version: int
    title: str
    formerly: tuple[str, ...]
    renamed: Mapping[str, str]
    needs: Callable[..., Any] | None
    identity: Callable[..., Any] | None
    effect: bool
    forecast: Callable[..., Any] | None = None


def node(
    *,
    category: str,
    version: int = 1,
    title: str = "",
    formerly: tuple[str, ...] = (),
    renamed: Mapping[str, str] | None = None,
    needs: Callable[..., Any] | None = None,
    identity: Callable[..., Any] | None = None,
    effect: bool = False,
    forecast: Callable[..., Any] | None = None,
) -> Callable[[F], F]:
    """Marks a function as a node and returns it unchanged.

    Args:
        category: the menu it stands in; "/" makes submenus.
        version: raise it whenever the same inputs give another result; it is part of the result's identity.
        title: what people read on the node; from the function's name if empty.
        formerly: ids under which older files know this node.
        renamed: inputs of older files and what they are called now, {"old": "new"}.
        needs: names the inputs it wants to see, and returns which of the others the node needs for them; the rest
            are not computed and arrive as None. An item of a list is named ("images", 2).
        identity: names the inputs it wants to see, and returns a string that changes when the result would though
            no input did: the digest of a file's content.
        effect: the node writes something outside the cache, so it runs even if its output is not taken.
        forecast: names the inputs it wants to see, and returns what the node would, in shape alone, `...` for an output
            that cannot be told: what `nodeflow plan` takes for a node that reads pixels or files.
    """

    def mark(function: F) -> F:
        told = Mark(category, version, title, formerly, dict(renamed or {}), needs, identity, effect, forecast)
        setattr(function, MARK, told)
        return function

    return mark


def spec_of(function: Callable[..., Any], plugin: str) -> NodeSpec:
    """Reads a marked function into a NodeSpec; its id is `plugin.function_name`.

    Raises:
        PluginError: an annotation is missing or cannot be a port, or the docstring is missing.
    """
    mark: Mark | None = getattr(function, MARK, None)
    name = getattr(function, "__name__", repr(function))
    place = f"{plugin}: {getattr(function, '__module__', '?')}.{name}"
    if mark is None:
        raise PluginError(f"{place} is registered as a node but not marked\n    put @node(category=...) above it")
    if not IDENTIFIER.fullmatch(name):
        raise PluginError(f'{place}: "{name}" cannot be a node\'s name\n    use lower case, digits and underscores')
    if inspect.iscoroutinefunction(function):
        raise PluginError(
            f"{place} is async, and a node is called as a plain function\n    write def, and asyncio.run in it"
        )
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise PluginError(f"{place}: annotation not found: {error}\n    import it outside TYPE_CHECKING") from error
    text = inspect.getdoc(function) or ""
    if not text:
        raise PluginError(f"{place} has no docstring\n    say in one line what the node does: it is the node's help")
    summary, notes = _docstring(text)
    parameters = inspect.signature(function).parameters
    try:
        inputs = tuple(_input(parameter, hints, notes) for parameter in parameters.values() if parameter.name != "ctx")
        outputs = _outputs(hints.get("return", inspect.Signature.empty))
    except TypeError as error:
        raise PluginError(f"{place}: {error}") from error
    return NodeSpec(
        id=f"{plugin}.{name}",
        version=mark.version,
        category=mark.category,
        title=mark.title or name.replace("_", " ").capitalize(),
        help=summary,
        inputs=inputs,
        outputs=outputs,
        function=f"{function.__module__}:{function.__qualname__}",
        plugin=plugin,
        asks=_asks(mark, parameters.keys() - {"ctx"}, place),
        lazy=mark.needs is not None,
        keyed=mark.identity is not None,
        effect=mark.effect,
        context="ctx" in parameters and _is_context(hints.get("ctx"), place),
        formerly=mark.formerly,
        renamed=mark.renamed,
    )


def _is_context(annotation: Any, place: str) -> bool:
    if annotation is not Context:
        raise PluginError(f"{place}: ctx must be annotated Context\n    write *, ctx: Context = QUIET")
    return True


def _asks(mark: Mark, known: typing.AbstractSet[str], place: str) -> tuple[str, ...]:
    names: list[str] = []
    for function in (mark.needs, mark.identity):
        if function is not None:
            names += [name for name in inspect.signature(function).parameters if name not in names]
    if strange := [name for name in names if name not in known]:
        raise PluginError(f"{place}: needs or identity asks for {strange}, which are no inputs of the node")
    return tuple(names)


def _input(parameter: inspect.Parameter, hints: Mapping[str, Any], notes: Mapping[str, str]) -> Port:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise TypeError(f'input "{name}": every input needs a name of its own; no *, ** or /')
    if name not in hints:
        raise TypeError(f'input "{name}" has no annotation')
    annotation = hints[name]
    kind = port_type(annotation)
    widget = next((extra.widget for extra in _extras(annotation) if isinstance(extra, Ui)), "")
    if parameter.default is parameter.empty:
        return Port(name, kind, required=True, help=notes.get(name, ""), widget=widget)
    default = parameter.default
    if default is not None:
        default = TypeAdapter(annotation).dump_python(default, mode="json") if kind.typed_in else None
        if kind.typed_in and (reason := fault(kind, default)):
            raise TypeError(f'input "{name}": its default is wrong: {reason}')
    return Port(name, kind, default=default, help=notes.get(name, ""), widget=widget)


def _extras(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) is Annotated:
        return typing.get_args(annotation)[1:]
    return tuple(extra for item in typing.get_args(annotation) for extra in _extras(item))


def _outputs(annotation: Any) -> tuple[Port, ...]:
    if annotation is inspect.Signature.empty:
        raise TypeError("the result has no annotation")
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        hints = typing.get_type_hints(annotation, include_extras=True)
        return tuple(Port(name, port_type(hints[name]), required=True) for name in annotation._fields)
    return (Port("out", port_type(annotation), required=True),)


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Splits a Google-style docstring into its prose and the notes on its arguments."""
    prose, _, rest = text.partition("\nArgs:\n")
    body = re.split(r"^\w[\w ]*:\s*$", rest, maxsplit=1, flags=re.MULTILINE)[0]
    prose = re.split(r"^(?:Returns|Raises|Yields):\s*$", prose, maxsplit=1, flags=re.MULTILINE)[0]
    notes: dict[str, str] = {}
    for found in re.finditer(r"^    (\w+): (.*(?:\n {5,}.*)*)", body, flags=re.MULTILINE):
        notes[found[1]] = " ".join(found[2].split())
    return prose.strip(), notes
