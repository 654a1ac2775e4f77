"""The graphs of graphs/stable_diffusion on tiny models laid out as the real ones, and what they say without any."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from nodeflow_image.pictures import write_png

from nodeflow import Engine, build, open_catalog
from nodeflow.document import parse, with_values
from nodeflow.plan.walk import Planner

GRAPHS = Path(__file__).parents[2] / "graphs" / "stable_diffusion"
pytestmark = pytest.mark.usefixtures("adapter_files")
Write = Callable[..., str]
SIZE = {"width": 64, "height": 64}
MASK = {"mask_width": 64, "mask_height": 64, "left": 16, "top": 16, "across": 32, "down": 32}


class Case(NamedTuple):
    """models: parameter -> family. names: of the files that the graph asks for. channels: that its U-Net takes."""

    models: dict[str, str]
    names: dict[str, str]
    values: dict[str, Any]
    side: int = 64
    channels: int = 4


SD15 = {"model": "v1-5-pruned-emaonly"}
CASES = {
    "sd15": Case({"model": "sd1"}, SD15, SIZE | {"count": 2}),
    "sd21": Case({"model": "sd2"}, {"model": "v2-1_768-ema-pruned"}, SIZE),
    "sdxl": Case({"model": "sdxl"}, {"model": "sd_xl_base_1.0"}, SIZE),
    "sdxl_refiner": Case(
        {"model": "sdxl", "refiner": "sdxl_refiner"},
        {"model": "sd_xl_base_1.0", "refiner": "sd_xl_refiner_1.0"},
        SIZE | {"fine_steps": 8},
    ),
    "sd15_img2img": Case({"model": "sd1"}, SD15, SIZE),
    "sd15_lora": Case({"model": "sd1"}, SD15, SIZE),
    "sd15_controlnet": Case({"model": "sd1"}, SD15, SIZE | {"picture_width": 64, "picture_height": 64}),
    "sd15_inpaint": Case({"model": "sd1"}, {"model": "sd-v1-5-inpainting"}, SIZE | MASK, channels=9),
    "hires_fix": Case({"model": "sd1"}, SD15, SIZE | {"large_width": 96, "large_height": 96, "fine_steps": 2}, 96),
}


def graph(name: str, **values: Any) -> Any:
    document = parse((GRAPHS / f"{name}.json").read_text("utf-8"), name)
    return build(with_values(document, values), open_catalog(), folder=GRAPHS)


def run(name: str, values: dict[str, Any]) -> torch.Tensor:
    asked = CASES[name].values | {"prompt": "a cab", "negative": "", "steps": 2} | values
    events = list(Engine().run(graph(name, **asked)))
    assert [] == [event for event in events if type(event).__name__ == "Failed"]
    found: torch.Tensor = events[-1].outputs["image"].pixels
    return found


def picture() -> None:
    write_png(Path("picture.png"), torch.rand(3, 70, 90, generator=torch.Generator().manual_seed(0)), "")


def test_every_graph_has_a_case() -> None:
    assert CASES.keys() == {path.stem for path in GRAPHS.glob("*.json")}


@pytest.mark.parametrize("name", CASES)
def test_a_graph_runs_on_single_files_under_the_names_it_asks_for(name: str, file: Write) -> None:
    case = CASES[name]
    picture()
    for parameter, family in case.models.items():
        file(family, case.names[parameter], channels=case.channels)
    found = run(name, {})
    assert (case.values.get("count", 1), 3, case.side, case.side) == found.shape
    assert found.isfinite().all()
    assert found.std() > 0.01


@pytest.mark.parametrize("name", CASES)
def test_a_graph_runs_on_folders(name: str, folder: Write) -> None:
    case = CASES[name]
    picture()
    values = {
        parameter: folder(family, family, channels=case.channels, half=name == "sd15")
        for parameter, family in case.models.items()
    }
    assert run(name, values).isfinite().all()


@pytest.mark.parametrize("name", CASES)
def test_without_the_weights_it_is_told_which_file_goes_where(name: str, here: Path) -> None:
    picture()
    *events, last = Engine().run(graph(name))
    told = "\n".join(event.message for event in [*events, last] if type(event).__name__ == "Failed")
    assert any(f'no model "{model}"; looked in\n    {here}' in told for model in CASES[name].names.values())
    assert "put the file into one of these folders" in told


@pytest.mark.parametrize("name", ["sdxl_refiner", "sd15_img2img", "sd15_inpaint"])  # the others' nodes are among theirs
def test_a_graph_is_planned_without_a_weight(name: str, file: Write) -> None:
    case = CASES[name]
    picture()
    for parameter, family in case.models.items():
        file(family, case.names[parameter], channels=case.channels)
    values = case.values | {"prompt": "a cab", "negative": "", "steps": 2}
    plan = Planner(graph(name, **values), "cpu").run()
    assert [] == plan.problems
    assert {} == {node.id: node.unknown for node in plan.nodes if node.unknown}
    decoded = next(node for node in plan.nodes if node.id == "decode").outputs["out"].tensors["pixels"]
    assert (case.values.get("count", 1), 3, case.side, case.side) == decoded[1]
