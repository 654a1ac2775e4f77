"""Workflows of ComfyUI, imported and run on tiny models laid out as the real ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from nodeflow_image.pictures import write_png

from nodeflow import Document, Engine, build, open_catalog
from nodeflow.document import Wire, parse, write
from nodeflow.foreign import read_foreign

WORKFLOWS = Path(__file__).parents[1] / "comfyui" / "workflows"
pytestmark = pytest.mark.usefixtures("adapter_files")
Write = Callable[..., str]


class Case(NamedTuple):
    """models: family -> name of the file. channels: that its U-Net takes."""

    models: dict[str, str]
    shape: tuple[int, ...] = (1, 3, 64, 64)
    channels: int = 4
    output: str = "image"


SD15 = {"sd1": "v1-5-pruned-emaonly"}
INPAINTING = {"sd1": "sd-v1-5-inpainting"}
XL = {"sdxl": "sd_xl_base_1.0", "sdxl_refiner": "sd_xl_refiner_1.0"}
CASES = {
    "text_to_image": Case(SD15),
    "image_to_image": Case(SD15),
    "inpaint": Case(INPAINTING, channels=9),
    "masked": Case(SD15),
    "inpaint_model": Case(INPAINTING, channels=9),
    "lora": Case(SD15),
    "controlnet": Case(SD15),
    "hires": Case(SD15, (1, 3, 96, 96)),
    "hires_latent": Case(SD15, (1, 3, 96, 96)),
    "outpaint": Case(INPAINTING, (1, 3, 64, 96), channels=9),
    "sdxl_refiner": Case(XL, output="refined"),
    "custom_sampling": Case(SD15, (2, 3, 64, 64), output="preview"),
}


def imported(name: str) -> Document:
    document, found = read_foreign(WORKFLOWS / f"{name}.json", open_catalog())
    assert () == found.left
    return document


def run(document: Document) -> dict[str, Any]:
    events = list(Engine().run(build(document, open_catalog())))
    assert [] == [event.message for event in events if type(event).__name__ == "Failed"]
    found: dict[str, Any] = events[-1].outputs
    return found


def pictures() -> None:
    """A picture with a clear square in it, and one to be a mask."""
    drawn = torch.rand(4, 64, 64, generator=torch.Generator().manual_seed(0))
    drawn[3] = 1
    drawn[3, 16:48, 16:48] = 0
    write_png(Path("picture.png"), drawn, "")
    write_png(Path("mask.png"), (1 - drawn[3:]).expand(3, -1, -1), "")


def written(case: Case, file: Write) -> None:
    for family, name in case.models.items():
        file(family, name, channels=case.channels)
    pictures()


def test_every_workflow_has_a_case() -> None:
    assert CASES.keys() == {path.stem for path in WORKFLOWS.glob("*.json")} - {"switches", "subgraph"}


@pytest.mark.parametrize("name", CASES)
def test_a_workflow_makes_a_picture(name: str, file: Write) -> None:
    case = CASES[name]
    written(case, file)
    document = imported(name)
    assert document == parse(write(document))
    found = run(document)[case.output].pixels
    assert case.shape == tuple(found.shape)
    assert found.isfinite().all()
    assert found.std() > 0.01


def test_what_is_masked_is_painted_and_the_rest_stays(file: Write) -> None:
    written(CASES["masked"], file)
    nodes = imported("masked").nodes
    painting = nodes["painting_3"]
    assert ("diffusion.inpaint", "mask_12") == (painting.type, painting.inputs["mask"].node)
    assert painting.inputs["latent"] == nodes["sample_3"].inputs["latent"]


def test_weights_of_words_count_as_in_comfyui(file: Write) -> None:
    """e + w (z - e), where e is the vector of an empty prompt at the same place; not as stable-diffusion-webui."""
    written(CASES["lora"], file)
    document = imported("lora")
    encoder = document.nodes["positive_6"].inputs["encoder"].node
    nodes = {name: document.nodes[name] for name in ("checkpoint_4", "lora_10", "text_lora_10", encoder)}

    def words(prompt: str) -> torch.Tensor:
        text = replace(document.nodes["positive_6"], inputs={"encoder": Wire(encoder), "prompt": prompt})
        one = Document(outputs={"text": "positive_6"}, nodes=nodes | {"positive_6": text})
        found: torch.Tensor = run(one)["text"].tokens
        return found

    empty, plain, weighted = words(""), words("cab"), words("(cab:1.5)")
    moved = (weighted != plain).any(-1)[0].nonzero().flatten()
    assert [1, 2, 3] == moved.tolist()  # its letters: neither the begin before them nor the end behind
    expected = empty + 1.5 * (plain - empty)
    torch.testing.assert_close(expected[:, moved], weighted[:, moved], rtol=1e-4, atol=1e-5)


def test_a_skipped_layer_is_skipped(file: Write) -> None:
    written(CASES["lora"], file)
    reading = imported("lora").nodes["reading_6"]
    assert {"skip": 1, "emphasis": "empty"} == {key: reading.inputs[key] for key in ("skip", "emphasis")}


def test_an_imported_text_to_image_is_what_the_same_graph_by_hand_is(file: Write) -> None:
    written(CASES["text_to_image"], file)
    by_hand = {
        "nodeflow": 1,
        "outputs": {"image": "d"},
        "nodes": {
            "c": {"type": "diffusion.load_checkpoint", "inputs": {"model": "v1-5-pruned-emaonly"}},
            "p": {"type": "text.encode", "inputs": {"encoder": {"$from": "c.encoder"}, "prompt": "a cab"}},
            "n": {"type": "text.encode", "inputs": {"encoder": {"$from": "c.encoder"}, "prompt": ""}},
            "g": {
                "type": "diffusion.guide",
                "inputs": {
                    "denoiser": {"$from": "c.denoiser"}, "positive": {"$from": "p"}, "negative": {"$from": "n"},
                    "scale": 7.5,
                },
            },
            "e": {
                "type": "diffusion.empty",
                "inputs": {"denoiser": {"$from": "c.denoiser"}, "width": 64, "height": 64},
            },
            "k": {"type": "diffusion.schedule", "inputs": {"kind": "scaled_linear", "spacing": "karras"}},
            "s": {
                "type": "diffusion.sample",
                "inputs": {
                    "denoiser": {"$from": "g"}, "latent": {"$from": "e"}, "schedule": {"$from": "k"}, "seed": 7,
                    "steps": 2, "method": "dpmpp_2m",
                },
            },
            "d": {
                "type": "codebooks.decode",
                "inputs": {"autoencoder": {"$from": "c.autoencoder"}, "latent": {"$from": "s"}},
            },
        },
    }  # fmt: skip
    expected = run(parse(json.dumps(by_hand)))["image"].pixels
    assert torch.equal(expected, run(imported("text_to_image"))["image"].pixels)
