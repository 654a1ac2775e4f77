"""How a published text encoder reads prompts, changed after it was loaded."""

from typing import Annotated

from pydantic import Field

from nodeflow import TextEncoder, node
from nodeflow_text.adapter_recipes import reread
from nodeflow_text.chunks import Emphasis


@node(category="text", title="Way of reading")
def reading(
    encoder: TextEncoder, skip: Annotated[int, Field(ge=0, le=100)] | None = None, emphasis: Emphasis = "mean"
) -> TextEncoder:
    """Choose how the text encoder of a whole model reads prompts; text.load_clip has the same choices of its own.

    Args:
        encoder: a CLIP, or both of SDXL joined.
        skip: layers at the end that are left out; "clip skip 2" is 1. If not given, as the model was trained.
        emphasis: what weights do. mean multiplies the words and keeps the mean of the row, as stable-diffusion-webui
            does; empty moves them away from or towards those of an empty prompt, as ComfyUI does.
    """
    return reread(encoder, skip, emphasis)


READING_NODES = (reading,)
