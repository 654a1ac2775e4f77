"""`nodeflow convert`: pickled weights become safetensors that loaders open, or nothing is written."""

import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

Call = Callable[..., Any]


@pytest.fixture
def checkpoint(surroundings: Path) -> Path:
    """Three parts, two of which are known by their names."""
    parts = {
        "epoch": 3, "state_dict": {"module.w": torch.ones(2, 3), "module.b": torch.ones(3).half()},
        "discriminator": {"w": torch.zeros(4)},
    }  # fmt: skip
    torch.save(parts, surroundings / "last.ckpt")
    return surroundings / "last.ckpt"


def test_a_checkpoint_becomes_safetensors_beside_it(nodeflow: Call, checkpoint: Path) -> None:
    said = nodeflow("convert", "last.ckpt")
    assert (0, "") == (said.code, said.err)
    assert (
        "last.safetensors\n"
        '2 tensors, 360 B (F32, F16), of "state_dict"\n'
        'taken off every name: "module."\n'
        "not taken: discriminator (1 tensor, 16 B); --key discriminator takes it\n"
        "left out, no tensors: epoch\n"
    ) == said.out.replace(f"{checkpoint.with_suffix('.safetensors').stat().st_size} B", "360 B")
    found = load_file("last.safetensors")
    assert {"w": torch.float32, "b": torch.float16} == {name: value.dtype for name, value in found.items()}
    with safe_open("last.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() == metadata["source_sha256"]
    assert ("last.ckpt", "state_dict") == (metadata["source"], metadata["source_key"])
    assert stat.S_IMODE(checkpoint.stat().st_mode) == stat.S_IMODE(os.stat("last.safetensors").st_mode)


def test_json_tells_the_same(nodeflow: Call, checkpoint: Path) -> None:
    told = nodeflow("convert", "last.ckpt", "--out", "a.safetensors", "--json").json
    assert ("a.safetensors", "state_dict", 2) == (told["out"], told["key"], told["tensors"])
    assert {"F32": 24, "F16": 6} == told["dtypes"]
    assert (Path("a.safetensors").stat().st_size, ["epoch"]) == (told["bytes"], told["left_out"])
    assert [{"key": "discriminator", "tensors": 1, "bytes": 16}] == told["other_parts"]


def test_parts_are_listed_and_chosen(nodeflow: Call, checkpoint: Path) -> None:
    assert (
        "state_dict     2 tensors  30 B\ndiscriminator   1 tensor  16 B\n"
        == nodeflow("convert", "last.ckpt", "--keys").out
    )
    assert not Path("last.safetensors").exists()
    assert 0 == nodeflow("convert", "last.ckpt", "--key", "discriminator").code
    assert ["w"] == list(load_file("last.safetensors"))
    assert 0 == nodeflow("convert", "last.ckpt", "--key", ".", "--out", "all.safetensors").code
    assert ["discriminator.w", "state_dict.module.b", "state_dict.module.w"] == sorted(load_file("all.safetensors"))
    said = nodeflow("convert", "last.ckpt", "--key", "generator", "--force")
    assert (2, True) == (
        said.code,
        'has no part "generator"; those with tensors: state_dict, discriminator' in said.err,
    )


def test_averaged_weights_are_taken_first_and_what_is_not_known_is_asked(nodeflow: Call, surroundings: Path) -> None:
    torch.save({"model": {"w": torch.zeros(2)}, "G_ema": {"w": torch.ones(2)}}, "a.pt")
    assert 'of "G_ema"' in nodeflow("convert", "a.pt").out
    torch.save({"encoder": {"w": torch.zeros(2)}, "decoder": {"w": torch.ones(2)}}, "b.pt")
    said = nodeflow("convert", "b.pt")
    assert 2 == said.code
    assert "holds several models" in said.err
    assert "--key encoder: 1 tensor\n" in said.err


def test_a_textual_inversion_gets_the_name_that_loaders_know(nodeflow: Call, surroundings: Path) -> None:
    torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": torch.ones(2, 768)}}, "cat.pt")
    assert 0 == nodeflow("convert", "cat.pt").code
    assert {"emb_params": (2, 768)} == {
        name: tuple(value.shape) for name, value in load_file("cat.safetensors").items()
    }


def test_a_file_that_is_there_is_replaced_only_by_force(nodeflow: Call, checkpoint: Path) -> None:
    Path("last.safetensors").write_text("mine")
    said = nodeflow("convert", "last.ckpt")
    assert (2, "mine") == (said.code, Path("last.safetensors").read_text())
    assert "is there already\n    --force replaces it, --out names another" in said.err
    assert 0 == nodeflow("convert", "last.ckpt", "--force").code
    assert 2 == len(load_file("last.safetensors"))
    os.mkfifo("pipe.safetensors")
    assert (
        "is there already, and no file" in nodeflow("convert", "last.ckpt", "--out", "pipe.safetensors", "--force").err
    )


def test_a_full_disk_leaves_nothing(nodeflow: Call, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nodeflow.pickled.writing.numbers", full)
    said = nodeflow("convert", "last.ckpt")
    assert 2 == said.code
    assert "the disk is full" in said.err
    assert {"last.ckpt", "tiny.json"} == {path.name for path in Path().iterdir()}


def test_the_checkpoint_itself_is_never_replaced(nodeflow: Call, checkpoint: Path) -> None:
    before = checkpoint.read_bytes()
    checkpoint.rename("last.safetensors")
    os.link("last.safetensors", "b.safetensors")
    for call in (["--force"], ["--force", "--out", "b.safetensors"]):
        said = nodeflow("convert", "last.safetensors", *call)
        assert (2, before) == (said.code, Path("last.safetensors").read_bytes())
        assert "is the checkpoint itself, which stays as it is\n    --out names another file" in said.err


def test_what_would_be_found_by_no_graph_is_not_written(nodeflow: Call, checkpoint: Path) -> None:
    said = nodeflow("convert", "last.ckpt", "--out", "mine.ckpt")
    assert (2, False) == (said.code, Path("mine.ckpt").exists())
    assert "does not end in .safetensors, by which weights are known\n    --out mine.ckpt.safetensors" in said.err
    Path("a.safetensors").symlink_to("nowhere")
    said = nodeflow("convert", "last.ckpt", "--out", "a.safetensors", "--force")
    assert (2, True) == (said.code, Path("a.safetensors").is_symlink())
    assert "a.safetensors is a link that leads nowhere\n    remove it" in said.err


@pytest.mark.parametrize("length", [240, 300])  # the first only with what is put behind it while it is written
def test_a_name_that_the_disk_refuses_is_told_in_words(nodeflow: Call, checkpoint: Path, length: int) -> None:
    said = nodeflow("convert", "last.ckpt", "--out", f"{'a' * length}.safetensors")
    assert 2 == said.code
    assert f"cannot be written: {os.strerror(errno.ENAMETOOLONG)}\n    nothing is left of it" in said.err
    assert "Errno" not in said.err


def test_a_checkpoint_that_was_damaged_on_the_way_is_refused(nodeflow: Call, checkpoint: Path) -> None:
    """One bit of a weight differs: the archive's check sum of that record tells it, and nothing is written."""
    data = bytearray(checkpoint.read_bytes())
    data[data.index(torch.ones(2, 3).numpy().tobytes()) + 2] ^= 1
    Path("bad.ckpt").write_bytes(data)
    said = nodeflow("convert", "bad.ckpt")
    assert (2, False) == (said.code, Path("bad.safetensors").exists())
    assert "bad.ckpt is damaged: its record last/data/0 is not what was written, by its check sum" in said.err


def test_a_checkpoint_without_check_sums_is_converted(nodeflow: Call, surroundings: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.ones(3)}, "quick.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert 0 == nodeflow("convert", "quick.pt").code
    assert torch.equal(torch.ones(3), load_file("quick.safetensors")["w"])


@pytest.mark.skipif(sys.platform == "win32", reason="a program is ended there without being told")
def test_a_conversion_that_is_ended_leaves_nothing(surroundings: Path) -> None:
    torch.save({"w": torch.zeros(2**26)}, "large.pt")  # 256 MB: long enough to be ended while it is written
    command = [sys.executable, "-c", "from nodeflow.cli import main; main()", "convert", "large.pt"]
    with subprocess.Popen(command) as child:
        deadline = time.monotonic() + 60
        while not list(surroundings.glob("*.partial")) and time.monotonic() < deadline:
            time.sleep(0.001)
        child.send_signal(signal.SIGTERM)
    assert 128 + signal.SIGTERM == child.returncode
    assert [] == list(surroundings.glob("large.safetensors*"))


def test_too_little_room_is_told_before_anything_is_written(
    nodeflow: Call, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 10}))
    said = nodeflow("convert", "last.ckpt")
    assert "only 10 bytes are free there" in said.err
    assert not Path("last.safetensors").exists()


def test_a_trap_ends_with_its_name_and_nothing_done(nodeflow: Call, surroundings: Path) -> None:
    Path("evil.ckpt").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    said = nodeflow("convert", "evil.ckpt", "--json")
    assert 2 == said.code
    assert "wants to call os.system" in json.loads(said.out)["problems"][0]["message"]
    assert not Path("executed").exists()


def test_refusals_of_pickles_name_the_converter(nodeflow: Call, checkpoint: Path) -> None:
    from nodeflow import ModelError, find_checkpoint

    with pytest.raises(ModelError, match=r"nodeflow convert .*last\.ckpt"):
        find_checkpoint("last.ckpt")


def test_what_was_converted_is_what_its_loader_opens(nodeflow: Call, surroundings: Path) -> None:
    """Weights of nodeflow's own U-Net go through a pickle and come back with the same names and numbers."""
    from nodeflow import find_weights

    expected = load_file(find_weights("shapes:unet"))
    torch.save({"state_dict": expected, "global_step": 1}, "unet.ckpt")
    assert 0 == nodeflow("convert", "unet.ckpt").code
    found = load_file("unet.safetensors")
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
