"""What is wrong with a graph or went wrong in its run, with its place and cure. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from nodeflow.errors import Problem

Severity = Literal["error", "warning", "note"]
SIGNS: Mapping[Severity, str] = {"error": "✕", "warning": "!", "note": "i"}
"""Severity by sign: never by colour alone."""
ORDER: Mapping[Severity, int] = {"error": 0, "warning": 1, "note": 2}

NAMES: Mapping[Severity, str] = {"error": "problem", "warning": "warning", "note": "note"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `node` is a path ("up/sample"), or None if it is of no node; `trace` is for the curious.

    ran: it happened in a run, and stands until the next one; the others stand as long as the graph has them.
    """

    message: str
    cure: str = ""
    node: str | None = None
    port: str | None = None
    severity: Severity = "error"
    trace: str = ""
    ran: bool = False

    @property
    def place(self) -> str:
        """The node and its input: "sample · steps"."""
        return " · ".join(part for part in (self.node, self.port) if part)

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        cure = "; ".join(" ".join(line.split()) for line in self.cure.splitlines() if line.strip())
        return f"{self.message} — {cure}" if cure else self.message

    def at(self, path: Callable[[str], str]) -> Fault:
        """The same of a node whose path is another one now."""
        return replace(self, node=path(self.node)) if self.node is not None else self


def of_problems(problems: Iterable[Problem], *, ran: bool = False) -> list[Fault]:
    """Faults of problems that the engine found."""
    return [Fault(found.message, found.cure, found.node, found.port, ran=ran) for found in problems]


def of_json(problems: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Faults of problems with which a worker refused a run."""
    return of_problems((Problem(**problem) for problem in problems), ran=True)


def of_failure(message: str, node: str | None, port: str | None, trace: str) -> Fault:
    """The fault of a node that failed; its cure stands on the lines after the first."""
    said, _, cure = message.partition("\n")
    return Fault(said, cure.strip(), node or None, port, trace=trace, ran=True)


def counted(faults: Iterable[Fault]) -> str:
    """How many there are: "2 problems, 1 note"; empty if none."""
    kinds = [fault.severity for fault in faults]
    told = []
    for severity, name in NAMES.items():
        count = kinds.count(severity)
        if count:
            told.append(f"{count:,} {name}" if count == 1 else f"{count:,} {name}s")
    return ", ".join(told)
