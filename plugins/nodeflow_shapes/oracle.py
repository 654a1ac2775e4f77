"""The oracle: reads a picture, compares it with a scene's description, and answers each question by itself.

It must not be used in training. Pictures are read at 64 pixels; lengths below are pixels of that size.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional as F

from nodeflow.kernels import vq_nearest
from nodeflow_shapes.scenes import COLOURS, PALETTE, PLACES, RELATIONS, SHAPES, SIZES, Scene
from nodeflow_shapes.templates import fit, softness

SIDE = 64
RESIDUAL = 0.20  # of a template's energy: what a shape may leave unexplained
SOFT = 1.0  # pixels: true edges 0.1-0.36 with noise 0.05, blurred by 1 pixel 0.64; what residuals forgive large blobs
STRAY = 6  # pixels that may belong to nothing
NEAR = 0.25  # further than this from a palette colour is another colour; palette colours lie 0.4 apart
FAINT = 0.12  # difference from the ground that smoothed noise of 0.05 does not reach (its 1-in-4096 is 0.08)
FULL = 0.65  # a thing's core shows at least this much of its colour: pink on white is not a thin red
FOREIGN = 0.25  # a smoothed pixel further than this from every blend of ground and thing is something else
GROWTH = 2  # pixels of a thing's soft edge outside its core
CHUNK = 32  # pictures at once: the correlations stay within the processor's cache


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is right about a picture. Of two things colour, shape and size hold for both; position is their relation."""

    background: bool
    colour: bool
    shape: bool
    size: bool
    position: bool
    clean: bool

    @property
    def all(self) -> bool:
        """Whether everything is right."""
        return all(astuple(self))


@dataclass(frozen=True, slots=True)
class SeenThing:
    """A thing as found: names are None where nothing fits; x, y, radius are fractions of the side, softness pixels."""

    colour: str | None
    shape: str | None
    size: str
    x: float
    y: float
    radius: float
    residual: float
    softness: float


@dataclass(frozen=True, slots=True)
class Sight:
    """A picture as read: stray counts the pixels that neither the ground nor the things explain."""

    background: str | None
    things: tuple[SeenThing, ...]
    stray: int


def judge(pictures: Tensor, scenes: Sequence[Scene]) -> list[Verdict]:
    """Judge pictures [B, 3, H, W], 0..1, each by its scene."""
    if len(pictures) != len(scenes):
        raise ValueError(f"{len(pictures)} pictures but {len(scenes)} scenes")
    sights = look(pictures, [len(scene.things) for scene in scenes])
    return [_compare(sight, scene) for sight, scene in zip(sights, scenes, strict=True)]


