"""The graphs of graphs/guided_diffusion on tiny networks laid out as the real ones, and what they say without any."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from nodeflow import Engine, build, open_catalog
from nodeflow.document import parse, with_values
from nodeflow.plan.walk import Planner

GRAPHS = Path(__file__).parents[2] / "graphs" / "guided_diffusion"
Write = Callable[..., str]


class Case(NamedTuple):
    """files: that the graph asks for -> their family, and how many classes they are told."""

    files: dict[str, tuple[str, int]]
    values: dict[str, Any]
    shape: tuple[int, ...]


SMALL, LARGE = {"width": 16, "height": 16}, {"width": 32, "height": 32}
CASES = {
    "class_conditional": Case({"64x64_diffusion": ("64", 5)}, SMALL | {"count": 2}, (2, 3, 16, 16)),
    "classifier_guided": Case(
        {"256x256_diffusion_uncond": ("256", 0), "256x256_classifier": ("classifier of 256", 0)}, LARGE, (1, 3, 32, 32)
    ),
    "upsample": Case(
        {"64x64_diffusion": ("64", 5), "64_256_upsampler": ("upsampler to 256", 5)},
        SMALL | {"large_width": 32, "large_height": 32, "fine_steps": 2},
        (1, 3, 32, 32),
    ),
}


def graph(name: str, **values: Any) -> Any:
    document = parse((GRAPHS / f"{name}.json").read_text("utf-8"), name)
    return build(with_values(document, values), open_catalog(), folder=GRAPHS)


def prepared(name: str, file: Write) -> dict[str, Any]:
    """Writes what a graph asks for; the values that make its run short."""
    case = CASES[name]
    for called, (family, classes) in case.files.items():
        file(family, called, classes=classes)
    return case.values | {"classes": [3], "steps": 2}


def pictures(name: str, **values: Any) -> torch.Tensor:
    events = list(Engine().run(graph(name, **values)))
    assert [] == [event for event in events if type(event).__name__ == "Failed"]
    found: torch.Tensor = events[-1].outputs["image"].pixels
    return found


def test_every_graph_has_a_case() -> None:
    assert CASES.keys() == {path.stem for path in GRAPHS.glob("*.json")}


@pytest.mark.parametrize("name", CASES)
def test_a_graph_runs_on_files_of_the_names_it_asks_for(name: str, file: Write) -> None:
    found = pictures(name, **prepared(name, file))
    assert CASES[name].shape == found.shape
    assert found.isfinite().all()
    assert found.std() > 0.01


@pytest.mark.parametrize("name", CASES)
def test_another_class_makes_another_picture(name: str, file: Write) -> None:
    values = prepared(name, file)
    first, other = pictures(name, **values), pictures(name, **values | {"classes": [4]})
    assert (first - other).abs().max() > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_without_the_weights_it_is_told_which_file_goes_where(name: str, here: Path) -> None:
    told = "\n".join(event.message for event in Engine().run(graph(name)) if type(event).__name__ == "Failed")
    assert any(f'no model "{model}"; looked in\n    {here}' in told for model in CASES[name].files)


@pytest.mark.parametrize("name", CASES)
def test_a_graph_is_planned_without_a_weight(name: str, file: Write) -> None:
    values = prepared(name, file) | {"steps": 5}  # of like calls of a network those after the second are not walked
    plan = Planner(graph(name, **values), "cpu").run()
    assert [] == plan.problems
    assert {} == {node.id: node.unknown for node in plan.nodes if node.unknown}
    decoded = next(node for node in plan.nodes if node.id == "decode").outputs["out"].tensors["pixels"]
    assert CASES[name].shape == decoded[1]
