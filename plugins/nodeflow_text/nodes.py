"""Texts as denoisers read them."""

from typing import Annotated, Any

import torch
from nodeflow_shapes.shipped import TEXT
from pydantic import Field

from nodeflow import QUIET, Context, TextEmbedding, TextEncoder, Ui, node, weights_identity
from nodeflow_text.mixing import lengthened, mixed
from nodeflow_text.recipes import WordEncoder

Prompt = Annotated[str, Field(max_length=10_000), Ui("multiline")]


@node(category="text", identity=weights_identity)
def load_encoder(model: Annotated[str, Ui("model")] = TEXT, *, ctx: Context = QUIET) -> TextEncoder:
    """Choose a text encoder. Its weights are read when a text is encoded with it.

    Args:
        model: "plugin:name" for weights that a plugin ships, or a safetensors file in a model folder.
    """
    return WordEncoder.named(model, ctx)


@node(category="text", title="Encode text")
def encode(encoder: TextEncoder, prompt: Prompt = "", *, ctx: Context = QUIET) -> TextEmbedding:
    """Turn a text into what a denoiser reads.

    Args:
        encoder: the encoder that was trained with the denoiser.
        prompt: what the picture shall show; empty for no wish.
    """
    return _encoded(ctx.load(encoder), [prompt], ctx)


@node(category="text", title="Encode texts")
def encode_many(
    encoder: TextEncoder,
    prompts: Annotated[list[str], Field(min_length=1, max_length=1024)],
    *,
    ctx: Context = QUIET,
) -> TextEmbedding:
    """Turn several texts into one batch, one text for each picture.

    Args:
        encoder: the encoder that was trained with the denoiser.
        prompts: one for each picture of the batch.
    """
    return _encoded(ctx.load(encoder), prompts, ctx)


def _encoded(loaded: Any, prompts: list[str], ctx: Context) -> TextEmbedding:
    # an encoder need not know which words it cannot read; one that does spares people the search for a slip
    unread = [word for prompt in prompts for word in getattr(loaded, "unread", lambda _: [])(prompt)]
    if unread:
        ctx.say(f"not read: {', '.join(dict.fromkeys(unread))}")
    found: TextEmbedding = loaded(prompts)
    return found


@node(category="text", title="Mix texts")
def mix(
    first: TextEmbedding, second: TextEmbedding, amount: Annotated[float, Field(ge=0, le=1), Ui("slider")] = 0.5
) -> TextEmbedding:
    """Make something between two texts.

    Args:
        first: one text.
        second: the other.
        amount: how much of the second: 0 gives the first, 1 the second.
    """
    return _between(first, second, torch.tensor([amount]))


@node(category="text", title="Row of texts")
def interpolate(
    first: TextEmbedding, second: TextEmbedding, count: Annotated[int, Field(ge=2, le=1024)] = 5
) -> TextEmbedding:
    """Make a batch of texts that goes from one to another in equal steps.

    Args:
        first: where the row begins.
        second: where it ends.
        count: how many, the two ends included.
    """
    return _between(first, second, torch.linspace(0, 1, count))


def _between(first: TextEmbedding, second: TextEmbedding, amounts: torch.Tensor) -> TextEmbedding:
    spaces = {text.space for text in (first, second) if text.space}
    widths = first.tokens.shape[-1], second.tokens.shape[-1]
    if len(spaces) > 1 or len({*widths}) > 1 or (first.pooled is None) != (second.pooled is None):
        names = f" ({first.space} and {second.space})" if len(spaces) > 1 else ""
        raise ValueError(
            f"the two texts come from different encoders{names}\n    encode both with the same text encoder"
        )
    if len(first.tokens) != 1 or len(second.tokens) != 1:
        told = f"expected one text each, but got {len(first.tokens)} and {len(second.tokens)}"
        raise ValueError(f"{told}\n    encode them one by one (text.encode)")
    length = max(first.mask.shape[1], second.mask.shape[1])
    a, mask_a = lengthened(first.tokens, first.mask, length)
    b, mask_b = lengthened(second.tokens.to(a), second.mask.to(a.device), length)
    # a place that only one text uses fades in; at the ends the other text's words are not there at all
    amounts = amounts.to(a)
    mask = (mask_a & (amounts < 1)[:, None]) | (mask_b & (amounts > 0)[:, None])
    pooled = None
    if first.pooled is not None and second.pooled is not None:
        pooled = mixed(first.pooled, second.pooled.to(a), amounts)
    return TextEmbedding(mixed(a, b, amounts), mask, pooled, first.space or second.space)


NODES = (load_encoder, encode, encode_many, mix, interpolate)
