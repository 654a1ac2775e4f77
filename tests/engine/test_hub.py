"""Models of the hub: fetched where somebody asked for them by name, found again without a network, never pickled."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from hub_server import COMMIT, Hub, serving
from safetensors.torch import save

from nodeflow import ModelError, find_checkpoint, find_weights
from nodeflow.hub import ANY, HubName, NotFetched, fetching, files_of

Serve = Callable[..., Hub]
WEIGHTS = save({"w": torch.ones(300, 400)})
OTHER = save({"w": torch.zeros(300, 400)})
HALF = save({"w": torch.ones(300, 400).half()})
SHARDS = {
    "model-00001-of-00002.safetensors": save({"a": torch.ones(2)}),
    "model-00002-of-00002.safetensors": save({"b": torch.ones(3)}),
    "model.safetensors.index.json": json.dumps({
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    }).encode(),
}  # fmt: skip
PIPELINE = {
    "README.md": b"read me", ".gitattributes": b"", "model_index.json": b"{}", "whole.safetensors": WEIGHTS,
    "unet/config.json": b'{"sample_size": 8}', "unet/weights.fp16.safetensors": HALF,
    "unet/weights.safetensors": WEIGHTS,
    "unet/weights.bin": b"pickled", "vae/config.json": b'{"of": "vae"}', "vae/weights.safetensors": OTHER,
    "tokenizer/merges.txt": b"#version", "tokenizer/vocab.json": b'{"a": 1}',
    "scheduler/scheduler_config.json": b'{"of": "it"}',
    "text_encoder/config.json": b'{"of": "text"}', "text_encoder/weights.bin": b"pickled",
}  # fmt: skip
REPOSITORIES: Mapping[str, Mapping[str, bytes]] = {
    "me/pipeline": PIPELINE,
    "me/flat": {"config.json": b"{}", "model.fp16.safetensors": HALF, "pytorch_model.bin": b"pickled"},
    "me/sharded": {"config.json": b"{}", **SHARDS},
    "me/lora": {"README.md": b"", "pytorch_lora_weights.safetensors": WEIGHTS},
    "me/several": {"README.md": b"", "a.safetensors": WEIGHTS, "b.safetensors": WEIGHTS, "c.ckpt": b"pickled"},
    "me/pickled": {"config.json": b"{}", "pytorch_model.bin": b"pickled"},
    "me/gated": {"config.json": b"{}", "model.safetensors": WEIGHTS},
    "me/empty": {},
    "me/cut": {"config.json": b"{}", "model.safetensors": WEIGHTS[:1000]},
    "me/evil": {"../../escaped.json": b"{}", "config.json": b"{}", "model.safetensors": WEIGHTS},
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and an empty cache."""
    pytest.importorskip("huggingface_hub")
    for name in ("NODEFLOW_FETCH", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.chdir(tmp_path)
    with serving(Hub(REPOSITORIES, gated=("me/gated",))) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def refusal(name: str, allowed: str = ANY, part: str = "") -> str:
    with pytest.raises(ModelError) as caught, fetching([allowed]):
        find_checkpoint(name, part=part)
    return str(caught.value)


def test_nothing_is_fetched_that_nobody_asked_for(hub: Hub) -> None:
    with pytest.raises(NotFetched, match='"hf://me/pipeline" is not fetched yet\n    nodeflow run --fetch'):
        find_checkpoint("hf://me/pipeline", part="unet")
    assert "not fetched yet" in refusal("hf://me/pipeline", "hf://me/flat")
    assert [] == hub.asked


def test_a_part_comes_with_configs_and_vocabularies_and_without_other_weights(hub: Hub, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    with fetching(["hf://me/pipeline"], lambda *said: heard.append(said)):
        found = find_checkpoint("hf://me/pipeline", part="unet")
    assert {"w": (300, 400)} == found.shapes
    assert {"sample_size": 8} == found.config
    assert [
        "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "tokenizer/merges.txt",
        "tokenizer/vocab.json", "unet/config.json", "unet/weights.safetensors", "vae/config.json",
    ] == sorted(hub.files)  # fmt: skip
    total = sum(len(PIPELINE[name]) for name in hub.files)
    assert ("", total, total) == heard[-1]
    assert [said[1] for said in heard] == sorted(said[1] for said in heard)
    assert ("unet/weights.safetensors", total, total) in heard  # bytes are told as they come, not at a file's end alone


def test_what_was_fetched_is_found_without_a_network_and_by_its_plain_name(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fetching([ANY]):
        first = find_checkpoint("hf://me/pipeline", part="unet")
    asked = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # nor is the library needed
    assert first.path == find_checkpoint("hf://me/pipeline", part="unet").path
    assert first.path == find_checkpoint("me/pipeline", part="unet").path
    assert first.path == find_checkpoint(f"hf://me/pipeline@{COMMIT}", part="unet").path
    assert "merges.txt" == find_weights("hf://me/pipeline/tokenizer/merges.txt").name
    assert asked == len(hub.asked)
    with pytest.raises(NotFetched):
        find_checkpoint("hf://me/pipeline", part="vae")


def test_another_part_of_what_is_there_is_fetched_when_asked_for(hub: Hub) -> None:
    with fetching([ANY]):
        find_checkpoint("hf://me/pipeline", part="unet")
        find_checkpoint("hf://me/pipeline", part="vae")
    assert "vae/weights.safetensors" in hub.files
    assert 1 == sum(line.startswith("GET") and "unet/weights" in line for line in hub.asked)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("hf://me/flat", {"w": (300, 400)}),
        ("hf://me/sharded", {"a": (2,), "b": (3,)}),
        ("hf://me/lora", {"w": (300, 400)}),
        ("hf://me/lora/pytorch_lora_weights", {"w": (300, 400)}),
        ("hf://me/several/b.safetensors", {"w": (300, 400)}),
        ("hf://me/several@main/b.safetensors", {"w": (300, 400)}),
        ("hf://me/several/b.safetensors@main", {"w": (300, 400)}),
        ("hf://me/pipeline/vae@fp8", {"w": (300, 400)}),
        (f"hf://me/pipeline@{COMMIT}/unet/weights.fp16.safetensors", {"w": (300, 400)}),
    ],
)
def test_files_folders_shards_and_revisions_are_fetched(
    hub: Hub, name: str, shapes: dict[str, tuple[int, ...]]
) -> None:
    with fetching([name]):
        assert shapes == find_checkpoint(name).shapes
    assert shapes == find_checkpoint(name).shapes
    assert not [file for file in hub.files if file.endswith((".bin", ".ckpt"))]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf://me/absent", "there is no hf://me/absent, or only for those who are logged in"),
        ("hf://me/gated", "hf://me/gated is gated"),
        ("hf://me/flat@old", 'has no revision "old"'),
        ("hf://me/flat/vae", 'has no "vae"\n    it has model.fp16.safetensors'),
        ("hf://me/pickled", "only pickled (pytorch_model.bin), which is never fetched"),
        ("hf://me/several/c.ckpt", "only pickled (c.ckpt), which is never fetched"),
        ("hf://me/empty", "hf://me/empty is empty\n    it has no safetensors"),
        (
            "hf://me/several",
            "hf://me/several holds several models; name the one that is meant:\n    hf://me/several/a.safetensors",
        ),
        ("hf://me", "is no name of a model on the hub"),
        ("hf://me/../x", "is no name of a model on the hub"),
        ("hf://me/a/../../x", "is no name of a model on the hub"),
        ("hf://me/a@", "is no name of a model on the hub"),
        ("hf://me/a@../../x", "is no name of a model on the hub"),
    ],
)
def test_what_cannot_be_fetched_is_told_with_its_cure(hub: Hub, name: str, words: str) -> None:
    assert words in refusal(name)


