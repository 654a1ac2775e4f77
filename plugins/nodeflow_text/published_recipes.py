"""CLIP's text towers and T5 as they are published, as recipes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from nodeflow_nn import published
from nodeflow_nn.placing import WithoutMemory
from nodeflow_nn.soundness import unloaded
from torch import Tensor, nn

from nodeflow import (
    QUIET,
    Checkpoint,
    CheckpointModel,
    Composition,
    Context,
    ModelError,
    Recipe,
    TextEmbedding,
    TextEncoder,
    checkpoint_identity,
    find_checkpoint,
)
from nodeflow_text import clip_names, clip_resnet_names, t5_names
from nodeflow_text.chunks import Emphasis, Syntax
from nodeflow_text.clip import Activation, ClipTextConfig, ClipTextTower
from nodeflow_text.encoding import ClipWords, PairedWords, T5Words
from nodeflow_text.inversions import learnt
from nodeflow_text.outlines import t5_shapes, text_shapes
from nodeflow_text.patch_recipes import Inversion, TextPatch, merged
from nodeflow_text.t5 import T5Config, T5Encoder
from nodeflow_text.vocabularies import Vocabulary
from nodeflow_text.vocabulary_recipes import VocabularyFiles

Load = Callable[[Recipe], Any]
Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PIPELINE = "model_index.json"


class LoadedWords:
    """An encoder as nodes call it. space: what its texts share with the denoisers that read them; "" if not known.
    pictures: `ImageEmbedding.space` of the vision tower beside it; "" if it stands alone.
    scale: by which a CLIP multiplies the cosines of texts and pictures before it weighs texts against each other.
    """

    def __init__(
        self,
        encoder: ClipWords | T5Words | PairedWords,
        space: str = "",
        scale: float = clip_names.SCALE,
        pictures: str = "",
    ) -> None:
        self.encoder, self.space, self.scale, self.pictures = encoder, space, scale, pictures

    def __call__(self, texts: Sequence[str]) -> TextEmbedding:
        """One embedding of all texts."""
        return TextEmbedding(*self.encoder.words(texts), self.space)

    def pair(self, texts: Sequence[str], others: Sequence[str]) -> TextEmbedding:
        """One embedding of texts of which the second of two joined encoders reads others, as many."""
        assert isinstance(self.encoder, PairedWords)
        return TextEmbedding(*self.encoder.words(texts, others), self.space)

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Texts as vectors [B, D] of the space that a CLIP shares with its vision tower, not normalised.

        Raises:
            ValueError: the encoder has no projection into that space.
        """
        found = self.encoder.words(texts) if getattr(self.encoder, "projected", False) else None
        if found is None or found.pooled is None:
            raise ValueError(
                "this text encoder does not reach the space of pictures: it is no CLIP, or comes without its "
                "projection, as in Stable Diffusion 1\n    load the text tower of a whole CLIP (text.load_clip)"
            )
        return found.pooled

    def unread(self, text: str) -> list[str]:
        """The words of a text that make no difference."""
        return [] if isinstance(self.encoder, ClipWords) else self.encoder.unread(text)


@dataclass(frozen=True)
class PublishedEncoder(TextEncoder, CheckpointModel):
    """What CLIP's and T5's recipes share. number: which text encoder of a whole model, from 1."""

    number: int
    vocabulary: VocabularyFiles
    syntax: Syntax = field(default="weighted", kw_only=True)
    emphasis: Emphasis = field(default="mean", kw_only=True)
    precision: Precision = field(default="fp32", kw_only=True)

    @property
    def size(self) -> int:
        """Bytes on a device."""
        return self.bytes * DTYPES[self.precision].itemsize // 4

    def _vocabulary(self, count: int) -> Vocabulary:
        """The vocabulary, which must number no more pieces than the encoder has."""
        found = self.vocabulary.open()
        if found.size > count:
            raise ModelError(
                f"{self.vocabulary.folder} numbers {found.size:,} pieces, but {self.name} has {count:,}\n"
                "    name the folder of the tokenizer that the model was trained with"
            )
        return found

    def _module(
        self,
        made: tuple[Callable[[], nn.Module], published.Sources],
        device: torch.device | str | None,
        merge: published.Merge | None = None,
    ) -> Any:
        """On that device, or without memory; `merge` changes its weights."""
        make, sources = made
        if device is None:
            with WithoutMemory():
                module = make()
            return module.eval().requires_grad_(False).to(DTYPES[self.precision])
        return read(self.checkpoint(), make, sources, device, DTYPES[self.precision], merge)


def part_of(number: int) -> str:
    """The subfolder of a pipeline that holds its text encoder of that number."""
    return "text_encoder" if number == 1 else f"text_encoder_{number}"


def read(
    checkpoint: Checkpoint,
    make: Callable[[], nn.Module],
    sources: published.Sources,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    merge: published.Merge | None = None,
) -> nn.Module:
    """The module with the weights of a checkpoint that was judged to fit it."""
    try:
        return published.filled(make, sources, published.Checkpoint.of(checkpoint), device, dtype, merge)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(unloaded(checkpoint.path, error)) from error


