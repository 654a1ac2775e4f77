"""A plugin whose nodes show pictures."""

import time

from nodeflow import QUIET, Context, Image, Mask, hook, node


def plain(width, height, grey=0.5, channels=3, batch=1):
    import torch

    return torch.full((batch, channels, height, width), float(grey))


@node(category="showing")
def paints(
    width: int = 8, height: int = 4, grey: float = 0.5, channels: int = 3, count: int = 1, *, ctx: Context = QUIET
) -> Image:
    """Pictures of one grey each, from black on if there are several."""
    pixels = plain(width, height, grey, channels, count)
    for at in range(count if count > 1 else 0):
        pixels[at] = grey * at / (count - 1)
    return Image(pixels)


@node(category="showing")
def covers(image: Image, *, ctx: Context = QUIET) -> Mask:
    """A mask as large as a picture, its left half covered."""
    mask = plain(image.pixels.shape[3], image.pixels.shape[2], 0, 1)
    mask[..., : mask.shape[3] // 2] = 1
    return Mask(mask)


@node(category="showing")
def develops(steps: int = 5, pause: float = 0.05, *, ctx: Context = QUIET) -> int:
    """Shows a picture that gets lighter; gives a number."""
    for step in ctx.steps(range(steps)):
        ctx.preview(Image(plain(16, 16, step / steps)))
        time.sleep(pause)
    return steps


@node(category="showing")
def floods(seconds: float = 1.0, *, ctx: Context = QUIET) -> int:
    """Shows pictures as quickly as it can, and says how many."""
    picture, count, end = Image(plain(64, 64)), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        ctx.preview(picture)
        count += 1
    return count


@node(category="showing")
def odd(*, ctx: Context = QUIET) -> int:
    """Shows a picture without pixels, and one that is not a number."""
    ctx.preview(Image(plain(0, 4)))
    time.sleep(0.3)
    ctx.preview(Image(plain(4, 4, float("nan"))))
    time.sleep(0.3)
    return 1


@hook
def register_nodes():
    """All of them."""
    return [paints, covers, develops, floods, odd]


@hook
def save_value(value, stem, about):
    """Writes pictures without what they carry."""
    if not isinstance(value, Image):
        return None
    from PIL import Image as Picture

    paths = []
    for at, picture in enumerate(value.pixels, 1):
        paths.append(stem.with_name(f"{stem.name}-{at}.png") if len(value.pixels) > 1 else stem.with_suffix(".png"))
        Picture.fromarray(picture.mul(255).byte().permute(1, 2, 0).numpy()).save(paths[-1])
    return paths
