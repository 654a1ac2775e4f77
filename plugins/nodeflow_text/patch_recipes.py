"""Adapters and learnt words of a CLIP text tower as they lie on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from nodeflow_nn import published
from nodeflow_nn.adapter_settings import settings_of
from nodeflow_nn.adapters import Adapter, Stems
from nodeflow_nn.merging import File, Merge
from nodeflow_nn.published import Shape
from torch import Tensor

from nodeflow import Checkpoint, ModelError, Patch
from nodeflow_text.clip import ClipTextConfig
from nodeflow_text.clip_adapters import for_text, text_stems
from nodeflow_text.outlines import text_shapes


@dataclass(frozen=True)
class TextPatch:
    """A patch, and as which text encoder of a whole model it sees the tower."""

    patch: Patch
    number: int


@dataclass(frozen=True)
class Inversion:
    """A learnt word: its file, what the word is, and what the file calls its vectors."""

    patch: Patch
    word: str
    key: str

    def vectors(self, device: torch.device | str | None) -> Tensor:
        """[n, width] on that device, or without memory.

        Raises:
            ModelError: the file changed, or they are not finite.
        """
        found = self.patch.checkpoint()
        if device is None:
            shape = found.tensors[self.key].shape
            return torch.empty(shape if len(shape) == 2 else (1, *shape), device="meta")
        with _file(found).checkpoint.reading() as read:
            vectors = read(self.key).float().reshape(-1, found.tensors[self.key].shape[-1])
        if not bool(torch.isfinite(vectors).all()):
            raise ModelError(f"{found.path}: {self.key} is not finite\n    fetch it again")
        return vectors.to(device)


@contextmanager
def merged(config: ClipTextConfig, patches: Sequence[TextPatch]) -> Iterator[Merge | None]:
    """Within the block: what the patches change of a tower; None if there are none."""
    if not patches:
        yield None
        return
    merge = Merge()
    with ExitStack() as stack:
        for own in patches:
            file = _file(own.patch.checkpoint(), own.patch.strength)
            adapter = file.fit(*_known(config, own.number), partial(for_text, number=own.number))
            merge.add(adapter, file, stack.enter_context(file.checkpoint.reading()))
        yield merge


def fitted(config: ClipTextConfig, own: TextPatch) -> Adapter:
    """What a patch does to a tower, by its header.

    Raises:
        ModelError: it does not fit.
    """
    file = _file(own.patch.checkpoint())
    try:
        return file.fit(*_known(config, own.number), partial(for_text, number=own.number))
    except ValueError as error:
        raise ModelError(f"{error}\n    name an adapter that was trained for this model") from error


def _file(found: Checkpoint, strength: float = 1.0) -> File:
    settings = settings_of(found.metadata, found.config)
    return File(published.Checkpoint.of(found), settings, strength)


@lru_cache(maxsize=4)  # each adapter asks, when it is chosen and when it is read
def _known(config: ClipTextConfig, number: int) -> tuple[Stems, Mapping[str, Shape]]:
    """What adapters may call the modules of the text encoder of that number, and the shapes of its tensors."""
    return text_stems(config, number), text_shapes(config)
