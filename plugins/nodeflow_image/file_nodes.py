"""Pictures from files and into files."""

from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from pydantic import Field

from nodeflow import QUIET, Context, Image, Mask, SavedFile, Ui, file_identity, node
from nodeflow_image.channels import split
from nodeflow_image.pictures import endings, read_picture, shape_of, write_png


class Loaded(NamedTuple):
    image: Image
    mask: Mask


def _content(path: Path) -> str:
    return file_identity(path)


def _header(path: Path) -> Loaded:
    pixels = torch.empty(shape_of(path))
    return Loaded(Image(pixels), Mask(torch.empty_like(pixels[:, :1])))


@node(category="image/file", identity=_content, forecast=_header)
def load(path: Annotated[Path, Ui("file")], *, ctx: Context = QUIET) -> Loaded:
    """Load a picture from a file, upright, and its transparency as a mask.

    Reads PNG, JPEG, WebP, TIFF, BMP, GIF (the first frame) and PPM. Grey stays grey, alpha stays in the picture
    (flatten lays it on a colour), and the mask covers what is opaque: everything, if the file has no alpha.

    Args:
        path: the file, in a folder that this run may read.
    """
    pixels = read_picture(ctx.read(path))
    alpha = split(pixels)[1]
    return Loaded(Image(pixels), Mask(torch.ones_like(pixels[:, :1]) if alpha is None else alpha.clone()))


@node(category="image/file", effect=True)
def save(
    image: Image, name: Annotated[str, Field(min_length=1, max_length=200)] = "picture", *, ctx: Context = QUIET
) -> list[SavedFile]:
    """Save pictures as PNG files that carry the graph they were made by.

    One picture becomes name.png, several name-00.png, name-01.png and so on. A file of that name is replaced.

    Args:
        image: the picture, or a batch of pictures.
        name: the file's name below the output folder; "cats/one" makes a folder.
    """
    stem = name.removesuffix(".png")
    paths = [ctx.write(f"{stem}{ending}") for ending in endings(len(image.pixels))]
    for path, picture in zip(paths, image.pixels, strict=True):
        write_png(path, picture, ctx.about)
    return [SavedFile.at(path) for path in paths]


NODES = (load, save)