def judged(
    checkpoint: Checkpoint,
    outline: Callable[[], Mapping[str, published.Shape]],
    sources: published.Sources,
    owns: Callable[[str], bool],
) -> int:
    """Refuses a checkpoint whose tensors are not exactly those of the module; its bytes as float32."""
    try:
        wanted = outline()
    except (ValueError, ZeroDivisionError) as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error
    if faults := published.faults(wanted, sources, checkpoint.shapes, owns, checkpoint.dtypes):
        raise ModelError(f"{checkpoint.path}: {published.told(faults)}\n    fetch it again, or name another file")
    return 4 * sum(map(math.prod, wanted.values()))


@dataclass(frozen=True)
class ClipEncoder(PublishedEncoder):
    """The text tower of a CLIP. skip, norm: see `ClipTextTower.forward`. activation: None for what its files tell.
    patches: what its weights are changed by. inversions: words that it learnt.
    """

    skip: int = 0
    norm: bool = True
    activation: Activation | None = None
    patches: tuple[TextPatch, ...] = ()
    inversions: tuple[Inversion, ...] = ()

    @classmethod
    def named(
        cls,
        name: str,
        tokenizer: str = "",
        number: int = 1,
        *,
        skip: int | None = None,
        norm: bool | None = None,
        activation: Activation | None = None,
        ctx: Context = QUIET,
        **options: Any,
    ) -> ClipEncoder:
        """The text tower in the checkpoint of that name.

        Args:
            name: of a file or folder.
            tokenizer: a folder with its vocabulary; "" for the nearest.
            number: which one, where there are several.
            skip: None for what the model is known to be used with.
            norm: likewise.
            activation: where the files do not tell it.
            ctx: says what may be read.
            **options: syntax, emphasis, precision.

        Raises:
            ModelError: there is no such checkpoint, no such tower in it, or no vocabulary for it.
            PermissionError: `ctx` may not read it.
        """
        checkpoint = find_checkpoint(name, ctx, part_of(number))
        tower, config = _text_tower(checkpoint, number, activation)
        count = judged(checkpoint, lambda: text_shapes(config), tower.sources(config.depth), tower.owns)
        pad = 0 if tower.home.layout == "openai" else None
        vocabulary = VocabularyFiles.named("clip", tokenizer, checkpoint.path, pad, ctx)
        usual = clip_names.reading_of(tower, _pipeline(checkpoint, ctx))
        skip, norm = usual.skip if skip is None else skip, usual.norm if norm is None else norm
        if skip > config.depth:
            raise ModelError(f"{checkpoint.path} has {config.depth} layers; {skip} cannot be skipped\n    skip fewer")
        digest = checkpoint_identity(checkpoint)
        return cls(name, digest, count, part_of(number), number, vocabulary, skip, norm, activation, **options)

    def config(self) -> ClipTextConfig:
        """What its files say of it; failures as `checkpoint`."""
        return _text_tower(self.checkpoint(), self.number, self.activation)[1]

    @property
    def space(self) -> str:
        """What its texts share with the denoisers that read them; "" if that is not known."""
        return clip_names.space_of(self.config().width)

    def build(self, device: torch.device | str) -> LoadedWords:
        """`(texts) -> TextEmbedding`."""
        return self._loaded(device)

    def lay_out(self) -> LoadedWords:
        """The same without weights."""
        return self._loaded(None)

    def _loaded(self, device: torch.device | str | None) -> LoadedWords:
        checkpoint = self.checkpoint()
        tower, config = _text_tower(checkpoint, self.number, self.activation)
        with merged(config, self.patches) as merge:
            module = self._module((lambda: ClipTextTower(config), tower.sources(config.depth)), device, merge)
        vocabulary = self._vocabulary(config.vocabulary)
        if self.inversions:
            vectors = {own.word: own.vectors(device) for own in self.inversions}
            module, vocabulary = learnt(module, vocabulary, vectors)
        words = ClipWords(module, vocabulary, self.skip, self.norm, self.syntax, self.emphasis)
        scale = clip_names.SCALE if device is None else _scale(checkpoint, tower)
        return LoadedWords(words, clip_names.space_of(config.width), scale, shared_space(checkpoint, self.digest))


def _text_tower(
    checkpoint: Checkpoint, number: int, activation: Activation | None
) -> tuple[clip_names.Tower, ClipTextConfig]:
    found = clip_names.towers(checkpoint.shapes)
    alone = checkpoint.path.name == part_of(number)  # the folder of one part of a pipeline holds that one
    if not found:
        raise ModelError(no_tower(checkpoint, "text"))
    if number > len(found) and not alone:
        told = f"{checkpoint.path} holds {len(found)} CLIP text towers, but number {number} was asked for"
        raise ModelError(f"{told}\n    choose a number up to {len(found)}, or name the folder of the whole model")
    tower = found[0 if alone else number - 1]
    config = dict(checkpoint.config) | ({"hidden_act": activation, "text_config": None} if activation else {})
    try:
        return tower, clip_names.text_config(tower, published.telling(checkpoint.shapes), config)
    except ValueError as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error


