"""The faults of a graph while they are found: bounded in number, and each told once however often its place is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nodeflow.errors import Problem

MAX_PROBLEMS = 1_000
MORE = "more problems"
"""How the last one ends that tells how many are not told."""


class Faults:
    """Collects what is wrong with a graph.

    A graph that stands in many places within another has the same faults in each; they are told at the first.

    Args:
        file: what messages call the graph's file.
        homes: the graph that stands at a path ("upscale/first"), by a key that is the same for the same graph.
    """

    def __init__(self, file: str | None, homes: Mapping[str, str]) -> None:
        self._file, self._homes = file, homes
        self._found: list[Problem] = []
        self._seen: dict[tuple[str | None, ...], int] = {}
        self._others: dict[int, int] = {}
        self._unsaid = 0

    def __len__(self) -> int:
        return len(self._found)

    def add(self, message: str, cure: str = "", node: str | None = None, port: str | None = None) -> None:
        """Takes a fault down, unless it is there already."""
        path, _, name = (node or "").rpartition("/")
        home = self._homes.get(path)
        within = message if home is None else message.replace(f"{path}/", "")
        key = (home, name, port, within) if home is not None else (None, node, port, message)
        known = self._seen.get(key)
        if known is not None:
            self._others[known] = self._others.get(known, 0) + (node is not None)
        elif len(self._found) < MAX_PROBLEMS:
            self._seen[key] = len(self._found)
            self._found.append(Problem(message, cure, node, port, self._file))
        else:
            self._unsaid += 1

    def all(self, before: Sequence[Problem] = ()) -> list[Problem]:
        """What was found, in order, after what was known before; the last one tells how many more there are."""
        told = [*before, *(self._told(at, problem) for at, problem in enumerate(self._found))]
        over = self._unsaid + max(0, len(told) - MAX_PROBLEMS)
        more = [Problem(f"and {over:,} {MORE}", file=self._file)] if over else []
        return told[:MAX_PROBLEMS] + more

    def _told(self, at: int, problem: Problem) -> Problem:
        others = self._others.get(at, 0)
        if not others:
            return problem
        places = f"{others:,} other place{'s' if others > 1 else ''}"
        return replace(problem, message=f"{problem.message} (and in {places})")