def test_what_came_cut_off_is_told_with_the_file_and_how_to_fetch_it_anew(hub: Hub, tmp_path: Path) -> None:
    told = refusal("hf://me/cut")
    assert "model.safetensors has a damaged header: its tensors take 480,000 bytes" in told
    home = tmp_path / "cache" / "models--me--cut"
    assert f"or was damaged since: remove {home}, then it is fetched anew" in told


def test_pickled_parts_are_refused_too(hub: Hub) -> None:
    assert "only pickled (text_encoder/weights.bin)" in refusal("hf://me/pipeline", part="text_encoder")


def test_no_network_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "the hub cannot be reached" in refusal("hf://me/flat")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "cannot be fetched: the disk is full\n    HF_HUB_CACHE names another folder"),
        (errno.EROFS, f"cache cannot be written: {os.strerror(errno.EROFS)}\n    HF_HUB_CACHE names another folder"),
        (errno.EFBIG, f"cache cannot be written: {os.strerror(errno.EFBIG)}\n    HF_HUB_CACHE names another folder"),
    ],
)
def test_a_disk_is_not_taken_for_the_network(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("huggingface_hub.hf_hub_download", failing)
    assert words in refusal("hf://me/flat")


def test_a_missing_library_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'nodeflow-engine[hub]'" in refusal("hf://me/flat")


def test_offline_is_obeyed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids it" in refusal("hf://me/flat")
    assert [] == hub.asked


def test_too_little_room_is_told_before_a_file_comes(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 10}))
    assert "but only 10 bytes are free" in refusal("hf://me/flat")
    assert [] == hub.files


