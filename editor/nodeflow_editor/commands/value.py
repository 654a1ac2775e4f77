"""Values on the canvas: what a click on one opens, and what its menu offers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRectF
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu

from nodeflow.delta import ABSENT
from nodeflow.document import Input
from nodeflow.edits import Edit, SetInput
from nodeflow.spec import Port
from nodeflow_editor import seeds
from nodeflow_editor.actions import Action
from nodeflow_editor.canvas.value_field import ValueField
from nodeflow_editor.canvas.values import current
from nodeflow_editor.choice_menu import ChoiceMenu
from nodeflow_editor.chooser import Choice, Chooser
from nodeflow_editor.commands.graphs import expose
from nodeflow_editor.commands.node import ON_NODE, one_chosen
from nodeflow_editor.model_list import ModelList
from nodeflow_editor.pickers import pick_colour, pick_file, pick_model
from nodeflow_editor.ranking import Candidate, ranked
from nodeflow_editor.value_text import Way, choices, field_text, is_current, long, parsed, way

if TYPE_CHECKING:
    from nodeflow_editor.graph_model import Change, Level
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

MENU = 24
"""Choices up to which a menu shows them; more are searched by typing."""


class Values:
    """Opens what sets a value, one at a time."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.models = ModelList(window)
        self.field: ValueField | None = None
        self._at: tuple[Page | None, Level] = (None, ())
        """The page and the level that the field belongs to."""
        window.page_opened.connect(self._opened)
        window.settling.connect(self.settle)
        window.closing.connect(self.models.stop)

    def _opened(self, page: Page) -> None:
        page.view.value_wanted.connect(lambda node, port: self.edit(page, node, port))
        page.view.mark_wanted.connect(lambda node, port: self.mark(page, node, port))
        page.view.value_menu_wanted.connect(lambda spot, node, port: self.menu(page, spot, node, port))
        shown = dict(seeds.table(page.model.graph))

        def follow(change: Change) -> None:
            nonlocal shown
            if change.whole or change.view:
                before, shown = shown, dict(seeds.table(page.model.graph))
                for key in {key for key in {*before, *shown} if before.get(key) != shown.get(key)}:
                    page.scene.looked(key.partition(".")[0])
            if self.field is None or self._at[0] is not page:
                return
            if self._at[1] != page.model.level:
                self.field.close()  # another graph is on show, perhaps with a node of the same name
            else:
                self.field.place()

        page.model.changed.connect(follow)

    def settle(self) -> None:
        """Takes what is being typed."""
        if self.field is not None:
            self.field.take()

    def edit(self, page: Page, node: str, port: str) -> None:
        """Opens what sets a value: a field, a menu; a switch is turned at once. "" means the node's first typed one."""
        if self._is_folded(page, node):
            return
        if self.field is not None and not self.field.take():
            self._window.tell(f"{self.field.widget.accessibleName()} stays as it was")
            self.field.close()
        if not port:
            self.step(page, node, "", 1)
            return
        found = self._input(page, node, port)
        if found is None:
            return
        value, _ = current(found, page.model.graph.nodes[node].inputs)
        match way(found):
            case Way.TOGGLE:
                self.set(page, node, port, value is not True)
            case Way.CHOICE:
                self._choose(page, node, found, value)
            case how:
                self._type(page, node, found, value, how)

    def _is_folded(self, page: Page, node: str) -> bool:
        """Whether a node shows no values, which is told."""
        folded = node in page.scene.nodes and page.scene.nodes[node].measures.folded is not None
        if folded:
            self._window.tell(f"{node} is folded: unfold it to type in it, or set its values in the dock Inputs")
        return folded

    def mark(self, page: Page, node: str, port: str) -> None:
        """What the mark at the right of a value is for."""
        found = self._input(page, node, port)
        if found is None:
            return
        self.settle()
        value, _ = current(found, page.model.graph.nodes[node].inputs)
        text = value if type(value) is str else ""

        def done(chosen: str) -> None:
            self.set(page, node, port, chosen)

        if found.widget == "seed":
            self.set(page, node, port, seeds.drawn(found), "New seed")
        elif found.widget == "file":
            pick_file(self._window, text, done, self._window.settings)
        elif found.widget == "colour":
            pick_colour(self._window, text, done)
        elif found.widget == "model":
            place = self._below(page, node, port)
            pick_model(self._window, self._window.look, self.models, text, place, done, page.setFocus)

    def set(self, page: Page, node: str, port: str, value: Input, text: str = "") -> None:
        """Gives an input a value, in one step of undo."""
        entry = page.model.graph.nodes.get(node)
        if entry is not None and not (port in entry.inputs and is_current(entry.inputs[port], value)):
            self._do(page, SetInput(node, port, value), text or f"Set {port}")

    def menu(self, page: Page, spot: QPoint, node: str, port: str) -> QMenu | None:
        """The menu of a value, with that of its node below."""
        found = self._input(page, node, port)
        if found is None:
            return None
        made = QMenu(self._window)
        made.aboutToHide.connect(made.deleteLater)
        given = port in page.model.graph.nodes[node].inputs
        _add(made, f"Edit {port.replace('_', ' ')}", lambda: self.edit(page, node, port))
        reset = _add(made, "Reset to default", lambda: self._do(page, SetInput(node, port, ABSENT), f"Reset {port}"))
        reset.setEnabled(given and not found.required)
        told = "Expose as a parameter of the graph"
        exposing = _add(made, told, lambda: expose(self._window, page, node, port, out=False))
        exposing.setEnabled(f"{node}.{port}" not in page.model.graph.parameters.values())
        if found.widget == "seed":
            made.addSeparator()
            _add(made, "New random seed", lambda: self.mark(page, node, port))
            group = QActionGroup(made)
            for then in seeds.THEN:
                action = _add(made, seeds.TITLES[then], partial(self._keep, page, node, port, then))
                action.setCheckable(True)
                action.setChecked(seeds.then(page.model.graph, node, port) == then)
                group.addAction(action)
        made.addSeparator()
        self._window.actions_table.refresh()
        for name in ON_NODE:
            if name:
                made.addAction(self._window.actions_table.made[name])
            else:
                made.addSeparator()
        made.popup(spot)
        return made

    def _keep(self, page: Page, node: str, port: str, then: str) -> None:
        self._do(page, seeds.kept(page.model.graph, [(node, port)], then), f"Set {port} to {then}")

    def _do(self, page: Page, edit: Edit, text: str) -> None:
        """Changes the page that the value belongs to: another one may have come to the front meanwhile."""
        self._window.do(edit, text, page=page)

    def _input(self, page: Page, node: str, port: str) -> Port | None:
        """The input, if it is there and shows a value."""
        if node not in page.scene.nodes:
            return None
        row = page.scene.nodes[node].measures.row(port)
        return row.port if row is not None and row.value is not None else None

    def _box(self, page: Page, node: str, port: str) -> QRectF | None:
        """Where a value is in the scene, or None if it is gone."""
        item = page.scene.nodes.get(node)
        row = item.measures.row(port) if item is not None else None
        if item is None or row is None or row.value is None:
            return None
        return QRectF(*row.value).translated(item.x(), item.y())

    def _below(self, page: Page, node: str, port: str) -> QPoint:
        box = self._box(page, node, port) or QRectF()
        return page.view.viewport().mapToGlobal(page.view.mapFromScene(box.bottomLeft()) + QPoint(0, 2))

    def _type(self, page: Page, node: str, port: Port, value: Input, how: Way) -> None:
        text = field_text(value)

        def take(typed: str) -> str:
            entry = page.model.graph.nodes.get(node)
            if entry is None:
                return ""
            read = parsed(port.type, typed, current(port, entry.inputs)[0])
            if not read.fault:
                self.set(page, node, port.name, read.value)
            return read.fault

        self.reveal(page, node, port.name)
        self._at = page, page.model.level
        self.field = ValueField(
            page.view, lambda: self._box(page, node, port.name), text, take,
            lambda by: self.step(page, node, port.name, by), port.name.replace("_", " "),
            area=how is Way.AREA or long(text), prompt=how is Way.AREA,
        )  # fmt: skip
        self.field.destroyed.connect(lambda *_, field=self.field: self._gone(field))

    def _gone(self, field: ValueField) -> None:
        if self.field is field:
            self.field = None

    def reveal(self, page: Page, node: str, port: str) -> None:
        """Pans as far as it takes to see a value."""
        box = self._box(page, node, port)
        if box is not None:
            page.view.reveal(box, 20)

    def _choose(self, page: Page, node: str, port: Port, value: Input) -> None:
        known = choices(port.type)
        self.reveal(page, node, port.name)
        place = self._below(page, node, port.name)
        if len(known) > MENU:
            self._search(page, node, port, known, value, place)
            return
        ChoiceMenu(known, value, partial(self.set, page, node, port.name), self._window).popup(place)

    def _search(
        self, page: Page, node: str, port: Port, known: list[tuple[str, Input]], value: Input, place: QPoint
    ) -> None:
        by_key = dict(known)
        candidates = [Candidate.of(title, title) for title in by_key]

        def find(text: str) -> list[Choice]:
            return [
                Choice(item.key, f"✓ {item.key}" if is_current(value, by_key[item.key]) else item.key)
                for item in ranked(text, candidates, {})
            ]

        chooser = Chooser(find, self._window.look, port.name.replace("_", " "), self._window)
        chooser.chosen.connect(lambda key, _: self.set(page, node, port.name, by_key[key]))
        chooser.left.connect(page.setFocus)
        chooser.show_at(place)

    def step(self, page: Page, node: str, port: str, by: int) -> None:
        """Goes on to the next value of a node that is typed, or back; round at the ends."""
        if node not in page.scene.nodes or self._is_folded(page, node):
            return
        typed = [row.port.name for row in page.scene.nodes[node].measures.rows
                 if row.value is not None and way(row.port) not in (Way.TOGGLE, Way.CHOICE)]  # fmt: skip
        if typed:
            place = typed.index(port) + by if port in typed else 0
            self.edit(page, node, typed[place % len(typed)])


def _add(menu: QMenu, title: str, run: Callable[[], object]) -> QAction:
    action = menu.addAction(title.replace("&", "&&"))
    action.triggered.connect(lambda _=False: run())
    return action


def attach(window: Window) -> Values:
    """Has each page's canvas edit values."""
    return Values(window)


def edit_first(window: Window) -> None:
    """Edits the first value of the chosen node; Tab leads to the others."""
    page = window.page
    values = next((part for part in window.parts if isinstance(part, Values)), None)
    if page is not None and values is not None and len(page.scene.selection) == 1:
        (node,) = page.scene.selection
        values.step(page, node, "", 1)


ACTIONS = (
    Action("value.edit", "Edit values", "Node", edit_first, ("F4",), "node",
           "Type the values of the chosen node (Enter on the canvas); Tab goes to the next", one_chosen),
)  # fmt: skip
