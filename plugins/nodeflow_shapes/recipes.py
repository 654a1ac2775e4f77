"""Scenes as a list and as a data set: descriptions of a few numbers, drawn when they are needed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nodeflow import Dataset
from nodeflow_shapes.regions import QUESTIONS, regions
from nodeflow_shapes.render import render
from nodeflow_shapes.scenes import PHRASINGS, WORDS, Scene, Split, caption, scene

Objects = Literal["one", "two", "any"]
_COUNTS: dict[Objects, Literal[1, 2] | None] = {"one": 1, "two": 2, "any": None}


@dataclass(frozen=True)
class Scenes:
    """`count` scenes of the series `seed`, from index `start`; seed, index, objects and split decide each alone."""

    seed: int
    start: int
    count: int
    split: Split
    objects: Objects

    def all(self) -> list[Scene]:
        """The scenes themselves."""
        return self.part(0, self.count)

    def part(self, start: int, stop: int) -> list[Scene]:
        """Scenes start .. stop - 1 of them, counted round."""
        objects = _COUNTS[self.objects]
        places = (self.start + place % self.count for place in range(start, stop))
        return [scene(self.seed, index, objects=objects, split=self.split) for index in places]


@dataclass(frozen=True)
class SceneDataset(Dataset):
    """Scenes as pictures and captions, in the order of the series."""

    scenes: Scenes
    size: int = 64

    @property
    def words(self) -> tuple[str, ...]:
        return WORDS

    @property
    def answers(self) -> Mapping[str, tuple[str, ...]]:
        return QUESTIONS

    @property
    def notes(self) -> Mapping[str, Any]:
        held = self.scenes
        return {
            "data": "captioned scenes rendered by nodeflow_shapes",
            "data_seed": held.seed,
            "split": held.split,
            "objects": held.objects,
            "different_pictures": held.count,
            "picture_size": self.size,
        }

    def assemble(self, load: object) -> "SceneBatches":
        del load  # scenes are drawn, not read
        return SceneBatches(self.scenes, self.size)


@dataclass(frozen=True)
class SceneBatches:
    """A SceneDataset, loaded."""

    scenes: Scenes
    size: int

    @property
    def count(self) -> int:
        return self.scenes.count

    def batch(self, step: int, size: int) -> dict[str, Any]:
        """Pictures, full captions, all phrasings and regions of scenes step * size .. step * size + size - 1."""
        drawn = self.scenes.part(step * size, (step + 1) * size)
        phrasings = [[caption(one, variant=variant) for variant in (None, *range(PHRASINGS))] for one in drawn]
        captions = [said[0] for said in phrasings]
        cells = math.gcd(self.size, 8)
        return {
            "pictures": render(drawn, self.size),
            "captions": captions,
            "phrasings": phrasings,
            "regions": regions(drawn, self.size, cells),
        }
