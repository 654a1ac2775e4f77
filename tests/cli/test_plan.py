"""`nodeflow plan`: what it prints, as text and as JSON, its exit codes, and that it reads no weight."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeflow.plan import ceilings
from nodeflow.plan.ceilings import Ceilings

Call = Callable[..., Any]
WEIGHTS = Path(__file__).parents[2] / "plugins" / "nodeflow_shapes" / "weights"


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that need not be measured."""
    monkeypatch.setattr(ceilings, "measure", lambda device: Ceilings(1e-5, 1e11, 1e-5, 1e11, 1e-4, 1e10, 1e9))


def graph(folder: Path, nodes: dict[str, Any], name: str = "g.json", outputs: list[str] | None = None) -> str:
    data = {"nodeflow": 1, "nodes": nodes, "outputs": {one: one for one in outputs or []}}
    (folder / name).write_text(json.dumps(data))
    return name


def test_it_tells_shapes_time_memory_and_whether_it_fits(nodeflow: Call) -> None:
    said = nodeflow("plan", "tiny.json", "--device", "cpu")

    assert 0 == said.code, said.err
    lines = said.out.splitlines()
    assert lines[0].split() == ["node", "time", "GFLOP", "moved", "parameters", "peak", "gives"]
    assert lines[1].endswith("Image [1, 3, 8, 8]")
    assert lines[-1].startswith("fits: the peak is ")


def test_json_holds_all_of_it(nodeflow: Call) -> None:
    told = nodeflow("plan", "--json", "tiny.json", "--device", "cpu", "--set", "paint.width=16").json

    assert told["ok"]
    assert told["fits"]
    assert ["paint", "soft"] == [node["id"] for node in told["nodes"]]
    output = {"kind": "Image", "tensors": {"pixels": {"dtype": "float32", "shape": [1, 3, 8, 16]}}}
    assert output == told["nodes"][1]["outputs"]["out"]
    assert {"cpu"} == told["peak"].keys() == told["limit"].keys()


def test_only_the_nodes_until_one_are_planned(nodeflow: Call) -> None:
    told = nodeflow("plan", "--json", "tiny.json", "--until", "paint", "--device", "cpu").json

    assert ["paint"] == [node["id"] for node in told["nodes"]]


def test_a_text_encoder_of_another_denoiser_is_told(nodeflow: Call, tmp_path: Path) -> None:
    nodes = {
        "words": {"type": "text.load_encoder", "inputs": {"model": "shapes:text"}},
        "text": {"type": "text.encode", "inputs": {"encoder": {"$from": "words"}, "prompt": "a red circle"}},
        "net": {"type": "diffusion.load", "inputs": {"model": "shapes:unet"}},
        "bound": {"type": "diffusion.condition", "inputs": {"denoiser": {"$from": "net"}}},
    }
    nodes["bound"]["inputs"]["embedding"] = {"$from": "text"}
    said = nodeflow("plan", graph(tmp_path, nodes, outputs=["bound"]), "--device", "cpu")

    assert 2 == said.code
    assert ["net", "words", "text", "bound"] == [line.split()[0] for line in said.out.splitlines()[1:5]]
    assert said.out.splitlines()[4].endswith("wrong: told below")
    told = said.err.splitlines()
    assert told[0].endswith(
        'node "bound", input "embedding": embedding: expected a text of the encoder "text_unet", '
        'with which the denoiser was trained, but got one of "text"'
    )
    assert '    encode it by "text_unet", or load the denoiser that was trained with "text"' == told[1]


def test_what_a_fault_lets_nobody_judge_has_its_line_with_the_reason(nodeflow: Call, tmp_path: Path) -> None:
    nodes = {
        "model": {"type": "diffusion.load"},
        "how": {"type": "diffusion.execution", "inputs": {"denoiser": {"$from": "model"}, "precision": "fp16"}},
        "empty": {"type": "diffusion.empty", "inputs": {"denoiser": {"$from": "how"}}},
    }
    said = nodeflow("plan", graph(tmp_path, nodes, outputs=["empty"]), "--device", "cpu")

    assert 2 == said.code
    assert [True, True] == [
        line.endswith(end)
        for line, end in zip(said.out.splitlines()[2:4], ("wrong: told below", 'not judged: needs "how"'), strict=True)
    ]
    assert said.err.startswith('g.json: node "how", input "precision": fp16 on a CPU is slower than fp32')
    told = nodeflow("plan", "--json", "g.json", "--device", "cpu").json["nodes"]
    assert [(False, ""), (True, ""), (False, 'needs "how"')] == [(node["faulty"], node["unjudged"]) for node in told]


