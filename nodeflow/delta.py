"""How a mapping became another, as data: small where little changed, and exact to the order of keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final


class Absent(Enum):
    """The type of ABSENT."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = Absent.ABSENT
"""In place of a value: there is none, or there shall be none."""


@dataclass(frozen=True, slots=True)
class Delta:
    """New values by key (ABSENT where it goes, a Delta for a mapping within), and the order of keys.

    `order` is () where the old keys keep their places and new ones come last.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.values or self.order)


def delta(old: Mapping[str, Any], new: Mapping[str, Any], same: Callable[[Any, Any], bool] | None = None) -> Delta:
    """What leads from `old` to `new`.

    Values that are one object are taken as unchanged, so mappings that share their parts are compared at the price of
    a walk over keys; others are unchanged if `same` says so.
    """
    values: dict[str, Any] = {key: ABSENT for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key, ABSENT)
        if before is value:
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            if inner := delta(before, value, same):
                values[key] = inner
        elif before is ABSENT or same is None or not same(before, value):
            values[key] = value
    settled = [key for key in old if key in new] + [key for key in new if key not in old]
    return Delta(values, () if settled == list(new) else tuple(new))


def patched(table: Mapping[str, Any], change: Delta) -> dict[str, Any]:
    """The mapping that a delta leads to; `table` itself is left as it is."""
    made = dict(table)
    for key, value in change.values.items():
        if value is ABSENT:
            made.pop(key, None)
        else:
            made[key] = patched(table.get(key, {}), value) if isinstance(value, Delta) else value
    return {key: made[key] for key in change.order if key in made} | made if change.order else made
