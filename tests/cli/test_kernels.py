"""`nodeflow kernels`: what was chosen, read from the disk; torch is not imported for it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeflow.choices import Choice, Choices, Rival

Call = Callable[..., Any]
KEY = {"operation": "geglu", "mode": "auto", "arch": "sm_90 H200", "arguments": "bfloat16 4096 2560 even"}
CHOICE = Choice(
    "geglu", "triton 1024", "triton", {"block": 1024}, 1e-5, "1.50 times as fast as the best of torch, torch",
    "measured",
    (Rival("torch", "torch", {}, 1.5e-5), Rival("triton 512", "triton", {"block": 512}, None, "failed: no registers")),
)  # fmt: skip


@pytest.fixture
def folder(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NODEFLOW_CACHE", str(surroundings / "kept"))
    return surroundings / "kept" / "kernels"


def test_it_says_so_if_nothing_was_measured(folder: Path, nodeflow: Call) -> None:
    said = nodeflow("kernels")
    assert (0, "") == (said.code, said.err)
    assert said.out.startswith("nothing was measured yet\n    On a GPU, the first call")
    assert {"folder": str(folder), "choices": [], "unreadable": []} == nodeflow("kernels", "--json").json


def test_it_lists_what_was_chosen_and_why_and_by_how_much(folder: Path, nodeflow: Call) -> None:
    assert "" == Choices(folder).put(KEY, CHOICE)
    expected = """\
geglu  bfloat16 4096 2560 even, sm_90 H200
  triton 1024: 1.50 times as fast as the best of torch, torch
    triton 1024  10.0 us  chosen
    torch        15.0 us
    triton 512         -  failed: no registers
"""
    assert (0, expected, "") == nodeflow("kernels")
    (told,) = nodeflow("kernels", "--json").json["choices"]
    assert (KEY, "triton 1024", 1e-5, 1.5) == (
        told["key"], told["implementation"], told["seconds"], pytest.approx(told["ahead"])
    )  # fmt: skip


def test_what_cannot_be_read_is_told_and_hides_nothing(folder: Path, nodeflow: Call) -> None:
    Choices(folder).put(KEY, CHOICE)
    (folder / "geglu-broken.json").write_text("{")
    said = nodeflow("kernels")
    assert 0 == said.code
    assert "triton 1024" in said.out
    assert f"{folder / 'geglu-broken.json'} is passed over: it is damaged" in said.err
    assert 1 == len(nodeflow("kernels", "--json").json["unreadable"])


def test_a_stranger_in_the_folder_draws_nothing_on_a_terminal(folder: Path, nodeflow: Call) -> None:
    Choices(folder).put(KEY | {"arguments": "\x1b[2J"}, CHOICE)
    assert "\x1b[2J" not in nodeflow("kernels").out
    assert r"\x1b[2J" in nodeflow("kernels").out


@pytest.mark.parametrize("verb", [["kernels"], ["run", "graph.json"]])
def test_a_mode_that_is_none_is_told_at_once(
    verb: list[str], surroundings: Path, nodeflow: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEFLOW_KERNELS", "fast")
    said = nodeflow(*verb)
    assert (2, "") == (said.code, said.out)
    assert "NODEFLOW_KERNELS is 'fast', but expected one of torch, triton, auto" in said.err


def test_torch_is_not_imported() -> None:
    code = "import sys, nodeflow.cli as c; assert c.call(['kernels', '--json']) == 0; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    assert "choices" in json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_the_choices_is_not_waited_for(folder: Path, nodeflow: Call) -> None:
    Choices(folder).put(KEY, CHOICE)
    os.mkfifo(folder / "geglu-pipe.json")
    (folder / "geglu-circle.json").symlink_to(folder / "geglu-circle.json")
    said = nodeflow("kernels")
    assert 0 == said.code
    assert "triton 1024" in said.out
    assert f"{folder / 'geglu-pipe.json'} is passed over: it is a pipe, not a file\n" in said.err
    assert f"{folder / 'geglu-circle.json'} is passed over: Too many levels of symbolic links\n" in said.err
