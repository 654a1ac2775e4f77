"""Texts that are bound to denoisers: repeated, joined, and refused where another encoder made them."""

from __future__ import annotations

import torch

from nodeflow import Denoiser, TextEmbedding


def same_text_space(embedding: TextEmbedding, denoiser: Denoiser, name: str = "embedding") -> None:
    """Refuse a text of another encoder than the denoiser was trained with; where one of the two is not known, pass.

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
    widths = {text.tokens.shape[-1] for text in (first, second)}
    if len(spaces) > 1 or len(widths) > 1 or (first.pooled is None) != (second.pooled is None):
        names = f" ({first.space} and {second.space})" if len(spaces) > 1 else ""
        raise ValueError(
            f"the two texts of the guidance come from different encoders{names}\n"
            "    encode both with the same text encoder"
        )
    length = max(first.mask.shape[1], second.mask.shape[1])
    parts = [(text, length - text.mask.shape[1]) for text in (first, second)]
    tokens = torch.cat([torch.nn.functional.pad(text.tokens, (0, 0, 0, more)) for text, more in parts])
    mask = torch.cat([torch.nn.functional.pad(text.mask, (0, more)) for text, more in parts])
    pooled = None
    if first.pooled is not None and second.pooled is not None:
        pooled = torch.cat([first.pooled, second.pooled])
    return TextEmbedding(tokens, mask, pooled, first.space or second.space)