def summary(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Percentages that are right, by question; "all" is the last."""
    names = [*(field.name for field in fields(Verdict)), "all"]
    return {name: 100 * sum(getattr(v, name) for v in verdicts) / max(1, len(verdicts)) for name in names}


def look(pictures: Tensor, counts: Sequence[int]) -> list[Sight]:
    """Read pictures [B, 3, H, W], 0..1: the largest `counts` things (1 or 2) of each, and what is left over."""
    sights: list[Sight] = []
    with torch.no_grad():
        for start in range(0, len(pictures), CHUNK):
            chunk = pictures[start : start + CHUNK].detach().float().cpu().clamp(0, 1)
            if chunk.shape[-2:] != (SIDE, SIDE):
                chunk = F.interpolate(chunk, size=(SIDE, SIDE), mode="bilinear", antialias=True)
            sights += _look(chunk, torch.tensor(counts[start : start + CHUNK]))
    return sights


def _compare(sight: Sight, scene: Scene) -> Verdict:
    """Each seen thing is taken for the described one that it resembles most; the position decides only a tie."""

    def score(order: tuple[SeenThing, ...]) -> tuple[int, bool]:
        pairs = zip(order, scene.things, strict=False)
        alike = sum((s.colour == t.colour) + (s.shape == t.shape) + (s.size == t.size) for s, t in pairs)
        return alike, _placed(order, scene)

    order = max(permutations(sight.things), key=score)
    pairs = list(zip(order, scene.things, strict=False))
    complete = len(order) == len(scene.things)
    return Verdict(
        background=sight.background == scene.background,
        colour=complete and all(seen.colour == thing.colour for seen, thing in pairs),
        shape=complete and all(seen.shape == thing.shape for seen, thing in pairs),
        size=complete and all(seen.size == thing.size for seen, thing in pairs),
        position=_placed(order, scene),
        clean=sight.stray <= STRAY,
    )


def _placed(order: tuple[SeenThing, ...], scene: Scene) -> bool:
    """Whether things stand where the scene says: in their cell of the grid, or in their relation."""
    if len(order) != len(scene.things):
        return False
    if scene.relation is None:
        return all(_cell(seen) == thing.place for seen, thing in zip(order, scene.things, strict=True))
    first, second = order
    axis, first_is_lower = RELATIONS[scene.relation]
    apart = (second.x - first.x, second.y - first.y)
    along = apart[axis] if first_is_lower else -apart[axis]
    return along > 0.1 and along >= abs(apart[1 - axis])


def _cell(seen: SeenThing) -> str:
    return min(PLACES, key=lambda name: math.dist(PLACES[name], (seen.x, seen.y)))


def _look(pictures: Tensor, counts: Tensor) -> list[Sight]:
    smooth = _smooth(pictures)
    names, grounds = _grounds(pictures, smooth)
    contrast = _length(smooth - grounds[:, :, None, None])
    cores, regions = _segment(contrast, counts)
    held = cores.flatten(2).any(2)
    where, core, region = held.nonzero()[:, 0], cores[held], regions[held]

    if not len(where):
        return [Sight(name, (), int(stray)) for name, stray in zip(names, (contrast > FAINT).sum((1, 2)), strict=True)]

    own = _own_colours(pictures[where], contrast[where], core)
    _, off = _unmix(smooth[where], grounds[where], own)
    stray = ((contrast > FAINT) & ~regions.any(1)).flatten(1).sum(1)
    stray = stray.index_add(0, where, (region & (off > FOREIGN)).flatten(1).sum(1))

    share, _ = _unmix(pictures[where], grounds[where], own)
    silhouettes = share * region
    colours = _colours(pictures[where], grounds[where], own, region)
    measures = (part.tolist() for part in (softness(silhouettes), *fit(silhouettes)))
    seen = [_seen(*parts) for parts in zip(colours, *measures, strict=True)]
    return [
        Sight(name, tuple(seen[k] for k in (where == i).nonzero()[:, 0].tolist()), int(stray[i]))
        for i, name in enumerate(names)
    ]


def _seen(colour: str | None, soft: float, shape: int, x: float, y: float, radius: float, residual: float) -> SeenThing:
    size = min(SIZES, key=lambda name: abs(math.log(SIZES[name] / radius)))
    name = SHAPES[shape] if residual < RESIDUAL and soft < SOFT else None
    return SeenThing(colour, name, size, x, y, radius, residual, soft)


def _smooth(pictures: Tensor) -> Tensor:
    """Binomial 3x3: takes noise down to 3/8, and moves no edge."""
    line = torch.tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(line, line).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)


def _length(colours: Tensor) -> Tensor:
    """[N, 3, ...] -> [N, ...]. torch's norm over this axis takes ten times as long."""
    return colours.square().sum(1).sqrt()


def _grounds(pictures: Tensor, smooth: Tensor) -> tuple[list[str | None], Tensor]:
    """The palette colour that most pixels resemble, as a name and as these pixels' mean [B, 3]."""
    palette = torch.tensor(list(PALETTE.values()))
    nearest = vq_nearest(smooth.flatten(2).mT, palette)  # [B, H * W]
    most = F.one_hot(nearest, len(PALETTE)).sum(1).argmax(1)
    ours = (nearest == most[:, None]).float()
    means = torch.einsum("bcp,bp->bc", pictures.flatten(2), ours) / ours.sum(1, keepdim=True)
    near = (means - palette[most]).norm(dim=1) < NEAR
    names = tuple(PALETTE)
    return [names[k] if ok else None for k, ok in zip(most.tolist(), near.tolist(), strict=True)], means


def _segment(contrast: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """The largest connected patches: cores and, grown over their soft edges, regions; both bool [B, 2, H, W].

    contrast: [B, H, W], distance from the ground. A core is what reaches 0.3 of the contrast around it, so that the
    soft edges of two things do not join them. Beyond a picture's count, slots are empty.
    """
    batch, height, width = contrast.shape
    around = _widest(_widest(_widest(contrast)))
    mask = (contrast > FAINT) & (contrast > 0.3 * around)
    labels = mask * torch.arange(1, height * width + 1).reshape(height, width).float()
    while True:
        spread = _widest(labels) * mask
        if torch.equal(spread, labels):
            break
        labels = spread
    sizes = torch.zeros(batch, height * width + 1)
    sizes.scatter_add_(1, labels.flatten(1).long(), mask.flatten(1).float())
    pixels, chosen = sizes.topk(2, dim=1)
    wanted = (pixels > STRAY) & (torch.arange(2) < counts[:, None])
    for _ in range(GROWTH):
        labels = torch.where(labels > 0, labels, _widest(labels))
    regions = (labels[:, None] == chosen[:, :, None, None]) & wanted[:, :, None, None]
    return regions & mask[:, None], regions


def _widest(values: Tensor) -> Tensor:
    """The largest of the 3x3 about each pixel, values [B, H, W] >= 0; max_pool2d takes ten times as long."""
    tall = F.pad(values, (0, 0, 1, 1))
    tall = torch.maximum(torch.maximum(tall[:, :-2], tall[:, 2:]), values)
    wide = F.pad(tall, (1, 1))
    return torch.maximum(torch.maximum(wide[:, :, :-2], wide[:, :, 2:]), tall)


def _own_colours(pictures: Tensor, contrast: Tensor, core: Tensor) -> Tensor:
    """The colour of a thing itself [N, 3]: its pixels with the most contrast, without its blended edge."""
    inner = torch.where(core, contrast, torch.nan).flatten(1)
    full = (inner >= inner.nanquantile(0.7, dim=1, keepdim=True)).float()
    return torch.einsum("ncp,np->nc", pictures.flatten(2), full) / full.sum(1, keepdim=True)


def _unmix(pictures: Tensor, grounds: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
    """Explain pixels as blends of a ground and a colour, both [N, 3].

    Returns the colour's share, 0..1, and the distance from the best blend, both [N, H, W].
    """
    line = (colours - grounds)[:, :, None, None]
    beyond = pictures - grounds[:, :, None, None]
    share = ((beyond * line).sum(1) / line.square().sum(1).clamp(min=1e-6)).clamp(0, 1)
    return share, _length(beyond - share[:, None] * line)


def _colours(pictures: Tensor, grounds: Tensor, own: Tensor, region: Tensor) -> list[str | None]:
    """The object's colour whose blends with the ground explain each region best, if the thing shows it in full."""
    errors, fits = [], []
    for name in COLOURS:
        colour = torch.tensor(PALETTE[name]).expand_as(grounds)
        _, off = _unmix(pictures, grounds, colour)
        invisible = (colour - grounds).norm(dim=1) < NEAR
        errors.append((off.square() * region).flatten(1).sum(1).masked_fill(invisible, math.inf))
        share, off = _unmix(own[:, :, None, None], grounds, colour)
        fits.append((share > FULL).flatten() & (off < NEAR).flatten())
    best = torch.stack(errors).argmin(0)
    fitting = torch.stack(fits).gather(0, best[None])[0]
    return [COLOURS[k] if ok else None for k, ok in zip(best.tolist(), fitting.tolist(), strict=True)]
