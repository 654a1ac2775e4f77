"""A whole model of the hub by one name: its parts come as loaders ask for them, and give what the folder gives."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from nodeflow_diffusion.checkpoint_nodes import load_checkpoint, load_unet
from nodeflow_diffusion.nodes import condition
from nodeflow_text.nodes import encode
from nodeflow_text.published_nodes import load_clip

sys.path.append(str(Path(__file__).parent.parent / "plugins_for_tests"))
from hub_server import COMMIT, Hub, serving

from nodeflow import QUIET, ModelError
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


@pytest.fixture
def vocabularies(hub: Hub) -> Hub:
    """The same hub with a model that comes without vocabularies, and with vocabularies alone."""
    whole = hub.repositories["me/tiny"]
    alone = {name.partition("/")[2]: data for name, data in whole.items() if name.startswith("tokenizer/")}
    bare = {name: data for name, data in whole.items() if not name.startswith("tokenizer")}
    hub.repositories = {"me/tiny": whole, "me/bare": bare, "me/alone": alone, "me/none": {"a.json": b"{}"}}
    return hub


@pytest.mark.parametrize(
    ("name", "home", "number"),
    [
        ("hf://me/tiny", "me--tiny/snapshots/{}/tokenizer", 1),
        ("hf://me/tiny", "me--tiny/snapshots/{}/tokenizer_2", 2),
        ("hf://me/tiny/tokenizer", "me--tiny/snapshots/{}/tokenizer", 1),
        ("hf://me/tiny@main/tokenizer", "me--tiny/snapshots/{}/tokenizer", 2),
        ("hf://me/alone", "me--alone/snapshots/{}", 1),
    ],
)
def test_a_vocabulary_is_followed_as_models_are(
    name: str, home: str, number: int, vocabularies: Hub, here: Path
) -> None:
    with fetching(["hf://me/bare"]):
        part = load_unet("hf://me/bare")
        with pytest.raises(ModelError, match=f'"{name}" is not fetched yet\n    nodeflow run --fetch .* NAME={name} '):
            load_clip("hf://me/bare", name, number)
    vocabularies.asked.clear()
    with fetching([name]):
        found = load_clip("hf://me/bare", name, number).vocabulary  # type: ignore[attr-defined]
    assert part is not None
    assert [] == [name for name in vocabularies.files if name.endswith(".safetensors")]
    assert 1 == sum("/api/models/" in line for line in vocabularies.asked)
    assert str(here / "cache" / f"models--{home.format(COMMIT)}") == found.folder
    vocabularies.asked.clear()
    assert found == load_clip("hf://me/bare", name, number).vocabulary  # type: ignore[attr-defined]
    assert [] == vocabularies.asked


def test_a_repository_without_a_vocabulary_is_told(vocabularies: Hub) -> None:
    with fetching(["*"]), pytest.raises(ModelError, match=r'no folder "hf://me/none" with vocab.json and merges.txt'):
        load_clip("hf://me/bare", "hf://me/none")


def test_the_vocabulary_of_a_whole_model_on_disk_is_found_by_its_name(folder: Write, here: Path) -> None:
    name = folder("sdxl")
    for number, home in (1, "tokenizer"), (2, "tokenizer_2"):
        found = load_clip(name, name, number).vocabulary  # type: ignore[attr-defined]
        assert str(here / name / home) == found.folder


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
