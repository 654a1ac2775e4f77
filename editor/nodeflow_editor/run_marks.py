"""What a run has said of each node, by its path, and how that looks on the nodes on show. No widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeVar

from nodeflow.document import GRAPH, Document, NodeEntry
from nodeflow.edits import Edit, Group, RenameNode, Within
from nodeflow.errors import GraphError
from nodeflow_editor.canvas.looks import Run
from nodeflow_editor.graph_model import Level, at_level
from nodeflow_editor.wiring import downstream

T = TypeVar("T")
OVER = frozenset((Run.DONE, Run.REUSED, Run.FAILED))
SHORT = 0.05
"""Seconds below which nobody wants to know how long it took."""
UNSURE = 2.0
"""Seconds in which a run is not judged by the number of its nodes: those that load come first, and are quick."""
WAYS = 200
"""Ways that lead to a graph within the file that are followed: one that 1,000 nodes stand for is shown by some."""


@dataclass(slots=True)
class Told:
    """What is known of one node of a run. `began` is the time of a clock; the others are seconds."""

    run: Run = Run.QUEUED
    share: float | None = None
    left: float | None = None
    seconds: float | None = None
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class Shown:
    """How one node looks: as `canvas.looks.Look` has it."""

    run: Run = Run.IDLE
    progress: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Renaming:
    """Nodes of a level that got other ids: what was told of them is theirs still.

    names: new ids by old ones. ways: how paths of that level begin.
    """

    level: Level
    names: Mapping[str, str]
    ways: tuple[str, ...]

    def path(self, path: str) -> str:
        """A path as it is now."""
        node = owner(path, self.ways)
        if node is None or node not in self.names:
            return path
        way = next(way for way in self.ways if path.startswith(way))
        return f"{way}{self.names[node]}{path[len(way) + len(node) :]}"

    def table(self, table: Mapping[str, T]) -> dict[str, T]:
        """What is known by paths, by the paths as they are now."""
        return {self.path(path): value for path, value in table.items()}

    def document(self, document: Document) -> Document:
        """An earlier state of the graph, as if the nodes had had their new ids then; as it is if they cannot."""
        edit: Edit = Group(tuple(RenameNode(old, new) for old, new in self.names.items()))
        try:
            return reduce(lambda inner, name: Within(name, inner), reversed(self.level), edit).change(document)
        except GraphError:  # another node had the id then, or there was no such node
            return document


@dataclass(slots=True)
class PageRun:
    """A run of a page. `parents`: the nodes that it needs, each with those it takes from; `targets`: what it is for.

    seconds: what each node took when it last ran: what is left is judged by it. began: when, by the clock that nodes
    begin by. reached, looked: how far it was told to be, as a bar does not go back, and when.
    names: paths of nodes that were renamed since it was submitted, by those that the run knows.
    """

    number: int
    document: Document
    parents: Mapping[str, tuple[str, ...]]
    targets: tuple[str, ...]
    until: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    began: float = 0.0
    reached: float = 0.0
    looked: float = 0.0
    going: bool = False
    over: bool = False
    names: dict[str, str] = field(default_factory=dict)

    def now(self, path: str) -> str:
        """What the node is called now that was submitted under that path."""
        return self.names.get(path, path)

    def rename(self, renaming: Renaming) -> None:
        """Follows nodes to their new ids."""
        known = {path: path for path in (*self.parents, *self.told)} if not self.names else {}
        self.names = {path: renaming.path(now) for path, now in {**known, **self.names}.items()}
        self.document = renaming.document(self.document)
        self.told = renaming.table(self.told)
        self.parents = {renaming.path(node): tuple(map(renaming.path, before))
                        for node, before in self.parents.items()}  # fmt: skip
        self.targets = tuple(map(renaming.path, self.targets))
        self.until = renaming.path(self.until) if self.until is not None else None

    def of(self, node: str) -> Told:
        """What is known of a node."""
        return self.told.setdefault(node, Told())

    def start(self, node: str, now: float) -> None:
        """A node begins to compute."""
        told = self.of(node)
        told.run, told.share, told.left, told.began = Run.RUNNING, None, None, now

    def step(self, node: str, step: int, total: int | None, left: float | None) -> None:
        """A node's loop went on. One that goes through several loops stays as far as it was."""
        told = self.of(node)
        told.share, told.left = (max(step / total, told.share or 0.0) if total else told.share), left

    def end(self, node: str, run: Run, seconds: float | None = None) -> None:
        """A node is done, in some way."""
        told = self.of(node)
        told.run, told.share, told.left, told.seconds = run, None, None, seconds
        if seconds is not None and run is Run.DONE:
            self.seconds[node] = seconds

    def needless(self) -> list[str]:
        """Nodes that do not wait any more, as a result behind them was there; they are forgotten."""
        ahead = set(self.ahead())
        found = [node for node, told in self.told.items() if told.run is Run.QUEUED and node not in ahead]
        for node in found:
            del self.told[node]
        return found

    def close(self) -> None:
        """The run is over: nothing waits or computes any more."""
        self.over, self.going = True, False
        self.told = {node: told for node, told in self.told.items() if told.run in OVER}

    def ahead(self) -> list[str]:
        """The nodes that are still to come or at work: what leads to the targets and does not lie behind a result."""
        found: dict[str, None] = {}
        stack = list(self.targets)
        while stack:
            node = stack.pop()
            told = self.told.get(node)
            if node in found or (told is not None and told.run in OVER):
                continue
            found[node] = None
            stack += self.parents.get(node, ())
        return list(found)

    def progress(self, now: float) -> Progress:
        """How far it is."""
        done = sum(told.run in OVER for told in self.told.values())
        ahead = self.ahead()
        shares, left, known = 0.0, 0.0, bool(ahead)
        spent = sum(told.seconds or 0.0 for told in self.told.values())
        for node in ahead:
            told, before = self.told.get(node, WAITING), self.seconds.get(node)
            passed = now - told.began if told.run is Run.RUNNING else 0.0
            spent += passed
            shares += told.share or 0.0
            if told.left is not None:
                left += told.left
            elif before is not None:
                left += max(before - passed, 0.0)
            elif told.run is Run.RUNNING:  # one that only waits is taken for quick until it was seen to run
                known = False
        everything = done + len(ahead)
        share = (done + shares) / everything if everything and now - self.began > UNSURE else 0.0
        share *= share  # what is not judged by time yet is mostly the longer part
        if known and left:
            share = spent / (spent + left)
            if share < self.reached:  # told to be too far: it goes on so that it is whole at the end
                passed = max(now - self.looked, 0.0)
                share = self.reached + (1.0 - self.reached) * passed / (passed + left)
        self.reached, self.looked = max(self.reached, min(share, 1.0)), now
        return Progress(done, everything, self.reached, left or None if known else None)


