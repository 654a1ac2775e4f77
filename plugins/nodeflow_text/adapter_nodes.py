"""What changes a published text encoder by a file beside it: LoRA and textual inversion."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from nodeflow import QUIET, Context, Patch, TextEncoder, Ui, checkpoint_identity, expecting, find_checkpoint, node
from nodeflow_text.adapter_recipes import inverted, patched


def _adapter(model: str) -> str:
    return checkpoint_identity(find_checkpoint(model))


@node(category="text", title="LoRA of the text encoder", identity=_adapter)
def lora(
    encoder: TextEncoder,
    model: Annotated[str, Ui("model")],
    strength: Annotated[float, Field(ge=-10, le=10), Ui("slider")] = 1.0,
    *,
    ctx: Context = QUIET,
) -> TextEncoder:
    """Change how a text encoder reads by a small file that was trained on top of it (LoRA, DoRA).

    Any number may follow each other; their order does not matter. A file without a part for the text encoder, as many
    are, changes nothing. Its part for the denoiser is the matter of diffusion.lora.

    Args:
        encoder: a CLIP, or both of SDXL joined.
        model: a safetensors file in a model folder, as kohya, PEFT or diffusers name its tensors.
        strength: 1 as it was trained, 0 without; beyond 1 more of it, below 0 the opposite.
    """
    with expecting(find_checkpoint(model, ctx), "lora"):
        return patched(encoder, Patch.named(model, strength, ctx))


@node(category="text", title="Textual inversion", identity=_adapter)
def textual_inversion(
    encoder: TextEncoder, model: Annotated[str, Ui("model")], word: str = "", *, ctx: Context = QUIET
) -> TextEncoder:
    """Teach a text encoder a word, whose one vector or several were learnt (textual inversion).

    Wherever the word stands by itself in a prompt, in upper or lower case, those vectors are read. Any number may
    follow each other.

    Args:
        encoder: a CLIP, or both of SDXL joined.
        model: a safetensors file in a model folder.
        word: what stands for it in prompts; empty for the name of the file.
    """
    with expecting(find_checkpoint(model, ctx), "embedding"):
        return inverted(encoder, Patch.named(model, ctx=ctx), word or Path(model).name.removesuffix(".safetensors"))


ADAPTER_NODES = (lora, textual_inversion)
