"""Text encoders as recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from nodeflow_nn.checkpoints import build, describe
from nodeflow_nn.weights import from_config

from nodeflow import Model, ModelError, TextEmbedding, TextEncoder, file_identity, find_weights
from nodeflow_text import encoder

BUILDERS = {"text_encoder": from_config(encoder.TextEncoder, encoder.TextEncoderConfig)}


@dataclass(frozen=True)
class WordEncoder(TextEncoder, Model):
    """An encoder of a small vocabulary: the weights of that name, with that content.

    `bytes` is what it takes as float32; words beyond `length` of a prompt are not read.
    """

    name: str
    digest: str
    bytes: int
    length: int

    @classmethod
    def named(cls, name: str) -> WordEncoder:
        """The encoder in the weights of that name.

        Raises:
            ModelError: there is no such file, or it is no text encoder.
        """
        path = find_weights(name)
        found = describe(path, BUILDERS, ModelError)
        return cls(name, file_identity(path), found.bytes, int(found.header.config["length"]))

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.bytes

    def build(self, device: torch.device | str) -> LoadedEncoder:
        """`(texts) -> TextEmbedding`."""
        path = find_weights(self.name)
        if file_identity(path) != self.digest:
            raise ModelError(f"{path} has changed since the graph looked at it\n    run the graph again")
        module = build(path, BUILDERS, device, ModelError)
        assert isinstance(module, encoder.TextEncoder)
        return LoadedEncoder(module)


class LoadedEncoder:
    """The module as nodes call it."""

    def __init__(self, module: encoder.TextEncoder) -> None:
        self.module = module

    def __call__(self, texts: Sequence[str]) -> TextEmbedding:
        """One embedding of all texts."""
        return TextEmbedding(*self.module.encode(list(texts)))

    def unread(self, text: str) -> list[str]:
        """The words of a text that make no difference: unknown ones, and those beyond the encoder's length."""
        words, length = self.module.tokenizer, self.module.config.length
        return [*words.unknown(text), *words.split(text)[length:]]
