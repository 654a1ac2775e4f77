"""From a checked step to a call of its function: values made ready, results judged."""

from __future__ import annotations

import inspect
import sys
import time
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial, reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from nodeflow.document import Wire
from nodeflow.errors import PluginError, RunError, a_or_an
from nodeflow.graph import Step
from nodeflow.nodes import MARK, Mark
from nodeflow.residency import computing
from nodeflow.spec import NodeSpec
from nodeflow.types import PortType, fault, is_choice

Take = Callable[[Wire], Any]
Wanted = Callable[[str, int | None], bool]
"""Whether a lazy node wants an input (None) or an item of it."""

SCALARS = ("bool", "int", "float", "str", "path", "choice")
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What an input, or an item of a list, needs before it goes in.

    convert: makes its JSON value the Python value that its annotation means; None where they are the same. checked:
    whether what a wire gives is a scalar, to be judged by the limits of `type`.
    """

    type: PortType
    convert: Convert | None
    checked: bool

    def typed_in(self, value: Any) -> Any:
        return value if self.convert is None or value is None else self.convert(value)

    def wired(self, step: Step, port: str, wire: Wire, value: Any) -> Any:
        if not self.checked or value is None:
            return value
        plain = str(value) if isinstance(value, Path) else getattr(value, "value", value)
        if reason := fault(self.type, plain):
            raise RunError(step.id, f'{reason}, from "{wire}"', port=port)
        return self.typed_in(plain)


class Callee:
    """The function behind a NodeSpec, imported once, with what each input needs before it goes in."""

    def __init__(self, spec: NodeSpec) -> None:
        self.spec = spec
        self.function, self.mark = _function(spec)
        hints = typing.get_type_hints(self.function, include_extras=True)
        try:
            self.entries = {port.name: _entry(port.type, hints[port.name]) for port in spec.inputs}
        except KeyError as error:
            raise PluginError(
                f"{spec.id} has no input {error} any more\n    run `nodeflow plugins --refresh`"
            ) from error
        self.items = {port.name: _items(port.type, hints[port.name]) for port in spec.inputs if _has_list(port.type)}
        self.lists = {port.name for port in spec.inputs if _list_of(port.type)}
        self.asks_of = {
            function: tuple(inspect.signature(function).parameters)
            for function in (self.mark.needs, self.mark.identity, self.mark.forecast)
            if function is not None
        }
        self._fits: dict[tuple[int, type], bool] = {}

    def arguments(self, step: Step, take: Take, wanted: Wanted) -> dict[str, Any]:
        """What the function is called with: `take` gives a wire's value; inputs not `wanted` become None.

        Raises:
            RunError: a wired value is beyond the input's limits.
        """
        given = {}
        for port, value in step.inputs.items():
            kind = type(value)
            if kind is Wire:
                given[port] = self._wired(step, port, value, take(value)) if wanted(port, None) else None
            elif kind is list and any(type(item) is Wire for item in value):
                entry = self.items[port] if port in self.items else self.entries[port]
                given[port] = [
                    entry.typed_in(item)
                    if type(item) is not Wire
                    else entry.wired(step, port, item, take(item))
                    if wanted(port, index)
                    else None
                    for index, item in enumerate(value)
                ]
            else:
                given[port] = self.entries[port].typed_in(list(value) if kind is list else value)
        return given

    def _wired(self, step: Step, port: str, wire: Wire, value: Any) -> Any:
        if port not in self.lists:
            return self.entries[port].wired(step, port, wire, value)
        if value is None:
            return None
        entry = self.items[port]
        # a list of its own: what a node does to it must not reach the cache
        return [entry.wired(step, port, wire, item) for item in (value if isinstance(value, list) else [value])]

    def results(self, step: Step, returned: Any) -> tuple[Any, ...]:
        """The outputs as a tuple, each judged against its declared type.

        Raises:
            RunError: the node returned something else than it promised.
        """
        outputs = self.spec.outputs
        if len(outputs) == 1 and outputs[0].name == "out":
            values: tuple[Any, ...] = (returned,)
        elif not isinstance(returned, tuple) or len(returned) != len(outputs):
            names = ", ".join(port.name for port in outputs)
            raise RunError(step.id, f"promised the outputs {names}, returned {_called(returned)}")
        else:
            values = tuple(returned)
        for port, value in zip(outputs, values, strict=True):
            key = (id(port), type(value))
            fits = self._fits.get(key)
            if fits is None:
                fits = matches(port.type, value)
                if port.type.kind in ("class", "none", "bool", "int", "str"):  # of the others the type tells too little
                    self._fits[key] = fits
            if not fits:
                message = f'promised {port.type} as "{port.name}", returned {_called(value)}'
                raise RunError(step.id, message)
        return values

    def ask(self, function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
        """Calls `needs`, `identity` or `forecast` with the inputs it names; one that is not given takes its default."""
        parameters = inspect.signature(self.function).parameters
        return function(**{
            name: given[name] if name in given else parameters[name].default for name in self.asks_of[function]
        })  # fmt: skip

    def needed(self, step: Step, given: Mapping[str, Any]) -> frozenset[Any]:
        """What the node's `needs` says: inputs, and items of lists as ("images", 2).

        Raises:
            RunError: it names something else.
        """
        assert self.mark.needs is not None
        told = self.ask(self.mark.needs, given)
        if not isinstance(told, Collection) or isinstance(told, str):
            raise RunError(step.id, f"its `needs` must return a collection of input names, returned {_called(told)}")
        for item in told:
            port = item[0] if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], int) else item
            if not isinstance(port, str) or port not in self.entries:
                raise RunError(step.id, f"its `needs` returned {item!r}, which is no input of {self.spec.id}")
        return frozenset(told)


def imported(callee: Callable[[NodeSpec], Callee], spec: NodeSpec) -> float:
    """The time when a node's function is there: what its import took, torch's for one, is not the node's."""
    with suppress(Exception, SystemExit):  # the call meets it again, and it is told there
        callee(spec)
    return time.monotonic()


