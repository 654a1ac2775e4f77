"""The graphs that come with nodeflow: to begin with, and as a measure of what is used most. No Qt."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

PLACES = (Path(__file__).with_name("examples"), Path(__file__).parents[2] / "graphs")
"""Where they are: in an installation, in a checkout."""
FIRST = ("text_to_image", "image_to_image", "inpaint", "gallery", "interpolate", "unconditional")
"""Those that are shown to begin with: they run as they are, in seconds, and each shows something else."""


@dataclass(frozen=True, slots=True)
class Example:
    """A graph that comes with nodeflow. `group` is its folder, empty for those that run as they are."""

    file: Path
    title: str
    group: str
    picture: Path | None
    """What it made, where that is shown beside it."""

    @property
    def help(self) -> str:
        """A sentence about it."""
        name = f"{self.file.parent.name}/{self.file.name}" if self.group else self.file.name
        return name if self.group else f"{name}: runs as it is, by the models that come with nodeflow"


def folder() -> Path | None:
    """Where the examples are; None if they did not come along."""
    return next((place for place in PLACES if place.is_dir()), None)


@lru_cache(maxsize=1)
def examples(place: Path) -> tuple[Example, ...]:
    """The examples of a folder: first those to begin with, then those that run as they are, then by folder."""
    found = []
    for file, data in _read(place):
        picture = file.with_suffix(".png")
        group = "" if file.parent == place else file.parent.name.replace("_", " ")
        title = data.get("title")
        found.append(Example(file, title if isinstance(title, str) and title else file.stem, group,
                             picture if picture.is_file() else None))  # fmt: skip
    return tuple(sorted(found, key=lambda one: (one.group, _rank(one), one.title)))


def _rank(example: Example) -> int:
    return FIRST.index(example.file.stem) if not example.group and example.file.stem in FIRST else len(FIRST)


@lru_cache(maxsize=1)
def common(place: Path | None) -> Mapping[str, int]:
    """How often each type of node stands in the examples: what newcomers are likely to look for."""
    if place is None:
        return {}
    nodes = (node for _, data in _read(place) for node in data["nodes"].values())
    return Counter(node["type"] for node in nodes if isinstance(node, dict) and isinstance(node.get("type"), str))


def _read(place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted((*place.glob("*.json"), *place.glob("*/*.json"))):
        with suppress(OSError, ValueError):
            data = json.loads(file.read_text("utf-8"))
            if isinstance(data, dict) and isinstance(data.get("nodes"), dict):
                yield file, data
