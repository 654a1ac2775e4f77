"""The one table of all actions: menus, the command palette, the sheet of keys and their editing are made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenuBar

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def always(window: Window) -> bool:  # noqa: ARG001 # of the form of Action.when
    """For what can be done at any time."""
    return True


def with_page(window: Window) -> bool:
    """For what needs an open graph."""
    return window.page is not None


def with_selection(window: Window) -> bool:
    """For what needs chosen nodes."""
    return window.page is not None and bool(window.page.scene.selection)


def with_some(window: Window) -> bool:
    """For what needs chosen nodes or notes."""
    return with_selection(window) or (window.page is not None and bool(window.page.scene.notes.selection))


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done. `keys` are portable names ("Ctrl+S"), the first is shown in menus.

    id: "file.save", what settings remember its keys by. menu: the menu it stands in; "" for none. group: actions of one
    group stand together, apart from others. when: whether it can be done now.
    """

    id: str
    title: str
    menu: str
    run: Callable[[Window], None]
    keys: tuple[str, ...] = ()
    group: str = ""
    help: str = ""
    when: Callable[[Window], bool] = always
    checked: Callable[[Window], bool] | None = None


def spelled(key: str) -> str:
    """A key by its one portable name: "ctrl+s" is "Ctrl+S", "Delete" is "Del"; empty if it is none."""
    made = QKeySequence(key)
    known = made.count() > 0 and made[0].key() not in (Qt.Key.Key_unknown, Qt.Key(0))  # type: ignore[index] # works
    return made.toString() if known else ""


def readable(chosen: object) -> dict[str, list[str]]:
    """Keys by id as settings have them. What is no list of keys counts as not set: somebody may have typed there."""
    found = chosen.items() if isinstance(chosen, dict) else ()
    return {
        name: [spelled(key) for key in keys if spelled(key)]
        for name, keys in found
        if isinstance(name, str) and isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    }


def assigned(actions: Iterable[Action], chosen: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """The keys of each action: those that were chosen for it, else the table's that were chosen for no other.

    One key is one action's: Qt would do neither of two.
    """
    taken: set[str] = set()
    found: dict[str, tuple[str, ...]] = {}
    listed = list(actions)
    for action in sorted(listed, key=lambda action: action.id not in chosen):
        wanted = map(spelled, chosen.get(action.id, action.keys))
        found[action.id] = tuple(key for key in dict.fromkeys(wanted) if key not in taken)
        taken.update(found[action.id])
    return {action.id: found[action.id] for action in listed}


MENUS = ("File", "Edit", "View", "Node", "Run", "Window", "Help")


class ActionTable:
    """The actions of a window as Qt has them. Keys may be set otherwise by id."""

    def __init__(self, window: Window, actions: Iterable[Action], keys: object = None) -> None:
        self._window = window
        self.known = {action.id: action for action in actions}
        self.made: dict[str, QAction] = {}
        for action in self.known.values():
            made = QAction(action.title, window)
            made.setObjectName(action.id)
            made.setToolTip(action.help or action.title)
            made.setStatusTip(action.help)
            made.setCheckable(action.checked is not None)
            made.triggered.connect(lambda _=False, action=action: self._run(action))
            window.addAction(made)
            self.made[action.id] = made
        self.set_keys(keys)

    def set_keys(self, keys: object) -> None:
        """Gives actions these keys by id; those not named get their own."""
        for name, found in assigned(self.known.values(), readable(keys)).items():
            self.made[name].setShortcuts([QKeySequence(key) for key in found])

    def _run(self, action: Action) -> None:
        self._window.settling.emit()
        action.run(self._window)

    def refresh(self) -> None:
        """Judges anew what can be done now."""
        for name, action in self.known.items():
            made = self.made[name]
            made.setEnabled(action.when(self._window))
            if action.checked is not None:
                made.setChecked(action.checked(self._window))

    def fill(self, bar: QMenuBar) -> None:
        """Makes the menus."""
        for name in MENUS:
            menu, group = bar.addMenu(name), None
            menu.setObjectName(f"menu.{name}")
            menu.aboutToShow.connect(self.refresh)
            for action in self.known.values():
                if action.menu == name:
                    if group is not None and action.group != group:
                        menu.addSeparator()
                    menu.addAction(self.made[action.id])
                    group = action.group
            menu.menuAction().setVisible(not menu.isEmpty())
