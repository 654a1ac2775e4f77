"""Turns a workflow into a graph: node by node in the order of a run, each by the function that knows its kind."""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from nodeflow_comfyui.drawing import Drawing
from nodeflow_comfyui.settling import passed
from nodeflow_comfyui.values import Clip, Model, Pixels, Samples, Text, Wire
from nodeflow_comfyui.workflow import BYPASSED, Link, Node, Workflow

MISSING: Final = object()
MOST_SEED: Final = 2**53 - 1
HUGE: Final = 1e30
"""Beyond any number that a widget holds."""
FAR: Final = 20
"""Nodes that are followed to see what a text is for."""


class CannotTurnError(Exception):
    """There is nothing of ours that does what this node does; the message says why."""


class Remark(NamedTuple):
    """What is to be told of one node. node: what the file calls it. ours: its id in the graph; "" if it has none."""

    node: str
    ours: str
    message: str


Turner = Callable[["Turn", Node], tuple[Any, ...]]


@dataclass
class Turn:
    """A workflow on its way to be a graph.

    turners: by ComfyUI's kinds. known: node types of ours. made: what each output of a node is. standing: ids of nodes
    that are left as they are. left, differs: what is to be told. loaders: what each model is used as predicting.
    weighted: whether any prompt has weights. fed: what is wired to each node: (output, input, node).
    """

    workflow: Workflow
    turners: Mapping[str, Turner]
    known: frozenset[str]
    drawing: Drawing = field(default_factory=Drawing)
    made: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    standing: dict[str, str] = field(default_factory=dict)
    left: list[Remark] = field(default_factory=list)
    differs: dict[Remark, None] = field(default_factory=dict)
    loaders: dict[str, set[str]] = field(default_factory=dict)
    weighted: bool = False
    fed: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)

    def run(self) -> None:
        """Turns every node."""
        for node in self.workflow.nodes.values():
            for name, value in node.inputs.items():
                if isinstance(value, Link):
                    self.fed.setdefault(value.node, []).append((value.slot, name, node.id))
        before, circle, behind = ordered(self.workflow)
        for node in before:
            self._turn(node)
        for node in circle:
            self.standing[node.id] = self.drawing.name(_role(node.kind), node)
        for node in circle:
            self.leave(node, "its wires lead round in a circle")
        for node in behind:
            self._turn(node)
        self._settle_predictions()
        for node in self.workflow.nodes.values():
            if self.made.get(node.id) and node.id not in self.fed and node.id not in self.drawing.drawn:
                self.differ(node, "it leads nowhere, and is left out")

    def _turn(self, node: Node) -> None:
        turner = self.turners.get(node.kind)
        try:
            if turner is None:
                raise CannotTurnError("there is nothing like it in nodeflow")
            self.made[node.id] = turner(self, node)
        except CannotTurnError as error:
            if node.mode == BYPASSED and node.outputs:
                self.made[node.id] = tuple(link and self.look(link) for link in passed(node))
                self.differ(node, "bypassed: it is left out, and wires lead past it")
            else:
                self.leave(node, str(error))

    def leave(self, node: Node, why: str) -> str:
        """Puts a node into the graph as it is, with its wires: it opens, and `check` names it. Once for each node."""
        drawn = self.standing.get(node.id)
        if drawn is not None and drawn in self.drawing.nodes:
            return drawn
        inputs: dict[str, Any] = {}
        own = self.standing.setdefault(node.id, drawn or self.drawing.name(_role(node.kind), node))
        for key, value in node.inputs.items():
            inputs[key] = self._plain(value) if isinstance(value, Link) else value
        if node.values:
            inputs["widgets_values"] = node.values
        self.drawing.put(own, node, f"comfyui:{node.kind}", inputs)
        if node.mode:
            self.differs.setdefault(Remark(node.said, own, f"it is muted, and stands in the graph as it is: {why}"))
        else:
            self.left.append(Remark(node.said, own, why))
        return own

    def _plain(self, link: Link) -> Wire | None:
        """The wire of what a link brings; what became part of other nodes is left as it is beside who wants it."""
        value = self.look(link)
        if isinstance(value, Wire):
            return value
        if isinstance(value, Samples | Text):
            return self.wire(value)
        if isinstance(value, Model | Clip | Pixels):
            return value.wire
        if value is MISSING or value is None:
            return None
        node = self.workflow.nodes[link.node]
        return Wire(self.leave(node, "what it gives is wanted by a node that is not known"), port(node, link.slot))

    def wire(self, value: Samples | Text) -> Wire:
        """The wire of a value that may have none of ours: then its node is left as it is."""
        if value.wire is not None:
            return value.wire
        node = self.workflow.nodes[value.node]
        return Wire(self.leave(node, "nothing in nodeflow gives this by itself"), port(node, 0))

    def look(self, link: Link) -> Any:
        """What a link brings, or MISSING."""
        node = self.workflow.nodes.get(link.node)
        if node is None:
            return MISSING
        if link.node in self.made:
            values = self.made[link.node]
            return values[link.slot] if 0 <= link.slot < len(values) else MISSING
        own = self.standing.get(link.node)
        return MISSING if own is None else Wire(own, port(node, link.slot))

    def given(self, node: Node, name: str, default: Any = MISSING) -> Any:
        """What an input holds: a value of a widget, or what its wire brings.

        Raises:
            CannotTurnError: nothing, and there is no default.
        """
        value = node.inputs.get(name, MISSING)
        if isinstance(value, Link):
            found = self.look(value)
            if found is MISSING:
                raise CannotTurnError(f'its input "{name}" is wired to nothing that is in the file')
            return found
        if value is MISSING or value is None:
            if default is MISSING:
                raise CannotTurnError(f'its input "{name}" is missing')
            return default
        return value

    def number(self, node: Node, name: str, default: Any = MISSING) -> Any:
        """A number that is written in the file; true and false are none, texts of numbers are."""
        value = self.given(node, name, default)
        if isinstance(value, str):
            with suppress(ValueError):
                value = float(value)
        if isinstance(value, Wire):
            raise CannotTurnError(f'its input "{name}" comes from a node that is not known')
        if type(value) not in (int, float) or not -HUGE < value < HUGE:
            raise CannotTurnError(f'its input "{name}" is no number')
        return int(value) if type(value) is float and value.is_integer() else value

    def whole(self, node: Node, name: str, default: Any = MISSING) -> int:
        """A whole number."""
        return int(self.number(node, name, default))

    def real(self, node: Node, name: str, default: Any = MISSING) -> float:
        """A number as a float."""
        return float(self.number(node, name, default))

    def text(self, node: Node, name: str, default: Any = MISSING) -> str:
        """A text that is written in the file."""
        value = self.given(node, name, default)
        if not isinstance(value, str):
            raise CannotTurnError(f'its input "{name}" is no text that stands in the file')
        return value

    def file(self, node: Node, name: str) -> str:
        """The name of a model or picture; written on Windows, it has backslashes."""
        return self.text(node, name).replace("\\", "/")

    def flag(self, node: Node, name: str, default: bool) -> bool:
        """True or false, also as "enable" and "disable"."""
        value = self.given(node, name, default)
        return value if isinstance(value, bool) else str(value).lower() in ("enable", "true", "yes")

    def seed(self, node: Node, name: str) -> Any:
        """A seed, or a wire to one. ComfyUI's have 64 bits, ours 53."""
        value = self.given(node, name, 0)
        if isinstance(value, Wire):
            return value
        found = self.whole(node, name, 0)
        if not 0 <= found <= MOST_SEED:
            self.differ(node, f"the seed {found} became {found % (MOST_SEED + 1)}, as ours have 53 bits")
        return found % (MOST_SEED + 1)

    def model(self, node: Node, name: str = "model") -> Model:
        """A MODEL."""
        value = self.given(node, name)
        return value if isinstance(value, Model) else Model(self.plain(node, name))

    def clip(self, node: Node, name: str = "clip") -> Clip:
        """A CLIP."""
        value = self.given(node, name)
        return value if isinstance(value, Clip) else Clip(self.plain(node, name))

    def words(self, node: Node, name: str = "conditioning") -> Text:
        """A CONDITIONING."""
        value = self.given(node, name)
        return value if isinstance(value, Text) else Text(self.plain(node, name), node.id)

    def samples(self, node: Node, name: str = "samples") -> Samples:
        """A LATENT."""
        value = self.given(node, name)
        return value if isinstance(value, Samples) else Samples(self.plain(node, name), node.id)

    def pixels(self, node: Node, name: str = "image") -> Pixels:
        """An IMAGE."""
        value = self.given(node, name)
        return value if isinstance(value, Pixels) else Pixels(self.plain(node, name))

    def plain(self, node: Node, name: str) -> Wire:
        """A VAE or MASK, or what a node gives that is not known."""
        value = self.given(node, name)
        if not isinstance(value, Wire):
            raise CannotTurnError(f'what is wired into its input "{name}" is of another kind')
        return value

    def used(self, node: Node, slot: int) -> bool:
        """Whether anything is wired to that output."""
        return any(own == slot for own, _, _ in self.fed.get(node.id, ()))

    def side(self, node: Node) -> str:
        """Whether a text is "positive" or "negative" where it is used first; "" if that is not to be seen."""
        at = [node.id]
        for name in at:
            for _, port, taker in self.fed.get(name, ()):
                if port in ("positive", "negative"):
                    return port
                if port.startswith("conditioning") and taker not in at and len(at) < FAR:
                    at.append(taker)
        return ""

    def differ(self, node: Node, message: str, ours: str = "") -> None:
        """Tells what will be otherwise than in ComfyUI."""
        self.differs.setdefault(Remark(node.said, ours, message))

    def _settle_predictions(self) -> None:
        """A loader is told what its model predicts, if all that is made with it agrees."""
        for loader, predictions in self.loaders.items():
            wanted = predictions - {""}
            if not wanted:
                continue
            if len(predictions) > 1:
                message = (
                    f"it is used as predicting {' and '.join(sorted(wanted))} and as it says itself; make two of it"
                )
                self.differs.setdefault(Remark(loader, loader, message))
            else:
                self.drawing.nodes[loader]["inputs"]["prediction"] = wanted.pop()


