"""CLIP and T5 as they are published."""

from typing import Annotated, Literal

from pydantic import Field

from nodeflow import (
    QUIET,
    Checkpoint,
    Context,
    ModelError,
    TextEmbedding,
    TextEncoder,
    Ui,
    checkpoint_identity,
    expecting,
    file_identity,
    find_checkpoint,
    node,
)
from nodeflow_text.chunks import Emphasis, Syntax
from nodeflow_text.nodes import Prompt
from nodeflow_text.published_recipes import (
    ClipEncoder,
    JoinedEncoders,
    Precision,
    T5TextEncoder,
    part_of,
)
from nodeflow_text.vocabulary_recipes import Kind, VocabularyFiles

Number = Annotated[int, Field(ge=1, le=3)]
Asked = Literal["auto", "quick_gelu", "gelu"]


def _identity(kind: Kind, checkpoint: Checkpoint, tokenizer: str) -> str:
    index = checkpoint.path.parent / "model_index.json"
    said = file_identity(index) if checkpoint.path.is_dir() and index.is_file() else ""
    return f"{checkpoint_identity(checkpoint)} {VocabularyFiles.named(kind, tokenizer, checkpoint.path).digest} {said}"


def _clip_identity(model: str, tokenizer: str, number: int, activation: Asked) -> str:
    checkpoint = find_checkpoint(model, part=part_of(number))
    try:
        return _identity("clip", checkpoint, tokenizer)
    except ModelError:
        load_clip(model, tokenizer, number, activation=activation)  # what holds no CLIP needs no vocabulary
        raise


def _t5_identity(model: str, tokenizer: str, number: int) -> str:
    checkpoint = find_checkpoint(model, part=part_of(number))
    try:
        return _identity("t5", checkpoint, tokenizer)
    except ModelError:
        load_t5(model, tokenizer, number)
        raise


@node(category="text", title="Load CLIP", identity=_clip_identity)
def load_clip(
    model: Annotated[str, Ui("model")],
    tokenizer: str = "",
    number: Number = 1,
    skip: Annotated[int, Field(ge=0, le=100)] | None = None,
    norm: bool | None = None,
    syntax: Syntax = "weighted",
    emphasis: Emphasis = "mean",
    activation: Asked = "auto",
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
    with expecting(find_checkpoint(model, ctx, part_of(number)), "clip", "checkpoint"):
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
    with expecting(find_checkpoint(model, ctx, part_of(number)), "t5"):
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


@node(category="text", title="Encode two texts")
def encode_pair(
    encoder: TextEncoder, prompt: Prompt = "", second: Prompt = "", *, ctx: Context = QUIET
) -> TextEmbedding:
    """Turn two texts into what a denoiser with two text encoders reads, such as Stable Diffusion XL.

    text.encode gives both encoders the same text.

    Args:
        encoder: two, joined: of a whole Stable Diffusion XL, or by text.join_encoders.
        prompt: what the first encoder reads.
        second: what the second encoder reads, which also gives the vector that stands for the whole prompt.
    """
    if not isinstance(encoder, JoinedEncoders):
        raise ValueError("this encoder reads one text\n    encode it by text.encode, or join two (text.join_encoders)")
    unread = [*ctx.load(encoder.first).unread(prompt), *ctx.load(encoder.second).unread(second)]
    if unread:
        ctx.say(f"not read: {', '.join(dict.fromkeys(unread))}")
    found: TextEmbedding = ctx.load(encoder).pair([prompt], [second])
    return found


PUBLISHED_NODES = (load_clip, load_t5, join_encoders, encode_pair)
