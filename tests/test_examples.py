"""Every file in graphs/ opens, checks, round-trips to the same bytes, and runs on the weights that are shipped."""

from pathlib import Path

import pytest
from PIL import Image as Picture

from nodeflow import open_catalog
from nodeflow.client import Worker
from nodeflow.document import parse, with_values, write
from nodeflow.graph import build

ROOT = Path(__file__).parents[1]
GRAPHS = sorted((ROOT / "graphs").rglob("*.json"))
SHORT = {"steps": 2, "count": 4, "pictures": 64, "batch": 4}
"""Parameters that make a run short where the graph has them."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "graphs"))


@pytest.mark.parametrize("path", GRAPHS, ids=name)
def test_an_example_checks_and_round_trips(path: Path) -> None:
    text = path.read_text("utf-8")
    document = parse(text, str(path))
    build(document, open_catalog(), folder=path.parent)
    assert text == write(document)
    assert document.title
    assert set(document.nodes) <= set(document.view.get("nodes", {})), "every node has its place in the editor"


@pytest.mark.parametrize("path", GRAPHS, ids=name)
def test_an_example_names_its_weights(path: Path) -> None:
    for node, entry in parse(path.read_text("utf-8"), str(path)).nodes.items():
        spec = open_catalog().get(entry.type)
        assert set() == {port.name for port in spec.inputs if port.widget == "model"} - entry.inputs.keys(), node


@pytest.mark.parametrize("path", [path for path in GRAPHS if path.parent.name == "graphs"], ids=name)
def test_a_picture_of_the_example_stands_beside_it(path: Path) -> None:
    with Picture.open(path.with_suffix(".png")) as picture:
        assert picture.info["nodeflow"]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory):
    with Worker() as started:
        yield started


@pytest.mark.parametrize("path", [path for path in GRAPHS if path.parent.name != "train"], ids=name)
def test_an_example_runs(path: Path, worker: Worker, tmp_path: Path) -> None:
    document = parse(path.read_text("utf-8"), str(path))
    short = {parameter: SHORT[parameter] for parameter in document.parameters if parameter in SHORT}
    events = list(worker.run(with_values(document, short), folder=path.parent, out=tmp_path, cache=False))
    assert [] == [event for event in events if event["event"] == "failed"]
    delivered = [event for event in events if event["event"] == "delivered"]
    assert set(document.outputs) == {event["output"] for event in delivered}
    assert all(Path(file).stat().st_size for event in delivered for file in event["paths"])
