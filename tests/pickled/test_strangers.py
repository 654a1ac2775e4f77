"""Files of strangers: nothing in them is executed, and what is damaged or made to harm is refused in words."""

import errno
import os
import pickle
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pickles_for_tests import text, view

from nodeflow import ModelError
from nodeflow.pickled.archives import opened
from nodeflow.pickled.choosing import Chosen, chosen, groups
from nodeflow.pickled.writing import write

Taken = Callable[..., Chosen]
Zipped = Callable[..., Path]
PROTOCOL_2 = b"\x80\x02"


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught, opened(path) as archive:
        chosen(path, archive.root)
    return str(caught.value)


def called(module: str, name: str, argument: object) -> bytes:
    """The instructions by which Python's own pickle would call a function."""
    return f"c{module}\n{name}\n".encode() + b"(" + pickle.dumps(argument, 2)[2:-1] + b"tR"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"), ("posix", "system"), ("nt", "system"), ("builtins", "eval"), ("__builtin__", "eval"),
        ("builtins", "exec"), ("builtins", "__import__"), ("subprocess", "Popen"), ("runpy", "_run_code"),
        ("torch", "load"), ("torch.hub", "load"), ("torch.serialization", "load"), ("torch.jit", "load"),
        ("torch", "ops.load_library"), ("numpy", "load"), ("pickle", "loads"), ("shutil", "rmtree"),
        ("socket", "socket"), ("importlib", "import_module"), ("webbrowser", "open"),
        ("numpy.testing._private.utils", "runstring"), ("builtins", "open"),
    ],
)  # fmt: skip
def test_a_name_that_runs_code_is_refused_and_named(tmp_path: Path, module: str, name: str) -> None:
    marker = tmp_path / "executed"
    trap = called(module, name, f"touch {marker}")
    whole = PROTOCOL_2 + b"}(" + text("a") + trap + text("weight") + b"K\x01u."
    (tmp_path / "evil.bin").write_bytes(whole)
    told = refusal(tmp_path / "evil.bin")
    assert f"wants to call {module}.{name}" in told
    assert "nothing of it was executed" in told
    assert not marker.exists()


def test_the_same_within_an_archive_of_torch_is_refused(zipped: Zipped) -> None:
    path = zipped(PROTOCOL_2 + called("os", "system", "true") + b".")
    assert "wants to call os.system" in refusal(path)


