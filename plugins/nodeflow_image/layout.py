"""Where pictures stand: cut out, framed, turned, and laid side by side."""

import math
from collections.abc import Sequence

import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from torch import Tensor

from nodeflow_image.channels import luma, to_common
from nodeflow_image.sizes import bounded, size_of


def cropped(picture: Tensor, left: int, top: int, width: int, height: int) -> Tensor:
    """Cut [B, C, height, width] out of a picture, its corner at (left, top).

    Raises:
        ValueError: the cut reaches beyond the picture.
    """
    if left + width > picture.shape[3] or top + height > picture.shape[2]:
        raise ValueError(
            f"a cut of {width} x {height} at ({left}, {top}) leaves the picture, which is {size_of(picture)}\n"
            "    make it smaller or move it, or pad the picture first"
        )
    return picture[:, :, top : top + height, left : left + width].contiguous()


def padded(picture: Tensor, sides: tuple[int, int, int, int], paint: Tensor) -> Tensor:
    """Surround a picture by (left, top, right, bottom) pixels of one paint [1, 1 or 3, 1, 1], which is opaque."""
    left, top, right, bottom = sides
    picture, paint = to_common([picture, paint])
    height, width = picture.shape[2:]
    bounded(left + width + right, top + height + bottom)
    framed = paint.repeat(len(picture), 1, top + height + bottom, left + width + right)
    framed[:, :, top : top + height, left : left + width] = picture
    return framed


def extended(picture: Tensor, sides: tuple[int, int, int, int], *, mirror: bool) -> Tensor:
    """Surround a picture by (left, top, right, bottom) pixels of its own: its border's, or its mirror image.

    The mirror does not repeat the border pixel, and goes to and fro where it is wider than the picture.
    """
    left, top, right, bottom = sides
    bounded(left + picture.shape[3] + right, top + picture.shape[2] + bottom)
    for dim, before, after in ((3, left, right), (2, top, bottom)):
        size = picture.shape[dim]
        index = torch.arange(-before, size + after, device=picture.device)
        if mirror and size > 1:
            index = (index + size - 1).remainder(2 * size - 2).sub(size - 1).abs()
        picture = picture.index_select(dim, index.clamp(0, size - 1))
    return picture


def turned(picture: Tensor, degrees: int) -> Tensor:
    """Turn clockwise by a multiple of 90 degrees."""
    return torch.rot90(picture, -degrees // 90, dims=(2, 3)).contiguous()


def grid(
    pictures: Sequence[Tensor], columns: int, gap: int, paint: Tensor, captions: Sequence[str] | None = None
) -> Tensor:
    """Lay pictures out in rows: [1, C, H, W]. Each of a batch counts; columns 0 makes the sheet square-ish.

    pictures: [B, C, H, W] of one size. gap: pixels between them. paint: the ground, [1, 1 or 3, 1, 1].

    Raises:
        ValueError: no pictures, differing sizes, captions for some only, or the sheet is too large.
    """
    cells = [batch[place : place + 1] for batch in stacked(pictures, "the grid") for place in range(len(batch))]
    if captions and len(captions) != len(cells):
        raise ValueError(
            f"{len(cells)} pictures but {len(captions)} captions\n    give one for each (it may be empty), or none"
        )
    columns = min(columns or math.ceil(math.sqrt(len(cells))), len(cells))
    rows = math.ceil(len(cells) / columns)
    paint, *cells = to_common([paint.to(cells[0].device), *cells])
    height, width = cells[0].shape[2:]
    points = min(max(height // 16, 10), 32)
    strip = 2 * points if captions else 0
    across, down = width + gap, height + strip + gap
    bounded(columns * across - gap, rows * down - gap)
    sheet = paint.repeat(1, 1, rows * down - gap, columns * across - gap)
    ink = (luma(paint[:, :3]) < 0.5).to(paint).expand(-1, 3 if paint.shape[1] > 1 else 1, -1, -1)
    for place, cell in enumerate(cells):
        top, left = place // columns * down, place % columns * across
        sheet[:, :, top : top + height, left : left + width] = cell
        if captions:
            under = sheet[:, : ink.shape[1], top + height : top + height + strip, left : left + width]
            letters = lettered(captions[place], width, strip, points).to(under)
            under.lerp_(ink.expand_as(under), letters.expand_as(under))
    return sheet


def stacked(pictures: Sequence[Tensor], name: str) -> list[Tensor]:
    """Pictures [B, C, H, W] brought to common channels.

    Raises:
        ValueError: there are none, or their sizes differ.
    """
    if not pictures:
        raise ValueError(f"{name} is empty\n    wire one picture or more into it")
    first = pictures[0]
    for place, picture in enumerate(pictures):
        if picture.shape[2:] != first.shape[2:]:
            raise ValueError(
                f"{name} needs pictures of one size, but the first is {size_of(first)} "
                f"and number {place + 1} is {size_of(picture)}\n    resize, crop or pad them first"
            )
    return to_common(pictures)


def lettered(text: str, width: int, height: int, points: int) -> Tensor:
    """How much ink each pixel of a line of text takes: [1, 1, height, width], 0..1. What is too long is cut."""
    font = ImageFont.load_default(points)
    text = " ".join(text.split())[:width]
    shown = text
    while text and font.getlength(shown) > width:
        text = text[:-1]
        shown = text.rstrip() + "…"
    line = Pillow.new("L", (width, height))
    ImageDraw.Draw(line).text((width / 2, height / 2), shown if text else "", fill=255, font=font, anchor="mm")
    ink = torch.frombuffer(bytearray(line.tobytes()), dtype=torch.uint8)
    return ink.reshape(1, 1, height, width).to(torch.float32) / 255
