"""CLIP and T5 as they are published."""

from typing import Annotated, Literal

from pydantic import Field

from nodeflow import QUIET, Context, TextEncoder, Ui, checkpoint_identity, file_identity, find_checkpoint, node
from nodeflow_text.chunks import Emphasis, Syntax
from nodeflow_text.published_recipes import (
    ClipEncoder,
    JoinedEncoders,
    Precision,
    T5TextEncoder,
    part_of,
)
from nodeflow_text.vocabulary_recipes import Kind, VocabularyFiles

Number = Annotated[int, Field(ge=1, le=3)]


def _identity(kind: Kind, model: str, tokenizer: str, number: int) -> str:
    checkpoint = find_checkpoint(model, part=part_of(number))
    index = checkpoint.path.parent / "model_index.json"
    said = file_identity(index) if checkpoint.path.is_dir() and index.is_file() else ""
    return f"{checkpoint_identity(checkpoint)} {VocabularyFiles.named(kind, tokenizer, checkpoint.path).digest} {said}"


def _clip_identity(model: str, tokenizer: str, number: int) -> str:
    return _identity("clip", model, tokenizer, number)


def _t5_identity(model: str, tokenizer: str, number: int) -> str:
    return _identity("t5", model, tokenizer, number)


@node(category="text", title="Load CLIP", identity=_clip_identity)
def load_clip(
    model: Annotated[str, Ui("model")],
    tokenizer: str = "",
    number: Number = 1,
    skip: Annotated[int, Field(ge=0, le=100)] | None = None,
    norm: bool | None = None,
    syntax: Syntax = "weighted",
    emphasis: Emphasis = "mean",
    activation: Literal["auto", "quick_gelu", "gelu"] = "auto",
    precision: Precision = "fp32",
    *,
    ctx: Context = QUIET,
) -> TextEncoder:
    """Choose the text encoder of a CLIP: OpenAI's or open_clip's, by itself or within a Stable Diffusion.

    Its weights are read when a text is encoded with it. Prompts of more than 75 tokens go in several rows of 75.

    Args:
        model: a folder of transformers or diffusers, or a file, also one of a whole model, in a model folder.
        tokenizer: the folder of its vocabulary (vocab.json with merges.txt, or tokenizer.json); empty for the one
            beside the model, or else that of an installed open_clip.
        number: which text encoder of a whole model; SDXL has two.
        skip: layers at the end that are left out; "clip skip 2" is 1. If not given, what the model was trained with.
        norm: apply the final norm to the words. If not given, what the model was trained with.
        syntax: weighted takes (brackets:1.2) as weights and BREAK as the end of a row; plain takes every character as
            it is.
        emphasis: what weights do. mean multiplies the words and keeps the mean of the row, as stable-diffusion-webui
            does; empty moves them away from or towards those of an empty prompt, as ComfyUI does.
        activation: auto takes what the folder's config.json says, or else what is known of the size. Files of open_clip
            do not tell: its own models of OpenAI's sizes need gelu.
        precision: of its weights.
    """
    return ClipEncoder.named(
        model, tokenizer, number, skip=skip, norm=norm, activation=None if activation == "auto" else activation,
        syntax=syntax, emphasis=emphasis, precision=precision, ctx=ctx,
    )  # fmt: skip


@node(category="text", title="Load T5", identity=_t5_identity)
def load_t5(
    model: Annotated[str, Ui("model")],
    tokenizer: str = "",
    number: Number = 1,
    length: Annotated[int, Field(ge=2, le=1024)] = 77,
    syntax: Syntax = "weighted",
    emphasis: Emphasis = "mean",
    precision: Precision = "fp32",
    *,
    ctx: Context = QUIET,
) -> TextEncoder:
    """Choose the encoder of a T5, version 1.0 or 1.1, as text encoder.

    Its weights are read when a text is encoded with it.

    Args:
        model: a folder of transformers or diffusers, or a file, in a model folder.
        tokenizer: the folder of its vocabulary (tokenizer.json or spiece.model); empty for the one beside the model.
        number: which text encoder of a whole model.
        length: tokens of a prompt that are read; Imagen's kin were trained with 77.
        syntax: weighted takes (brackets:1.2) as weights; plain takes every character as it is.
        emphasis: what weights do; see text.load_clip.
        precision: of its weights. fp16 is safe: sums are kept in fp32.
    """
    return T5TextEncoder.named(
        model, tokenizer, number, length, syntax=syntax, emphasis=emphasis, precision=precision, ctx=ctx
    )


@node(category="text", title="Join text encoders")
def join_encoders(first: TextEncoder, second: TextEncoder) -> TextEncoder:
    """Read each prompt by two encoders, whose words stand side by side; SDXL is used so.

    Args:
        first: gives the first channels of each word.
        second: gives the other channels, and the vector that stands for the whole prompt.
    """
    return JoinedEncoders(first, second)


PUBLISHED_NODES = (load_clip, load_t5, join_encoders)
