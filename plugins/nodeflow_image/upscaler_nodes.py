"""Pictures made larger by a network."""

from typing import Annotated

from pydantic import Field

from nodeflow import QUIET, Context, Image, Ui, Upscaler, checkpoint_identity, expecting, find_checkpoint, node
from nodeflow_image import sizes
from nodeflow_image.channels import joined, split, with_channels
from nodeflow_image.resampling import resized
from nodeflow_image.upscaler_recipes import Precision, UpscalerModel


def _identity(model: str) -> str:
    return checkpoint_identity(find_checkpoint(model))


@node(category="image/size", title="Load upscaler", identity=_identity)
def load_upscaler(
    model: Annotated[str, Ui("model")], precision: Precision = "fp32", *, ctx: Context = QUIET
) -> Upscaler:
    """Choose a network that makes pictures larger: an ESRGAN or a Real-ESRGAN.

    Its weights are read when a picture is made larger with it.

    Args:
        model: a safetensors file in a model folder; how many times as large it makes pictures, its tensors tell.
        precision: of its weights and activations. fp16 needs a GPU.
    """
    with expecting(find_checkpoint(model, ctx), "esrgan"):
        return UpscalerModel.named(model, precision, ctx)


@node(category="image/size", title="Upscale")
def upscale_with(
    upscaler: Upscaler,
    image: Image,
    tile: Annotated[int, Field(ge=64, le=8192)] = 512,
    overlap: Annotated[int, Field(ge=0, le=4096)] = 32,
    *,
    ctx: Context = QUIET,
) -> Image:
    """Make pictures larger by a network, which invents detail; image.resize then brings them to any size.

    Grey pictures become coloured ones. What is transparent is made larger without a network.

    Args:
        upscaler: which network; it says how many times as large.
        image: the picture or batch.
        tile: large pictures go through in squares of so many pixels; smaller ones take less memory.
        overlap: pixels that neighbouring squares share at least, where one fades into the other; too few show seams.
    """
    if overlap >= tile:
        raise ValueError(f"tiles of {tile} cannot share {overlap} pixels\n    choose an overlap smaller than the tile")
    colour, alpha = split(image.pixels)
    high, wide = (side * upscaler.scale for side in colour.shape[-2:])
    sizes.bounded(wide, high)
    larger = ctx.load(upscaler)(with_channels(colour, 3), tile, overlap, ctx.steps)
    return Image(joined(larger, None if alpha is None else resized(alpha, wide, high, "bicubic").clamp(0, 1)))


NODES = (load_upscaler, upscale_with)
