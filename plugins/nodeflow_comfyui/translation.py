"""From a file of ComfyUI's to the JSON of a graph."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from nodeflow_comfyui import reading, settling, subgraphs, texts
from nodeflow_comfyui.images import IMAGES
from nodeflow_comfyui.latents import LATENTS
from nodeflow_comfyui.models import MODELS
from nodeflow_comfyui.sampling import SAMPLING
from nodeflow_comfyui.texts import TEXTS
from nodeflow_comfyui.turning import Remark, Turn, Turner
from nodeflow_comfyui.workflow import JSON, Workflow

TURNERS: Final[dict[str, Turner]] = {**MODELS, **TEXTS, **LATENTS, **SAMPLING, **IMAGES}


@dataclass(frozen=True)
class Translation:
    """A graph, and what is to be told of it; see nodeflow.Foreign."""

    source: str
    graph: dict[str, JSON]
    nodes: int
    left: Sequence[Remark]
    differs: Sequence[Remark]


def translate(data: bytes, known: Collection[str] = ()) -> Translation | None:
    """The graph in a file, or None if it is none of ComfyUI's.

    Raises:
        UnreadableError: it is, but damaged.
    """
    found = reading.read(data)
    if found is None:
        return None
    workflow, source = found
    count = len(workflow.nodes)
    opened = subgraphs.opened(workflow)
    reading.overlay(workflow)
    gone = settling.settle(workflow)
    turn = Turn(workflow, TURNERS, frozenset(known))
    turn.weighted = texts.any_weights(list(workflow.nodes.values()))
    turn.run()
    told = [Remark(f'subgraph "{name}"', "", "its nodes take its place, in a frame") for name in opened]
    told += [Remark(node.said, "", "bypassed: it is left out, and wires lead past it") for node in gone]
    return Translation(source, _graph(turn, workflow), count, turn.left, [*told, *turn.differs])


def _graph(turn: Turn, workflow: Workflow) -> dict[str, JSON]:
    drawing = turn.drawing
    view = {"nodes": drawing.laid(), "frames": workflow.frames, "dots": {}}
    if drawing.folded:
        view["folded"] = drawing.folded
    if drawing.colours:
        view["colours"] = drawing.colours
    if workflow.notes:
        view["notes"] = workflow.notes
    return {"parameters": drawing.offered(), "outputs": drawing.outputs, "nodes": drawing.nodes, "view": view}
