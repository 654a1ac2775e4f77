"""Weights of strangers are judged by their headers: what is damaged, cut off or made to mislead is refused in words."""

import json
import os
import re
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodeflow import ModelError
from nodeflow.checkpoints import read_checkpoint
from nodeflow.headers import LONGEST, Entry, bytes_by_type, weights_header


def written(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def tensor(start: int, stop: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def test_a_header_is_what_safetensors_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights = {
        "w": torch.zeros(2, 3),
        "b": torch.zeros(4, dtype=torch.float16),
        "n": torch.zeros(()),
        "e": torch.zeros(0, 2),
    }
    save_file(weights, path, {"by": "us"})
    found = weights_header(path)
    assert {"by": "us"} == found.metadata
    assert {"w": (2, 3), "b": (4,), "n": (), "e": (0, 2)} == {
        name: entry.shape for name, entry in found.tensors.items()
    }
    assert Entry("F16", (4,), 8, path) == found.tensors["b"]
    assert [("F32", 28), ("F16", 8)] == list(bytes_by_type(found.tensors))


@pytest.mark.parametrize(
    ("header", "data", "length", "words"),
    [
        ({"w": tensor(0, 8, [2])}, b"\0" * 4, None, "its tensors take 8 bytes, but 4 are there"),
        ({"w": tensor(0, 8, [2]), "v": tensor(4, 8, [1])}, b"\0" * 8, None, '"w" and "v" overlap at byte 4'),
        ({"w": tensor(4, 8, [1])}, b"\0" * 8, None, "its tensors leave a gap at byte 0"),
        ({"w": tensor(0, 8, [3])}, b"\0" * 8, None, '"w", F32 [3], does not take the 8 bytes it is given'),
        ({"w": tensor(0, 8, [-2])}, b"\0" * 8, None, '"w" has the shape [-2], but expected up to 8 whole'),
        ({"w": tensor(0, 8, [True, 2])}, b"\0" * 8, None, '"w" has the shape [true, 2]'),
        ({"w": tensor(0, 8, [2], "F31")}, b"\0" * 8, None, '"w" has the dtype "F31", but expected one of BOOL, U8'),
        ({"w": {"dtype": "F32"}}, b"", None, '"w" does not say its shape and data_offsets'),
        ({"w": tensor(0, 8, [2]) | {"data_offsets": [8]}}, b"\0" * 8, None, '"w" has the data_offsets [8], but'),
        ({"w": tensor(8, 0, [2])}, b"\0" * 8, None, "does not take the -8 bytes it is given, from byte 8 to 0"),
        ({"w": tensor(0, 8, [2]) | {"shape": "2"}}, b"\0" * 8, None, '"w" has the shape "2", but expected up to 8'),
        (
            {"w": tensor(0, 8, [2]), "__metadata__": {"by": 3}},
            b"\0" * 8,
            None,
            "its __metadata__ are not texts by name",
        ),
        ({"a\nb": tensor(0, 8, [2], "F" * 99)}, b"\0" * 8, None, '"a\\nb" has the dtype "' + "F" * 79 + "..."),
        ({"w": tensor(0, 8, [1] * 9)}, b"\0" * 8, None, '"w" has the shape [1, 1, 1'),
        ({"w": 3, "v": []}, b"", None, '"w" is 3, but expected its dtype, shape and data_offsets'),
        (b"[]", b"", None, "it is no JSON object, but expected one of tensors by name"),
        (b"{", b"", None, "damaged header: its 1 bytes are no JSON at byte 1"),
        (b'{"w": \xff}', b"", None, "damaged header: its 8 bytes are no JSON at byte 6"),
        (b"[" * 100_000, b"", None, "damaged header: its 100,000 bytes are no JSON, but brackets within brackets"),
        (b"{}", b"", 2**40, "cut off or no safetensors file: it has 10 bytes"),
        (b"", b"", 0, "damaged header: its 0 bytes are no JSON"),
    ],
)
def test_what_is_wrong_is_told(header: object, data: bytes, length: int | None, words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "bad.safetensors", header, data, length)
    with pytest.raises(ModelError) as caught:
        weights_header(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n    fetch it again" in str(caught.value)


@pytest.mark.parametrize("depth", range(900, 1000))
def test_brackets_within_brackets_are_told_however_deep(depth: int, tmp_path: Path) -> None:
    path = written(tmp_path / "deep.safetensors", b'{"w": ' + b"[" * depth + b"]" * depth + b"}")
    with pytest.raises(ModelError, match=r"damaged header: .*\n    fetch it again"):
        weights_header(path)


def test_a_header_of_two_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "huge.safetensors", b"{", length=2**31)
    with open(path, "r+b") as file:
        file.truncate(2**31 + 100)  # sparse
    began = time.process_time()
    with pytest.raises(ModelError, match=f"at most {LONGEST:,} are read"):
        weights_header(path)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("name", ["a.ckpt", "a.safetensors"])
def test_pickles_are_refused_by_name_and_by_content(name: str, tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(ModelError) as caught:
        weights_header(tmp_path / name)
    assert "is a pickled checkpoint; those are refused" in str(caught.value)
    assert str(caught.value).endswith(f"\n    convert it: nodeflow convert {tmp_path / name}")


def test_every_bit_of_a_header_may_be_wrong(tmp_path: Path) -> None:
    weights = {"w": torch.zeros(2, 3), "b": torch.zeros(4, dtype=torch.float16)}
    save_file(weights, tmp_path / "a.safetensors", {"by": "us"})
    whole = (tmp_path / "a.safetensors").read_bytes()
    refused = 0
    for bit in range(8 * (len(whole) - 32)):  # but for the numbers, of which every one is one
        odd = bytearray(whole)
        odd[bit // 8] ^= 1 << bit % 8
        path = tmp_path / f"{bit}.safetensors"
        path.write_bytes(odd)
        said = ""
        try:
            found = weights_header(path)
        except ModelError as error:
            said = str(error)
        if said:
            refused += 1
            assert str(path) in said
            assert not re.search(r"Error|Expecting|object is|subscript|codec|<class", said)
        else:  # another name, another text of the writer's, another type of the same width
            assert 32 == sum(entry.bytes for entry in found.tensors.values())
        path.unlink()
    assert refused > 4 * (len(whole) - 32)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("pipe", "folder"):
        path = tmp_path / f"{name}.safetensors"
        with pytest.raises(ModelError, match=rf"^{path} is a {name}, not a file\n    name a safetensors file$"):
            weights_header(path)


def test_seven_gigabytes_are_known_by_their_header_alone(tmp_path: Path) -> None:
    rows = {
        f"model.diffusion_model.{at}.weight": tensor(at * 4_000_000, (at + 1) * 4_000_000, [1000, 1000])
        for at in range(1750)
    }
    path = written(tmp_path / "big.safetensors", rows)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size + 7_000_000_000)  # sparse
    began = time.process_time()
    found = weights_header(path)
    assert time.process_time() - began < 0.05
    assert 7_000_000_000 == sum(entry.bytes for entry in found.tensors.values())


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for at, name in enumerate("ab"):
        save_file({name: torch.zeros(2)}, folder / f"model-{at}.safetensors")
    index(folder, {"a": "model-0.safetensors", "b": "model-1.safetensors"})
    return folder


def index(folder: Path, names: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def test_shards_are_one_checkpoint(sharded: Path) -> None:
    (sharded / "config.json").write_text('{"_class_name": "X"}')
    found = read_checkpoint(sharded)
    assert {"a": (2,), "b": (2,)} == found.shapes
    assert {"_class_name": "X"} == found.config
    assert ["config.json", "model.safetensors.index.json", "model-0.safetensors", "model-1.safetensors"] == [
        file.name for file in found.files
    ]


def test_what_is_wrong_with_shards_is_told(sharded: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(ModelError, match=words):
            read_checkpoint(sharded)

    index(sharded, {"a": "model-0.safetensors", "b": "../model-1.safetensors"})
    refused("names the shard .*which is no safetensors file beside it")
    index(sharded, {"a": "model-0.safetensors"})
    refused("holds several models")  # a file that no index names could be meant as well
    for number in (1, 2):
        (sharded / f"model-{number - 1}.safetensors").rename(sharded / f"model-0000{number}-of-00002.safetensors")
    (sharded / "model.safetensors.index.json").unlink()
    refused(
        "holds shards without their index: model-00001-of-00002.safetensors, .*\n    fetch model.safetensors.index.json"
    )
    for number in (1, 2):
        (sharded / f"model-0000{number}-of-00002.safetensors").rename(sharded / f"model-{number - 1}.safetensors")
    index(sharded, {"a": "model-0.safetensors", "b": "model-1.safetensors", "c": "model-1.safetensors"})
    refused("model-1.safetensors does not hold what model.safetensors.index.json says: missing c")
    index(sharded, {"a": "model-0.safetensors", "b": "model-2.safetensors"})
    refused("lacks 1 of its 2 shards: model-2.safetensors\n    fetch these files into the folder")
    index(sharded, ["a"])
    refused("has no weight_map")
    index(sharded, {"a": "model-0.safetensors", "b": "model-1.safetensors"})
    whole = (sharded / "model-1.safetensors").read_bytes()
    (sharded / "model-1.safetensors").write_bytes(whole[:-1])
    refused("model-1.safetensors has a damaged header: its tensors take 8 bytes, but 7 are there")


def test_variants_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(ModelError, match="there is nothing of the kind"):
        read_checkpoint(folder)
    torch.save({}, folder / "model.bin")
    with pytest.raises(ModelError, match=r"only pickled ones \(model.bin\)"):
        read_checkpoint(folder)
    save_file({"a": torch.zeros(1)}, folder / "model.fp16.safetensors")
    assert (1,) == read_checkpoint(folder).shapes["a"]
    save_file({"a": torch.zeros(2)}, folder / "model.non_ema.safetensors")
    with pytest.raises(ModelError, match='has no "plain" weights, but fp16, non_ema'):
        read_checkpoint(folder)
    assert (2,) == read_checkpoint(folder, variant="non_ema").shapes["a"]
    save_file({"a": torch.zeros(3)}, folder / "model.safetensors")
    assert (3,) == read_checkpoint(folder).shapes["a"]
