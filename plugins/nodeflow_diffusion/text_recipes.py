"""Texts that are bound to denoisers: repeated, joined, and refused where another encoder made them."""

from __future__ import annotations

from dataclasses import replace
from math import lcm

import torch

from nodeflow import Denoiser, TextEmbedding


def same_text_space(embedding: TextEmbedding, denoiser: Denoiser, name: str = "embedding") -> None:
    """Refuse a text of another encoder than the denoiser was trained with, or of another width than it reads.

    What is not known of one of the two passes.

    name: what the message calls the text.

    Raises:
        ValueError: they differ.
    """
    wanted, found = getattr(denoiser, "text_space", ""), embedding.space
    if wanted and found and wanted != found:
        raise ValueError(
            f'{name}: expected a text of the encoder "{wanted}", with which the denoiser was trained, but got one of '
            f'"{found}"\n    encode it by "{wanted}", or load the denoiser that was trained with "{found}"'
        )
    if (widths := getattr(denoiser, "text_widths", None)) is not None:
        same_widths(embedding, widths, name)


def same_widths(embedding: TextEmbedding, wanted: tuple[int, int | None], name: str = "embedding") -> None:
    """Refuse a text whose words, or whose pooled text, are of another width than a network reads.

    wanted: widths of the words and of the pooled text; None: that is not read.

    Raises:
        ValueError: they differ, or there is no pooled text.
    """
    words, pooled = embedding.tokens.shape[-1], None if embedding.pooled is None else embedding.pooled.shape[-1]
    if words != wanted[0] or wanted[1] not in (None, pooled):
        reads, has = (f"words of width {width}" for width in (wanted[0], words))
        if wanted[1] is not None:
            reads += f" and a pooled text of width {wanted[1]}"
            has += " and no pooled text" if pooled is None else f" and a pooled text of width {pooled}"
        cure = "encode it by the encoder that was trained with this denoiser"
        raise ValueError(f"{name}: the denoiser reads {reads}, but this text has {has}\n    {cure}")


def spread(embedding: TextEmbedding, count: int) -> TextEmbedding:
    """The texts of `count` pictures: as many, or one repeated.

    Raises:
        ValueError: there are neither one nor `count` texts.
    """
    texts = len(embedding.tokens)
    if texts == count:
        return embedding
    if texts != 1:
        raise ValueError(
            f"{texts} texts are bound to the denoiser, but the latent has {count} pictures\n"
            f"    ask for {texts} pictures (diffusion.empty: count), or encode one text"
        )
    pooled = None if embedding.pooled is None else embedding.pooled.expand(count, -1)
    tokens, mask = embedding.tokens.expand(count, -1, -1), embedding.mask.expand(count, -1)
    return TextEmbedding(tokens, mask, pooled, embedding.space)


def joined(first: TextEmbedding, second: TextEmbedding) -> TextEmbedding:
    """Two batches of texts as one; the shorter texts get places that no network reads.

    Raises:
        ValueError: they come from different encoders.
    """
    spaces = {text.space for text in (first, second) if text.space}
    widths = {
        (text.tokens.shape[-1], None if text.pooled is None else text.pooled.shape[-1]) for text in (first, second)
    }
    if len(spaces) > 1 or len({words for words, _ in widths}) > 1:
        names = f" ({first.space} and {second.space})" if len(spaces) > 1 else ""
        raise ValueError(
            f"the two texts of the guidance come from different encoders{names}\n"
            "    encode both with the same text encoder"
        )
    if len(widths) > 1:
        told = " and ".join("none" if text.pooled is None else str(text.pooled.shape[-1]) for text in (first, second))
        raise ValueError(
            f"what stands beside the words of the two texts of the guidance is of different widths: {told}\n"
            "    encode both with the same text encoder, and tell sizes to both or to none (diffusion.size_condition)"
        )
    length = max(first.mask.shape[1], second.mask.shape[1])
    parts = [(text, length - text.mask.shape[1]) for text in (first, second)]
    tokens = torch.cat([torch.nn.functional.pad(text.tokens, (0, 0, 0, more)) for text, more in parts])
    mask = torch.cat([torch.nn.functional.pad(text.mask, (0, more)) for text, more in parts])
    pooled = None
    if first.pooled is not None and second.pooled is not None:
        pooled = torch.cat([first.pooled, second.pooled])
    return TextEmbedding(tokens, mask, pooled, first.space or second.space)


def repeated(first: TextEmbedding, second: TextEmbedding) -> tuple[TextEmbedding, TextEmbedding]:
    """Two batches of texts of one length, for networks that look at all places of a text.

    Each is repeated from its beginning: attention to words that stand there twice is the attention to them once.
    """
    length = lcm(first.tokens.shape[1], second.tokens.shape[1])
    return _times(first, length // first.tokens.shape[1]), _times(second, length // second.tokens.shape[1])


def _times(text: TextEmbedding, count: int) -> TextEmbedding:
    if count == 1:
        return text
    return replace(text, tokens=text.tokens.repeat(1, count, 1), mask=text.mask.repeat(1, count))
