"""Denoisers loaded, conditioned and guided, and the latents they work on."""

from typing import Annotated

import torch
from nodeflow_shapes.shipped import DENOISER
from pydantic import Field

from nodeflow import (
    QUIET,
    Context,
    Denoiser,
    Latent,
    Mask,
    TextEmbedding,
    Ui,
    node,
    weights_identity,
)
from nodeflow_diffusion.masks import masked_cells
from nodeflow_diffusion.recipes import Conditioned, Guided, LatentDenoiser, Masked, joined, same_space

Unit = Annotated[float, Field(ge=0, le=1), Ui("slider")]


@node(category="diffusion/model", title="Load denoiser", identity=weights_identity)
def load(model: Annotated[str, Ui("model")] = DENOISER, *, ctx: Context = QUIET) -> Denoiser:
    """Choose a denoising network. Its weights are read when something is sampled with it.

    Args:
        model: "plugin:name" for weights that a plugin ships, or a safetensors file in a model folder.
    """
    return LatentDenoiser.named(model, ctx)


@node(category="diffusion/guidance")
def condition(denoiser: Denoiser, embedding: TextEmbedding) -> Denoiser:
    """Bind a text to a denoiser: what it makes will be what the text says.

    Args:
        denoiser: the denoiser.
        embedding: one text for all pictures of a batch, or one for each.
    """
    return Conditioned(denoiser, embedding)


@node(category="diffusion/guidance")
def guide(
    denoiser: Denoiser,
    positive: TextEmbedding,
    negative: TextEmbedding,
    scale: Annotated[float, Field(ge=0, le=100), Ui("slider")] = 2.0,
    rescale: Unit = 0.0,
    start: Unit = 1.0,
    stop: Unit = 0.0,
) -> Denoiser:
    """Follow a text more closely than the denoiser would by itself (classifier-free guidance).

    Each step compares what the denoiser makes of the two texts, and goes further in that direction.

    Args:
        denoiser: the denoiser.
        positive: what to make; one text for all pictures of a batch, or one for each.
        negative: what to move away from; an empty text for nothing in particular.
        scale: how far; 1 follows the positive text alone, 0 the negative one, and too much makes colours garish.
        rescale: how much of the contrast that guidance adds is taken back.
        start: the share of noise at which guidance sets in; 1 is from the beginning.
        stop: the share of noise at which guidance ends; 0 is to the end.
    """
    if stop > start:
        raise ValueError(f"guidance stops at noise {stop:g} before it starts at {start:g}\n    noise falls from 1 to 0")
    joined(positive, negative)
    return Guided(denoiser, positive, negative, scale, rescale, start, stop)


@node(category="diffusion/guidance")
def inpaint(denoiser: Denoiser, latent: Latent, mask: Mask) -> Denoiser:
    """Make a denoiser paint only where a mask covers; the rest of the picture stays.

    Latents have coarse cells: every cell that the mask touches is painted. To keep the pixels beside it as well, blend
    the result with the picture by the same mask.

    Args:
        denoiser: the denoiser.
        latent: the picture to paint into, encoded.
        mask: where to paint, in pixels of the picture.
    """
    same_space(latent, denoiser)
    return Masked(denoiser, latent.samples, masked_cells(mask.coverage, latent.samples, latent.space.factor))


@node(category="diffusion/latent")
def empty(
    denoiser: Denoiser,
    width: Annotated[int, Field(ge=8, le=8192)] = 64,
    height: Annotated[int, Field(ge=8, le=8192)] = 64,
    count: Annotated[int, Field(ge=1, le=1024)] = 1,
) -> Latent:
    """Make the latents of empty pictures, to sample new pictures into.

    Args:
        denoiser: says in which space the latents live.
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.
        count: how many pictures are made in one batch.
    """
    space = denoiser.space
    if space.side and (width, height) != (space.side, space.side):
        raise ValueError(
            f"{space} makes pictures of {space.side} x {space.side}, not of {width} x {height}\n"
            f"    ask for {space.side} x {space.side} and resize the result (image.resize)"
        )
    if width % space.factor or height % space.factor:
        raise ValueError(
            f"a picture of {width} x {height} cannot be cut into cells of {space.factor} pixels\n"
            f"    ask for multiples of {space.factor}"
        )
    shape = (count, space.channels, height // space.factor, width // space.factor)
    return Latent(torch.zeros(1).expand(shape), space)


NODES = (load, condition, guide, inpaint, empty)
