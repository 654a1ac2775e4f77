"""The models that graphs can name, asked of `nodeflow models` in the background."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from PySide6.QtCore import QObject, QProcess, Signal

FRESH = 30.0
"""Seconds for which a list is taken as it is."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model by the name that a graph gives it. `fault`: why it cannot be used, or ""."""

    name: str
    note: str
    path: str
    fault: str = ""


class ModelList(QObject):
    """Asks when it is wanted, never twice at once. The window goes on meanwhile."""

    changed = Signal()
    """`models`, `waiting` or `fault` is new."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.models: tuple[Model, ...] = ()
        self.fault = ""
        self._asked = -FRESH
        self._process: QProcess | None = None

    @property
    def waiting(self) -> bool:
        """Whether a list is being made."""
        return self._process is not None

    def ask(self) -> None:
        """Has the list made anew, unless it is fresh."""
        if self._process is not None or monotonic() - self._asked < FRESH:
            return
        self._process = QProcess(self)
        self._process.setWorkingDirectory(str(Path.cwd()))
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._failed)
        self._process.start(sys.executable, ["-m", "nodeflow.cli", "models", "--json"])

    def stop(self) -> None:
        """Ends the asking: the window closes."""
        process, self._process = self._process, None
        if process is not None:
            process.finished.disconnect(self._finished)
            process.errorOccurred.disconnect(self._failed)
            process.kill()
            process.waitForFinished(1000)

    def _finished(self, code: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        text = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
        said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip()
        process.deleteLater()
        self._asked = monotonic()
        try:
            self.models = tuple(_model(line) for line in json.loads(text))
            self.fault = ""
        except (ValueError, TypeError, KeyError):
            self.fault = f"the list of models could not be made (exit code {code}): {said[-200:] or 'no reason given'}"
        self.changed.emit()

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart and self._process is not None:
            process, self._process = self._process, None
            self.fault = f"the list of models could not be made: {process.errorString()}"
            process.deleteLater()
            self.changed.emit()


def _model(line: dict[str, object]) -> Model:
    count = line["bytes"]
    size = f"{count / 2**20:,.0f} MB" if isinstance(count, int) and count else ""
    note = "  ".join(part for part in (str(line["kind"]), size) if part)
    return Model(str(line["name"]), note, str(line["path"]), str(line["error"]))
