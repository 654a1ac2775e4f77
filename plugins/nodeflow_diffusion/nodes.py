"""Denoisers loaded, conditioned and guided, and the latents they work on."""

from typing import Annotated, Literal

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
from nodeflow_diffusion.execution import Execution, Precision, Storage, fastest_precision
from nodeflow_diffusion.masks import masked_cells
from nodeflow_diffusion.recipes import Conditioned, Guided, LatentDenoiser, Masked, run_as, same_space
from nodeflow_diffusion.text_recipes import joined, same_text_space

Unit = Annotated[float, Field(ge=0, le=1), Ui("slider")]
Scale = Annotated[float, Field(ge=0, le=100), Ui("slider")]


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
    same_text_space(embedding, denoiser)
    return Conditioned(denoiser, embedding)


@node(category="diffusion/guidance")
def guide(
    denoiser: Denoiser,
    positive: TextEmbedding,
    negative: TextEmbedding,
    scale: Scale = 2.0,
    rescale: Unit = 0.0,
    start: Unit = 1.0,
    stop: Unit = 0.0,
    scales: Annotated[list[Scale], Field(max_length=1000)] | None = None,
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
        scales: in place of one scale, several from full noise to none, evenly spread; lines between.
    """
    if stop > start:
        raise ValueError(f"guidance stops at noise {stop:g} before it starts at {start:g}\n    noise falls from 1 to 0")
    same_text_space(positive, denoiser, "positive")
    same_text_space(negative, denoiser, "negative")
    joined(positive, negative)
    return Guided(denoiser, positive, negative, scale, rescale, start, stop, tuple(scales or ()))


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


def computed_in(precision: Precision | Literal["auto"]) -> Precision:
    """The precision that is meant: part of the result's name, since results of another are not the same to the bit."""
    return fastest_precision() if precision == "auto" else precision


@node(category="diffusion/model", identity=computed_in)
def execution(
    denoiser: Denoiser,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    channels_last: Literal["auto", "on", "off"] = "auto",
    compile: bool = False,  # noqa: A002 # the name that torch gives it
    capture: bool = True,
    batch_guidance: bool = True,
    read_once: bool = True,
    storage: Storage = "same",
) -> Denoiser:
    """Choose how a denoiser's network is run: faster, or in less memory. Without this node it is run in fp32.

    Only precision and storage change the picture, and that little; docs/execution.md has figures for all of it.

    Args:
        denoiser: with or without texts bound to it.
        precision: of the network's numbers; the sampler's own are fp32 always. auto is bf16 where this computer's
            default device is known to be faster with it (GPUs from Ampere on, CPUs with AMX or AVX512-bf16), else fp32.
        channels_last: memory layout of convolutions; auto is what is faster on the device.
        compile: by torch.compile. The first step of each size takes a minute or more, so it is for long runs.
        capture: on a GPU, record a step as a graph and replay it. Elsewhere without effect.
        batch_guidance: both texts of a guidance in one pass; off takes two passes and less memory.
        read_once: keys and values of a text computed once for all steps; off computes them in each, and keeps none.
        storage: of weights in memory; fp8 holds those of layers in half the bytes of bf16, slower and less exact.
    """
    layout = None if channels_last == "auto" else channels_last == "on"
    chosen = Execution(computed_in(precision), layout, compile, capture, batch_guidance, read_once, storage)
    return run_as(denoiser, chosen)


NODES = (load, execution, condition, guide, inpaint, empty)
