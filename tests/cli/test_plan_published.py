"""A published autoencoder is planned from its header alone, and what does not fit it is told before it is loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nodeflow_codebooks.latent_autoencoder import LatentAutoencoder, LatentAutoencoderConfig
from nodeflow_codebooks.latent_autoencoder_names import sources
from safetensors.torch import save_file

from nodeflow.plan import ceilings
from nodeflow.plan.ceilings import Ceilings

Call = Callable[..., Any]
SMALL = LatentAutoencoderConfig(widths=(32,) * 4, layers=1)


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that need not be measured."""
    monkeypatch.setattr(ceilings, "measure", lambda device: Ceilings(1e-5, 1e11, 1e-5, 1e11, 1e-4, 1e10, 1e9))


@pytest.fixture
def count(surroundings: Path) -> int:
    """Writes an autoencoder; how many parameters it has."""
    torch.manual_seed(0)
    module = LatentAutoencoder(SMALL)
    tensors = {
        name: part.clone()
        for ours, names in sources(module, "ldm").items()
        for name, part in zip(names, module.state_dict()[ours].chunk(len(names)), strict=True)
    }
    save_file(tensors, surroundings / "vae.safetensors")
    return sum(value.numel() for value in module.parameters())


def graph(folder: Path, **space: str) -> str:
    nodes: dict[str, Any] = {
        "paint": {"type": "image.colour", "inputs": {"width": 48, "height": 32}},
        "vae": {"type": "codebooks.load_vae", "inputs": {"model": "vae"}},
        "other": {"type": "codebooks.load_vae", "inputs": {"model": "vae", **space}},
        "encode": {
            "type": "codebooks.encode",
            "inputs": {"autoencoder": {"$from": "vae"}, "image": {"$from": "paint"}},
        },
        "decode": {
            "type": "codebooks.decode",
            "inputs": {"autoencoder": {"$from": "other"}, "latent": {"$from": "encode"}},
        },
    }
    (folder / "g.json").write_text(json.dumps({"nodeflow": 1, "nodes": nodes, "outputs": {"image": "decode"}}))
    return "g.json"


def test_shapes_are_told(nodeflow: Call, surroundings: Path, count: int) -> None:
    said = nodeflow("plan", "--json", graph(surroundings), "--device", "cpu")
    assert 0 == said.code, said.err
    told = {node["id"]: node for node in said.json["nodes"]}
    assert [1, 4, 4, 6] == told["encode"]["outputs"]["out"]["tensors"]["samples"]["shape"]
    assert [1, 3, 32, 48] == told["decode"]["outputs"]["out"]["tensors"]["pixels"]["shape"]
    assert count == told["decode"]["parameters"]


def test_another_space_is_refused_before_anything_is_loaded(nodeflow: Call, surroundings: Path, count: int) -> None:
    said = nodeflow("plan", graph(surroundings, space="sdxl"), "--device", "cpu")
    assert 2 == said.code
    assert "expected Latent[sdxl] but got Latent[sd15]\n    load an autoencoder of sd15" in said.err


def test_it_runs(nodeflow: Call, surroundings: Path, count: int) -> None:
    said = nodeflow("run", graph(surroundings), "--device", "cpu", "--out", "out", "--no-cache")
    assert 0 == said.code, said.err
    assert list((surroundings / "out").glob("*.png"))