def guarded() -> AbstractContextManager[Any]:
    """Autograd off while a node computes; nothing at all where nobody has imported torch."""
    return computing() if "torch" in sys.modules else nullcontext()


def matches(kind: PortType, value: Any) -> bool:
    """Whether a value is what a port of this type carries."""
    match kind.kind:
        case "any":
            return True
        case "none":
            return value is None
        case "class" | "form":
            return any(f"{base.__module__}:{base.__qualname__}" == kind.name for base in type(value).__mro__)
        case "union":
            return any(matches(item, value) for item in kind.items)
        case "list":
            return isinstance(value, list) and all(matches(kind.items[0], item) for item in value)
        case "path":
            return isinstance(value, Path)
        case "choice":
            return is_choice(kind, getattr(value, "value", value))
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "str":
            return isinstance(value, str)


def _function(spec: NodeSpec) -> tuple[Callable[..., Any], Mark]:
    module, _, name = spec.function.partition(":")
    try:
        function: Any = reduce(getattr, name.split("."), import_module(module))
    except Exception as error:
        raise PluginError(f'{spec.id} cannot be imported from "{spec.function}": {error}') from error
    mark = getattr(function, MARK, None)
    if mark is None:
        raise PluginError(f'{spec.id}: "{spec.function}" is no longer a node\n    run `nodeflow plugins --refresh`')
    return function, mark


def _called(value: Any) -> str:
    return "nothing" if value is None else a_or_an(type(value).__name__)


def _list_of(kind: PortType) -> PortType | None:
    """The list that a port takes, if it takes one and no single value besides."""
    if kind.kind == "list":
        return kind
    if kind.kind == "union":
        rest = [item for item in kind.items if item.kind != "none"]
        return rest[0] if len(rest) == 1 and rest[0].kind == "list" else None
    return None


def _has_list(kind: PortType) -> bool:
    return kind.kind == "list" or (kind.kind == "union" and any(item.kind == "list" for item in kind.items))


def _holds_scalars(kind: PortType) -> bool:
    items = kind.items if kind.kind == "union" else (kind,)
    return all(item.kind in (*SCALARS, "none") for item in items)


def _entry(kind: PortType, annotation: Any) -> _Entry:
    return _Entry(kind, _converter(kind, annotation) if kind.typed_in else None, _holds_scalars(kind))


def _items(kind: PortType, annotation: Any) -> _Entry:
    """What the items of a port's list need; of a port that takes several lists, those of the first."""
    for member, part in _members(kind, annotation) if kind.kind == "union" else [(kind, annotation)]:
        if member.kind == "list":
            return _entry(member.items[0], typing.get_args(_bare(part))[0])
    raise AssertionError(kind)


def _bare(annotation: Any) -> Any:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _members(kind: PortType, annotation: Any) -> list[tuple[PortType, Any]]:
    return list(zip(kind.items, typing.get_args(_bare(annotation)), strict=True))


def _converter(kind: PortType, annotation: Any) -> Convert | None:
    """What makes an input's JSON value the Python value that its annotation means; None where they are the same."""
    match kind.kind:
        case "float":
            return float
        case "path":
            return Path
        case "choice" if kind.name:
            return typing.cast(Convert, _bare(annotation))
        case "form":
            return typing.cast(Convert, _bare(annotation).model_validate)
        case "list":
            inner = _converter(kind.items[0], typing.get_args(_bare(annotation))[0])
            return None if inner is None else lambda values: [inner(value) for value in values]
        case "union":
            ways = [(member, _converter(member, part)) for member, part in _members(kind, annotation)]
            if all(way is None for _, way in ways):
                return None
            return partial(_first_fit, sorted(ways, key=lambda way: way[1] is not None))
        case _:
            return None


def _first_fit(ways: Sequence[tuple[PortType, Convert | None]], value: Any) -> Any:
    """The value as the first member of a union takes it that takes it at all, those that change nothing first."""
    for kind, convert in ways:
        if fault(kind, value) is None:
            return value if convert is None else convert(value)
    return value