def shared_space(checkpoint: Checkpoint, digest: str) -> str:
    """What tells apart the CLIPs whose checkpoints hold both towers; "" of a tower that stands alone."""
    pictures = clip_names.towers(checkpoint.shapes, "vision") or clip_resnet_names.find(checkpoint.shapes)
    return digest if pictures and clip_names.towers(checkpoint.shapes) else ""


def _scale(checkpoint: Checkpoint, tower: clip_names.Tower) -> float:
    """What stands beside the tower, or else what all published models were trained to."""
    name = clip_names.scale_name(tower.home)
    if checkpoint.shapes.get(name) not in ((), (1,)):
        return clip_names.SCALE
    with published.Checkpoint.of(checkpoint).reading() as get:
        return float(get(name).float().exp())


def no_tower(checkpoint: Checkpoint, kind: str) -> str:
    """What to say of a checkpoint without a tower of CLIP."""
    some = ", ".join(sorted(checkpoint.tensors)[:4])
    wanted = f'"{kind}_model.encoder.layers.0..." or "{"visual." * (kind == "vision")}transformer.resblocks.0..."'
    return (
        f"{checkpoint.path} holds no {kind} tower of CLIP: its {len(checkpoint.tensors)} tensors are {some}, ...\n"
        f"    expected names as {wanted}: name another file or folder"
    )


def _pipeline(checkpoint: Checkpoint, ctx: Context) -> str:
    """The class of the diffusers pipeline whose part a folder is; "" if it is none."""
    index = checkpoint.path.parent / PIPELINE
    if not checkpoint.path.is_dir() or not checkpoint.path.name.startswith("text_encoder") or not index.is_file():
        return ""
    return clip_names.pipeline_class(ctx.read(index).read_bytes()[:65536])


@dataclass(frozen=True)
class T5TextEncoder(PublishedEncoder):
    """The encoder of a T5. length: tokens a prompt; longer ones are cut."""

    length: int = 77

    @classmethod
    def named(
        cls, name: str, tokenizer: str = "", number: int = 1, length: int = 77, *, ctx: Context = QUIET, **options: Any
    ) -> T5TextEncoder:
        """The encoder in the checkpoint of that name; as `ClipEncoder.named`."""
        checkpoint = find_checkpoint(name, ctx, part_of(number))
        prefix, config = _t5(checkpoint)
        sources = t5_names.sources(config, prefix, checkpoint.shapes)
        count = judged(checkpoint, lambda: t5_shapes(config), sources, lambda key: t5_names.owns(prefix, key))
        vocabulary = VocabularyFiles.named("t5", tokenizer, checkpoint.path, None, ctx)
        digest = checkpoint_identity(checkpoint)
        return cls(name, digest, count, part_of(number), number, vocabulary, length, **options)

    def build(self, device: torch.device | str) -> LoadedWords:
        """`(texts) -> TextEmbedding`."""
        return self._loaded(device)

    def lay_out(self) -> LoadedWords:
        """The same without weights."""
        return self._loaded(None)

    def _loaded(self, device: torch.device | str | None) -> LoadedWords:
        checkpoint = self.checkpoint()
        prefix, config = _t5(checkpoint)
        sources = t5_names.sources(config, prefix, checkpoint.shapes)
        module = self._module((lambda: T5Encoder(config), sources), device)
        vocabulary = self._vocabulary(config.vocabulary)
        return LoadedWords(T5Words(module, vocabulary, self.length, self.syntax, self.emphasis))


def _t5(checkpoint: Checkpoint) -> tuple[str, T5Config]:
    prefix = t5_names.prefix_of(checkpoint.shapes)
    if prefix is None:
        some = ", ".join(sorted(checkpoint.tensors)[:4])
        raise ModelError(
            f"{checkpoint.path} holds no encoder of T5: its {len(checkpoint.tensors)} tensors are {some}, ...\n"
            f'    expected names as "{t5_names.POSITIONS}": name another file or folder'
        )
    try:
        return prefix, t5_names.detect(checkpoint.shapes, prefix, checkpoint.config)
    except ValueError as error:
        raise ModelError(f"{checkpoint.path}: {error}") from error


@dataclass(frozen=True)
class JoinedEncoders(TextEncoder, Composition):
    """Two encoders of one prompt: their words side by side, and the second's pooled vector (SDXL)."""

    first: TextEncoder
    second: TextEncoder

    def assemble(self, load: Load) -> LoadedWords:
        """`(texts) -> TextEmbedding`."""
        first, second = load(self.first), load(self.second)
        spaces = [getattr(encoder, "space", "") for encoder in (first, second)]
        return LoadedWords(PairedWords(first, second), " + ".join(spaces) if all(spaces) else "")
