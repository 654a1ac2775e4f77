"""Text encoders with adapters and learnt words: each a recipe made of another."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path

from nodeflow import ModelError, Patch, TextEncoder
from nodeflow_text.chunks import Emphasis
from nodeflow_text.clip_adapters import ALONE
from nodeflow_text.inversions import UNWRITABLE, misfit, vectors_of
from nodeflow_text.patch_recipes import Inversion, TextPatch, fitted
from nodeflow_text.published_recipes import ClipEncoder, JoinedEncoders

Change = Callable[[ClipEncoder, int], ClipEncoder]


def patched(encoder: TextEncoder, patch: Patch) -> TextEncoder:
    """An encoder whose tower is a model of its own, with other weights; the same one if nothing changes.

    Raises:
        ModelError: the patch does not fit.
        ValueError: the encoder is no CLIP.
    """

    def change(clip: ClipEncoder, number: int) -> ClipEncoder:
        own = TextPatch(patch, number)
        if not fitted(clip.config(), own).changes or patch.strength == 0:
            return clip
        return replace(clip, patches=(*clip.patches, own))

    if isinstance(encoder, JoinedEncoders) and any(name.startswith(ALONE) for name in patch.checkpoint().tensors):
        return _either(encoder, change)
    return _each(encoder, change, "a LoRA")


def _either(encoder: JoinedEncoders, change: Change) -> TextEncoder:
    """Two encoders of which the one is changed that a file fits which does not say for which it is."""
    misfits: list[ModelError] = []

    def attempt(clip: ClipEncoder, number: int) -> ClipEncoder:
        try:
            return change(clip, number)
        except ModelError as error:
            misfits.append(error)
            return clip

    found = _each(encoder, attempt, "a LoRA")
    if len(misfits) > 1:
        raise misfits[0]
    if not misfits and found is not encoder:
        raise ValueError("this LoRA fits both text encoders\n    change the one that is meant before they are joined")
    return found


def inverted(encoder: TextEncoder, patch: Patch, word: str) -> TextEncoder:
    """An encoder that knows one more word; failures as `patched`, and a word that cannot be or is known."""
    if not word.strip() or word != word.strip() or UNWRITABLE & set(word):
        raise ValueError(
            f"{word!r} cannot be written in a prompt\n    choose a word without brackets, backslashes and outer spaces"
        )
    shapes = patch.checkpoint().shapes
    path = patch.checkpoint().path
    try:
        keys = vectors_of(shapes)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error
    if isinstance(encoder, JoinedEncoders) and len(keys) == 1:
        raise ModelError(
            f"{path} has vectors for one text encoder ({next(iter(keys.values()))}), but two are joined here\n"
            "    name one for Stable Diffusion XL, with clip_l and clip_g"
        )

    def change(clip: ClipEncoder, number: int) -> ClipEncoder:
        key = keys.get(number) or (keys[min(keys)] if len(keys) == 1 else None)
        if key is None:
            raise ModelError(f"{path} has no vectors for text encoder {number}, but {', '.join(keys.values())}")
        if fault := misfit(key, shapes[key], clip.config().width):
            raise ModelError(f"{path}: {fault}\n    name one that was trained for this model")
        if any(own.word.casefold() == word.casefold() for own in clip.inversions):
            raise ValueError(f"the text encoder knows the word {word!r} already\n    choose another word")
        more = Inversion(patch, word, key)
        return replace(clip, inversions=(*clip.inversions, more), bytes=clip.bytes + 4 * prod(shapes[key]))

    return _each(encoder, change, "a textual inversion")


def reread(encoder: TextEncoder, skip: int | None, emphasis: Emphasis) -> TextEncoder:
    """An encoder that leaves out so many layers (None: as it did) and weighs words so.

    Raises:
        ModelError: it has not so many layers.
        ValueError: the encoder is no CLIP.
    """

    def change(clip: ClipEncoder, _: int) -> ClipEncoder:
        depth = clip.config().depth
        if skip is not None and skip > depth:
            raise ModelError(f"{clip.name} has {depth} layers; {skip} cannot be skipped\n    skip fewer")
        return replace(clip, skip=clip.skip if skip is None else skip, emphasis=emphasis)

    return _each(encoder, change, "a way of reading")


def _each(encoder: TextEncoder, change: Change, what: str) -> TextEncoder:
    """An encoder whose CLIP, or whose two CLIPs, are changed; each with its number in the whole model."""
    if isinstance(encoder, ClipEncoder):
        return change(encoder, _number(encoder))
    if isinstance(encoder, JoinedEncoders):
        parts = (encoder.first, encoder.second)
        if all(isinstance(part, ClipEncoder) for part in parts):
            first, second = (change(part, at) for at, part in enumerate(parts, 1) if isinstance(part, ClipEncoder))
            same = first is encoder.first and second is encoder.second
            return encoder if same else replace(encoder, first=first, second=second)
    raise ValueError(
        f"{what} changes text encoders of CLIP, but this one is of the kind {type(encoder).__name__}\n"
        "    load one by text.load_clip or diffusion.load_checkpoint"
    )


def _number(encoder: ClipEncoder) -> int:
    """Which text encoder of a whole model it is: by the folder that was named, or by the number that was asked for."""
    found = re.fullmatch(r"text_encoder_(\d)", Path(encoder.name).name)
    return int(found[1]) if found else encoder.number