WAITING = Told()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: nodes done of all, the share of the whole, seconds left if that can be told."""

    done: int
    all: int
    share: float
    left: float | None


def span(seconds: float) -> str:
    """A time as people say it: "0.8 s", "12 s", "3 min 5 s", "2 h 10 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def about(seconds: float) -> str:
    """A time that is not known to the tenth: "7 s"."""
    return f"{max(round(seconds), 1)} s" if seconds < 9.95 else span(seconds)


def how_it_ended(end: Mapping[str, Any], unwritten: int = 0) -> str:
    """A sentence on the end of a run; `unwritten`: the outputs that could not be written."""
    if end.get("killed") is not None:
        place = f'"{end["killed"]}"' if end["killed"] else "the run"
        return f"stopped: {place} did not stop by itself, so the worker was ended, and another one starts"
    if end.get("refused"):
        return "not run: the graph has problems"
    if end["cancelled"]:
        return "stopped"
    if end["failed"]:
        return f"{end['failed']} node failed" if end["failed"] == 1 else f"{end['failed']:,} nodes failed"
    if unwritten:
        return f"{unwritten:,} output{'s' * (unwritten > 1)} could not be written"
    if end["reused"] and not end["ran"]:
        return "done: all of it was there from before"
    reused = f", {end['reused']:,} from before" if end["reused"] else ""
    return f"done in {span(end['seconds'])}: {end['ran']:,} computed{reused}"


def shown(parts: Mapping[str, Told], alone: bool, going: bool, members: int, now: float) -> Shown:
    """How a node looks.

    Args:
        parts: what is known of it, or of the nodes in the graph that it stands for.
        alone: whether it is no graph.
        going: whether the run is.
        members: how many nodes it stands for.
        now: the time of the clock that they began by.
    """
    if not parts:
        return Shown()
    if alone:
        return _shown(next(iter(parts.values())), now)
    kinds = [told.run for told in parts.values()]
    done = sum(run in OVER for run in kinds)
    if Run.FAILED in kinds:
        return Shown(Run.FAILED)
    working = [told for told in parts.values() if told.run is Run.RUNNING]
    if working or (going and 0 < done < members and Run.REUSED not in kinds):
        share = (done + sum(told.share or 0.0 for told in working)) / max(members, 1)
        return Shown(Run.RUNNING, min(share, 1.0), f"{done} of {members}")
    if not done:
        return Shown(Run.QUEUED)
    if all(run in (Run.REUSED, Run.QUEUED) for run in kinds):
        return Shown(Run.REUSED)
    seconds = sum(told.seconds or 0.0 for told in parts.values())
    return Shown(Run.DONE, None, span(seconds) if seconds >= SHORT else "")


