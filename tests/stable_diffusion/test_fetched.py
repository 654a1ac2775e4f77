"""A whole model of the hub by one name: its parts come as loaders ask for them, and give what the folder gives."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint, load_unet
from nodeflow_diffusion.nodes import condition
from nodeflow_text.nodes import encode

sys.path.append(str(Path(__file__).parent.parent / "plugins_for_tests"))
from hub_server import Hub, serving

from nodeflow import QUIET
from nodeflow.hub import fetching

Write = Callable[..., str]
NAME = "hf://me/tiny"


@pytest.fixture
def hub(folder: Write, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a pipeline, an empty cache."""
    pytest.importorskip("huggingface_hub")
    folder("sdxl")
    files = {str(path.relative_to(here / "folder")): path for path in (here / "folder").rglob("*") if path.is_file()}
    for name in ("NODEFLOW_FETCH", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(here / "cache"))
    with serving(Hub({"me/tiny": {name: path.read_bytes() for name, path in files.items()}})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def weights(hub: Hub) -> set[str]:
    return {name.partition("/")[0] for name in hub.files if name.endswith(".safetensors")}


def test_a_whole_model_comes_part_by_part_and_is_the_folder(hub: Hub) -> None:
    with fetching([NAME]):
        alone = load_unet(NAME)
        assert {"unet"} == weights(hub)
        parts = load_checkpoint(NAME)
    assert {"unet", "text_encoder", "text_encoder_2", "vae"} == weights(hub)
    expected = load_checkpoint("folder")
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = (
            QUIET.load(condition(one.denoiser, encode(one.encoder, "a cab")))(x, 0.6, 0.8) for one in (parts, expected)
        )
        third = QUIET.load(condition(alone, encode(parts.encoder, "a cab")))(x, 0.6, 0.8)
        decoded = [QUIET.load(one.autoencoder).decode(x) for one in (parts, expected)]
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert torch.equal(decoded[0], decoded[1])