def test_pictures_of_different_sizes_are_told_at_once(nodeflow: Call, tmp_path: Path) -> None:
    nodes = {
        "a": {"type": "image.colour", "inputs": {"width": 8, "height": 8}},
        "b": {"type": "image.colour", "inputs": {"width": 9, "height": 8}},
        "one": {"type": "image.blend", "inputs": {"below": {"$from": "a"}, "above": {"$from": "b"}}},
        "two": {"type": "image.compare", "inputs": {"first": {"$from": "b"}, "second": {"$from": "a"}}},
    }
    said = nodeflow("plan", graph(tmp_path, nodes), "--device", "cpu")

    assert 2 == said.code
    assert 'g.json: node "one", input "above": the pictures below and above differ in size: 8 x 8 and 9 x 8' in said.err
    assert "    resize, crop or pad one of them first" in said.err
    assert 'g.json: node "two", input "second": the pictures to compare differ in size' in said.err

    told = nodeflow("plan", "--json", "g.json", "--device", "cpu")
    assert (2, False) == (told.code, told.json["ok"])
    assert ["above", "second"] == [problem["port"] for problem in told.json["problems"]]


DIFFUSION = {
    "encoder": {"type": "text.load_encoder", "inputs": {"model": "text"}},
    "text": {"type": "text.encode", "inputs": {"encoder": {"$from": "encoder"}, "prompt": "a red circle"}},
    "model": {"type": "diffusion.load", "inputs": {"model": "unet"}},
    "bound": {
        "type": "diffusion.condition",
        "inputs": {"denoiser": {"$from": "model"}, "embedding": {"$from": "text"}},
    },
    "empty": {"type": "diffusion.empty", "inputs": {"denoiser": {"$from": "model"}, "width": 64, "height": 64}},
    "sample": {
        "type": "diffusion.sample",
        "inputs": {"denoiser": {"$from": "bound"}, "latent": {"$from": "empty"}, "steps": 1000},
    },
    "load": {"type": "codebooks.load", "inputs": {"model": "autoencoder"}},
    "decode": {"type": "codebooks.decode", "inputs": {"autoencoder": {"$from": "load"}, "latent": {"$from": "sample"}}},
}


@pytest.fixture
def hollow(surroundings: Path) -> Path:
    """The shipped weights without their numbers: headers, and then holes."""
    for name, copy in (("text_unet", "text"), ("unet", "unet"), ("autoencoder", "autoencoder")):
        source, target = WEIGHTS / f"{name}.safetensors", surroundings / f"{copy}.safetensors"
        with open(source, "rb") as file:
            start = file.read(8)
            header = file.read(int.from_bytes(start, "little"))
        target.write_bytes(start + header)
        os.truncate(target, source.stat().st_size)
    return surroundings


