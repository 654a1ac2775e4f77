"""The graphs of graphs/stable_diffusion on tiny models laid out as the real ones, and what they say without any."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from nodeflow_image.pictures import write_png
from nodeflow_image.upscaler_names import Found, shapes_of, sources
from nodeflow_image.upscalers import UpscalerConfig
from safetensors.torch import save_file

from nodeflow import Engine, build, open_catalog
from nodeflow.document import parse, with_values
from nodeflow.plan.walk import Planner

GRAPHS = Path(__file__).parents[2] / "graphs" / "stable_diffusion"
pytestmark = pytest.mark.usefixtures("adapter_files", "upscaler_file")
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
    "sd15_perturbed": Case({"model": "sd1"}, SD15, SIZE),
    "sd21_unclip": Case(
        {"model": "sd2_unclip_h", "vision": "sd2_unclip_h"}, dict.fromkeys(("model", "vision"), "sd21-unclip-h"), SIZE
    ),
    "sd2_depth": Case(
        {"model": "sd2"}, {"model": "512-depth-ema"}, SIZE | {"depth_width": 64, "depth_height": 64}, channels=5
    ),
    "upscale": Case({"model": "sd1"}, SD15, SIZE, 256),
    "hires_fix": Case({"model": "sd1"}, SD15, SIZE | {"large_width": 96, "large_height": 96, "fine_steps": 2}, 96),
}


@pytest.fixture
def upscaler_file(here: Path) -> None:
    """Writes the upscaler that a graph asks for, a small one."""
    found = Found(UpscalerConfig(width=8, depth=1, growth=4), "basicsr", "")
    torch.manual_seed(0)
    weights = {
        name: torch.randn(shape) / math.prod(shape[1:]) ** 0.5 for name, shape in shapes_of(found.config).items()
    }
    weights["last.bias"] = torch.full((3,), 0.5)
    named = {sources(found)[name][0]: value for name, value in weights.items()}
    save_file(named, here / "RealESRGAN_x4plus.safetensors")


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
    for name in ("picture", "depth"):
        write_png(Path(f"{name}.png"), torch.rand(3, 70, 90, generator=torch.Generator().manual_seed(0)), "")


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
    made = {
        family: folder(family, family, channels=case.channels, half=name == "sd15")
        for family in dict.fromkeys(case.models.values())
    }
    values = {parameter: made[family] for parameter, family in case.models.items()}
    assert run(name, values).isfinite().all()


@pytest.mark.parametrize("name", CASES)
def test_without_the_weights_it_is_told_which_file_goes_where(name: str, here: Path) -> None:
    picture()
    *events, last = Engine().run(graph(name))
    told = "\n".join(event.message for event in [*events, last] if type(event).__name__ == "Failed")
    assert any(f'no model "{model}"; looked in\n    {here}' in told for model in CASES[name].names.values())
    assert "put the file into one of these folders" in told


@pytest.mark.parametrize(  # the others' nodes are among theirs
    "name", ["sdxl_refiner", "sd15_img2img", "sd15_inpaint", "sd21_unclip", "sd2_depth", "sd15_perturbed", "upscale"]
)
def test_a_graph_is_planned_without_a_weight(name: str, file: Write) -> None:
    case = CASES[name]
    picture()
    for parameter, family in case.models.items():
        file(family, case.names[parameter], channels=case.channels)
    values = case.values | {"prompt": "a cab", "negative": "", "steps": 2}
    plan = Planner(graph(name, **values), "cpu").run()
    assert [] == plan.problems
    assert {} == {node.id: node.unknown for node in plan.nodes if node.unknown}
    shown = "larger" if name == "upscale" else "decode"
    made = next(node for node in plan.nodes if node.id == shown).outputs["out"].tensors["pixels"]
    assert (case.values.get("count", 1), 3, case.side, case.side) == made[1]
