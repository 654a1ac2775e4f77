"""Vocabularies by name: in a folder, beside a checkpoint, or in an installed package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from nodeflow import QUIET, Context, ModelError, file_identity, find_folder
from nodeflow_text.vocabularies import (
    CLIP_FILES,
    SETTINGS,
    T5_FILES,
    Vocabulary,
    clip_vocabulary,
    installed_clip,
    present,
    t5_vocabulary,
)

Kind = Literal["clip", "t5"]
KINDS = {"clip": CLIP_FILES, "t5": T5_FILES}


@dataclass(frozen=True)
class VocabularyFiles:
    """A vocabulary on disk: of that kind, in that folder, with that content. pad: see `clip_vocabulary`."""

    kind: Kind
    folder: str
    digest: str
    pad: int | None = None

    @classmethod
    def named(
        cls, kind: Kind, name: str, beside: Path, pad: int | None = None, ctx: Context = QUIET
    ) -> VocabularyFiles:
        """The vocabulary in the folder of that name, or of a whole model; if it is empty, the nearest to a checkpoint.

        Raises:
            ModelError: there is none.
            PermissionError: `ctx` may not read it.
        """
        folder = find_folder(name, KINDS[kind], _twin(beside), ctx) if name else _nearest(kind, beside)
        kinds = present(folder, KINDS[kind])
        files = [folder / file for file in (*kinds, *SETTINGS) if (folder / file).is_file()]
        if folder != installed_clip():
            for file in files:
                ctx.read(file)
        said = " ".join(f"{file.name} {_content(file)}" for file in files)
        return cls(kind, os.fspath(folder), blake2b(said.encode(), digest_size=16).hexdigest(), pad)

    def open(self) -> Vocabulary:
        """The vocabulary.

        Raises:
            ModelError: its files are not what they should be.
        """
        return _opened(self)


@lru_cache(maxsize=4)  # that of CLIP takes 0.1 s to read, and the encoder is built again whenever it was evicted
def _opened(files: VocabularyFiles) -> Vocabulary:
    if files.kind == "t5":
        return t5_vocabulary(Path(files.folder), failure=ModelError)
    return clip_vocabulary(Path(files.folder), pad=files.pad, failure=ModelError)


def _content(file: Path) -> str:
    folder = installed_clip()
    if folder is not None and file.parent == folder:
        return blake2b(file.read_bytes(), digest_size=16).hexdigest()
    return file_identity(file)


def _twin(path: Path) -> str:
    """The folder of a whole model that has the vocabulary of a text encoder: `tokenizer_2` for `text_encoder_2`."""
    return path.name.replace("text_encoder", "tokenizer") if "text_encoder" in path.name else "tokenizer"


def _nearest(kind: Kind, path: Path) -> Path:
    """In the folder, or beside the file; in `tokenizer` for `text_encoder` and so on; or in a package."""
    home = path if path.is_dir() else path.parent
    places = [home, path.parent / _twin(path), home / "tokenizer"]
    for place in places:
        if present(place, KINDS[kind]):
            return place
    installed = installed_clip() if kind == "clip" else None
    if installed is not None:
        return installed
    wanted = ", or ".join(" with ".join(files) for files in KINDS[kind])
    looked = "\n    ".join(str(place) for place in dict.fromkeys(places))
    brings = ", or install open_clip_torch, which brings CLIP's" if kind == "clip" else ""
    raise ModelError(
        f"{path} comes without a vocabulary, which is {wanted}; looked in\n    {looked}\n"
        f"    put it there, or name the folder that has it as the tokenizer{brings}"
    )
