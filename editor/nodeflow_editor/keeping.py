"""After a run of a graph without outputs: its pictures are in no file, and one answer makes them outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from nodeflow.edits import Edit, Group
from nodeflow_editor.bars import Answer
from nodeflow_editor.faces import face
from nodeflow_editor.interface import exposed_output
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.theme import core
from nodeflow_editor.wiring import End

if TYPE_CHECKING:
    from nodeflow_editor.page import Page
    from nodeflow_editor.window import Window

ASKED = "asked to keep"
"""Set on a page that has been asked: once is enough."""
NAMED = 3
"""Nodes that the sentence names."""


class Keeping(QObject):
    """Says that pictures are not kept, where somebody may think that they are."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, self._part = window, RunPart.of(window)
        self._part.runner.ended.connect(self._ended)
        window.page_opened.connect(
            lambda page: page.model.document_changed.connect(lambda: self._settle(page))
        )  # fmt: skip

    def _ended(self, number: int, end: Mapping[str, Any]) -> None:
        run, page = self._part.run_of(number), self._part.page_of(number)
        if run is None or page is None or run.until is not None or run.document.outputs or page.property(ASKED):
            return
        if end.get("cancelled") or end.get("failed") or end.get("refused"):
            return
        made = self._pictures(page, run.targets)
        if not made:
            return
        page.setProperty(ASKED, True)
        several = len(made) > 1
        names = ", ".join(f"“{end.node}”" for end in made[:NAMED]) + (" and others" if len(made) > NAMED else "")
        what = f"The pictures of {names} are" if several else f"The picture of {names} is"
        text = f"{what} in no file and not in the history, as the graph has no outputs."
        answers = (Answer("Make them &outputs" if several else "Make it an &output", lambda: self._keep(page)),
                   Answer("&Not now"))  # fmt: skip
        page.bars.ask("keep", text, answers, kind="tells", focus=False)

    @staticmethod
    def _pictures(page: Page, targets: tuple[str, ...]) -> list[End]:
        """The outputs that are pictures, of those nodes of the file's own graph which the run was for."""
        document, found = page.model.document, []
        for node in targets:
            if node in document.nodes:
                ports = face(document.nodes[node], page.model.catalog, page.model.subgraph).outputs
                found += [End(node, port.name, True) for port in ports if str(core(port.type)) == "Image"]
        return found

    def _keep(self, page: Page) -> None:
        """Makes the pictures outputs, in one step, and runs again: all but their files is there from before."""
        checked = self._part.problems.checked(page)
        if checked.graph is None or page.model.document.outputs:
            return
        edits: list[Edit] = []
        graph = page.model.document
        for end in self._pictures(page, checked.graph.targets()):
            edits.append(exposed_output(graph, end.node, end.port))
            graph = edits[-1].change(graph)
        if edits:
            page.model.do(Group(tuple(edits)), "Make outputs", at=())
            self._part.submit(page)

    @staticmethod
    def _settle(page: Page) -> None:
        """The question is answered where the graph has got outputs in another way."""
        if page.model.document.outputs:
            page.bars.drop("keep")


def attach(window: Window) -> Keeping:
    """Has a window tell of pictures that are not kept."""
    return Keeping(window)
