"""Which keys do what: those of the table, those that somebody set instead, and who has a key already. No widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtGui import QKeySequence

from nodeflow_editor.actions import MENUS, Action, assigned, readable, spelled
from nodeflow_editor.gestures import GESTURES, reserved

ELSEWHERE = "Canvas"
"""The group of actions that stand in no menu."""


def shown(key: str) -> str:
    """A key as it is written on this system."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)


@dataclass(frozen=True, slots=True)
class Holder:
    """What has a key already. `id` is empty for the canvas itself, which does not give it away."""

    id: str
    title: str


class Keys:
    """The keys of a table of actions as somebody set them. What is the table's own is not kept."""

    def __init__(self, actions: Iterable[Action], chosen: object, keep: Callable[[dict[str, list[str]]], None]) -> None:
        """Takes what was kept.

        Args:
            actions: the table.
            chosen: keys by id as settings have them; what cannot be read counts as not set.
            keep: is handed all of them after each change.
        """
        self.actions = {action.id: action for action in actions}
        self._chosen = readable(chosen)
        self._keep = keep
        self._all = assigned(self.actions.values(), self._chosen)

    def of(self, name: str) -> tuple[str, ...]:
        """The keys of an action, the first is shown in menus."""
        return self._all[name]

    def is_own(self, name: str) -> bool:
        """Whether an action has the table's keys."""
        return self.of(name) == tuple(map(spelled, self.actions[name].keys))

    def holder(self, key: str, besides: str = "") -> Holder | None:
        """What has a key, `besides` aside; None if it is free."""
        wanted = spelled(key)
        for name, what in reserved().items():
            if spelled(name) == wanted:
                return Holder("", what)
        taken = (name for name in self.actions if name != besides and wanted in self.of(name))
        return next((Holder(name, self.actions[name].title) for name in taken), None)

    def give(self, name: str, key: str) -> None:
        """Gives an action a key beside those it has; what had it loses it.

        Raises:
            ValueError: it is no key, or the canvas needs it.
        """
        wanted, holder = spelled(key), self.holder(key, besides=name)
        if not wanted:
            raise ValueError(f'"{key}" is no key')
        if holder is not None and not holder.id:
            raise ValueError(f"the canvas needs {wanted}: {holder.title}")
        self._lose(wanted)
        self._set(name, [*(old for old in self.of(name) if old != wanted), wanted])

    def take(self, name: str, key: str) -> None:
        """Takes a key from an action."""
        self._set(name, [old for old in self.of(name) if old != spelled(key)])

    def reset(self, name: str) -> None:
        """Gives an action the table's keys again; what was given one of them loses it."""
        self._chosen.pop(name, None)
        for key in self.actions[name].keys:
            self._lose(spelled(key))
        self._settle()

    def reset_all(self) -> None:
        """Gives all actions the table's keys again."""
        self._chosen.clear()
        self._settle()

    def _lose(self, key: str) -> None:
        for keys in self._chosen.values():
            if key in keys:
                keys.remove(key)

    def _set(self, name: str, keys: Sequence[str]) -> None:
        self._chosen[name] = list(keys)
        self._settle()

    def _settle(self) -> None:
        """Forgets choices that are the table's own, and hands on the others, also those for what is not there now."""
        for name in [name for name in self._chosen if name in self.actions]:
            rest = {other: keys for other, keys in self._chosen.items() if other != name}
            if assigned(self.actions.values(), rest)[name] == tuple(self._chosen[name]):
                self._chosen = rest
        self._all = assigned(self.actions.values(), self._chosen)
        self._keep({name: list(keys) for name, keys in self._chosen.items()})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the sheet: what happens, and by which keys or gesture."""

    what: str
    keys: tuple[str, ...]
    how: str = ""
    help: str = ""

    @property
    def whole(self) -> str:
        """What happens with what explains it, nothing said twice."""
        if not self.help or self.help.lower().startswith(self.what.lower()):
            return self.help or self.what
        return f"{self.what}: {self.help[:1].lower()}{self.help[1:]}"


def sheet(keys: Keys) -> dict[str, list[Line]]:
    """All that can be done by key or mouse, by group: the menus in their order, then the canvas."""
    found: dict[str, list[Line]] = {name: [] for name in (*MENUS, ELSEWHERE)}
    for name, action in keys.actions.items():
        if keys.of(name):
            found[action.menu or ELSEWHERE].append(Line(action.title.rstrip("…"), keys.of(name), help=action.help))
    for gesture in GESTURES:
        found.setdefault(f"Mouse: {gesture.group.lower()}", []).append(Line(gesture.what, (), gesture.how))
    return {group: lines for group, lines in found.items() if lines}


def markdown(groups: Mapping[str, Sequence[Line]]) -> str:
    """The sheet as tables of Markdown."""
    parts: list[str] = []
    for group, lines in groups.items():
        parts += [f"\n## {group}\n\n", f"| {'keys' if lines[0].keys else 'mouse'} | |\n|---|---|\n"]
        for line in lines:
            how = line.how or ", ".join(f"`{key}`" for key in line.keys)
            parts.append(f"| {_cell(how)} | {_cell(line.whole)} |\n")
    return "".join(parts).lstrip("\n")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")
