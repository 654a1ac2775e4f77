"""Graphs of other programs: `nodeflow import` turns them, in a process of its own, and what it made is opened."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QProcess

from nodeflow.document import survey
from nodeflow.errors import GraphError
from nodeflow_editor.bars import Answer
from nodeflow_editor.disk import readable
from nodeflow_editor.files import Files

if TYPE_CHECKING:
    from nodeflow_editor.window import Window

COMMAND = ("-m", "nodeflow.cli", "import", "--json")


class Bringing(QObject):
    """Offers to import what could not be opened but looks like another program's graph."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.window, self.files = window, Files.of(window)
        self._going: set[QProcess] = set()
        self.files.refused.connect(lambda file: self.offer(file))
        window.closing.connect(self._stop)

    @staticmethod
    def of(window: Window) -> Bringing:
        """That of a window."""
        return next(part for part in window.parts if isinstance(part, Bringing))

    def offer(self, file: Path, *others: Answer) -> None:
        """Asks whether a file is to be imported, or what else is to become of it."""
        answers = (Answer("&Import it", lambda: self.start(file)), *others, Answer("&Cancel"))
        told = f"{file.name} looks like another program's workflow. A graph can be made of it; the file stays as it is."
        self.window.notices.ask("open", told, answers)

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
        page = self.files.new(readable(document), file.stem)
        page.view.fit()
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
