"""`nodeflow import`: a workflow of ComfyUI's becomes a graph, and what could not is told."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nodeflow import open_catalog
from nodeflow.document import read, write

Call = Callable[..., Any]
WORKFLOWS = Path(__file__).parents[1] / "comfyui" / "workflows"


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "cab.json"
    path.write_bytes((WORKFLOWS / "text_to_image.json").read_bytes())
    return path


@pytest.fixture
def strange(workflow: Path) -> Path:
    steps = json.loads(workflow.read_text())
    steps["20"] = {"class_type": "FreeU_V2", "inputs": {"b1": 1.3, "model": ["4", 0]}}
    steps["3"]["inputs"] |= {"model": ["20", 0], "sampler_name": "dpmpp_sde"}
    workflow.write_text(json.dumps(steps))
    return workflow


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.json")), ids=lambda path: path.stem)
def test_what_is_made_is_canonical_and_in_order(nodeflow: Call, path: Path) -> None:
    said = nodeflow("import", str(path), "--out", "graph.json")
    assert (0, True) == (said.code, said.out.startswith("wrote graph.json ("))
    assert write(read("graph.json")) == Path("graph.json").read_text("utf-8")
    document, catalog = read("graph.json"), open_catalog()
    for entry in document.nodes.values():
        spec = catalog.get(entry.type)
        assert spec is not None
        assert spec.version == entry.version
    assert 0 == nodeflow("check", "graph.json").code


def test_without_out_the_graph_is_printed_and_nothing_else(nodeflow: Call, workflow: Path) -> None:
    said = nodeflow("import", "cab.json")
    assert ("cab", "") == (json.loads(said.out)["title"], said.err)
    assert {"cab.json", "tiny.json"} == {path.name for path in workflow.parent.iterdir()}


def test_what_could_not_be_turned_is_told_and_the_graph_opens(nodeflow: Call, strange: Path) -> None:
    said = nodeflow("import", "cab.json", "--out", "graph.json")
    assert 1 == said.code
    assert "not turned: FreeU_V2 (20): there is nothing like it in nodeflow" in said.err
    assert "different: KSampler (3): sampler dpmpp_sde: dpmpp_2m_sde is the nearest" in said.err
    assert "comfyui:FreeU_V2" == read("graph.json").nodes["freeu_v2_20"].type
    checked = nodeflow("check", "graph.json")
    assert (2, 1) == (checked.code, checked.err.count("graph.json: node"))
    assert "it is a node of comfyui that the import left as it was: replace it, or take it out" in checked.err


def test_programs_read_the_same(nodeflow: Call, strange: Path) -> None:
    told = nodeflow("import", "cab.json", "--json").json
    assert ("ComfyUI's API file", 8, None) == (told["source"], told["nodes"], told["out"])
    assert ["freeu_v2_20"] == [remark["ours"] for remark in told["left"]]
    assert ["KSampler (3)"] == [remark["node"] for remark in told["differs"]]
    assert [] == told["problems"]
    assert told["made"] == len(json.loads(told["graph"])["nodes"])
    written = nodeflow("import", "cab.json", "--out", "graph.json", "--json").json
    assert told["graph"] == Path("graph.json").read_text("utf-8")
    assert ("graph.json", False) == (written["out"], "graph" in written)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[]", "no file of a program that can be imported\n    known are those of comfyui"),
        (b'{"nodeflow": 1, "nodes": {}}', "this is a graph of nodeflow already\n    run or check it as it is"),
        (b'{"nodes": [], "links": [], "version": 9}', "version 9; 0.4 and 1 are known"),
        (b"\x89PNG\r\n\x1a\n\0\0", "the picture is cut off"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_is_written(
    nodeflow: Call, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "odd.json").write_bytes(content)
    found = nodeflow("import", "odd.json", "--out", "graph.json")
    assert (2, "") == (found.code, found.out)
    assert said in found.err
    assert found.err.startswith("odd.json: ")
    assert not (tmp_path / "graph.json").exists()
    (refused,) = [json.loads(line) for line in nodeflow("import", "odd.json", "--json").out.splitlines()]
    assert ("refused", 2) == (refused["event"], refused["exit"])


def test_a_pipe_a_folder_and_a_file_that_is_not_there_are_refused_at_once(nodeflow: Call, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, said in {"pipe": "this is a pipe", "folder": "this is a folder", "none": "no such file"}.items():
        found = nodeflow("import", name)
        assert 2 == found.code
        assert said in found.err


def test_a_file_too_large_for_a_graph_is_refused(nodeflow: Call, tmp_path: Path) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.write(b"{")
        file.truncate(65 * 2**20)
    assert "the file has 65 MB; a graph has at most 64 MB" in nodeflow("import", "huge.json").err


def test_the_workflow_itself_is_not_written_over(nodeflow: Call, workflow: Path) -> None:
    before = workflow.read_bytes()
    said = nodeflow("import", "cab.json", "--out", "./cab.json")
    assert (2, before) == (said.code, workflow.read_bytes())
    assert "this is the file that is read\n    name another for the graph" in said.err


def test_check_says_how_a_workflow_becomes_a_graph(nodeflow: Call, workflow: Path) -> None:
    said = nodeflow("check", "cab.json")
    assert "`nodeflow import FILE --out GRAPH` makes a graph of it" in said.err


def test_check_says_of_a_picture_what_reads_it(nodeflow: Call, tmp_path: Path) -> None:
    about = PngInfo()
    about.add_text("prompt", (WORKFLOWS / "text_to_image.json").read_text())
    Image.new("RGB", (8, 8)).save(tmp_path / "cab.png", pnginfo=about)
    assert "`nodeflow import` reads ComfyUI's" in nodeflow("check", "cab.png").err
    assert 0 == nodeflow("import", "cab.png").code


def test_an_importer_that_fails_is_told_by_name(
    nodeflow: Call, workflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: bytes, known: object) -> None:
        raise KeyError("oh")

    monkeypatch.setattr("nodeflow_comfyui.read", broken)
    said = nodeflow("import", "cab.json")
    assert 2 == said.code
    assert 'the importer "comfyui" (nodeflow_comfyui:read) failed: KeyError' in said.err


@pytest.mark.parametrize(
    ("importer", "why"),
    [
        (lambda data, known: 7, "TypeError: it returned an int, not a Foreign"),
        (lambda data, known: sys.exit(0), "SystemExit: 0"),
    ],
)
def test_an_importer_that_returns_what_is_no_graph_or_ends_the_program_is_told(
    nodeflow: Call, workflow: Path, monkeypatch: pytest.MonkeyPatch, importer: Callable[..., Any], why: str
) -> None:
    monkeypatch.setattr("nodeflow_comfyui.read", importer)
    said = nodeflow("import", "cab.json")
    assert 2 == said.code
    assert f'the importer "comfyui" (nodeflow_comfyui:read) failed: {why}' in said.err


def test_importing_needs_no_torch(start: Callable[..., Any], workflow: Path) -> None:
    process = start("import", "cab.json", "--json", env={"PYTHONPROFILEIMPORTTIME": "1"})
    out, err = process.communicate()
    assert 0 == process.returncode
    assert json.loads(out)["made"]
    assert "nodeflow_comfyui" in err
    assert not any(line.rpartition("|")[2].strip() == "torch" for line in err.splitlines())


def test_nodes_that_were_left_are_not_told_once_more(nodeflow: Call) -> None:
    """A check tells a thousand problems, and how many more there are: all of them of nodes that were left."""
    steps = {str(number): {"class_type": "Unknown", "inputs": {}} for number in range(1_500)}
    Path("large.json").write_text(json.dumps(steps), "utf-8")
    said = nodeflow("import", "large.json", "--out", "large.graph.json", "--json")
    assert (1, 1_500, []) == (said.code, len(said.json["left"]), said.json["problems"])
