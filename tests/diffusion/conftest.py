"""A small denoiser of random weights, in a file as the shipped ones are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_diffusion.nodes import load
from nodeflow_diffusion.transformer import DiffusionTransformer, TransformerConfig
from nodeflow_diffusion.unet import UNet, UNetConfig
from nodeflow_nn.weights import save_weights

from nodeflow import Denoiser, TextEmbedding

TRANSFORMER = TransformerConfig(channels=3, grid=4, width=16, depth=2, heads=2, context_width=8, pooled_width=6)
UNET = UNetConfig(channels=3, widths=(8, 16), head_width=8, context_width=8, pooled_width=6)
ABOUT: dict[str, Any] = {"space": {"name": "tiny", "channels": 3, "factor": 4}}


@pytest.fixture(autouse=True, scope="module")
def small(one_thread: None) -> None:
    """All products here are."""


def random(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The module with every weight drawn: built ones begin with zeros, through which nothing is seen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    return module


@pytest.fixture
def text() -> Callable[..., TextEmbedding]:
    """Draws texts as an encoder would give them."""

    def draw(count: int = 1, length: int = 5, seed: int = 0) -> TextEmbedding:
        generator = torch.Generator().manual_seed(seed)
        mask = torch.ones(count, length, dtype=torch.bool)
        mask[:, -1] = False
        tokens = torch.randn(count, length, 8, generator=generator)
        return TextEmbedding(tokens, mask, torch.randn(count, 6, generator=generator))

    return draw


Saved = Callable[..., str]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saved:
    """Writes a denoiser's weights and gives the name that finds them; `least`: with one of each kind of block."""
    monkeypatch.chdir(tmp_path)

    def save(name: str = "tiny", architecture: str = "transformer", least: bool = False, **provenance: Any) -> str:
        module: torch.nn.Module
        if architecture == "transformer":
            module = DiffusionTransformer(replace(TRANSFORMER, depth=1) if least else TRANSFORMER)
        else:
            module = UNet(replace(UNET, widths=(8,)) if least else UNET)
        path = tmp_path / f"{name}.safetensors"
        save_weights(path, random(module), architecture, module.config, ABOUT | provenance, dtype=torch.float32)
        return name

    return save


@pytest.fixture
def denoiser(saved: Saved) -> Denoiser:
    return load(saved())
