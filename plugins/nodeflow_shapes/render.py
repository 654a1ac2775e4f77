"""Pictures of scenes: signed distances, anti-aliased by coverage, all scenes at once."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nodeflow_shapes.scenes import PALETTE, SHAPES, Scene

SQUARE = 0.82  # half side over radius
RING_INNER = 0.56
CROSS_ARM = 0.30  # half the arm's width over its length
STAR_INNER = 0.45  # radius of the notches; the pentagram's 0.38 is too thin for 64 pixels

Distance = Callable[[Tensor, Tensor, Tensor], Tensor]


def render(scenes: Sequence[Scene], size: int = 64) -> Tensor:
    """Draw scenes: float32 [B, 3, size, size], 0..1. Later things cover earlier ones."""
    picture = torch.tensor([PALETTE[scene.background] for scene in scenes]).reshape(len(scenes), 3, 1, 1)
    picture = picture.repeat(1, 1, size, size)
    for layer in range(max((len(scene.things) for scene in scenes), default=0)):
        for shape in SHAPES:
            chosen = [i for i, s in enumerate(scenes) if len(s.things) > layer and s.things[layer].shape == shape]
            if not chosen:
                continue
            things = [scenes[i].things[layer] for i in chosen]
            place = torch.tensor([(thing.x, thing.y, thing.radius) for thing in things])
            colour = torch.tensor([PALETTE[thing.colour] for thing in things]).reshape(-1, 3, 1, 1)
            index = torch.tensor(chosen)
            under = picture[index]
            picture[index] = torch.lerp(under, colour, coverage(shape, *place.unbind(1), size=size).unsqueeze(1))
    return picture


def coverage(shape: str, x: Tensor, y: Tensor, radius: Tensor, *, size: int) -> Tensor:
    """How much of each pixel a shape covers: [N, size, size], 0..1. x, y, radius: [N], fractions of the side."""
    centres = (torch.arange(size) + 0.5) / size
    across = (centres[None, None, :] - x[:, None, None]) * size
    down = (centres[None, :, None] - y[:, None, None]) * size
    distance = DISTANCES[shape](across, down, radius[:, None, None] * size)
    return (0.5 - distance).clamp_(0, 1)


def circle(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    """Signed distance to a disc of radius r about the origin; x right, y down, all in pixels."""
    return torch.hypot(x, y) - r


def square(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    """Distance to the nearest side's line, here and below: corners stay sharp where true distance rounds them."""
    return torch.maximum(x.abs(), y.abs()) - SQUARE * r


def triangle(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    """Equilateral, point up, circumradius r."""
    sides = torch.maximum(math.sqrt(0.75) * x.abs() - 0.5 * y, y) - 0.5 * r
    return torch.maximum(sides, -y - r)  # the sides' lines alone would bleed a pixel beyond the tip


def star(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    """Five points of radius r, one up: folded by its mirrors into one half point (Quilez, 2D distance functions)."""
    side, up = x.abs(), -y
    for nx in (math.cos(math.pi / 5), -math.cos(math.pi / 5)):
        ny = -math.sin(math.pi / 5)
        beyond = 2 * (nx * side + ny * up).clamp_(min=0)
        side, up = side - nx * beyond, up - ny * beyond
    side = side.abs()
    notch_x, notch_y = STAR_INNER * math.sin(math.pi / 5), STAR_INNER * math.cos(math.pi / 5)
    length = math.hypot(notch_x, 1 - notch_y)
    edge = (side * (1 - notch_y) + (up - r) * notch_x) / length
    return torch.maximum(edge, up - r)


def ring(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    """Between RING_INNER * r and r."""
    middle, half = (1 + RING_INNER) / 2, (1 - RING_INNER) / 2
    return (torch.hypot(x, y) - middle * r).abs() - half * r


def cross(x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    """Two bars of length 2 r, upright."""
    x, y = x.abs(), y.abs()
    return torch.maximum(torch.maximum(x, y) - r, torch.minimum(x, y) - CROSS_ARM * r)


DISTANCES: dict[str, Distance] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "star": star,
    "ring": ring,
    "cross": cross,
}