def test_a_trap_of_protocol_0_and_one_of_old_instances_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    (tmp_path / "b.pkl").write_bytes(b"(S'touch executed'\nios\nsystem\n.")
    (tmp_path / "c.pkl").write_bytes(b"\x80\x04" + b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.")
    for name in "abc":
        assert "wants to call os.system" in refusal(tmp_path / f"{name}.pkl")


def test_unknown_classes_are_never_imported_nor_called(
    tmp_path: Path, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module on the path that would end the process if it were imported: the weights come out all the same."""
    (tmp_path / "trapped.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    storage = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
        + b"K\x04tQK\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip
    pickled = PROTOCOL_2 + b"}(" + text("x") + b"ctrapped\nThing\n)\x81}b" + text("w") + storage + b"u."
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/data/0", bytes(16))
    found = taken(path)
    assert ["w"] == list(found.tensors)
    assert ("x",) == found.left
    assert "trapped" not in sys.modules
    with opened(path) as archive_found:
        assert ["trapped.Thing"] == list(archive_found.classes)


@pytest.mark.parametrize(
    ("start", "shape", "strides", "words"),
    [
        (0, b"K\x05\x85", b"K\x01\x85", "does not lie within its 16 bytes"),
        (1, b"K\x04\x85", b"K\x01\x85", "does not lie within its 16 bytes"),
        (-1, b"K\x04\x85", b"K\x01\x85", "without a sound shape"),
        (0, b"K\x02K\x02\x86", b"J\xff\xff\xff\xffK\x01\x86", "without a sound shape"),
        (0, b"K\x02\x85", b"K\x01K\x01\x86", "without a sound shape"),
        (0, b"\x88\x85", b"K\x01\x85", "without a sound shape"),
        (0, b"X\x01\x00\x00\x00a\x85", b"K\x01\x85", "without a sound shape"),
        (0, b"\x8a\x10" + b"\xff" * 15 + b"\x7f" + b"\x85", b"K\x00\x85", "without a sound shape"),
    ],
)
def test_tensors_outside_of_their_numbers_are_refused(
    zipped: Zipped, start: int, shape: bytes, strides: bytes, words: str
) -> None:
    path = zipped(PROTOCOL_2 + b"}" + text("w") + view("0", start, shape, strides) + b"s.", {"data/0": bytes(16)})
    assert words in refusal(path)


def test_a_small_file_that_would_become_huge_is_refused(zipped: Zipped, tmp_path: Path) -> None:
    shape, strides = b"J\x00\x00\x00\x40\x85", b"K\x00\x85"  # a thousand million times the same number
    path = zipped(PROTOCOL_2 + b"}" + text("w") + view("0", 0, shape, strides) + b"s.", {"data/0": bytes(16)})
    with opened(path) as archive:
        found = chosen(path, archive.root)
        with pytest.raises(ModelError, match="its tensors would take 4,294,967,296"):
            write(archive, found.tensors, {}, tmp_path / "out.safetensors", force=False, progress=lambda done: None)
    assert not (tmp_path / "out.safetensors").exists()


def test_packed_records_are_refused_before_they_are_unpacked(zipped: Zipped) -> None:
    path = zipped(PROTOCOL_2 + b"}.", {"data/0": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**5
    assert "is packed, which PyTorch never does" in refusal(path)


def test_records_that_are_absent_or_short_are_refused(zipped: Zipped) -> None:
    pickled = PROTOCOL_2 + b"}" + text("w") + view("0", 0, b"K\x04\x85", b"K\x01\x85") + b"s."
    assert "lacks its record data/0" in refusal(zipped(pickled))
    assert "its record data/0 has 8 bytes, not 16" in refusal(zipped(pickled, {"data/0": bytes(8)}))


def test_every_cut_of_a_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    for zipped in (True, False):
        torch.save({"w": torch.ones(64), "b": torch.ones(3)}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        whole = (tmp_path / "a.pt").read_bytes()
        for length in [*range(0, len(whole) - 1, 37), len(whole) - 1]:
            (tmp_path / "cut.pt").write_bytes(whole[:length])
            assert "fetch it again" in refusal(tmp_path / "cut.pt"), length


def test_every_flipped_byte_gives_an_answer_or_a_refusal_and_nothing_else(tmp_path: Path) -> None:
    torch.save(
        {"w": torch.ones(4), "n": torch.nn.Linear(2, 2)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False
    )
    whole = bytearray((tmp_path / "a.pt").read_bytes())
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 0x15
        (tmp_path / "b.pt").write_bytes(damaged)
        try:
            with opened(tmp_path / "b.pt") as archive:
                chosen(tmp_path / "b.pt", archive.root)
        except ModelError:
            pass


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is cut off"),
        (b"hello, this is no checkpoint\n" * 10, "is no sound checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page in place of the file"),
        (b"GGUF\x03\x00\x00\x00", "a file of GGUF"),
        (struct.pack("<Q", 2) + b"{}", "is safetensors already"),
        (struct.pack("<Q", 2) + b"[]", "is no sound checkpoint"),
        (b"\x80\x02N.", "holds no tensors"),
        (b"\x80\x02]q\x00.", "holds no tensors"),
        (b"\x80\x02B\xff\xff\xff\x7f", "it is cut off"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "it is cut off"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", "more text than any model"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f", "a number of 2,147,483,647 bytes"),
        (b"I" + b"9" * 5000 + b"\n.", "an endless number"),
        (b"\x80\x02h\x07.", "make no sense"),
        (b"\x80\x02u.", "make no sense"),
        (b"\x80\x02X\x00\x00\x00\x00Q.", "wants something from outside"),
        (b"\x80\x02\x82\x01.", "holds no tensors"),
        (b"\x80\x05\x97.", "buffers that are outside"),
        (b"PK\x03\x04" + bytes(40), "is cut off or damaged"),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.bin").write_bytes(data)
    assert words in refusal(tmp_path / "a.bin")


@pytest.mark.parametrize(
    "nested",
    [
        b"]" * 200_000 + b"a" * 199_999,  # lists within lists
        b")" + b"\x85" * 200_000,
        b"]q\x00h\x00a",  # a list in itself
        b"}q\x00" + b"".join(text(f"k{n}") + b"h\x00s" for n in range(50)),  # fifty ways back into itself
        b")" + b"2\x86" * 60 + b"}q\x001",  # as below, off the stack
    ],
)  # fmt: skip
def test_objects_within_objects_take_no_time_and_no_stack(tmp_path: Path, nested: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(PROTOCOL_2 + nested + b".")
    began = time.monotonic()
    refusal(tmp_path / "a.pkl")
    assert time.monotonic() - began < 30


def test_a_key_that_would_be_hashed_for_ever_is_not_hashed(tmp_path: Path) -> None:
    doubled = b")" + b"2\x86" * 60  # 2**60 empty tuples, in 120 bytes
    (tmp_path / "a.pkl").write_bytes(PROTOCOL_2 + b"}" + doubled + b"Ns.")
    began = time.monotonic()
    refusal(tmp_path / "a.pkl")
    assert time.monotonic() - began < 10


DOUBLED = b")" + b"2\x86" * 60
"""2**60 empty tuples: they stand in 120 bytes, and would take all memory if they were ever spelled out."""
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
HEAD = MAGIC + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
"""With which torch's files of before 1.6 begin."""
STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n%s" + text("cpu") + b"K\x01tQ."


@pytest.mark.parametrize(
    "data",
    [
        PROTOCOL_2 + DOUBLED + b")R.",  # called
        PROTOCOL_2 + DOUBLED + b"}\x81.",  # made an object of, which is asked for its name later
        PROTOCOL_2 + b")" + b"\x85" * 200_000 + b")R.",
        HEAD + PROTOCOL_2 + STORAGE % DOUBLED,  # the key of numbers
        HEAD + PROTOCOL_2 + b"}." + PROTOCOL_2 + b"]" + DOUBLED + b"a.",  # in the list of such keys
        PROTOCOL_2 + b"(" + text("storage") + DOUBLED + text("0") + text("cpu") + b"K\x01tQ.",  # the type of numbers
        MAGIC + PROTOCOL_2 + DOUBLED + b"." + PROTOCOL_2 + b"}.",  # the protocol
        PROTOCOL_2 + b"]q\x00ctorch._utils\n_rebuild_from_type_v2\nq\x01ah\x00Nah\x00ah\x01h\x00R.",  # calls itself
        PROTOCOL_2 + (b"ca\nB\n)\x81}" + text("_parameters")) * 5000 + b"N" + b"sb" * 5000 + b".",  # modules as states
    ],
)
def test_what_would_be_without_end_if_it_were_spelled_out_is_not(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(data)
    began = time.monotonic()
    refusal(tmp_path / "a.pkl")
    assert time.monotonic() - began < 10


COUNTED = b"]q\x00(" + b"N" * 1000 + b"e"
"""A list of a thousand, of which a pickle can ask for one copy after the other."""


@pytest.mark.parametrize(
    "asked",
    [
        COUNTED + b"ctorch\nSize\nq\x01" + b"h\x01h\x00\x85R" * 200,
        b"}q\x00(" + b"".join(b"M" + struct.pack("<H", n) + b"N" for n in range(1000)) + b"u"
        + b"ca\nB\nq\x01" + b"h\x01)h\x00\x92" * 200,
        b"B" + struct.pack("<I", 5005) + PROTOCOL_2 + b"N0" * 2500 + b"N." + b"\x00" + b"q\x00"
        + b"ctorch.storage\n_load_from_bytes\nq\x01" + b"h\x01h\x00\x85R" * 200,
    ],
)  # fmt: skip
def test_copies_and_nested_files_count_as_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bytes
) -> None:
    monkeypatch.setattr("nodeflow.pickled.machine.MOST", 50_000)
    (tmp_path / "a.pkl").write_bytes(PROTOCOL_2 + asked + b".")
    assert "it has more than 50,000 instructions" in refusal(tmp_path / "a.pkl")


def test_texts_are_not_copied_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodeflow.pickled.machine.TEXTS", 50_000)
    copies = text("a" * 1000) + b"q\x00c_codecs\nencode\nq\x01" + b"h\x01h\x00\x85R" * 200
    (tmp_path / "a.pkl").write_bytes(PROTOCOL_2 + copies + b".")
    assert "it copies more text than any model holds" in refusal(tmp_path / "a.pkl")


def test_names_and_numbers_that_cost_too_much_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(PROTOCOL_2 + b"ca\n" + b"b" * 5000 + b"\n.")
    assert "wants something imported whose name has 5,001 letters" in refusal(tmp_path / "a.pkl")
    (tmp_path / "b.pkl").write_bytes(PROTOCOL_2 + b"Np2147483648\n.")
    assert "make no sense" in refusal(tmp_path / "b.pkl")
    many = b"".join(b"\x8a\x0c" + (n * (2**61 - 1)).to_bytes(12, "little") + b"N" for n in range(1, 40_000))
    (tmp_path / "c.pkl").write_bytes(PROTOCOL_2 + b"}(" + many + b"u.")  # all of one hash
    began = time.monotonic()
    refusal(tmp_path / "c.pkl")
    assert time.monotonic() - began < 10


def test_a_checkpoint_is_not_walked_for_ever(
    zipped: Zipped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("nodeflow.pickled.choosing.MOST_VISITS", 10_000)
    weight = view("0", 0, b"K\x04\x85", b"K\x01\x85")
    inner = b"}(" + b"".join(b"M" + struct.pack("<H", n) + b")" for n in range(500)) + text("w") + weight + b"u"
    many = b"}(" + text("m0") + inner + b"q\x00" + b"".join(text(f"m{n}") + b"h\x00" for n in range(1, 100)) + b"u"
    path = zipped(PROTOCOL_2 + many + b".", {"data/0": bytes(16)})
    assert "holds objects within objects without end" in refusal(path)
    with opened(path) as archive, pytest.raises(ModelError, match="without end"):
        groups(path, archive.root)
    named = b"}" + text("k" * 5000) + weight + b"s"
    assert "has names of more than 4,096 letters" in refusal(zipped(PROTOCOL_2 + named + b".", {"data/0": bytes(16)}))


def test_a_message_names_some_of_very_many_models(zipped: Zipped) -> None:
    weight = view("0", 0, b"K\x04\x85", b"K\x01\x85")
    parts = b"".join(text(f"m{n}") + b"}" + text("w") + weight + b"s" for n in range(50))
    told = refusal(zipped(PROTOCOL_2 + b"}(" + parts + b"u.", {"data/0": bytes(16)}))
    assert "--key m19: 1 tensor\n    and 30 more\n" in told


def test_a_pipe_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bin")
    assert "is a pipe, not a file" in refusal(tmp_path / "pipe.bin")
    assert "is a folder, not a file" in refusal(tmp_path)
    assert "is not there" in refusal(tmp_path / "absent.bin")


def test_endless_instructions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodeflow.pickled.machine.MOST", 1000)
    (tmp_path / "a.pkl").write_bytes(PROTOCOL_2 + b"N0" * 1000 + b".")
    assert "it has more than 1,000 instructions" in refusal(tmp_path / "a.pkl")


def test_a_disk_that_fails_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    torch.save({"a": torch.ones(3)}, tmp_path / "a.pt")
    monkeypatch.setattr("nodeflow.pickled.archives.zipfile.ZipFile", failing)
    assert f"{tmp_path / 'a.pt'} cannot be read: its disk fails\n" in refusal(tmp_path / "a.pt")


def test_words_of_python_are_not_passed_on(zipped: Zipped) -> None:
    path = zipped(PROTOCOL_2 + b"}.", {"data/\u00fc": b"12"})
    data = path.read_bytes()
    path.write_bytes(data.replace("\u00fc".encode(), b"\xc3("))  # no UTF-8
    assert refusal(path).startswith(f"{path} holds something that no checkpoint holds\n")
    path.write_bytes(data[: len(data) // 2])
    assert refusal(path).startswith(f"{path} is cut off or damaged: the list of its records is not sound\n")


def test_a_link_to_nowhere_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "a.pt").symlink_to("gone.pt")
    assert f"{tmp_path / 'a.pt'} is a link to gone.pt, which is not there\n    remove" in refusal(tmp_path / "a.pt")
