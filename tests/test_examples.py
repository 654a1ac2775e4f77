"""Every file in graphs/ opens, checks, round-trips to the same bytes, and runs on the weights that are shipped.

Those in graphs/stable_diffusion, graphs/guided_diffusion and graphs/published are for weights that other people publish
and nodeflow does not ship: they have no picture beside them, and without the weights they say what is missing.
tests/stable_diffusion, tests/guided_diffusion, tests/text and tests/codebooks run each on tiny models.
"""

from pathlib import Path

import pytest
from PIL import Image as Picture

from nodeflow import open_catalog
from nodeflow.client import Worker
from nodeflow.document import parse, with_values, write
from nodeflow.graph import build

ROOT = Path(__file__).parents[1]
GRAPHS = sorted((ROOT / "graphs").rglob("*.json"))
FOREIGN = [path for path in GRAPHS if path.parent.name in ("stable_diffusion", "guided_diffusion", "published")]
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


RUN = [path for path in GRAPHS if path.parent.name != "train" and path not in FOREIGN]


@pytest.mark.parametrize("path", RUN, ids=name)
def test_an_example_runs(path: Path, worker: Worker, tmp_path: Path) -> None:
    document = parse(path.read_text("utf-8"), str(path))
    short = {parameter: SHORT[parameter] for parameter in document.parameters if parameter in SHORT}
    events = list(worker.run(with_values(document, short), folder=path.parent, out=tmp_path, cache=False))
    assert [] == [event for event in events if event["event"] == "failed"]
    delivered = [event for event in events if event["event"] == "delivered"]
    assert set(document.outputs) == {event["output"] for event in delivered}
    assert all(Path(file).stat().st_size for event in delivered for file in event["paths"])


@pytest.fixture(scope="module")
def without_models(tmp_path_factory: pytest.TempPathFactory):
    """A worker that sees none of the models that this computer's user may have."""
    nowhere = tmp_path_factory.mktemp("nowhere")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("NODEFLOW_MODELS", "XDG_DATA_HOME", "HF_HUB_CACHE"):
            patch.setenv(variable, str(nowhere))
        patch.chdir(nowhere)
        with Worker() as started:
            yield started


@pytest.mark.parametrize("path", FOREIGN, ids=name)
def test_an_example_for_weights_of_others_says_which_are_missing(
    path: Path, without_models: Worker, tmp_path: Path
) -> None:
    assert not path.with_suffix(".png").exists(), "there are no weights that could have made it"
    document = parse(path.read_text("utf-8"), str(path))
    loader = next(node for node, entry in document.nodes.items() if "model" in entry.inputs)
    events = list(without_models.run(document, folder=path.parent, out=tmp_path, cache=False, until=loader))
    (failed,) = (event for event in events if event["event"] == "failed")
    assert loader == failed["node"]
    assert f'no model "{document.nodes[loader].inputs["model"]}"' in failed["message"]
    assert "put the file into one of these folders" in failed["message"]