def test_what_is_there_already_needs_no_room(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model whose weights were broken off near their end, the rest has room."""
    with fetching([ANY]):
        find_checkpoint("hf://me/flat")
    home = HubName.of("hf://me/flat").home
    (weights,) = home.glob("snapshots/*/model.fp16.safetensors")
    size = weights.stat().st_size
    weights.unlink()
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 10}))
    with fetching([ANY]), pytest.raises(ModelError, match="takes 240 kB more, but only 10 bytes are free"):
        find_checkpoint("hf://me/flat")
    (home / "blobs" / "0123.incomplete").write_bytes(bytes(size - 5))
    with fetching([ANY]):
        assert [weights] == [entry.file for entry in find_checkpoint("hf://me/flat").tensors.values()][:1]


def test_names_that_lead_out_of_the_repository_are_passed_over(hub: Hub, tmp_path: Path) -> None:
    with fetching([ANY]):
        find_checkpoint("hf://me/evil")
    assert ["config.json", "model.safetensors"] == hub.files
    assert [] == list(tmp_path.rglob("escaped.json"))


def test_the_variable_lets_everything_be_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEFLOW_FETCH", "1")
    assert {"w": (300, 400)} == find_checkpoint("hf://me/flat").shapes


def test_a_fetch_that_is_stopped_goes_on_later(hub: Hub) -> None:
    def stop(file: str, done: int, total: int) -> None:
        if file.endswith(".safetensors"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fetching([ANY], stop):
        find_checkpoint("hf://me/flat")
    with pytest.raises(NotFetched):
        find_checkpoint("hf://me/flat")
    with fetching([ANY]):
        assert {"w": (300, 400)} == find_checkpoint("hf://me/flat").shapes


def test_names_are_read_in_both_forms() -> None:
    assert HubName("a/b", "", "main") == HubName.of("hf://a/b/")
    assert HubName("a/b", "c/d", "v1") == HubName.of("hf://a/b@v1/c/d") == HubName.of("hf://a/b/c/d@v1")
    assert HubName("a/b", "c", "refs/pr/3") == HubName.of("hf://a/b@refs/pr/3/c") == HubName.of("hf://a/b/c@refs/pr/3")
    assert HubName("a/b", "c/merges.txt", "v1") == HubName.of("hf://a/b/c@v1/merges.txt")


def test_shards_come_with_their_own_index_alone() -> None:
    names = dict.fromkeys([*SHARDS, "model.fp16.safetensors.index.json", "config.json"], 10)
    expected = ["config.json", *sorted(SHARDS)]
    assert expected == files_of(HubName("a", "", "main"), "", names)
