"""Scenes of one or two shapes and the captions that describe them: a world whose truth a program can check."""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Literal

Split = Literal["train", "validation", "test"]
RGB = tuple[float, float, float]

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")

# A name is one colour wherever it stands. All colours lie at least 0.4 apart, or an edge's blend would be ambiguous.
PALETTE: dict[str, RGB] = {
    "red": (0.86, 0.10, 0.12),
    "green": (0.08, 0.58, 0.16),
    "blue": (0.10, 0.22, 0.88),
    "yellow": (1.00, 0.90, 0.10),
    "purple": (0.55, 0.12, 0.72),
    "orange": (0.98, 0.50, 0.06),
    "white": (1.00, 1.00, 1.00),
    "black": (0.04, 0.04, 0.04),
    "grey": (0.52, 0.52, 0.54),
    "pink": (1.00, 0.66, 0.78),
    "cyan": (0.30, 0.84, 0.92),
    "brown": (0.46, 0.29, 0.14),
    "mint": (0.68, 0.95, 0.68),
}
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
BACKGROUNDS = ("white", "black", "yellow", "grey", "pink", "cyan", "brown", "mint")

SIZES: dict[str, float] = {"small": 0.12, "medium": 0.17, "large": 0.235}
SIZE_JITTER = 0.06
PLACES: dict[str, tuple[float, float]] = {
    "top left": (0.27, 0.27),
    "top": (0.5, 0.27),
    "top right": (0.73, 0.27),
    "left": (0.27, 0.5),
    "centre": (0.5, 0.5),
    "right": (0.73, 0.5),
    "bottom left": (0.27, 0.73),
    "bottom": (0.5, 0.73),
    "bottom right": (0.73, 0.73),
}
PLACE_JITTER = 0.035
# Which axis decides (0: x, 1: y), and whether the first thing has the lower coordinate.
RELATIONS: dict[str, tuple[int, bool]] = {
    "above": (1, True),
    "below": (1, False),
    "to the left of": (0, True),
    "to the right of": (0, False),
}
MARGIN = 0.02  # left free at the frame
GAP = 0.05  # left free between two things
PAIR_RADIUS = 0.225  # two large things, margins and gap just fit into the side
PAIR_JITTER = 0.1  # of the coordinate that the relation leaves open

PHRASINGS = 12
_PLACE_PHRASES = {
    name: {"top": "at", "bottom": "at", "left": "on", "right": "on"}.get(name, "in") + f" the {name}" for name in PLACES
}
_FRAME_WORDS = ("a", "an", "at", "background", "in", "on", "the", "with")

WORDS: tuple[str, ...] = tuple(
    sorted(
        {*_FRAME_WORDS, *SHAPES, *PALETTE, *SIZES}
        | {word for phrase in (*PLACES, *RELATIONS) for word in phrase.split()}
    )
)
"""Every word that a caption can hold."""

_ALLOWED = {ground: tuple(colour for colour in COLOURS if colour != ground) for ground in BACKGROUNDS}
_SIZES, _PLACES, _RELATIONS = tuple(SIZES), tuple(PLACES), tuple(RELATIONS)
_DRAWS = struct.Struct("<16I")


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape. x, y (downwards), radius: fractions of the side. place: the grid's cell, of a single thing only."""

    shape: str
    colour: str
    size: str
    x: float
    y: float
    radius: float
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing at a place, or two of which the first stands in a relation to the second."""

    background: str
    things: tuple[Thing, ...]
    relation: str | None = None


def scene(seed: int, index: int, *, objects: Literal[1, 2] | None = None, split: Split = "train") -> Scene:
    """Scene `index` of the endless series `seed`: the same on every machine, whatever was drawn before.

    objects: one thing, two, or (None) either with even odds. split: the combination of names (not the jitter) hashes
    into train (85 %), validation (5 %) or test (10 %), so the full captions of two splits never meet.
    """
    drawn = _draws(seed, index, 0)
    single = objects == 1 if objects is not None else drawn[15] < 0.5
    for attempt in count(1):
        candidate = _single(drawn) if single else _pair(drawn)
        if candidate is not None and split_of(candidate) == split:
            return candidate
        drawn = _draws(seed, index, attempt)
    raise AssertionError("unreachable: count() never ends")


def split_of(scene: Scene) -> Split:
    """The split to which a scene's combination of names belongs."""
    names = [scene.background, scene.relation or ""]
    for thing in scene.things:
        names += (thing.shape, thing.colour, thing.size, thing.place or "")
    return _split_of_names("|".join(names))


