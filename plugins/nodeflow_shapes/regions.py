"""What stands where in a scene, as maps: lessons for a network that is still to learn which word means which place."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from nodeflow_shapes.render import coverage
from nodeflow_shapes.scenes import COLOURS, SHAPES, SIZES, Scene

QUESTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"thing": ("none", "first", "second"), "shape": SHAPES, "colour": COLOURS, "size": tuple(SIZES)}
)
"""What is asked of each place, and the answers, in the order of the maps."""


def regions(scenes: Sequence[Scene], size: int = 64, cells: int = 8) -> Tensor:
    """The share of each cell that an answer holds for: float32 [B, 20, cells, cells], 0..1.

    The shares of "thing" add up to 1; those of each other question to what things cover of the cell. Things are first
    and second as the caption names them.

    Args:
        scenes: one or two things each.
        size: pixels along a side, by which coverage is measured.
        cells: along a side; divides size.
    """
    starts = dict(zip(QUESTIONS, torch.tensor([0, *map(len, QUESTIONS.values())]).cumsum(0).tolist(), strict=False))
    maps = torch.zeros(len(scenes), sum(map(len, QUESTIONS.values())), cells, cells)
    for order in range(max((len(scene.things) for scene in scenes), default=0)):
        for shape in SHAPES:
            chosen = [i for i, s in enumerate(scenes) if len(s.things) > order and s.things[order].shape == shape]
            if not chosen:
                continue
            things = [scenes[i].things[order] for i in chosen]
            place = torch.tensor([(thing.x, thing.y, thing.radius) for thing in things])
            covered = coverage(shape, *place.unbind(1), size=size)
            covered = torch.unflatten(torch.unflatten(covered, 2, (cells, -1)), 1, (cells, -1)).mean((2, 4))
            answers = {
                "thing": [order + 1 for _ in things],
                "shape": [SHAPES.index(shape) for _ in things],
                "colour": [COLOURS.index(thing.colour) for thing in things],
                "size": [QUESTIONS["size"].index(thing.size) for thing in things],
            }
            for question, answer in answers.items():
                rows = torch.tensor(chosen)
                maps[rows, torch.tensor(answer) + starts[question]] += covered
    maps[:, 0] = (1 - maps[:, 1:3].sum(1)).clamp(min=0)
    return maps
