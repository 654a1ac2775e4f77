"""Models by name: in the working directory, in model folders, as ComfyUI and as the Hugging Face cache lay them out."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodeflow import Context, ModelError, checkpoint_identity, find_checkpoint, find_weights, weights_identity
from nodeflow.files import CheckpointModel
from nodeflow.folders import model_folders
from nodeflow.places import inside, listed
from nodeflow.session import Permissions


def weights(path: Path, value: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"w": torch.full((2,), value)}, path)
    return path


def folder(path: Path) -> Path:
    weights(path / "model.safetensors")
    (path / "config.json").write_text("{}")
    return path


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("NODEFLOW_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "models"


def test_names_with_and_without_suffix_and_with_folders(models: Path) -> None:
    file = weights(models / "mine" / "a.safetensors")
    for name in ("mine/a", "mine/a.safetensors", str(file)):
        assert file == find_weights(name) == find_checkpoint(name).path
    near = weights(Path.cwd() / "mine" / "a.safetensors")
    assert near == find_weights("mine/a")  # the working directory comes first


def test_the_shelves_of_comfyui(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = weights(models / "checkpoints" / "sd" / "a.safetensors")
    assert file == find_weights("sd/a") == find_weights("checkpoints/sd/a.safetensors")
    monkeypatch.setenv("NODEFLOW_MODELS", str(tmp_path))  # the folder of ComfyUI itself
    assert models == model_folders()[0]
    assert file == find_weights("sd/a")


def test_a_name_that_means_two(models: Path) -> None:
    weights(models / "vae" / "a.safetensors")
    weights(models / "checkpoints" / "a.safetensors")
    with pytest.raises(ModelError, match=r'"a" could be any of\n    checkpoints/a.safetensors\n    vae/a.safetensors'):
        find_weights("a")
    assert models / "vae" / "a.safetensors" == find_weights("vae/a")
    folder(models / "b")
    weights(models / "b.safetensors")
    with pytest.raises(ModelError, match=r'"b" could be any of\n    b\n    b.safetensors'):
        find_checkpoint("b")
    assert models / "b.safetensors" == find_weights("b")  # which can only be a file


def test_folders_are_models_if_they_say_so(models: Path) -> None:
    assert folder(models / "a") == find_checkpoint("a").path
    folder(models / "pipe" / "vae")
    assert models / "pipe" / "vae" == find_checkpoint("pipe", part="vae").path
    weights(models / "loose" / "x.safetensors")
    with pytest.raises(ModelError, match='no model "loose"'):
        find_checkpoint("loose")


def hub(root: Path, revision: str) -> Path:
    """A repository as the Hugging Face cache keeps it: files in blobs, links to them by revision."""
    home = root / "models--org--name"
    weights(home / "blobs" / "abc", 1)
    snapshot = home / "snapshots" / revision
    (snapshot / "vae").mkdir(parents=True)
    (snapshot / "vae" / "diffusion_pytorch_model.safetensors").symlink_to("../../../blobs/abc")
    (snapshot / "vae" / "config.json").write_text("{}")
    (snapshot / "one.safetensors").symlink_to("../../blobs/abc")
    return snapshot


def test_the_cache_of_hugging_face(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    first, second = hub(root, "a1"), hub(root, "b2")
    os.utime(first, (1, 1))
    assert root == model_folders()[-1]
    assert second / "one.safetensors" == find_weights("org/name/one")
    (root / "models--org--name" / "refs").mkdir()
    (root / "models--org--name" / "refs" / "main").write_text("a1")
    assert first / "one.safetensors" == find_weights("org/name/one.safetensors")
    assert first / "vae" == find_checkpoint("org/name", part="vae").path == find_checkpoint("org/name/vae").path
    assert {"org/name/one.safetensors", "org/name/vae"} == {name for name, _ in listed()}
    permissions = Permissions(tmp_path / "out", model_folders())

    class Asking(Context):
        def read(self, path: str | Path) -> Path:
            return permissions.readable(Path(path))

    assert first / "vae" == find_checkpoint("org/name/vae", Asking()).path


def test_the_nearest_name_is_told(models: Path) -> None:
    weights(models / "sd_xl_base.safetensors")
    with pytest.raises(ModelError, match=r'no model "sd_xl_bse"; looked in(.|\n)*did you mean "sd_xl_base"\?'):
        find_weights("sd_xl_bse")
    for name in ("", " ", "a\0b"):
        with pytest.raises(ModelError, match="is no name of a model"):
            find_checkpoint(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_there_and_is_no_model_is_told(models: Path) -> None:
    (models / "empty").mkdir(parents=True)
    os.mkfifo(models / "pipe.safetensors")
    with pytest.raises(ModelError, match=f"^{models / 'pipe.safetensors'} is a pipe, not a file\n"):
        find_weights("pipe")
    with pytest.raises(ModelError, match=f'^no model "empty": {models / "empty"} is a folder, not a file; looked in'):
        find_weights("empty")
    with pytest.raises(ModelError, match=r'^no model "empty": \S+/empty is a folder with no model in it; looked in'):
        find_checkpoint("empty")


def test_links_are_followed_once_and_not_out(models: Path, tmp_path: Path) -> None:
    weights(models / "a" / "x.safetensors")
    (models / "a" / "loop").symlink_to(models, target_is_directory=True)
    (models / "out").symlink_to(tmp_path, target_is_directory=True)
    secret = weights(tmp_path / "secret.safetensors")
    (models / "link.safetensors").symlink_to(secret)
    found = dict(listed())
    assert {"a/x.safetensors": True, "out": False, "link.safetensors": False} == {
        name: inside(path) for name, path in found.items()
    }


def test_a_link_that_leads_nowhere_is_told(models: Path) -> None:
    models.mkdir()
    (models / "loop.safetensors").symlink_to("loop.safetensors")
    (models / "gone.safetensors").symlink_to("absent.safetensors")
    with pytest.raises(ModelError, match=r"loop.safetensors is a link that leads to itself\n    mend the link"):
        find_weights("loop")
    with pytest.raises(ModelError, match=r"leads to absent.safetensors, which is not there\n    mend the link"):
        find_checkpoint("gone")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "may not be read by this user\n    change its permissions"),
        (errno.EIO, "cannot be read: its disk fails\n    check the disk"),
        (errno.ESTALE, "cannot be read: Stale file handle\n    check the disk it is on"),
    ],
)
def test_what_the_system_does_not_let_us_read(
    number: int, words: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = weights(models / "a.safetensors")

    def refuse(path: object) -> object:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("nodeflow.files.open_file", refuse)
    with pytest.raises(ModelError) as caught:
        weights_identity("a")
    assert f"{file} {words}" in str(caught.value)
    monkeypatch.setattr("nodeflow.headers.open_file", refuse)
    with pytest.raises(ModelError) as caught:
        find_checkpoint("a")
    assert f"{file} {words}" in str(caught.value)
    home = folder(models / "b")
    monkeypatch.setattr("nodeflow.checkpoints.open_file", refuse)
    with pytest.raises(ModelError) as caught:
        find_checkpoint("b")
    assert f"{home / 'config.json'} {words}" in str(caught.value)


def test_each_file_of_a_folder_is_judged(models: Path, tmp_path: Path) -> None:
    home = folder(models / "a")
    (home / "model.safetensors").unlink()
    (home / "model.safetensors").symlink_to(weights(tmp_path / "secret.safetensors"))
    permissions = Permissions(tmp_path / "out", (models,))

    class Asking(Context):
        def read(self, path: str | Path) -> Path:
            return permissions.readable(Path(path))

    with pytest.raises(PermissionError, match="lies outside the folders"):
        find_checkpoint("a", Asking())


def test_identity_is_of_all_files(models: Path) -> None:
    home = folder(models / "a")
    before = checkpoint_identity(find_checkpoint("a"))

    class Described(CheckpointModel):
        def build(self, device: object) -> None:
            del device

    model = Described("a", before, 8, "")
    assert 8 == model.size
    assert home == model.checkpoint().path
    (home / "config.json").write_text(json.dumps({"changed": True}))
    assert before != checkpoint_identity(find_checkpoint("a"))
    with pytest.raises(ModelError, match="has changed since the graph looked at it"):
        model.checkpoint()
