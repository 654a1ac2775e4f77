"""How a node stands at the moment: its run, its faults, its picture. Beside the document, never in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from PySide6.QtGui import QImage

from nodeflow_editor.batches import Grid


class Run(Enum):
    """What the last run did with a node."""

    IDLE = "idle"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REUSED = "reused"
    FAILED = "failed"


class Mark(Enum):
    """What became of a node since another state of the graph, as a sign: never by colour alone."""

    ADDED = "+"
    CHANGED = "~"

    @property
    def colour(self) -> str:
        """Its colour's name in a palette."""
        return "good" if self is Mark.ADDED else "warning"


@dataclass(slots=True)
class Look:
    """One node's. `faults`: sentences by input, "" for the node's own. `progress` is 0..1, or None if unknown."""

    run: Run = Run.IDLE
    progress: float | None = None
    note: str = ""
    """A few words beside the title: time left, time taken."""
    faults: dict[str, str] = field(default_factory=dict)
    picture: QImage | None = None
    """What the node shows: of a batch, its pictures side by side."""
    count: int = 1
    """Pictures that the batch has."""
    grid: Grid | None = None
    """How those stand that are shown; None of a picture alone."""
    old: bool = False
    """Whether the graph has changed since, so that the run and the picture are of an older state."""

    @property
    def proportion(self) -> float | None:
        """Height by width of the picture."""
        return self.picture.height() / self.picture.width() if self.picture is not None else None