def test_no_weight_is_read(nodeflow: Call, hollow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nodeflow.files as files

    def refused(*_: object) -> str:
        raise AssertionError("the weights were read")

    monkeypatch.setattr(files, "_digest", refused)
    monkeypatch.setattr("nodeflow_nn.checkpoints.placed", refused)
    monkeypatch.setattr("nodeflow_nn.weights.read_tensors", refused)
    said = nodeflow("plan", "--json", graph(hollow, DIFFUSION, outputs=["decode"]), "--device", "cpu")

    assert 0 == said.code, said.err
    nodes = {node["id"]: node for node in said.json["nodes"]}
    assert [1, 3, 64, 64] == nodes["decode"]["outputs"]["out"]["tensors"]["pixels"]["shape"]
    assert 5_752_656 == nodes["sample"]["parameters"]
    assert [] == said.json["unknown"]


def test_an_encoder_of_the_wrong_width_is_told_before_a_weight_is_read(nodeflow: Call, hollow: Path) -> None:
    import torch
    from nodeflow_nn.weights import save_weights
    from nodeflow_text.encoder import TextEncoder, TextEncoderConfig

    config = TextEncoderConfig(words=("red",), length=4, width=64, depth=1, pooled_width=32)
    with torch.random.fork_rng():
        save_weights(hollow / "text.safetensors", TextEncoder(config), "text_encoder", config, {})
    said = nodeflow("plan", graph(hollow, DIFFUSION, outputs=["decode"]), "--device", "cpu")

    assert 2 == said.code
    told = said.err.splitlines()
    assert told[0].endswith(
        'node "bound", input "embedding": embedding: the denoiser reads words of width 128 and a pooled text of width '
        "128, but this text has words of width 64 and a pooled text of width 32"
    )
    assert "    encode it by the encoder that was trained with this denoiser" == told[1]


def test_half_precision_halves_the_bytes_of_a_network(nodeflow: Call, hollow: Path) -> None:
    bytes_of = {}
    for precision in ("fp32", "bf16"):
        run = {"denoiser": {"$from": "model"}, "precision": precision}
        bound = DIFFUSION["bound"] | {"inputs": DIFFUSION["bound"]["inputs"] | {"denoiser": {"$from": "run"}}}
        nodes = DIFFUSION | {"run": {"type": "diffusion.execution", "inputs": run}, "bound": bound}
        said = nodeflow("plan", "--json", graph(hollow, nodes, outputs=["sample"]), "--device", "cpu")
        assert 0 == said.code, said.err
        (sample,) = (node for node in said.json["nodes"] if node["id"] == "sample")
        bytes_of[precision] = sample["models"]["cpu"]
    assert 2 * 5_752_656 == bytes_of["fp32"] - bytes_of["bf16"]


def test_a_latent_that_the_decoder_does_not_know_is_told(nodeflow: Call, hollow: Path) -> None:
    nodes = {
        "load": {"type": "codebooks.load", "inputs": {"model": "autoencoder"}},
        "picture": {"type": "image.colour", "inputs": {"width": 128, "height": 128}},
        "encode": {
            "type": "codebooks.encode",
            "inputs": {"autoencoder": {"$from": "load"}, "image": {"$from": "picture"}},
        },
    }
    said = nodeflow("plan", graph(hollow, nodes), "--device", "cpu")

    assert 2 == said.code
    assert 'node "encode", input "image": the autoencoder "autoencoder" knows pictures of 64 x 64' in said.err


def test_models_that_are_evicted_are_told(nodeflow: Call, hollow: Path) -> None:
    said = nodeflow("plan", graph(hollow, DIFFUSION, outputs=["decode"]), "--device", "cpu", "--vram", "24MB")

    assert "text is evicted from cpu for sample (1.7 MB)" in said.out
    assert "unet is evicted from cpu for decode (23 MB)" in said.out


def test_what_does_not_fit_ends_with_1(nodeflow: Call, hollow: Path) -> None:
    said = nodeflow("plan", graph(hollow, DIFFUSION, outputs=["decode"]), "--device", "cpu", "--vram", "1MB")

    assert 1 == said.code
    assert "does not fit: cpu has 1.0 MB" in said.out
    assert 'the model "text" takes 1.7 MB, more than the 1.0 MB that models may take' in said.err


def test_a_picture_file_gives_its_size_from_its_header(nodeflow: Call, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "graphs" / "gallery.png", tmp_path / "in.png")
    nodes = {"in": {"type": "image.load", "inputs": {"path": "in.png"}}}
    nodes |= {"save": {"type": "image.save", "inputs": {"image": {"$from": "in.image"}}}}
    said = nodeflow("plan", "--json", graph(tmp_path, nodes), "--device", "cpu")
    from PIL import Image

    with Image.open("in.png") as picture:
        size = [picture.height, picture.width]
    assert [1, 3, *size] == said.json["nodes"][0]["outputs"]["image"]["tensors"]["pixels"]["shape"]
    assert ["save"] == said.json["unknown"]
    assert not (tmp_path / "outputs").exists()


def test_models_of_the_model_folders_are_read(
    nodeflow: Call, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path_factory.mktemp("models")
    shutil.copy(WEIGHTS / "unet.safetensors", models / "mine.safetensors")
    monkeypatch.setenv("NODEFLOW_MODELS", str(models))
    nodes = {"net": {"type": "diffusion.load", "inputs": {"model": "mine"}}}
    said = nodeflow("plan", graph(tmp_path, nodes, outputs=["net"]), "--device", "cpu")

    assert 0 == said.code, said.err


def test_two_thousand_nodes_are_planned(nodeflow: Call, tmp_path: Path) -> None:
    nodes: dict[str, Any] = {"n0": {"type": "image.colour", "inputs": {"width": 64, "height": 64}}}
    nodes |= {f"n{i}": {"type": "image.flip", "inputs": {"image": {"$from": f"n{i - 1}"}}} for i in range(1, 2000)}
    said = nodeflow("plan", graph(tmp_path, nodes), "--device", "cpu")

    assert 0 == said.code
    assert "and 1,940 nodes that take less time" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a graph to plan"),
        (["tiny.json", "--vram", "much"], "--vram much: expected a size"),
        (["tiny.json", "--until", "pant"], 'there is no node "pant"'),
        (["tiny.json", "--device", "cuda:7"], 'there is no device "cuda:7" here'),
        (
            ["tiny.json", "--device", "cuda:0,cuda:1"],
            "--device cuda:0,cuda:1: a plan is for one device\n    name the one",
        ),
        (["tiny.json", "--vram", "6"], '--vram 6: 6 of which unit?\n    did you mean "6GB"?'),
        (["absent.json"], "there is no such file"),
    ],
)
def test_a_wrong_call_ends_with_2(nodeflow: Call, arguments: list[str], message: str) -> None:
    said = nodeflow("plan", *arguments)

    assert 2 == said.code
    assert message in said.err


def test_the_machine_can_be_measured_anew(nodeflow: Call) -> None:
    assert "products      100 GFLOP/s" in nodeflow("plan", "--measure", "--device", "cpu").out
    assert 1e11 == nodeflow("plan", "--measure", "--json", "--device", "cpu").json["ceilings"]["matmul"]