@lru_cache(maxsize=1 << 16)
def _split_of_names(names: str) -> Split:
    share = int.from_bytes(hashlib.blake2b(names.encode(), digest_size=4).digest(), "little") / 2**32
    return "test" if share < 0.10 else "validation" if share < 0.15 else "train"


def _draws(seed: int, index: int, attempt: int) -> list[float]:
    """16 uniform numbers in 0..1 from a hash of the counter: no generator's state, no library's version."""
    digest = hashlib.blake2b(struct.pack("<qqq", seed, index, attempt)).digest()
    return [value / 2**32 for value in _DRAWS.unpack(digest)]


def _pick(names: Sequence[str], u: float) -> str:
    return names[int(u * len(names))]


def _radius(size: str, u: float) -> float:
    return SIZES[size] * (1 + SIZE_JITTER * (2 * u - 1))


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _single(u: list[float]) -> Scene:
    background = _pick(BACKGROUNDS, u[0])
    size, place = _pick(_SIZES, u[1]), _pick(_PLACES, u[2])
    radius = _radius(size, u[3])
    room = radius + MARGIN
    x, y = (
        _within(centre + PLACE_JITTER * (2 * jitter - 1), room, 1 - room)
        for centre, jitter in zip(PLACES[place], u[4:6], strict=True)
    )
    thing = Thing(_pick(SHAPES, u[6]), _pick(_ALLOWED[background], u[7]), size, x, y, radius, place)
    return Scene(background, (thing,))


def _pair(u: list[float]) -> Scene | None:
    """Two things on two halves; None where they differ in size at most, as no relation would tell them apart."""
    background, relation = _pick(BACKGROUNDS, u[0]), _pick(_RELATIONS, u[1])
    axis, first_is_lower = RELATIONS[relation]
    things = []
    for lower, draws in ((first_is_lower, u[2:8]), (not first_is_lower, u[8:14])):
        size = _pick(_SIZES, draws[2])
        radius = min(_radius(size, draws[3]), PAIR_RADIUS)
        along = _within(0.27 + PLACE_JITTER * (2 * draws[4] - 1), radius + MARGIN, 0.5 - GAP / 2 - radius)
        along = along if lower else 1 - along
        across = 0.5 + PAIR_JITTER * (2 * draws[5] - 1)
        x, y = (along, across) if axis == 0 else (across, along)
        things.append(Thing(_pick(SHAPES, draws[0]), _pick(_ALLOWED[background], draws[1]), size, x, y, radius))
    first, second = things
    if (first.shape, first.colour) == (second.shape, second.colour):
        return None
    return Scene(background, (first, second), relation)


def caption(scene: Scene, *, variant: int | None = None) -> str:
    """The scene in words.

    variant: None gives the full caption; an integer one of PHRASINGS (12, counted round), most with something left out:
    the background stands last, first or nowhere; sizes (and a single thing's place) stand or not. Colours, shapes and
    the relation always stand.
    """
    ground, kept = divmod((variant or 0) % PHRASINGS, 4)
    first, *rest = scene.things
    text = _name(first, sized=not kept & 1)
    if rest:
        text += f" {scene.relation} {_name(rest[0], sized=not kept & 2)}"
    elif first.place is not None and not kept & 2:
        text += f" {_PLACE_PHRASES[first.place]}"
    if ground == 0:
        return f"{text} on a {scene.background} background"
    return f"{scene.background} background with {text}" if ground == 1 else text


def _name(thing: Thing, *, sized: bool) -> str:
    words = f"{thing.size} {thing.colour} {thing.shape}" if sized else f"{thing.colour} {thing.shape}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
