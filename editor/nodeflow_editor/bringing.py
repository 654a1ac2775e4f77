"""Graphs of other programs: `nodeflow import` turns them, in a process of its own, and what it made is opened."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QProcess

from nodeflow.catalog import Catalog
from nodeflow.document import Document, survey
from nodeflow.edits import Group, MoveNodes, Within
from nodeflow.errors import GraphError
from nodeflow_editor.arranging import apart
from nodeflow_editor.bars import Answer
from nodeflow_editor.canvas.metrics import measured
from nodeflow_editor.faulty import readable
from nodeflow_editor.files import Files
from nodeflow_editor.folding import fold
from nodeflow_editor.graph_model import GraphModel, position
from nodeflow_editor.marks import tidy
from nodeflow_editor.notepad import notes, renoted

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

ASKS = "import"
"""The question's bar."""
NAMED = 3
"""Files that the question names."""
NOTE = "note:"
"""Before the number of a note among the boxes: no node's id has a colon."""
CROWD = 1000
"""Nodes up to which they are put apart: each is compared with each."""
COMMAND = ("-m", "nodeflow.cli", "import", "--json")


class Bringing(QObject):
    """Offers to import what could not be opened but looks like another program's graph."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window, self.files = window, Files.of(window)
        self._going: set[QProcess] = set()
        self._asked: list[Path] = []
        """The files that the question on the screen is about."""
        self.files.refused.connect(lambda file: self.offer(file))
        window.closing.connect(self._stop)

    @staticmethod
    def of(window: Window) -> Bringing:
        """That of a window."""
        return next(part for part in window.parts if isinstance(part, Bringing))

    def offer(self, file: Path, *others: Answer) -> None:
        """Asks whether a file is to be imported, or what else is to become of it."""
        asked = self._asked if self.window.notices.named(ASKS) is not None and not others else []
        self._asked = files = [*asked, file] if file not in asked else asked
        several = len(files) > 1
        named = ", ".join(path.name for path in files[:NAMED]) + (", …" if len(files) > NAMED else "")
        told = (f"{len(files)} files look like other programs' workflows: {named}. A graph can be made of each; the "
                "files stay as they are." if several else
                f"{file.name} looks like another program's workflow. A graph can be made of it; the file stays as "
                "it is.")  # fmt: skip
        go = Answer("&Import them" if several else "&Import it", lambda: self._start_all(files))
        refused = self.window.notices.named("open")
        if refused is not None and refused.text.startswith(file.name):
            self.window.notices.drop("open")  # there it says why this file was refused
        self.window.notices.ask(ASKS, told, (go, *others, Answer("&Cancel")))

    def _start_all(self, files: Iterable[Path]) -> None:
        for file in files:
            self.start(file)

    def start(self, file: Path) -> None:
        """Begins to import; the window goes on meanwhile."""
        process = QProcess(self)
        process.setProgram(sys.executable)
        process.setArguments([*COMMAND, "--", str(file)])
        process.finished.connect(lambda *_: self._done(process, file))
        process.errorOccurred.connect(lambda error: self._failed(process, file, error))
        self._going.add(process)
        process.start()
        self.window.tell(f"importing {file.name} …")

    def _failed(self, process: QProcess, file: Path, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._going.discard(process)
            self._refuse(file, f"Python could not be started: {process.errorString()}")

    def _done(self, process: QProcess, file: Path) -> None:
        if process not in self._going:
            return
        self._going.discard(process)
        out, said = bytes(process.readAllStandardOutput().data()), bytes(process.readAllStandardError().data())
        process.deleteLater()
        try:
            told = json.loads(out)
            document, _ = survey(told["graph"])
        except (ValueError, KeyError, TypeError, GraphError):
            self._refuse(file, _reason(out, said))
            return
        spare = self.files.spare()
        page = self.files.new(spaced(readable(document), self.window.catalog), file.stem)
        page.view.fit()
        if spare is not None:
            self.window.close_page(spare)
        self.window.tell("" if not self._going else f"{len(self._going)} more to import …")
        remarks = [*_remarks("not turned", told.get("left")), *_remarks("different", told.get("differs"))]
        left = len(told["left"]) if isinstance(told.get("left"), list) else 0
        text = f"Imported from {told.get('source', 'another program')}."
        if left:
            text += f" {left} {'nodes' if left > 1 else 'node'} could not be turned, and stand as they were."
        page.bars.ask(
            "imported", text, (Answer("&Close"),), kind="warns" if left else "tells", details="\n".join(remarks),
            focus=False,
        )  # fmt: skip

    def _refuse(self, file: Path, reason: str) -> None:
        text = f"{file.name} was not imported: {' '.join(reason.split())[:600]}"
        self.window.notices.ask("open", text, (Answer("&Close"),), kind="warns")

    def _stop(self) -> None:
        for process in self._going:
            process.kill()
            process.waitForFinished(1000)
        self._going.clear()


def spaced(document: Document, catalog: Catalog) -> Document:
    """The document, with nodes and notes that lie on others put below them: the other program's are of other sizes."""
    model = GraphModel(document, catalog)
    for level in ((), *((name,) for name in document.graphs)):
        model.enter(level)
        graph = model.graph
        sizes = {node: measured(model.face(node), entry, folded=fold(graph, node))
                 for node, entry in graph.nodes.items()}  # fmt: skip
        boxes = {node: (*place, sizes[node].width, sizes[node].height)
                 for node in graph.nodes if (place := position(graph, node)) is not None}  # fmt: skip
        known = {f"{NOTE}{note.number}": note for note in notes(graph)}
        boxes |= {name: note.box for name, note in known.items()}
        if len(boxes) > CROWD or not (places := apart(boxes)):
            continue
        moved = [replace(note, box=(*places[name], *note.box[2:])) for name, note in known.items() if name in places]
        nodes = {node: [tidy(x), tidy(y)] for node, (x, y) in places.items() if node not in known}
        move = Group((*([MoveNodes(nodes)] if nodes else ()), *([renoted(graph, moved)] if moved else ())))
        document = (Within(level[0], move) if level else move).change(document)
    return document


def _remarks(title: str, listed: Any) -> list[str]:
    found = listed if isinstance(listed, list) else []
    return [f"{title}: {one.get('node', '')}: {one.get('message', '')}" for one in found if isinstance(one, dict)]


def _reason(out: bytes, said: bytes) -> str:
    """Why nothing came of it: the problems that the command told, else its last words."""
    for line in reversed(out.decode("utf-8", "replace").splitlines()):
        try:
            problems = json.loads(line)["problems"]
            return "; ".join(f"{problem['message']} — {problem['cure']}" for problem in problems)
        except (ValueError, KeyError, TypeError):
            continue
    words = said.decode("utf-8", "replace").strip().splitlines()
    return words[-1] if words else "`nodeflow import` gave no reason"
