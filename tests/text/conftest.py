"""Tiny text encoders in the layouts in which real ones are published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_nn.published import Piece, Sources, Transposed
from nodeflow_text import clip_names, t5_names
from nodeflow_text.clip import ClipTextConfig, ClipTextTower
from nodeflow_text.t5 import T5Config, T5Encoder
from safetensors.torch import save_file
from torch import Tensor, nn

CLIP = ClipTextConfig(vocabulary=40, width=64, depth=3, heads=2, hidden=96, projection=24, end=39)
T5 = T5Config(vocabulary=40, width=32, heads=4, head_width=8, hidden=48, depth=2)
LETTERS = "abcdefghijklmnopqr!"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def published(module: nn.Module, sources: Sources) -> dict[str, Tensor]:
    """A module's weights by the names, and in the shapes, of a layout."""
    found: dict[str, Tensor] = {}
    for ours, value in module.state_dict().items():
        for piece, part in zip(sources[ours], value.chunk(len(sources[ours])), strict=True):
            found[name(piece)] = (part.T if isinstance(piece, Transposed) else part).clone().contiguous()
    return found


def name(piece: Piece) -> str:
    return piece if isinstance(piece, str) else piece.name


@torch.no_grad()
def drawn(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for value in module.parameters():
        noise = torch.randn(value.shape, generator=generator)
        value.copy_(noise / value.shape[-1] ** 0.5 if value.ndim > 1 else 1 + 0.1 * noise)
    return module.eval().requires_grad_(False)


def write_clip_vocabulary(folder: Path, pad: str = "<|endoftext|>") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": pad}))


def write_t5_vocabulary(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -2.0], *([letter, -3.0] for letter in LETTERS)]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    told = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False},
    }
    (folder / "tokenizer.json").write_text(json.dumps(told))


@pytest.fixture
def clip(here: Path) -> Callable[..., Path]:
    """Writes a folder of transformers with a CLIP text tower."""

    def write(
        folder: str = "clip", config: ClipTextConfig = CLIP, *, seed: int = 0, shards: int = 1, vocabulary: bool = True
    ) -> Path:
        path = here / folder
        path.mkdir(parents=True)
        home = clip_names.TEXT_HOMES[0]
        sources = clip_names.Tower("text", home, config.projection is not None).sources(config.depth)
        weights = published(drawn(ClipTextTower(config), seed), sources)
        told = {"hidden_act": config.activation, "num_attention_heads": config.heads, "eos_token_id": config.end}
        (path / "config.json").write_text(json.dumps(told))
        save(path, weights, shards)
        if vocabulary:
            write_clip_vocabulary(path)
        return path

    return write


@pytest.fixture
def clip_vocabulary() -> Callable[..., None]:
    """Writes a vocabulary of CLIP into a folder; it fills up with `pad`."""
    return write_clip_vocabulary


@pytest.fixture
def t5(here: Path) -> Callable[..., Path]:
    """Writes a folder of transformers with a T5 encoder."""

    def write(folder: str = "t5", config: T5Config = T5, *, wide: float = 1.0, **extra: Any) -> Path:
        path = here / folder
        path.mkdir(parents=True)
        shapes = {"shared.weight": (config.vocabulary, config.width)}
        weights = published(drawn(T5Encoder(config)), t5_names.sources(config, "", shapes))
        weights |= {name: wide * value for name, value in weights.items() if ".wo." in name}
        weights |= {name: wide**2 * value for name, value in weights.items() if "layer.1.layer_norm" in name}
        save(path, weights | extra, 1)
        (path / "config.json").write_text(json.dumps({"feed_forward_proj": "gated-gelu" if config.gated else "relu"}))
        write_t5_vocabulary(path)
        return path

    return write


def save(folder: Path, weights: dict[str, Tensor], shards: int) -> None:
    if shards == 1:
        save_file(weights, folder / "model.safetensors")
        return
    names = sorted(weights)
    files = {name: f"model-{1 + i % shards:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: weights[name] for name in names if files[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