def _shown(told: Told, now: float) -> Shown:
    if told.run is Run.RUNNING:
        passed = now - told.began
        if told.left is not None:
            return Shown(told.run, told.share, f"{about(told.left)} left")
        return Shown(told.run, told.share, about(int(passed)) if passed >= 1 else "")
    seconds = told.seconds
    return Shown(told.run, None, span(seconds) if seconds is not None and seconds >= SHORT else "")


def ways(document: Document, level: Level) -> tuple[str, ...]:
    """How paths of nodes begin that stand at a level of the file: "" for its own graph, else "up/", "again/"."""
    found, graph = [""], document
    for name in level:
        kind = GRAPH + name
        found = [f"{way}{node}/" for way in found for node, entry in graph.nodes.items() if entry.type == kind][:WAYS]
        graph = graph.graphs[name]
    return tuple(found)


def owner(path: str, beginnings: Iterable[str]) -> str | None:
    """The node on show that a path leads to or into; None if it stands elsewhere."""
    for way in beginnings:
        if path.startswith(way):
            return path[len(way) :].partition("/")[0]
    return None


def source(node: str, graph: Document, find: Callable[[str], Document | None], port: str = "") -> str:
    """The path of a node; of one that stands for a graph, that of the node which makes that output or its first."""
    path, entry = node, graph.nodes[node]
    while entry.type.startswith(GRAPH):
        name = entry.type.removeprefix(GRAPH)
        inner = graph.graphs.get(name) or find(name)
        places = inner.outputs if inner is not None else {}
        node, _, port = places.get(port, next(iter(places.values()), "")).partition(".")
        if inner is None or node not in inner.nodes:
            break
        path, entry, graph = f"{path}/{node}", inner.nodes[node], inner
    return path


def members(kind: str, graph: Document, find: Callable[[str], Document | None], depth: int = 0) -> int:
    """How many plain nodes a node of that type stands for."""
    if not kind.startswith(GRAPH):
        return 1
    name = kind.removeprefix(GRAPH)
    inner = graph.graphs.get(name) or find(name)
    if inner is None or depth > 8:
        return 0
    return sum(members(entry.type, inner, find, depth + 1) for entry in inner.nodes.values())


def outdated(old: Document, new: Document, level: Level = ()) -> set[str]:
    """The nodes of a level whose results are of an older state: changed since, or fed by one that was.

    A node that stands for a graph is changed when the graph is. Where it was moved, named otherwise, or its plugin's
    version is another one, its result stands.
    """
    ahead = tuple(level)
    if ahead:
        kind = GRAPH + ahead[0]
        before, after = old.graphs.get(ahead[0]), new.graphs.get(ahead[0])
        if before is None or after is None:
            return set()
        users = [node for node, entry in new.nodes.items() if entry.type == kind]
        if before is after and users and outdated(old, new).issuperset(users):
            return set(at_level(after, ahead[1:]).nodes)
        return outdated(before, after, ahead[1:])
    changed = {node for node, entry in new.nodes.items() if not _same(old.nodes.get(node), entry, old, new)}
    return changed | downstream(new, *changed) if changed else set()


def _same(before: NodeEntry | None, after: NodeEntry, old: Document, new: Document) -> bool:
    if before is None:
        return False
    if before is not after and (before.type, before.inputs, before.mode) != (after.type, after.inputs, after.mode):
        return False
    if not after.type.startswith(GRAPH) or old.graphs is new.graphs:
        return True
    name = after.type.removeprefix(GRAPH)
    one, other = old.graphs.get(name), new.graphs.get(name)
    return one is other or (one is not None and other is not None and _alike(one, other))


def _alike(one: Document, other: Document) -> bool:
    """Whether two graphs compute the same: where their nodes stand does not matter."""
    names = ("nodes", "outputs", "parameters", "graphs")
    return all(getattr(one, name) is getattr(other, name) or getattr(one, name) == getattr(other, name)
               for name in names)  # fmt: skip
