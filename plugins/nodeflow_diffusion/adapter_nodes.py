"""What changes a published denoiser by a file beside it: LoRA and ControlNet."""

from typing import Annotated

import torch
from pydantic import Field

from nodeflow import (
    QUIET,
    Context,
    Denoiser,
    Image,
    Patch,
    Ui,
    checkpoint_identity,
    expecting,
    find_checkpoint,
    node,
)
from nodeflow_diffusion.adapter_recipes import controlled, patched, within
from nodeflow_diffusion.control_recipes import PART, Control, ControlModel

Strength = Annotated[float, Field(ge=-10, le=10), Ui("slider")]
Share = Annotated[float, Field(ge=0, le=1), Ui("slider")]


def _adapter(model: str) -> str:
    return checkpoint_identity(find_checkpoint(model))


def _controlnet(model: str) -> str:
    return checkpoint_identity(find_checkpoint(model, part=PART))


@node(category="diffusion/model", title="LoRA", identity=_adapter)
def lora(
    denoiser: Denoiser, model: Annotated[str, Ui("model")], strength: Strength = 1.0, *, ctx: Context = QUIET
) -> Denoiser:
    """Change what a denoiser has learnt by a small file that was trained on top of it (LoRA, LoCon, DoRA).

    Any number may follow each other; their order does not matter. A file's part for the text encoder is the matter of
    text.lora. The denoiser itself stays as it is for whoever else uses it.

    Args:
        denoiser: a Stable Diffusion, with or without texts bound to it.
        model: a safetensors file in a model folder, as kohya, PEFT, diffusers or ComfyUI name its tensors.
        strength: 1 as it was trained, 0 without; beyond 1 more of it, below 0 the opposite.
    """
    with expecting(find_checkpoint(model, ctx), "lora"):
        return patched(denoiser, Patch.named(model, strength, ctx))


@node(category="diffusion/guidance", title="ControlNet", identity=_controlnet)
def control(
    denoiser: Denoiser,
    image: Image,
    model: Annotated[str, Ui("model")],
    strength: Annotated[float, Field(ge=0, le=10), Ui("slider")] = 1.0,
    start: Share = 1.0,
    stop: Share = 0.0,
    *,
    ctx: Context = QUIET,
) -> Denoiser:
    """Let a picture of edges, depth, poses or the like say where things shall be (ControlNet).

    Any number may follow each other; what they say adds up.

    Args:
        denoiser: a Stable Diffusion, with or without texts bound to it.
        image: what the ControlNet was trained to see, of the size of the pictures to be made: one for all or one each.
        model: a ControlNet for this kind of denoiser: a file or a diffusers folder, in a model folder.
        strength: 1 as it was trained, 0 without.
        start: the share of noise at which it sets in; 1 is from the beginning.
        stop: the share of noise at which it ends; 0 is to the end.
    """
    if stop > start:
        raise ValueError(f"control stops at noise {stop:g} before it starts at {start:g}\n    noise falls from 1 to 0")
    inner = within(denoiser, "a ControlNet")
    with expecting(find_checkpoint(model, ctx, PART), "controlnet"):
        chosen = ControlModel.named(model, inner.network.outline().config, inner.execution, ctx)
    if strength == 0:
        return denoiser
    return controlled(denoiser, Control(chosen, _seen(image), strength, start, stop))


def _seen(image: Image) -> torch.Tensor:
    if image.pixels.shape[1] == 4:
        raise ValueError("the picture has an alpha channel\n    flatten it first (image.flatten)")
    return image.pixels.expand(-1, 3, -1, -1)


ADAPTER_NODES = (lora, control)
