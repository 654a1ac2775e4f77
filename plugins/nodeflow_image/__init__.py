"""Pictures in and out, sized, framed, masked, blended and measured."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from nodeflow import Image, Mask, Table, hook
from nodeflow_image import colour_nodes, file_nodes, layout_nodes, mask_nodes, upscaler_nodes
from nodeflow_image.pictures import endings, png_bytes, write_whole


@hook
def register_nodes() -> Sequence[Callable[..., Any]]:
    """All nodes of this plugin."""
    modules = (file_nodes, layout_nodes, colour_nodes, mask_nodes, upscaler_nodes)
    return [function for module in modules for function in module.NODES]


@hook
def save_value(value: object, stem: Path, about: str) -> Sequence[Path] | None:
    """Writes pictures and masks as PNG with the graph inside, a table as CSV, a text as a text file."""
    paths = []
    for ending, data in _files(value, about):
        paths.append(stem.with_name(stem.name + ending))
        stem.parent.mkdir(parents=True, exist_ok=True)
        write_whole(paths[-1], data)
    return tuple(paths) or None


def _files(value: object, about: str) -> Iterator[tuple[str, bytes]]:
    """What is to be written, and the ending of each file's name; nothing for a value of another kind."""
    if isinstance(value, Table):
        yield ".csv", _csv(value).encode()
    elif isinstance(value, str):
        yield ".txt", value.encode()
    else:
        pictures = _pictures(value)
        for ending, picture in zip(endings(len(pictures)), pictures, strict=True):
            yield ending, png_bytes(picture, about)


def _pictures(value: object) -> list[Tensor]:
    """The pictures [C, H, W] that a value holds, if it is made of pictures and nothing else."""
    if isinstance(value, Image | Mask):
        return list(value.pixels if isinstance(value, Image) else value.coverage)
    if isinstance(value, list) and all(isinstance(item, Image) for item in value):
        return [picture for image in value for picture in image.pixels]
    return []


def _csv(table: Table) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.columns, *table.rows])
    return text.getvalue()
