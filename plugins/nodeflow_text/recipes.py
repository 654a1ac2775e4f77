"""Text encoders as recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from nodeflow_nn.checkpoints import build, describe, lay_out
from nodeflow_nn.weights import from_config

from nodeflow import (
    QUIET,
    Context,
    FileModel,
    ModelError,
    TextEmbedding,
    TextEncoder,
    expecting,
    file_identity,
    find_checkpoint,
    find_weights,
)
from nodeflow_text import encoder

BUILDERS = {"text_encoder": from_config(encoder.TextEncoder, encoder.TextEncoderConfig)}


@dataclass(frozen=True)
class WordEncoder(TextEncoder, FileModel):
    """An encoder of a small vocabulary; words beyond `length` of a prompt are not read.

    space: what it shares with the denoisers trained with it; "" if its file does not tell.
    """

    length: int
    space: str = field(default="", repr=False)  # a training is known by its repr, which shall stay as it is

    @classmethod
    def named(cls, name: str, ctx: Context = QUIET) -> WordEncoder:
        """The encoder in the weights of that name.

        Raises:
            ModelError: there is no such file, or it is no text encoder.
            PermissionError: `ctx` may not read it.
        """
        path = find_weights(name, ctx)
        with expecting(find_checkpoint(name, ctx), "nodeflow text_encoder"):
            found = describe(path, BUILDERS, ModelError)
        header = found.header
        return cls(name, file_identity(path), found.bytes, int(header.config["length"]), header.text_space)

    def build(self, device: torch.device | str) -> LoadedEncoder:
        """`(texts) -> TextEmbedding`."""
        return _loaded(build(self.path, BUILDERS, device, ModelError), self.space)

    def lay_out(self) -> LoadedEncoder:
        """The same without weights."""
        return _loaded(lay_out(self.path, BUILDERS, ModelError), self.space)


def _loaded(module: torch.nn.Module, space: str) -> LoadedEncoder:
    assert isinstance(module, encoder.TextEncoder)
    return LoadedEncoder(module, space)


class LoadedEncoder:
    """The module as nodes call it."""

    def __init__(self, module: encoder.TextEncoder, space: str = "") -> None:
        self.module, self.space = module, space

    def __call__(self, texts: Sequence[str]) -> TextEmbedding:
        """One embedding of all texts."""
        return TextEmbedding(*self.module.encode(list(texts)), self.space)

    def unread(self, text: str) -> list[str]:
        """The words of a text that make no difference, such as those beyond the encoder's length."""
        return self.module.tokenizer.unread(text)