def ordered(workflow: Workflow) -> tuple[list[Node], list[Node], list[Node]]:
    """The nodes, each after those it needs: those before any circle, those in circles, and those behind."""
    nodes = workflow.nodes
    needs = {
        name: {value.node for value in node.inputs.values() if isinstance(value, Link)} & nodes.keys()
        for name, node in nodes.items()
    }
    before = _freed(needs)
    done = set(before)
    rest = {name: needs[name] - done for name in nodes if name not in done}
    feeds: dict[str, set[str]] = {name: set() for name in rest}
    for name, sources in rest.items():
        for source in sources:
            feeds[source].add(name)
    behind = _freed(feeds)[::-1]
    circle = rest.keys() - set(behind)
    return (
        [nodes[name] for name in before],
        [nodes[name] for name in rest if name in circle],
        [nodes[name] for name in behind],
    )


def _freed(needs: Mapping[str, Collection[str]]) -> list[str]:
    """The names that need nothing, then those that need only these, and so on."""
    feeds: dict[str, list[str]] = {}
    for name, sources in needs.items():
        for source in sources:
            feeds.setdefault(source, []).append(name)
    left = {name: len(sources) for name, sources in needs.items()}
    ready, order = deque(name for name, count in left.items() if not count), []
    while ready:
        name = ready.popleft()
        order.append(name)
        for fed in feeds.get(name, ()):
            left[fed] -= 1
            if not left[fed]:
                ready.append(fed)
    return order


def port(node: Node, slot: int) -> str:
    """What an output of a node that is left as it is is called."""
    names = [own.name for own in node.outputs]
    name = names[slot] if 0 <= slot < len(names) else ""
    return name if name and names.count(name) == 1 else f"{name or 'output'}_{slot}"


def _role(kind: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in kind).strip("_").lower()
