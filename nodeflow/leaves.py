"""The models in a value: the leaves of its recipes, and whether devices can run them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from nodeflow import values
from nodeflow.errors import PluginError
from nodeflow.values import Model, Recipe


def models_in(value: Any) -> tuple[Model, ...]:
    """The models that a value holds: leaves of recipes, of fields, lists, tuples and dictionaries; each once."""
    found: dict[Model, None] = {}
    seen: set[int] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Model):
            found[told_apart(item)] = None
            continue
        kind: type = type(item)
        names = _fields(kind)
        if names == () or id(item) in seen:
            continue
        seen.add(id(item))
        if names is not None:
            inside = [getattr(item, name) for name in names]
        else:
            inside = [*item, *item.values()] if isinstance(item, dict) else list(item)
        stack.extend(reversed(inside))
    return tuple(found)


def judge(value: Any, devices: Sequence[str]) -> None:
    """Refuses a value with a model that none of these devices can run as it is asked for.

    Raises:
        ValueError: as `Model.judge` on the first of them.
    """
    for model in models_in(value):
        refusals = [found for device in devices if (found := _refusal(model, device)) is not None]
        if refusals and len(refusals) == len(devices):
            raise refusals[0]


def _refusal(model: Model, device: str) -> ValueError | None:
    try:
        model.judge(device)
    except ValueError as error:
        return error
    return None


@functools.cache
def _fields(kind: type) -> tuple[str, ...] | None:
    """The fields to look into; none for what holds no models; None for a collection."""
    if issubclass(kind, (list, tuple, dict)):
        return None
    data = kind.__module__ == values.__name__ and not issubclass(kind, Recipe)  # pictures, tables: never a recipe
    if data or not dataclasses.is_dataclass(kind):
        return ()
    return tuple(field.name for field in dataclasses.fields(kind))


def told_apart(model: Model) -> Model:
    """The model, which residency can tell from others.

    Raises:
        PluginError: it has no hash.
    """
    try:
        hash(model)
    except TypeError as error:
        raise PluginError(
            f"{type(model).__name__} cannot be told from other models: {error}\n"
            f"    make it a frozen dataclass of hashable fields: tuples instead of lists, no tensors"
        ) from error
    return model


def called(model: Model) -> str:
    """What a message calls a model: by its file, or by its kind."""
    return str(getattr(model, "name", None) or type(model).__name__)
