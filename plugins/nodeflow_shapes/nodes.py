"""Captioned scenes, their pictures, and the oracle's judgement."""

from dataclasses import fields
from typing import Annotated, NamedTuple

from pydantic import Field

from nodeflow import Dataset, Image, Seed, Table, node
from nodeflow_shapes.oracle import Verdict, summary
from nodeflow_shapes.oracle import judge as judged
from nodeflow_shapes.recipes import Objects, SceneDataset, Scenes
from nodeflow_shapes.render import render as rendered
from nodeflow_shapes.scenes import Split, caption

Index = Annotated[int, Field(ge=0, le=2**53 - 1)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Side = Annotated[int, Field(ge=8, le=1024)]


class Drawn(NamedTuple):
    image: Image
    caption: str
    scenes: Scenes


class Captioned(NamedTuple):
    captions: list[str]
    scenes: Scenes
    total: int


class Judged(NamedTuple):
    table: Table
    passed: float


class Shown(NamedTuple):
    image: Image
    captions: list[str]
    verdicts: list[str]


@node(category="shapes", title="Scene")
def scene(index: Index = 0, objects: Objects = "any", split: Split = "test", size: Side = 64, seed: Seed = 0) -> Drawn:
    """Draw one scene of simple shapes: its picture, its caption, and its description for the oracle.

    Args:
        index: which scene of the series.
        objects: one thing at a place, two things in a relation, or either.
        split: the part of all combinations it is drawn from; the shipped weights have learnt from "train" alone.
        size: side of the picture in pixels.
        seed: which series; a scene is the same on every machine.
    """
    scenes = Scenes(seed, index, 1, split, objects)
    held = scenes.all()
    return Drawn(Image(rendered(held, size)), caption(held[0]), scenes)


@node(category="shapes", title="Captions")
def captions(
    count: Count = 16, split: Split = "test", objects: Objects = "any", seed: Seed = 11, start: Index = 0
) -> Captioned:
    """Prompts whose truth the oracle can check: full captions of scenes, and the scenes they describe.

    Args:
        count: how many; given on as total, for nodes that want to be told.
        split: test and validation hold combinations of words that no training caption had.
        objects: one thing at a place, two things in a relation, or either.
        seed: which series of scenes.
        start: index of the first.
    """
    scenes = Scenes(seed, start, count, split, objects)
    return Captioned([caption(one) for one in scenes.all()], scenes, count)


@node(category="shapes", title="Render scenes")
def render(scenes: Scenes, size: Side = 64) -> Image:
    """Draw the pictures that scenes describe, one batch.

    Args:
        scenes: from captions, or from scene.
        size: side of the pictures in pixels.
    """
    bytes_wanted = scenes.count * 3 * size * size * 4
    if bytes_wanted > 2**32:
        raise ValueError(
            f"{scenes.count} pictures of {size} pixels need {bytes_wanted / 2**30:.0f} GiB\n"
            "    draw fewer at a time (count), or smaller (size)"
        )
    return Image(rendered(scenes.all(), size))


@node(category="shapes", title="Judge")
def judge(image: Image, scenes: Scenes) -> Judged:
    """Compare pictures with the scenes they should show: the oracle reads each and answers every question by itself.

    Colour, shape and size of two things hold if they hold for both; position is the place of one thing or the
    relation of two; clean means that nothing else is drawn. The table gives the share of right pictures in percent,
    the other output its last row: everything right.

    Args:
        image: as many RGB pictures as there are scenes, in their order; larger ones are read at 64 pixels.
        scenes: what they should show.
    """
    shares = {name: round(share, 2) for name, share in summary(_verdicts(image, scenes)).items()}
    title = f"{scenes.count} pictures, {scenes.objects} object{'s' if scenes.objects == 'two' else ''}"
    return Judged(Table(title, ("question", "right, %"), tuple(shares.items())), shares["all"])


@node(category="shapes", title="Examples")
def examples(image: Image, scenes: Scenes, count: Count = 16, wrong_first: bool = False) -> Shown:
    """Choose some of the pictures that were judged, to look at them: with their captions, and what is wrong.

    Args:
        image: as many RGB pictures as there are scenes, in their order.
        scenes: what they should show.
        count: how many to choose; all, if there are fewer.
        wrong_first: begin with those that are wrong, instead of in order.
    """
    wrong = [
        ", ".join(field.name for field in fields(verdict) if not getattr(verdict, field.name))
        for verdict in _verdicts(image, scenes)
    ]
    verdicts = [f"wrong: {names}" if names else "right" for names in wrong]
    order = sorted(range(len(verdicts)), key=lambda place: wrong_first and verdicts[place] == "right")[:count]
    held = scenes.all()
    captions = [caption(held[place]) for place in order]
    return Shown(Image(image.pixels[order]), captions, [verdicts[place] for place in order])


def _verdicts(image: Image, scenes: Scenes) -> list[Verdict]:
    pictures = image.pixels
    if pictures.shape[1] != 3:
        raise ValueError(f"the oracle reads RGB, but the pictures have {pictures.shape[1]} channels")
    if len(pictures) != scenes.count:
        raise ValueError(f"{len(pictures)} pictures but {scenes.count} scenes\n    make one picture for each caption")
    return judged(pictures, scenes.all())


@node(category="train/data", title="Scenes data set")
def dataset(
    count: Annotated[int, Field(ge=1, le=2**40)] = 100_000,
    split: Split = "train",
    objects: Objects = "any",
    size: Side = 64,
    seed: Seed = 0,
) -> Dataset:
    """Captioned scenes to learn from, rendered as they are needed.

    Args:
        count: different scenes; afterwards they come round again.
        split: "train" for training; nothing that is judged on should be learnt from.
        objects: one thing at a place, two things in a relation, or either with even odds.
        size: side of the pictures in pixels.
        seed: which series of scenes.
    """
    return SceneDataset(Scenes(seed, 0, count, split, objects), size)


NODES = (scene, captions, render, judge, examples, dataset)
